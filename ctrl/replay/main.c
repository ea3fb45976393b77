/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ferry-replay: captures through the real engine, on a virtual clock. See README.md.
 *
 * Order of life: options, every capture read to its end (nothing is replayed of a set in which one
 * is broken), config, EAL (once for a batch), engine, run, summary.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "ctrl/replay/batch.h"
#include "ctrl/replay/move.h"
#include "ctrl/replay/options.h"
#include "ctrl/replay/play.h"
#include "ctrl/replay/summary.h"
#include "ctrl/replay/underlay.h"
#include "ctrl/vswitch/eal.h"
#include "ctrl/vswitch/setup.h"

/* Documented in options.c and README.md. */
enum exit_code {
	EXIT_OK,
	EXIT_FAILED,
	EXIT_OPTIONS,
	EXIT_CONFIG,
	EXIT_CAPTURE,
	EXIT_CUT,
	EXIT_MOVE,
};

#define MEMORY_MB 1024 /* and room for two hosts; touched only as far as it is used */

struct replay {
	struct replay_options options;
	struct capture_summary captures[OPTIONS_INPUTS_MAX];
	bool cut;
	uint64_t first_ns;
	struct timeline *timeline;
	struct play_clock clock;
	struct config *config;
	struct setup *setup[PLAY_HOSTS];
	struct move *move; /* owns the setups, when there is one */
	struct play *play;
	struct play_event reloads[OPTIONS_EVENTS_MAX];
	unsigned int reloads_done;
	struct config *old[OPTIONS_EVENTS_MAX]; /* freed at the end */
	struct process *process;
};

/* What replays of one process share: EAL starts once and never again. */
struct process {
	bool eal;
	uint32_t memory_mb;
};

