/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ferryctl: the stock ovs-appctl's comfortable sister. It adds nothing the socket could not do:
 * blanks for slashes, finding the socket, watching, completion. See help.c.
 */
#include "ctrl/client/ferryctl.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUN_DIR "/run/ferry"
#define SOCKET_NAME "ferryd.sock"
#define TIMEOUT_MS 5000
#define WATCH_MS 1000
#define COMPLETE_MS 1000

enum { OPTION_COMPLETION = 256, OPTION_COMPLETE };

static const struct option options[] = {
	{"socket", required_argument, NULL, 's'},
	{"timeout", required_argument, NULL, 't'},
	{"json", no_argument, NULL, 'j'},
	{"watch", optional_argument, NULL, 'w'},
	{"completion", required_argument, NULL, OPTION_COMPLETION},
	{"complete", no_argument, NULL, OPTION_COMPLETE}, /* for the script, not in the help */
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{0},
};

static void settings_default(struct settings *settings)
{
	const char *socket = getenv("FERRY_SOCKET"), *dir = getenv("FERRY_RUN_DIR");

	memset(settings, 0, sizeof(*settings));
	settings->timeout_ms = TIMEOUT_MS;
	if (socket && *socket)
		snprintf(settings->socket, sizeof(settings->socket), "%s", socket);
	else
		snprintf(settings->socket, sizeof(settings->socket), "%s/%s",
			dir && *dir ? dir : RUN_DIR, SOCKET_NAME);
}

static bool seconds_parse(const char *text, unsigned int *time_ms)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end || !isfinite(seconds) || seconds < 0 || seconds > 1e6)
		return false;
	*time_ms = (unsigned int)(seconds * 1000 + 0.5);
	return seconds == 0 || *time_ms > 0;
}

static int usage(const char *what, const char *found)
{
	fprintf(stderr, "ferryctl: %s%s%s%s\nTry \"ferryctl --help\".\n", what, found ? " \"" : "",
		found ? found : "", found ? "\"" : "");
	return EXIT_USAGE;
}

/* -1: go on with the command. While completing, nothing is printed in between. */
static int option_take(struct settings *settings, int option, bool *complete)
{
	if (*complete && option != 's')
		return -1;
	switch (option) {
	case 's':
		snprintf(settings->socket, sizeof(settings->socket), "%s", optarg);
		return -1;
	case 't':
		if (!seconds_parse(optarg, &settings->timeout_ms))
			return usage("--timeout: expected seconds, found", optarg);
		return -1;
	case 'j':
		settings->json = true;
		return -1;
	case 'w':
		settings->watch_ms = WATCH_MS;
		if (optarg && (!seconds_parse(optarg, &settings->watch_ms) || !settings->watch_ms))
			return usage("--watch: expected seconds, found", optarg);
		return -1;
	case OPTION_COMPLETE:
		*complete = true;
		return -1;
	case OPTION_COMPLETION:
		if (strcmp(optarg, "bash") != 0)
			return usage("--completion: only bash is known, not", optarg);
		printf("%s", ferryctl_completion_bash);
		return EXIT_OK;
	case 'h':
		printf("%s", ferryctl_help);
		return EXIT_OK;
	case 'V':
		printf("ferryctl (Ferry) %s\n", FERRY_VERSION);
		return EXIT_OK;
	default:
		fprintf(stderr, "Try \"ferryctl --help\".\n");
		return EXIT_USAGE;
	}
}

static int options_parse(struct settings *settings, int argc, char **argv, bool *complete)
{
	int option, ret;

	while ((option = getopt_long(argc, argv, "+s:t:jw::hV", options, NULL)) != -1) {
		ret = option_take(settings, option, complete);
		if (ret >= 0)
			return ret;
	}
	return -1;
}

