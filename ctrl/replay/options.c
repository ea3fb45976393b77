/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/replay/options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_GAP_NS 1000000000ull
#define PAUSE_NS 20000000ull
#define COPY_NS 100000000ull
#define DURATION_MAX_S 3e9

void options_usage(FILE *out)
{
	fputs("usage: ferry-replay -c FILE --in PORT=CAPTURE [--in ...] --out DIR [options]\n"
	      "\n"
	      "Captures (pcap, pcapng) through the real engine on a virtual clock: what comes out "
	      "of\n"
	      "each port is written to DIR/PORT.pcap, sessions and drops are summed up.\n"
	      "\n"
	      "  -c, --config FILE        ferry.yaml; its ports are replaced by the captures\n"
	      "      --in PORT=CAPTURE    frames that come in at PORT: a vport, `uplink`, or `*` "
	      "(each\n"
	      "                           frame at the vport whose MAC or IP it comes from, else "
	      "uplink)\n"
	      "      --out DIR            made when it is not there\n"
	      "      --json               the summary as JSON\n"
	      "      --strict             replay nothing unless every capture is whole: neither "
	      "cut nor\n"
	      "                           snapped frames\n"
	      "      --snapped=pad|skip   frames of which the capture has only the beginning: "
	      "filled up\n"
	      "                           with zeros (default) or left out\n"
	      "      --max-gap=TIME       longer gaps between frames are that long (default 1s); "
	      "`off`\n"
	      "                           keeps them, so that idle sessions end as they did\n"
	      "      --loop=N             N times, one behind the other\n"
	      "      --tail=TIME          let the clock run on behind the last frame (default 0)\n"
	      "      --reload FILE@TIME   go over to another config, TIME after the first frame\n"
	      "      --migrate VPORT@TIME[:pause=MS][:copy=MS]\n"
	      "                           move VPORT to a second host; its VM pauses TIME after "
	      "the first\n"
	      "                           frame for MS (default 20), copying starts MS (default "
	      "100) before\n"
	      "      --no-resolve         do not answer the uplink's ARP and ND\n"
	      "      --plugin-dir DIR     where NAME.so of a plugin is looked for\n"
	      "   or: ferry-replay --batch\n"
	      "                           many replays in one process, which start faster: reads "
	      "their\n"
	      "                           arguments, one a line, an empty line behind each "
	      "replay's, "
	      "and ends\n"
	      "                           what each prints with a line `= EXIT-CODE`\n"
	      "\n"
	      "exit codes: 0 all was replayed, 1 the replay failed (output, memory, engine),\n"
	      "  2 bad options, 3 bad config, 4 a capture cannot be replayed (nothing was), 5 a "
	      "capture\n"
	      "  is cut: what is whole was replayed (with --strict: nothing), 6 the move failed\n",
		out);
}

int options_duration(const char *text, uint64_t *duration_ns)
{
	static const struct {
		const char *unit;
		double ns;
	} units[] = {{"", 1e9}, {"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9},
		{"h", 3600e9}};
	char *end;
	double value;

	if (strcmp(text, "off") == 0) {
		*duration_ns = 0;
		return 0;
	}
	if (*text < '0' || *text > '9')
		return -EINVAL;
	value = strtod(text, &end);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(end, units[i].unit) == 0 && value * units[i].ns / 1e9 < DURATION_MAX_S) {
			*duration_ns = (uint64_t)llround(value * units[i].ns);
			return 0;
		}
	return -EINVAL;
}

static int complain(const char *option, const char *value, const char *expected)
{
	fprintf(stderr, "ferry-replay: %s: expected %s, found '%s'\n", option, expected, value);
	return -EINVAL;
}

static int duration_option(const char *option, const char *value, uint64_t *duration_ns)
{
	if (options_duration(value, duration_ns) == 0)
		return 0;
	return complain(option, value, "a time like 250ms, 1.5s or 2m");
}

static int input_option(struct replay_options *o, char *value)
{
	char *equals = strchr(value, '=');

	if (!equals || equals == value || !equals[1])
		return complain("--in", value, "PORT=CAPTURE");
	if (o->n_inputs == OPTIONS_INPUTS_MAX)
		return complain("--in", value, "fewer captures");
	*equals = '\0';
	o->inputs[o->n_inputs++] = (struct replay_input){.port = value, .path = equals + 1};
	return 0;
}

static int reload_option(struct replay_options *o, char *value)
{
	char *at = strrchr(value, '@');
	struct replay_reload *reload = &o->reloads[o->n_reloads];

	if (!at || at == value || o->n_reloads == OPTIONS_EVENTS_MAX)
		return complain("--reload", value, "FILE@TIME");
	*at = '\0';
	reload->path = value;
	if (duration_option("--reload", at + 1, &reload->at_ns) != 0)
		return -EINVAL;
	if (o->n_reloads > 0 && reload->at_ns < reload[-1].at_ns)
		return complain("--reload", at + 1, "times in order");
	o->n_reloads++;
	return 0;
}

