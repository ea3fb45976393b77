/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ferry-vmagent --config FILE [--state-dir DIR] [--no-ferryd]
 *
 * The main thread runs the control loop; moves and channels have threads of their own. SIGTERM and
 * SIGINT end the agent and leave moves under way to the next one.
 */
#include <errno.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config/config.h"
#include "ctrl/cmd/cmd.h"
#include "ctrl/log.h"
#include "ctrl/rpc/server.h"
#include "ctrl/vmagent/agent.h"
#include "ctrl/vmagent/cmd.h"
#include "ctrl/vmagent/options.h"

#define WHY_BYTES 512

struct arguments {
	const char *config, *state_dir;
	bool no_ferryd, check;
};

struct program {
	struct config *config;
	struct vmagent_options options;
	struct log *log;
	struct channel_host *channels;
	struct loop *loop;
	struct cmd_registry *registry;
	struct agent *agent;
	struct rpc_server *server;
	struct event *terminate, *interrupt, *child;
};

static void on_signal(evutil_socket_t signal, short what, void *ctx)
{
	struct program *program = ctx;

	loop_stop(program->loop);
}

static void on_child(evutil_socket_t signal, short what, void *ctx)
{
	struct program *program = ctx;

	agent_child_ended(program->agent);
}

static int open_log(struct program *program)
{
	static const enum log_level levels[] = {
		[CONFIG_LOG_ERROR] = LOG_LEVEL_ERR,
		[CONFIG_LOG_WARN] = LOG_LEVEL_WARN,
		[CONFIG_LOG_INFO] = LOG_LEVEL_INFO,
		[CONFIG_LOG_DEBUG] = LOG_LEVEL_DEBUG,
	};
	const char *target = program->config->log.target;
	struct log_options options = {
		.program = "ferry-vmagent",
		.target = LOG_TO_STDERR,
		.level = levels[program->config->log.level],
	};

	if (target != NULL && strcmp(target, "syslog") == 0) {
		options.target = LOG_TO_SYSLOG;
	} else if (target != NULL && strcmp(target, "stderr") != 0) {
		options.target = LOG_TO_FILE;
		options.path = target;
	}
	return log_open(&options, &program->log);
}

static int open_control(struct program *program, char *why)
{
	struct cmd_registry_options registry = {
		.program = "ferry-vmagent", .version = FERRY_VERSION, .loop = program->loop};
	struct rpc_server_options server = {
		.loop = program->loop,
		.listen = {.path = program->options.socket},
		.handler = cmd_registry_handle,
		.log = log_module(program->log, "rpc"),
	};
	int err = cmd_registry_create(&registry, &program->registry);

	if (err == 0)
		err = cmd_registry_add(program->registry, &cmd_noun_vm, program->agent);
	if (err == 0)
		err = cmd_registry_add(program->registry, &cmd_noun_log, program->log);
	if (err)
		return err;
	server.ctx = program->registry;
	return rpc_server_create(&server, &program->server, why, WHY_BYTES);
}

static int open_signals(struct program *program)
{
	struct event_base *base = loop_base(program->loop);

	program->terminate = evsignal_new(base, SIGTERM, on_signal, program);
	program->interrupt = evsignal_new(base, SIGINT, on_signal, program);
	program->child = evsignal_new(base, SIGCHLD, on_child, program);
	if (program->terminate == NULL || program->interrupt == NULL || program->child == NULL)
		return -ENOMEM;
	return event_add(program->terminate, NULL) || event_add(program->interrupt, NULL) ||
			       event_add(program->child, NULL)
		       ? -ENOMEM
		       : 0;
}

static int fill(struct program *program, const struct arguments *arguments, char *why)
{
	int err = options_fill(
		program->config, arguments->state_dir, &program->options, why, WHY_BYTES);

	if (arguments->no_ferryd)
		program->options.ferryd[0] = '\0';
	return err;
}

static int program_open(struct program *program, char *why)
{
	struct agent_setup setup;
	int err = open_log(program);

	if (err == 0)
		err = options_open_channels(
			program->config, program->options.host, &program->channels, why, WHY_BYTES);
	if (err == 0)
		err = loop_create(&program->loop);
	if (err)
		return err;
	mkdir(program->config->host.run_dir, 0755);
	setup = (struct agent_setup){
		&program->options, program->channels, log_module(program->log, "vmagent")};
	err = agent_create(&setup, &program->agent, why, WHY_BYTES);
	if (err == 0)
		err = open_signals(program);
	if (err == 0)
		err = open_control(program, why);
	return err;
}

static void program_close(struct program *program)
{
	rpc_server_destroy(program->server);
	agent_destroy(program->agent);
	cmd_registry_destroy(program->registry);
	if (program->terminate != NULL)
		event_free(program->terminate);
	if (program->interrupt != NULL)
		event_free(program->interrupt);
	if (program->child != NULL)
		event_free(program->child);
	loop_destroy(program->loop);
	if (program->channels != NULL)
		channel_host_free(program->channels);
	options_free(&program->options);
	log_close(program->log);
	config_free(program->config);
}

static int usage(FILE *stream, int code)
{
	fprintf(stream,
		"usage: ferry-vmagent [--config FILE] [--state-dir DIR] [--no-ferryd] [--check]\n"
		"  --config FILE    ferry.yaml [/etc/ferry/ferry.yaml]\n"
		"  --state-dir DIR  where moves are recorded [$STATE_DIRECTORY/moves, else\n"
		"                   moves in host.run_dir]\n"
		"  --no-ferryd      move VMs whose ports are not Ferry's\n"
		"  --check          look at the configuration and end\n");
	return code;
}

static int run(const struct arguments *arguments)
{
	struct program program = {0};
	char why[WHY_BYTES] = "";
	struct config_error error;
	int err = config_load(arguments->config, &program.config, &error);

	if (err) {
		config_error_format(&error, why, sizeof(why));
		fprintf(stderr, "%s\n", why);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	err = fill(&program, arguments, why);
	if (err == 0 && !arguments->check)
		err = program_open(&program, why);
	if (err == 0 && !arguments->check)
		err = loop_run(program.loop);
	if (err)
		fprintf(stderr, "ferry-vmagent: %s\n", why[0] ? why : strerror(-err));
	program_close(&program);
	return err ? 1 : 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"state-dir", required_argument, NULL, 's'},
		{"no-ferryd", no_argument, NULL, 'f'},
		{"check", no_argument, NULL, 'n'},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	struct arguments arguments = {.config = "/etc/ferry/ferry.yaml"};
	int option;

	while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			arguments.config = optarg;
			break;
		case 's':
			arguments.state_dir = optarg;
			break;
		case 'f':
			arguments.no_ferryd = true;
			break;
		case 'n':
			arguments.check = true;
			break;
		case 'V':
			printf("ferry-vmagent %s\n", FERRY_VERSION);
			return 0;
		case 'h':
			return usage(stdout, 0);
		default:
			return usage(stderr, 2);
		}
	}
	return optind == argc ? run(&arguments) : usage(stderr, 2);
}
