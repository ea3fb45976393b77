/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * YAML by libyaml's events, into a tree with places. Limits are checked as events come, so that a
 * bomb costs what it has shown so far. Nothing here knows what the file means.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "config/loader.h"

struct level {
	struct config_tree *tree;
	struct config_tree **tail; /* where the next entry is linked */
	const char *key; /* read, its value is to come */
	yaml_mark_t key_mark;
};

struct builder {
	struct config_loader *loader;
	struct config_source *source;
	yaml_parser_t parser;
	struct level level[CONFIG_DEPTH_MAX];
	unsigned depth;
	uint32_t values;
	struct config_tree *root;
};

static int fail_mark(struct builder *b, int code, const yaml_mark_t *mark, const char *text)
{
	return config_fail_at(b->loader, code, mark->line + 1, mark->column + 1, "%s", text);
}

static int builder_read(void *arg, unsigned char *buffer, size_t size, size_t *size_read)
{
	struct builder *b = arg;
	long count = config_source_read(b->source, buffer, size);

	*size_read = count > 0 ? count : 0;
	return count >= 0;
}

static int fail_source(struct builder *b)
{
	const yaml_mark_t *mark = &b->parser.mark;

	switch (b->source->error) {
	case -E2BIG:
		return config_fail_at(b->loader, -E2BIG, mark->line + 1, mark->column + 1,
			"expected a value of at most %u bytes, found a longer one",
			CONFIG_SCALAR_BYTES_MAX);
	case -EFBIG:
		return config_fail_at(b->loader, -EFBIG, 0, 0,
			"expected at most %u bytes, found more", CONFIG_FILE_BYTES_MAX);
	default:
		return config_fail_at(b->loader, b->source->error, 0, 0, "cannot read the file: %s",
			strerror(-b->source->error));
	}
}

/* libyaml's own words, with a place for every error. */
static int fail_syntax(struct builder *b)
{
	const yaml_parser_t *parser = &b->parser;
	const char *problem = parser->problem ? parser->problem : "something else";
	const char *context = parser->context ? parser->context : "";
	struct config_place place = {.byte = SIZE_MAX, .character = parser->problem_mark.index};

	if (b->source->error != 0)
		return fail_source(b);
	if (parser->error == YAML_MEMORY_ERROR)
		return config_no_memory(b->loader);
	if (parser->error == YAML_READER_ERROR) {
		place.byte = parser->problem_offset;
		place.character = SIZE_MAX;
		config_source_find(b->source, &place);
		return config_fail_at(b->loader, -EINVAL, place.line, place.column,
			"expected printable UTF-8 text, found byte 0x%02x (%s)", place.value & 0xff,
			problem);
	}
	config_source_find(b->source, &place);
	if (place.value == '\t')
		return fail_mark(b, -EINVAL, &parser->problem_mark,
			"expected spaces, found a tab (YAML cannot be indented with tabs)");
	return config_fail_at(b->loader, -EINVAL, parser->problem_mark.line + 1,
		parser->problem_mark.column + 1, "expected valid YAML, found an error: %s%s%s",
		problem, *context ? " " : "", context);
}

static int compare_keys(const void *a, const void *b)
{
	const struct config_tree *x = *(struct config_tree *const *)a;
	const struct config_tree *y = *(struct config_tree *const *)b;
	int order = strcmp(x->key, y->key);

	if (order != 0)
		return order;
	return x->key_line != y->key_line ? (x->key_line < y->key_line ? -1 : 1)
					  : (x->key_column < y->key_column ? -1 : 1);
}

/* Sorted once when the map is complete: no map is too large to be checked. */
static int check_duplicates(struct builder *b, const struct config_tree *map)
{
	const struct config_tree **sorted, *twice = NULL;
	char text[48];
	uint32_t n = 0;

	if (map->count < 2)
		return 0;
	sorted = malloc(map->count * sizeof(*sorted));
	if (sorted == NULL)
		return config_no_memory(b->loader);
	CONFIG_TREE_FOREACH(entry, map)
	sorted[n++] = entry;
	qsort(sorted, n, sizeof(*sorted), compare_keys);
	for (uint32_t i = 1; i < n && twice == NULL; i++)
		if (strcmp(sorted[i - 1]->key, sorted[i]->key) == 0) {
			twice = sorted[i];
			config_fail_at(b->loader, -EINVAL, twice->key_line, twice->key_column,
				"expected each key once, found \"%s\" again (first in line %u)",
				config_printable(twice->key, text, sizeof(text)),
				sorted[i - 1]->key_line);
		}
	free(sorted);
	return twice != NULL ? -EINVAL : 0;
}

/* A new value takes its place under its parent. */
static int add_value(
	struct builder *b, uint8_t kind, const yaml_event_t *event, struct config_tree **out)
{
	struct level *top = b->depth > 0 ? &b->level[b->depth - 1] : NULL;
	struct config_tree *tree;

	if (++b->values > CONFIG_VALUES_MAX)
		return config_fail_at(b->loader, -E2BIG, event->start_mark.line + 1,
			event->start_mark.column + 1, "expected at most %u values, found more",
			CONFIG_VALUES_MAX);
	tree = config_arena_alloc(b->loader->arena, sizeof(*tree));
	if (tree == NULL)
		return config_no_memory(b->loader);
	tree->kind = kind;
	tree->line = tree->key_line = event->start_mark.line + 1;
	tree->column = tree->key_column = event->start_mark.column + 1;
	if (top == NULL) {
		b->root = tree;
	} else {
		if (top->key != NULL) {
			tree->key = top->key;
			tree->key_line = top->key_mark.line + 1;
			tree->key_column = top->key_mark.column + 1;
			top->key = NULL;
		}
		*top->tail = tree;
		top->tail = &tree->next;
		top->tree->count++;
	}
	*out = tree;
	return 0;
}

