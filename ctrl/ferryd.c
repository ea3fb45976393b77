/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ferryd: one per hypervisor. Reads ferry.yaml, starts DPDK and the engine, answers on the control
 * socket.
 *
 * Order of life: options, config, lock of the run directory, log, EAL, loop, engine with all its
 * objects, mover, commands, socket, workers; down in the reverse order on SIGTERM, SIGINT or
 * `exit`. SIGHUP reloads. Threads: this one runs the loop; workers, the vhost events thread, the
 * log's, the moves' and the reloads' are others'.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/config.h"
#include "ctrl/cmd/daemon.h"
#include "ctrl/cmd/reload.h"
#include "ctrl/cmd/metrics.h"
#include "ctrl/cmd/time.h"
#include "ctrl/log.h"
#include "ctrl/migrate/mover.h"
#include "ctrl/rpc/server.h"
#include "ctrl/vswitch/eal.h"
#include "ctrl/vswitch/setup.h"

#define TICK_MS 100

enum exit_code { EXIT_CONFIG = 2, EXIT_LOCKED = 3, EXIT_START = 4 };

struct options {
	const char *config, *socket, *plugin_dir;
	bool check;
};

struct ferryd {
	struct options options;
	struct daemon daemon;
	struct clock_warp warp; /* test builds */
	struct cmd_registry *registry;
	struct rpc_server *server;
	struct metrics_http *metrics;
	struct event *events[4];
	char control[CONFIG_SOCKET_PATH_MAX + 64];
	int lock_fd;
};

static void usage(FILE *out)
{
	fputs("usage: ferryd --config FILE [--check] [--socket PATH] [--plugin-dir DIR]\n"
	      "       ferryd --config-reference | --version | --help\n"
	      "\n"
	      "  -c, --config FILE       ferry.yaml (default /etc/ferry/ferry.yaml)\n"
	      "      --check             read the config, ask plugins, say what is wrong\n"
	      "      --socket PATH       control socket instead of the config's\n"
	      "      --plugin-dir DIR    where NAME.so of a plugin is looked for\n"
	      "      --config-reference  print all options as Markdown\n"
	      "\n"
	      "exit codes: 0 ended as asked, 2 bad options or config, 3 another ferryd runs here,\n"
	      "            4 could not start\n",
		out);
}

