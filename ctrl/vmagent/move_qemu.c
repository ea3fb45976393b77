/* SPDX-License-Identifier: BSD-3-Clause */
/* Starting and ending QEMU processes: the hook, and the one that waits already. */
#include "ctrl/vmagent/move_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define QUIT_MS 5000
#define HOOK_ARGS_MAX 256
#define CONNECT_PAUSE_US 20000

extern char **environ;

static char *hook_argument(const struct move *move, const char *argument)
{
	const struct options_mark marks[] = {
		{"{vm}", move->record.vm},
		{"{move}", move->record.id},
		{"{qmp}", move->qmp_path},
	};

	return options_expand(argument, marks, 3);
}

/* The hook may be QEMU itself, or end after having started it: the socket is waited for. */
static int hook_spawn(struct move *move)
{
	const char *const *start = move->options.agent->hook;
	char *argv[HOOK_ARGS_MAX + 1] = {NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, defaults;
	int i, err = 0;

	for (i = 0; start[i] != NULL && i < HOOK_ARGS_MAX && err == 0; i++) {
		argv[i] = hook_argument(move, start[i]);
		err = argv[i] ? 0 : -ENOMEM;
	}
	sigemptyset(&none);
	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE); /* which the agent ignores */
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &defaults);
	/* a session of its own: QEMU outlives the agent */
	posix_spawnattr_setflags(
		&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	if (err == 0)
		err = -posix_spawnp(&move->child, argv[0], &actions, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	for (i = 0; i < HOOK_ARGS_MAX; i++)
		free(argv[i]);
	return err;
}

/* -EPIPE when the hook has failed; it is reaped in any case. */
static int hook_look(struct move *move, char *error)
{
	int status;

	if (move->child == 0 || waitpid(move->child, &status, WNOHANG) != move->child)
		return 0;
	move->child = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	snprintf(error, 128, "the start hook ended with %s %d",
		WIFEXITED(status) ? "status" : "signal",
		WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	return -EPIPE;
}

/* Without -S the VM would run the moment it is loaded, before it was given. */
static int must_have_stop_flag(struct move *move, char *error)
{
	char path[64], text[65536];
	ssize_t len;
	int fd, at;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)qmp_pid(move->qmp));
	fd = qmp_pid(move->qmp) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return 0; /* cannot be seen from here; the run state is looked at later */
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len <= 0)
		return 0;
	text[len] = '\0';
	for (at = 0; at < len; at += strlen(text + at) + 1)
		if (strcmp(text + at, "-S") == 0 || strcmp(text + at, "--S") == 0)
			return 0;
	snprintf(error, 128, "it was not started with -S");
	return -EINVAL;
}

void move_qemu_remember(struct move *move)
{
	move->record.qemu_pid = qmp_pid(move->qmp);
	move->record.qemu_start = record_process_start(move->record.qemu_pid);
	move->qmp_expected = true;
	move->qmp_lost_ns = 0;
	move->dead_told = false;
}

const char *move_reach_error(int err)
{
	switch (err) {
	case -ENOENT:
	case -ECONNREFUSED:
		return "no QEMU is there";
	case -ETIMEDOUT:
		return "it does not answer (another client may have it)";
	case -EPROTO:
		return "what is there does not speak QMP";
	default:
		return strerror(-err);
	}
}

static bool nobody_yet(int err)
{
	return err == -ENOENT || err == -ECONNREFUSED || err == -ECONNRESET;
}

/* One that answers already is used; whether it waits for memory is the hand-over's to ask. */
static int qemu_reach(struct move *move, uint64_t deadline_ns, char *error)
{
	int err = qmp_connect(move->qmp_path, deadline_ns, &move->qmp);

	if (err != 0 && move->options.agent->hook != NULL) {
		err = hook_spawn(move);
		move->spawned = err == 0;
		if (err) {
			snprintf(error, 128, "the start hook cannot be run: %s", strerror(-err));
			return err;
		}
	}
	while (move->qmp == NULL && !move->stopping) {
		err = qmp_connect(move->qmp_path, deadline_ns, &move->qmp);
		if (!nobody_yet(err) || vmagent_now_ns() >= deadline_ns)
			break;
		err = hook_look(move, error);
		if (err)
			break;
		usleep(CONNECT_PAUSE_US);
	}
	if (err && error[0] == '\0')
		snprintf(error, 128, "QMP: %s", move_reach_error(err));
	return err;
}

int move_qemu_start(void *ctx, char *error)
{
	struct move *move = ctx;
	int err = qemu_reach(
		move, vmagent_now_ns() + move->handover.policy.accept_ms * 1000000ull, error);

	if (err == 0) {
		move_qemu_remember(move);
		err = must_have_stop_flag(move, error);
	}
	if (err == 0) /* on disk, so that a restarted agent knows this process */
		err = record_save(move->options.agent->state_dir, &move->record);
	if (err && move->spawned)
		move_qemu_stop(move);
	return err;
}

static void end_process(pid_t pid, uint64_t start, uint64_t wait_ms)
{
	struct pollfd poll_fd = {.fd = syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};

	if (poll_fd.fd < 0)
		return;
	if (record_process_start(pid) == start && poll(&poll_fd, 1, wait_ms) == 0) {
		syscall(SYS_pidfd_send_signal, poll_fd.fd, SIGKILL, NULL, 0);
		poll(&poll_fd, 1, QUIT_MS);
	}
	close(poll_fd.fd);
}

/* Asks, waits, kills; only the very process that was remembered. */
void move_qemu_stop(void *ctx)
{
	struct move *move = ctx;
	char error[128];
	bool told;

	if (move->handover.side == HANDOVER_SOURCE && move->options.leave)
		return;
	told = move->qmp != NULL && move_world.qmp(move, "quit", NULL, NULL, error) == 0;
	move->qmp_expected = false;
	if (move->qmp != NULL)
		move_qmp_lost(move);
	if (move->record.qemu_pid > 0)
		end_process(move->record.qemu_pid, move->record.qemu_start, told ? QUIT_MS : 0);
	if (move->child != 0 && move->record.qemu_pid == 0)
		kill(-move->child, SIGKILL); /* with all it started: none answered at its socket */
}