static bool key_is_due(const struct builder *b)
{
	const struct level *top = b->depth > 0 ? &b->level[b->depth - 1] : NULL;

	return top != NULL && top->tree->kind == CONFIG_MAP && top->key == NULL;
}

static int open_level(struct builder *b, uint8_t kind, const yaml_event_t *event)
{
	struct config_tree *tree;
	int rc;

	if (key_is_due(b))
		return fail_mark(b, -EINVAL, &event->start_mark,
			kind == CONFIG_MAP ? "expected a key, found a map"
					   : "expected a key, found a list");
	if (b->depth == CONFIG_DEPTH_MAX)
		return config_fail_at(b->loader, -E2BIG, event->start_mark.line + 1,
			event->start_mark.column + 1, "expected at most %u levels, found more",
			CONFIG_DEPTH_MAX);
	rc = add_value(b, kind, event, &tree);
	if (rc == 0)
		b->level[b->depth++] = (struct level){.tree = tree, .tail = &tree->first};
	return rc;
}

static int close_level(struct builder *b)
{
	const struct config_tree *tree = b->level[--b->depth].tree;

	return tree->kind == CONFIG_MAP ? check_duplicates(b, tree) : 0;
}

static int take_scalar(struct builder *b, const yaml_event_t *event)
{
	const char *value = (const char *)event->data.scalar.value;
	size_t len = event->data.scalar.length;
	bool is_key = key_is_due(b);
	size_t max = is_key ? CONFIG_KEY_BYTES_MAX : CONFIG_SCALAR_BYTES_MAX;
	struct config_tree *tree;
	char *text;
	int rc;

	if (len > max)
		return config_fail_at(b->loader, -E2BIG, event->start_mark.line + 1,
			event->start_mark.column + 1,
			"expected a %s of at most %zu bytes, found %zu", is_key ? "key" : "value",
			max, len);
	if (memchr(value, '\0', len) != NULL)
		return fail_mark(
			b, -EINVAL, &event->start_mark, "expected text, found a zero byte in it");
	text = config_arena_text(b->loader->arena, value, len);
	if (text == NULL)
		return config_no_memory(b->loader);
	if (is_key) {
		b->level[b->depth - 1].key = text;
		b->level[b->depth - 1].key_mark = event->start_mark;
		return 0;
	}
	rc = add_value(b, CONFIG_SCALAR, event, &tree);
	if (rc == 0) {
		tree->text = text;
		tree->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	}
	return rc;
}

/* Parts of YAML that only make a configuration harder to read, or larger than it looks. */
static int refuse_extras(struct builder *b, const yaml_event_t *event)
{
	const unsigned char *anchor = NULL, *tag = NULL;

	switch (event->type) {
	case YAML_ALIAS_EVENT:
		anchor = event->data.alias.anchor;
		break;
	case YAML_SCALAR_EVENT:
		anchor = event->data.scalar.anchor;
		tag = event->data.scalar.tag;
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = event->data.sequence_start.anchor;
		tag = event->data.sequence_start.tag;
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = event->data.mapping_start.anchor;
		tag = event->data.mapping_start.tag;
		break;
	default:
		break;
	}
	if (anchor != NULL)
		return fail_mark(b, -EINVAL, &event->start_mark,
			"expected the value itself, found an anchor or alias (not supported)");
	if (tag != NULL)
		return fail_mark(b, -EINVAL, &event->start_mark,
			"expected a plain value, found a tag (not supported)");
	if (event->type == YAML_DOCUMENT_START_EVENT && b->root != NULL)
		return fail_mark(b, -EINVAL, &event->start_mark,
			"expected one document, found a second one");
	return 0;
}

static int take_event(struct builder *b, const yaml_event_t *event)
{
	int rc = refuse_extras(b, event);

	if (rc != 0)
		return rc;
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return take_scalar(b, event);
	case YAML_SEQUENCE_START_EVENT:
		return open_level(b, CONFIG_LIST, event);
	case YAML_MAPPING_START_EVENT:
		return open_level(b, CONFIG_MAP, event);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return close_level(b);
	default:
		return 0;
	}
}

static int take_events(struct builder *b)
{
	yaml_event_type_t type = YAML_NO_EVENT;
	yaml_event_t event;
	int rc = 0;

	while (rc == 0 && type != YAML_STREAM_END_EVENT) {
		b->source->since_event_bytes = 0;
		if (!yaml_parser_parse(&b->parser, &event))
			return fail_syntax(b);
		type = event.type;
		rc = take_event(b, &event);
		yaml_event_delete(&event);
	}
	return rc;
}

int config_parse(
	struct config_loader *loader, struct config_source *source, const struct config_tree **out)
{
	struct builder *b = calloc(1, sizeof(*b));
	int rc;

	if (b == NULL || !yaml_parser_initialize(&b->parser)) {
		free(b);
		return config_no_memory(loader);
	}
	b->loader = loader;
	b->source = source;
	yaml_parser_set_input(&b->parser, builder_read, b);
	rc = take_events(b);
	if (rc == 0 && b->root == NULL)
		rc = config_fail_at(
			loader, -EINVAL, 1, 1, "expected a map of sections, found an empty file");
	if (rc == 0)
		*out = b->root;
	yaml_parser_delete(&b->parser);
	free(b);
	return rc;
}