static int options_parse(struct options *options, int argc, char **argv)
{
	static const struct option longs[] = {
		{"config", required_argument, NULL, 'c'},
		{"check", no_argument, NULL, 'k'},
		{"socket", required_argument, NULL, 's'},
		{"plugin-dir", required_argument, NULL, 'p'},
		{"config-reference", no_argument, NULL, 'r'},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	*options = (struct options){
		.config = "/etc/ferry/ferry.yaml", .plugin_dir = getenv("FERRY_PLUGIN_DIR")};
	while ((c = getopt_long(argc, argv, "c:hV", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			options->config = optarg;
			break;
		case 'k':
			options->check = true;
			break;
		case 's':
			options->socket = optarg;
			break;
		case 'p':
			options->plugin_dir = optarg;
			break;
		case 'r':
			exit(config_reference(stdout) == 0 ? 0 : EXIT_START);
		case 'V':
			puts("ferryd (Ferry) " FERRY_VERSION);
			exit(0);
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			return -EINVAL;
		}
	}
	if (optind == argc)
		return 0;
	fprintf(stderr, "ferryd: unexpected argument '%s'\n", argv[optind]);
	return -EINVAL;
}

/*
 * --check, beyond what a load sees: plugins are asked, in an engine that is only for them. Nothing
 * of a ferryd that runs is touched.
 */
static int config_check(const struct options *options, const struct config *config)
{
	struct config least = *config;
	char error[ENGINE_ERROR_MAX], prefix[32];
	int rc;

	snprintf(prefix, sizeof(prefix), "ferry-check-%d", (int)getpid());
	least.dpdk = (struct config_dpdk){.memory_mb = 64,
		.no_huge = true,
		.in_memory = true,
		.no_pci = true,
		.file_prefix = prefix};
	rc = eal_start(&least, prefix, error, sizeof(error));
	if (rc == 0) {
		rc = setup_check(config, options->plugin_dir, error, sizeof(error));
		eal_stop();
	}
	if (rc == 0)
		printf("%s: good\n", options->config);
	else
		fprintf(stderr, "ferryd: %s%s%s\n", options->config, daemon_fault_joint(error),
			error);
	return rc;
}

static int config_read(const char *path, struct config **config)
{
	struct config_error fault;
	char text[1024];

	if (config_load(path, config, &fault) == 0)
		return 0;
	config_error_format(&fault, text, sizeof(text));
	fprintf(stderr, "ferryd: %s\n", text);
	return fault.code;
}

/* ---- starting, step by step ---- */

static const char *host_name(const struct config *config)
{
	static char name[64];

	if (config->host.name)
		return config->host.name;
	if (gethostname(name, sizeof(name) - 1) != 0)
		snprintf(name, sizeof(name), "ferry");
	return name;
}

static int run_dir_lock(struct ferryd *f)
{
	const struct config_host *host = &f->daemon.config->host;
	char path[256];
	int rc;

	if (mkdir(host->run_dir, 0755) != 0 && errno != EEXIST) {
		fprintf(stderr, "ferryd: %s: %s\n", host->run_dir, strerror(errno));
		return -errno;
	}
	snprintf(path, sizeof(path), "%s/ferryd.lock", host->run_dir);
	rc = unix_lock(path, &f->lock_fd);
	if (rc != 0)
		fprintf(stderr, "ferryd: %s: %s\n", path,
			rc == -EWOULDBLOCK ? "another ferryd runs here" : strerror(-rc));
	return rc;
}

static const enum log_level config_levels[] = {
	[CONFIG_LOG_ERROR] = LOG_LEVEL_ERR,
	[CONFIG_LOG_WARN] = LOG_LEVEL_WARN,
	[CONFIG_LOG_INFO] = LOG_LEVEL_INFO,
	[CONFIG_LOG_DEBUG] = LOG_LEVEL_DEBUG,
};

static int log_start(struct ferryd *f)
{
	const struct config_log *from = &f->daemon.config->log;
	struct log_options options = {.program = "ferryd", .level = config_levels[from->level]};
	int rc;

	if (strcmp(from->target, "syslog") == 0) {
		options.target = LOG_TO_SYSLOG;
	} else if (strcmp(from->target, "stderr") != 0) {
		options.target = LOG_TO_FILE;
		options.path = from->target;
	}
	rc = log_open(&options, &f->daemon.log);
	if (rc != 0)
		fprintf(stderr, "ferryd: log %s: %s\n", from->target, strerror(-rc));
	else
		log_set_rate(f->daemon.log, from->rate_per_s);
	return rc;
}

/* What `log/set` chose stays, unless the file says something new. */
static void log_reload(struct log *log, const struct config_log *from, const struct config_log *to)
{
	if (to->level != from->level)
		log_set_level(log, NULL, config_levels[to->level]);
	log_set_rate(log, to->rate_per_s);
}

static const enum log_level says_levels[] = {
	[PLUGIN_LOG_ERROR] = LOG_LEVEL_ERR,
	[PLUGIN_LOG_WARN] = LOG_LEVEL_WARN,
	[PLUGIN_LOG_INFO] = LOG_LEVEL_INFO,
	[PLUGIN_LOG_DEBUG] = LOG_LEVEL_DEBUG,
};

static void engine_says(
	void *arg, enum plugin_log_level level, const char *object, const char *text)
{
	struct ferryd *f = arg;

	log_limited(log_module(f->daemon.log, "engine"), says_levels[level], object, text, NULL);
}

/* The mover's part of the engine's callbacks: it has an argument of its own. */
static int role_store(void *arg, const struct vport *vport, enum role role, uint64_t epoch)
{
	return mover_role_store(((struct ferryd *)arg)->daemon.mover, vport, role, epoch);
}

static void role_changed(
	void *arg, struct vport *vport, enum role from, enum role to, uint32_t effects)
{
	mover_role_changed(((struct ferryd *)arg)->daemon.mover, vport, from, to, effects);
}

static void rings_heard(void *arg, struct vport *vport, bool up)
{
	mover_rings_heard(((struct ferryd *)arg)->daemon.mover, vport, up);
}

static void rings(void *arg, struct vport *vport, bool up)
{
	mover_rings(((struct ferryd *)arg)->daemon.mover, vport, up);
}

static void relayed_from(
	void *arg, uint32_t vni, const struct in6_addr *addr, const struct in6_addr *vtep)
{
	mover_relayed_from(((struct ferryd *)arg)->daemon.mover, vni, addr, vtep);
}

static void mover_says(void *arg, enum plugin_log_level level, const char *object, const char *text)
{
	struct ferryd *f = arg;

	log_put(log_module(f->daemon.log, "migrate"), says_levels[level], object, "%s", text);
}

static int mover_begin(struct ferryd *f, char *error, size_t error_len)
{
	struct daemon *d = &f->daemon;
	struct mover_options options = {.config = d->config,
		.host_name = host_name(d->config),
		.loop = d->loop,
		.log = mover_says,
		.log_arg = f};

	return mover_create(&options, &d->mover, error, error_len);
}

static int engine_begin(struct ferryd *f)
{
	struct setup_options options = {
		.callbacks = {.log = engine_says,
			.role_store = role_store,
			.role_changed = role_changed,
			.rings_heard = rings_heard,
			.rings = rings,
			.relayed_from = relayed_from,
			.arg = f},
		.birth = mover_birth,
		.vport_free = mover_vport_free,
		.plugin_dir = f->options.plugin_dir,
	};
	struct daemon *d = &f->daemon;
	char error[ENGINE_ERROR_MAX];
	int rc;

	rc = eal_start(d->config, host_name(d->config), error, sizeof(error));
	if (rc == 0)
		rc = mover_begin(f, error, sizeof(error));
	options.birth_arg = d->mover;
	if (FERRY_TIME_COMMANDS) {
		options.clock = (struct clock_source){clock_warp_now, &f->warp};
		d->warp = &f->warp;
	}
	if (rc == 0)
		rc = setup_create(d->config, &options, &d->setup, error, sizeof(error));
	if (rc == 0)
		rc = mover_attach(d->mover, d->setup, error, sizeof(error));
	if (rc != 0) {
		fprintf(stderr, "ferryd: %s\n", error);
		return rc;
	}
	d->engine = setup_engine(d->setup);
	d->started_ns = engine_now_ns(d->engine);
	return 0;
}

static int commands_add(struct ferryd *f)
{
	static const struct cmd_noun *const nouns[] = {
		&cmd_noun_config,
		&cmd_noun_drop,
		&cmd_noun_flow,
		&cmd_noun_host,
		&cmd_noun_location,
		&cmd_noun_metrics,
		&cmd_noun_plugin,
		&cmd_noun_session,
		&cmd_noun_trace,
		&cmd_noun_vport,
		&cmd_noun_worker,
	};
	static const struct cmd_noun *const mover_nouns[] = {
		&cmd_noun_migrate,
		&cmd_noun_relay,
		&cmd_noun_session_file,
	};
	struct cmd_registry_options options = {"ferryd", FERRY_VERSION, f->daemon.loop};
	int rc = cmd_registry_create(&options, &f->registry);

	if (rc == 0)
		rc = cmd_registry_add(f->registry, &cmd_noun_log, f->daemon.log);
	for (size_t i = 0; i < sizeof(nouns) / sizeof(nouns[0]) && rc == 0; i++)
		rc = cmd_registry_add(f->registry, nouns[i], &f->daemon);
	for (size_t i = 0; i < sizeof(mover_nouns) / sizeof(mover_nouns[0]) && rc == 0; i++)
		rc = cmd_registry_add(f->registry, mover_nouns[i], f->daemon.mover);
	if (rc == 0 && FERRY_TIME_COMMANDS)
		rc = cmd_registry_add(f->registry, &cmd_noun_time, &f->daemon);
	if (rc != 0)
		fprintf(stderr, "ferryd: commands: %s\n", strerror(-rc));
	return rc;
}

static int socket_open(struct ferryd *f)
{
	const struct config_host *host = &f->daemon.config->host;
	struct rpc_server_options options = {.loop = f->daemon.loop,
		.listen = {.path = f->control,
			.mode = host->control.mode,
			.group = host->control.group},
		.handler = cmd_registry_handle,
		.ctx = f->registry,
		.log = log_module(f->daemon.log, "rpc")};
	char why[256];
	int rc;

	if (f->options.socket)
		snprintf(f->control, sizeof(f->control), "%s", f->options.socket);
	else if (host->control.socket)
		snprintf(f->control, sizeof(f->control), "%s", host->control.socket);
	else
		snprintf(f->control, sizeof(f->control), "%s/ferryd.sock", host->run_dir);
	f->daemon.control_path = f->control;
	rc = rpc_server_create(&options, &f->server, why, sizeof(why));
	if (rc != 0)
		fprintf(stderr, "ferryd: %s\n", why);
	return rc;
}

static int metrics_open(struct ferryd *f)
{
	const struct config_endpoint *at = &f->daemon.config->host.metrics;
	char error[256];
	int rc = at->port ? metrics_http_start(&f->daemon, at, &f->metrics, error, sizeof(error))
			  : 0;

	if (rc != 0)
		fprintf(stderr, "ferryd: %s\n", error);
	return rc;
}

/* ---- events of the loop ---- */

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct ferryd *f = arg;

	(void)fd;
	(void)what;
	engine_tick(f->daemon.engine);
}

static void on_end(evutil_socket_t fd, short what, void *arg)
{
	struct ferryd *f = arg;

	(void)what;
	log_info(log_module(f->daemon.log, "ferryd"), NULL, "ending on signal %d", (int)fd);
	loop_stop(f->daemon.loop);
}

static void reload_applied(void *arg, const struct config *from, const struct config *to)
{
	log_reload(((struct ferryd *)arg)->daemon.log, &from->log, &to->log);
}

static void reload_told(void *arg, const char *error)
{
	struct log_module *log = log_module(((struct ferryd *)arg)->daemon.log, "ferryd");

	if (!error)
		log_info(log, NULL, "config reloaded");
	else
		log_err(log, NULL, "config not reloaded: %s", error);
}

static int reloads_begin(struct ferryd *f)
{
	struct reloader_options options = {
		.daemon = &f->daemon, .applied = reload_applied, .told = reload_told, .arg = f};
	int rc = reloader_create(&options, &f->daemon.reloader);

	if (rc != 0)
		fprintf(stderr, "ferryd: no thread for reloads: %s\n", strerror(-rc));
	return rc;
}

static void on_reload(evutil_socket_t fd, short what, void *arg)
{
	struct ferryd *f = arg;
	int rc = reloader_ask(f->daemon.reloader, RELOAD_FILE, f->daemon.config_path, NULL);

	(void)fd;
	(void)what;
	if (rc != 0)
		reload_told(f, strerror(-rc));
}

static int events_add(struct ferryd *f)
{
	struct event_base *base = loop_base(f->daemon.loop);
	struct timeval tick = {.tv_usec = TICK_MS * 1000};

	f->events[0] = event_new(base, -1, EV_PERSIST, on_tick, f);
	f->events[1] = evsignal_new(base, SIGTERM, on_end, f);
	f->events[2] = evsignal_new(base, SIGINT, on_end, f);
	f->events[3] = evsignal_new(base, SIGHUP, on_reload, f);
	for (int i = 0; i < 4; i++)
		if (!f->events[i] || event_add(f->events[i], i == 0 ? &tick : NULL) != 0)
			return -ENOMEM;
	return 0;
}

/* Tell systemd (sd_notify(3)); nothing where it does not ask. */
static void notify_ready(void)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	const char *path = getenv("NOTIFY_SOCKET");
	int fd;

	if (!path || strlen(path) >= sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, path, strlen(path));
	if (to.sun_path[0] == '@')
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	sendto(fd, "READY=1", 7, 0, (struct sockaddr *)&to,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)));
	close(fd);
}