static int migrate_part(struct replay_migrate *m, const char *part)
{
	char time[32];

	if (strncmp(part, "pause=", 6) != 0 && strncmp(part, "copy=", 5) != 0)
		return complain("--migrate", part, "pause=MS or copy=MS");
	snprintf(time, sizeof(time), "%sms", strchr(part, '=') + 1);
	return duration_option("--migrate", time, part[0] == 'p' ? &m->pause_ns : &m->copy_ns);
}

static int migrate_option(struct replay_options *o, char *value)
{
	char *at = strrchr(value, '@'), *part, *rest;

	if (!at || at == value)
		return complain("--migrate", value, "VPORT@TIME[:pause=MS][:copy=MS]");
	*at = '\0';
	o->migrate =
		(struct replay_migrate){.vport = value, .pause_ns = PAUSE_NS, .copy_ns = COPY_NS};
	part = strtok_r(at + 1, ":", &rest);
	if (!part || duration_option("--migrate", part, &o->migrate.at_ns) != 0)
		return -EINVAL;
	while ((part = strtok_r(NULL, ":", &rest)))
		if (migrate_part(&o->migrate, part) != 0)
			return -EINVAL;
	return 0;
}

static int loop_option(struct replay_options *o, const char *value)
{
	char *end;
	unsigned long loops = strtoul(value, &end, 10);

	if (*end || end == value || loops == 0 || loops > 1000000)
		return complain("--loop", value, "a number from 1 to 1000000");
	o->loops = (unsigned int)loops;
	return 0;
}

static int snapped_option(struct replay_options *o, const char *value)
{
	o->skip_snapped = strcmp(value, "skip") == 0;
	if (o->skip_snapped || strcmp(value, "pad") == 0)
		return 0;
	return complain("--snapped", value, "pad or skip");
}

static int option(struct replay_options *o, int c)
{
	switch (c) {
	case 'c':
		o->config = optarg;
		return 0;
	case 'i':
		return input_option(o, optarg);
	case 'o':
		o->out_dir = optarg;
		return 0;
	case 'p':
		o->plugin_dir = optarg;
		return 0;
	case 'g':
		return duration_option("--max-gap", optarg, &o->max_gap_ns);
	case 't':
		return duration_option("--tail", optarg, &o->tail_ns);
	case 'l':
		return loop_option(o, optarg);
	case 'r':
		return reload_option(o, optarg);
	case 'm':
		return migrate_option(o, optarg);
	case 's':
		return snapped_option(o, optarg);
	case 'V':
		puts("ferry-replay (Ferry) " FERRY_VERSION);
		return 1;
	case 'h':
		options_usage(stdout);
		return 1;
	case 0: /* a flag */
		return 0;
	default:
		fputs("ferry-replay: see --help\n", stderr);
		return -EINVAL;
	}
}

static int options_complete(const struct replay_options *o, int argc, char **argv)
{
	if (optind < argc)
		fprintf(stderr, "ferry-replay: unexpected argument '%s'\n", argv[optind]);
	else if (!o->config)
		fputs("ferry-replay: -c FILE is missing\n", stderr);
	else if (o->n_inputs == 0)
		fputs("ferry-replay: --in PORT=CAPTURE is missing\n", stderr);
	else if (o->migrate.vport && o->n_reloads > 0)
		fputs("ferry-replay: --reload and --migrate do not go together\n", stderr);
	else if (!o->out_dir)
		fputs("ferry-replay: --out DIR is missing\n", stderr);
	else
		return 0;
	return -EINVAL;
}

int options_parse(struct replay_options *o, int argc, char **argv)
{
	int json = 0, strict = 0, no_resolve = 0;
	const struct option longs[] = {
		{"config", required_argument, NULL, 'c'},
		{"in", required_argument, NULL, 'i'},
		{"out", required_argument, NULL, 'o'},
		{"json", no_argument, &json, 1},
		{"strict", no_argument, &strict, 1},
		{"snapped", required_argument, NULL, 's'},
		{"max-gap", required_argument, NULL, 'g'},
		{"loop", required_argument, NULL, 'l'},
		{"tail", required_argument, NULL, 't'},
		{"reload", required_argument, NULL, 'r'},
		{"migrate", required_argument, NULL, 'm'},
		{"no-resolve", no_argument, &no_resolve, 1},
		{"plugin-dir", required_argument, NULL, 'p'},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c, rc;

	optind = 0; /* begin anew */
	*o = (struct replay_options){
		.max_gap_ns = MAX_GAP_NS, .loops = 1, .plugin_dir = getenv("FERRY_PLUGIN_DIR")};
	while ((c = getopt_long(argc, argv, "c:hV", longs, NULL)) != -1) {
		rc = option(o, c);
		if (rc != 0)
			return rc;
	}
	o->json = json;
	o->strict = strict;
	o->no_resolve = no_resolve;
	return options_complete(o, argc, argv);
}