static void __attribute__((format(printf, 1, 2))) say(const char *format, ...)
{
	va_list args;

	fputs("ferry-replay: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

/* ---- captures ---- */

/* The whole set is looked at before anything is replayed. */
static int scan_one(struct replay *r, unsigned int i)
{
	const char *path = r->options.inputs[i].path;
	struct capture_summary *sum = &r->captures[i];
	char error[CAPTURE_ERROR_MAX] = "out of memory";
	int rc = capture_scan(path, sum, error, sizeof(error));

	if (rc != 0) {
		say("%s: %s", path, error);
		return rc == -ENODATA ? EXIT_CUT : EXIT_CAPTURE;
	}
	if (i == 0 || sum->first_ns < r->first_ns)
		r->first_ns = sum->first_ns;
	if (sum->snapped > 0 && r->options.strict) {
		say("%s: %llu of %llu frames are snapped: nothing is replayed (--strict)", path,
			(unsigned long long)sum->snapped, (unsigned long long)sum->frames);
		return EXIT_CAPTURE;
	}
	if (sum->cut_offset == 0)
		return EXIT_OK;
	r->cut = true;
	say("%s: %s; %s", path, sum->cut,
		r->options.strict ? "nothing is replayed (--strict)" : "what is whole is replayed");
	return r->options.strict ? EXIT_CUT : EXIT_OK;
}

static int captures_scan(struct replay *r)
{
	const struct replay_options *o = &r->options;

	r->timeline = timeline_create(o->max_gap_ns, o->loops);
	for (unsigned int i = 0; i < o->n_inputs; i++) {
		int code = scan_one(r, i);

		if (code != EXIT_OK)
			return code;
		if (!r->timeline || timeline_add(r->timeline, o->inputs[i].path) != 0)
			return EXIT_FAILED;
	}
	return EXIT_OK;
}

/* ---- config ---- */

/* The host of a replay is not the host of the file: no huge pages, no devices, MACs where a device
 * had them. */
static void config_adapt(struct config *config)
{
	struct config_uplink *uplink = &config->uplink;
	static const uint8_t none[6];
	static char prefix[32];

	snprintf(prefix, sizeof(prefix), "ferry-replay-%d", (int)getpid());
	config->dpdk = (struct config_dpdk){.memory_mb = 2 * config->dpdk.memory_mb > MEMORY_MB
								 ? 2 * config->dpdk.memory_mb
								 : MEMORY_MB,
		.no_huge = true,
		.in_memory = true,
		.no_pci = true,
		.file_prefix = prefix};
	if (uplink->n_ips > 0 && memcmp(uplink->mac, none, sizeof(none)) == 0) {
		struct rte_ether_addr mac = underlay_mac(&uplink->ips[0].addr);

		memcpy(uplink->mac, &mac, sizeof(uplink->mac));
	}
}

static int config_read(const char *path, struct config **config, char *error, size_t error_len)
{
	struct config_error fault;
	int rc = config_load(path, config, &fault);

	if (rc == 0)
		config_adapt(*config);
	else
		config_error_format(&fault, error, error_len);
	return rc;
}

/* A refused reload is no failure of the replay: the old config stays in force, as in ferryd. */
static int reload_run(struct play *play, void *arg, char *error)
{
	struct replay *r = arg;
	unsigned int i = r->reloads_done++;
	char why[PLAY_ERROR_MAX] = "";
	struct config *next;

	if (config_read(r->options.reloads[i].path, &next, why, sizeof(why)) != 0) {
		say("reload refused: %s", why);
		return 0;
	}
	if (setup_reload(r->setup[0], next, why, sizeof(why)) != 0) {
		say("reload refused: %s: %s", r->options.reloads[i].path, why);
		config_free(next);
		return 0;
	}
	r->old[i] = r->config;
	r->config = next;
	return play_ports_refresh(play, error, PLAY_ERROR_MAX);
}

/* ---- engine and run ---- */

static void engine_says(
	void *arg, enum plugin_log_level level, const char *object, const char *text)
{
	(void)arg;
	if (level <= PLUGIN_LOG_WARN)
		say("%s: %s", object ? object : "engine", text);
}

static int eal_begin(struct replay *r, char *error, size_t error_len)
{
	struct process *process = r->process;
	uint32_t memory_mb = r->config->dpdk.memory_mb;
	int rc;

	if (process->eal && memory_mb > process->memory_mb) {
		snprintf(error, error_len, "needs %u MiB, the batch was begun with %u", memory_mb,
			process->memory_mb);
		return -ENOMEM;
	}
	if (process->eal)
		return 0;
	rc = eal_start(r->config, "replay", error, error_len);
	process->eal = rc == 0;
	process->memory_mb = memory_mb;
	return rc;
}

static int engine_begin(struct replay *r, char *error, size_t error_len)
{
	struct move_params moving = {.migrate = &r->options.migrate,
		.config = r->config,
		.clock = &r->clock,
		.plugin_dir = r->options.plugin_dir};
	struct setup_options options = {
		.clock = {.now_ns = play_clock_now, .arg = &r->clock},
		.callbacks = {.log = engine_says},
		.plugin_dir = r->options.plugin_dir,
		.ring_ports = true,
		.engine_name = "replay",
	};
	int rc = eal_begin(r, error, error_len);

	r->clock.now_ns = 1;
	if (rc != 0)
		return rc;
	if (!moving.migrate->vport)
		return setup_create(r->config, &options, &r->setup[0], error, error_len);
	rc = move_create(&moving, &r->move, error, error_len);
	for (unsigned int i = 0; i < PLAY_HOSTS && rc == 0; i++)
		r->setup[i] = move_setup(r->move, i);
	return rc;
}

static int play(struct replay *r, char *error, size_t error_len)
{
	struct play_params params = {.options = &r->options,
		.timeline = r->timeline,
		.clock = &r->clock,
		.setup = {r->setup[0], r->setup[1]},
		.first_ns = r->first_ns};
	int rc = play_create(&params, &r->play, error, error_len);

	for (unsigned int i = 0; i < r->options.n_reloads && rc == 0; i++) {
		r->reloads[i] = (struct play_event){
			.at_ns = r->options.reloads[i].at_ns, .run = reload_run, .arg = r};
		play_event_add(r->play, &r->reloads[i]);
	}
	if (rc == 0 && r->move)
		move_schedule(r->move, r->play);
	return rc == 0 ? play_run(r->play, error, error_len) : rc;
}

static void print(void *ctx, const char *text, size_t len_bytes)
{
	fwrite(text, 1, len_bytes, ctx);
}

static void hint(const struct replay *r)
{
	struct timeline_stats line;

	timeline_stats(r->timeline, &line);
	if (line.gaps_shortened > 0)
		say("%llu gaps were longer than --max-gap and shortened by %.1f s: idle sessions "
		    "live longer than they did (--max-gap=off keeps gaps)",
			(unsigned long long)line.gaps_shortened, (double)line.shortened_ns / 1e9);
	if (line.backwards > 0)
		say("%llu times a capture went back in time: taken as no time",
			(unsigned long long)line.backwards);
}

static int report(struct replay *r)
{
	struct summary summary = {.options = &r->options,
		.captures = r->captures,
		.timeline = r->timeline,
		.play = r->play,
		.setup = {r->setup[0], r->setup[1]},
		.move = r->move};
	struct out *out = out_open(r->options.json ? OUT_JSON : OUT_TEXT, print, stdout);

	if (!out)
		return EXIT_FAILED;
	summary_show(&summary, out);
	out_close(out);
	hint(r);
	return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}

static int run(struct replay *r)
{
	char error[PLAY_ERROR_MAX * 2] = "out of memory";
	int code = captures_scan(r);

	if (code != EXIT_OK)
		return code;
	if (config_read(r->options.config, &r->config, error, sizeof(error)) != 0) {
		say("%s", error);
		return EXIT_CONFIG;
	}
	if (engine_begin(r, error, sizeof(error)) != 0 || play(r, error, sizeof(error)) != 0) {
		say("%s", error);
		return r->move && move_failed(r->move) ? EXIT_MOVE : EXIT_FAILED;
	}
	code = report(r);
	return code == EXIT_OK && r->cut ? EXIT_CUT : code;
}

static int end(struct replay *r)
{
	int rc = play_destroy(r->play);

	if (r->move)
		move_destroy(r->move);
	else
		setup_destroy(r->setup[0]);
	timeline_destroy(r->timeline);
	config_free(r->config);
	for (unsigned int i = 0; i < OPTIONS_EVENTS_MAX; i++)
		config_free(r->old[i]);
	if (rc != 0)
		say("output: %s", strerror(-rc));
	return rc;
}

static int replay_once(void *arg, int argc, char **argv)
{
	struct replay *replay = calloc(1, sizeof(*replay));
	int code, rc;

	if (!replay)
		return EXIT_FAILED;
	replay->process = arg;
	rc = options_parse(&replay->options, argc, argv);
	if (rc != 0) {
		free(replay);
		return rc > 0 ? EXIT_OK : EXIT_OPTIONS;
	}
	code = run(replay);
	if (end(replay) != 0 && code == EXIT_OK)
		code = EXIT_FAILED;
	free(replay);
	return code;
}

int main(int argc, char **argv)
{
	struct process process = {0};
	int code = argc == 2 && strcmp(argv[1], "--batch") == 0
			   ? batch_run(stdin, stdout, replay_once, &process)
			   : replay_once(&process, argc, argv);

	if (process.eal)
		eal_stop();
	return code;
}