static int serve(struct ferryd *f)
{
	struct daemon *d = &f->daemon;
	int rc = run_dir_lock(f);

	if (rc != 0)
		return rc == -EWOULDBLOCK ? EXIT_LOCKED : EXIT_START;
	if (log_start(f) != 0 || loop_create(&d->loop) != 0 || engine_begin(f) != 0 ||
		reloads_begin(f) != 0 || commands_add(f) != 0 || events_add(f) != 0 ||
		socket_open(f) != 0 || metrics_open(f) != 0)
		return EXIT_START;
	rc = engine_start(d->engine);
	if (rc != 0) {
		fprintf(stderr, "ferryd: workers: %s\n", strerror(-rc));
		return EXIT_START;
	}
	log_info(log_module(d->log, "ferryd"), NULL, "Ferry %s serves, control socket %s",
		FERRY_VERSION, f->control);
	notify_ready();
	return loop_run(d->loop) == 0 ? 0 : EXIT_START;
}

static void end(struct ferryd *f)
{
	struct daemon *d = &f->daemon;

	reloader_stop(d->reloader);
	metrics_http_stop(f->metrics);
	rpc_server_destroy(f->server);
	for (int i = 0; i < 4; i++)
		if (f->events[i])
			event_free(f->events[i]);
	if (d->mover)
		mover_detach(d->mover);
	setup_destroy(d->setup);
	loop_destroy(d->loop);
	reloader_free(d->reloader);
	cmd_registry_destroy(f->registry);
	if (d->mover) /* made once EAL ran */
		eal_stop();
	mover_destroy(d->mover);
	log_close(d->log);
	config_free(d->config);
	if (f->lock_fd >= 0)
		close(f->lock_fd);
}

int main(int argc, char **argv)
{
	static struct ferryd ferryd = {.lock_fd = -1};
	struct ferryd *f = &ferryd;
	int code;

	if (options_parse(&f->options, argc, argv) != 0)
		return EXIT_CONFIG;
	if (config_read(f->options.config, &f->daemon.config) != 0)
		return EXIT_CONFIG;
	if (f->options.check) {
		code = config_check(&f->options, f->daemon.config) == 0 ? 0 : EXIT_CONFIG;
		config_free(f->daemon.config);
		return code;
	}
	f->daemon.config_path = f->options.config;
	signal(SIGPIPE, SIG_IGN);
	code = serve(f);
	end(f);
	return code;
}
