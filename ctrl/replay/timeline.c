/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/replay/timeline.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A capture and the frame of it that comes next. */
struct source {
	const char *path;
	struct capture *capture;
	struct capture_frame head;
	bool has_head;
	uint64_t raw_ns; /* time of the frame before, as the file says */
	uint64_t line_ns; /* the same without steps back */
	bool begun, ended;
};

struct timeline {
	struct source *sources;
	unsigned int n_sources;
	uint64_t max_gap_ns;
	unsigned int loops_left;
	bool open, begun;
	uint64_t before_ns; /* line_ns of the frame given last */
	struct timeline_stats stats;
};

struct timeline *timeline_create(uint64_t max_gap_ns, unsigned int loops)
{
	struct timeline *t = calloc(1, sizeof(*t));

	if (t) {
		t->max_gap_ns = max_gap_ns;
		t->loops_left = loops;
	}
	return t;
}

static void sources_close(struct timeline *t)
{
	for (unsigned int i = 0; i < t->n_sources; i++) {
		capture_close(t->sources[i].capture);
		t->sources[i] = (struct source){.path = t->sources[i].path};
	}
	t->open = t->begun = false;
}

void timeline_destroy(struct timeline *t)
{
	if (!t)
		return;
	sources_close(t);
	free(t->sources);
	free(t);
}

int timeline_add(struct timeline *t, const char *path)
{
	struct source *more = realloc(t->sources, (t->n_sources + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	t->sources = more;
	more[t->n_sources++] = (struct source){.path = path};
	return 0;
}

/* Read the next frame of a capture; its place on the line is the one before and the step between
 * them. */
static int source_fill(struct timeline *t, struct source *s, char *error)
{
	int rc = capture_next(s->capture, &s->head, error);

	s->has_head = rc == 1;
	s->ended = rc != 1;
	if (rc == -ENODATA)
		return 0;
	if (rc != 1)
		return rc;
	if (!s->begun)
		s->line_ns = s->head.time_ns;
	else if (s->head.time_ns >= s->raw_ns)
		s->line_ns += s->head.time_ns - s->raw_ns;
	else
		t->stats.backwards++;
	s->raw_ns = s->head.time_ns;
	s->begun = true;
	return 0;
}

static int sources_open(struct timeline *t, char *error)
{
	int rc = 0;

	for (unsigned int i = 0; i < t->n_sources && rc == 0; i++) {
		struct source *s = &t->sources[i];

		rc = capture_open(s->path, &s->capture, error, CAPTURE_ERROR_MAX);
		if (rc == 0)
			rc = source_fill(t, s, error);
	}
	t->open = true;
	return rc;
}

static struct source *earliest(struct timeline *t)
{
	struct source *first = NULL;

	for (unsigned int i = 0; i < t->n_sources; i++)
		if (t->sources[i].has_head && (!first || t->sources[i].line_ns < first->line_ns))
			first = &t->sources[i];
	return first;
}

static void advance(struct timeline *t, uint64_t to_ns)
{
	uint64_t gap_ns = t->begun ? to_ns - t->before_ns : 0;

	if (gap_ns > t->stats.longest_gap_ns)
		t->stats.longest_gap_ns = gap_ns;
	if (t->max_gap_ns && gap_ns > t->max_gap_ns) {
		t->stats.gaps_shortened++;
		t->stats.shortened_ns += gap_ns - t->max_gap_ns;
		gap_ns = t->max_gap_ns;
	}
	t->stats.span_ns += gap_ns;
	t->before_ns = to_ns;
	t->begun = true;
}

/* The frame given last was valid until now. */
static int refill(struct timeline *t, char *error)
{
	int rc = 0;

	for (unsigned int i = 0; i < t->n_sources && rc == 0; i++)
		if (!t->sources[i].has_head && !t->sources[i].ended)
			rc = source_fill(t, &t->sources[i], error);
	return rc;
}

int timeline_next(struct timeline *t, struct timeline_frame *next, char *error)
{
	struct source *s;
	int rc;

	for (;;) {
		rc = t->open ? refill(t, error) : sources_open(t, error);
		if (rc != 0)
			return rc;
		s = earliest(t);
		if (s)
			break;
		if (--t->loops_left == 0)
			return 0;
		sources_close(t);
	}
	advance(t, s->line_ns);
	t->stats.frames++;
	next->frame = s->head;
	next->capture = (unsigned int)(s - t->sources);
	next->at_ns = t->stats.span_ns;
	s->has_head = false;
	return 1;
}

void timeline_stats(const struct timeline *t, struct timeline_stats *stats)
{
	*stats = t->stats;
}