static int names_fetch(struct session *session, struct names *names)
{
	struct rpc_call call = {.method = "list-commands"};
	struct rpc_answer answer;
	int ret = session_call(session, &call, &answer);

	if (ret != EXIT_OK)
		return ret;
	if (answer.failed) {
		fprintf(stderr, "ferryctl: list-commands: %s", answer.text);
		rpc_answer_free(&answer);
		return EXIT_FAILED;
	}
	if (names_parse(answer.text, names) < 0) {
		rpc_answer_free(&answer);
		return EXIT_INTERNAL;
	}
	return EXIT_OK;
}

static int send_command(struct session *session, const char *method, char **args, size_t n_args)
{
	char **all = calloc(n_args + 1, sizeof(*all));
	char json[] = "--json";
	size_t n = 0;
	int ret;

	if (!all)
		return EXIT_INTERNAL;
	if (session->settings->json)
		all[n++] = json;
	memcpy(all + n, args, n_args * sizeof(*args));
	n += n_args;
	ret = session->settings->watch_ms ? session_watch(session, method, all, n)
					  : session_print(session, method, all, n);
	free(all);
	return ret;
}

static int run_words(struct session *session, char **words, size_t n_words)
{
	const struct name *found;
	struct names names;
	size_t n_taken;
	int ret;

	/* A name in full needs no list. */
	if (strchr(words[0], '/'))
		return send_command(session, words[0], words + 1, n_words - 1);
	ret = names_fetch(session, &names);
	if (ret != EXIT_OK)
		return ret;
	found = names_find(&names, words, n_words, &n_taken);
	if (found) {
		ret = send_command(session, found->name, words + n_taken, n_words - n_taken);
	} else {
		names_explain(&names, words, n_words);
		ret = EXIT_USAGE;
	}
	names_free(&names);
	return ret;
}

static void complete_options(const char *begun)
{
	for (const struct option *option = options; option->name; option++)
		if (option->val != OPTION_COMPLETE &&
			strncmp(option->name, begun + 2, strlen(begun) - 2) == 0)
			printf("--%s%s\n", option->name,
				option->has_arg == required_argument ? "=" : "");
}

/* bash takes "--socket=X" for three words; without the middle one getopt understands them. */
static int drop_equals(int argc, char **argv)
{
	int n = 0;

	for (int i = 0; i < argc; i++)
		if (strcmp(argv[i], "=") != 0)
			argv[n++] = argv[i];
	return n;
}

/* A command line being typed; the last word may be empty. */
static int complete_words(struct settings *settings, int argc, char **argv)
{
	struct session session;
	struct names names;
	bool complete = true;
	int ret;

	argc = drop_equals(argc, argv);
	if (argc < 2)
		return EXIT_OK;
	opterr = 0;
	optind = 0; /* begin anew, with these words */
	options_parse(settings, argc - 1, argv, &complete);
	if (optind >= argc - 1 && strncmp(argv[argc - 1], "--", 2) == 0) {
		complete_options(argv[argc - 1]);
		return EXIT_OK;
	}
	settings->timeout_ms = COMPLETE_MS;
	ret = session_open(settings, &session);
	if (ret != EXIT_OK)
		return ret;
	ret = names_fetch(&session, &names);
	if (ret == EXIT_OK) {
		names_complete(&names, argv + optind, (size_t)(argc - optind));
		names_free(&names);
	}
	session_close(&session);
	return ret;
}

int main(int argc, char **argv)
{
	struct settings settings;
	struct session session;
	bool complete = false;
	int ret;

	settings_default(&settings);
	ret = options_parse(&settings, argc, argv, &complete);
	if (ret >= 0)
		return ret;
	if (complete) {
		/* The words behind "--", with the program's name before them again. */
		argv[optind - 1] = argv[0];
		return complete_words(&settings, argc - optind + 1, argv + optind - 1);
	}
	if (optind == argc)
		return usage("no command given", NULL);
	ret = session_open(&settings, &session);
	if (ret != EXIT_OK)
		return ret;
	ret = run_words(&session, argv + optind, (size_t)(argc - optind));
	session_close(&session);
	return ret;
}
