/* SPDX-License-Identifier: BSD-3-Clause */
#include "test/fake/fake_qmp.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char greeting[] =
	"{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, "
	"\"major\": 7}, \"package\": \"\"}, \"capabilities\": [\"oob\"]}}\r\n";

struct fake_qmp {
	const struct fake_qmp_step *steps;
	size_t n;
	int fd;
	json_int_t id; /* of the last awaited command */
	pthread_t thread;
};

static void send_pieces(int fd, const char *text, size_t len_bytes, size_t piece_bytes)
{
	size_t piece = piece_bytes ? piece_bytes : len_bytes, now;
	ssize_t put;

	while (len_bytes > 0) {
		now = piece < len_bytes ? piece : len_bytes;
		put = send(fd, text, now, MSG_NOSIGNAL);
		if (put <= 0)
			return;
		text += put;
		len_bytes -= put;
		if (piece_bytes)
			usleep(50); /* the reader sees the pieces one by one */
	}
}

/* Reads one command; its name is the caller's. NULL at the end. */
static char *read_command(struct fake_qmp *fake)
{
	char line[65536], *name = NULL;
	size_t len = 0;
	json_t *root = NULL;

	while (root == NULL && len < sizeof(line) - 1 && read(fake->fd, line + len, 1) == 1)
		if (line[len++] == '}')
			root = json_loadb(line, len, 0, NULL);
	if (root != NULL) {
		name = strdup(json_string_value(json_object_get(root, "execute")));
		fake->id = json_integer_value(json_object_get(root, "id"));
	}
	json_decref(root);
	return name;
}

static void await(struct fake_qmp *fake, const char *command)
{
	char *name;

	while ((name = read_command(fake)) != NULL && strcmp(name, command) != 0)
		free(name);
	free(name);
}

static void send_step(struct fake_qmp *fake, const struct fake_qmp_step *step)
{
	const char *at = step->send;
	char *text = NULL;
	size_t len = 0, i;
	FILE *stream = open_memstream(&text, &len);

	while (*at != '\0') {
		if (strncmp(at, "$ID", 3) == 0) {
			fprintf(stream, "%lld", (long long)fake->id);
			at += 3;
		} else if (strncmp(at, "$FILL", 5) == 0) {
			for (i = 0; i < step->filler_bytes; i++)
				fputc('a' + i % 26, stream);
			at += 5;
		} else {
			fputc(*at++, stream);
		}
	}
	fclose(stream);
	send_pieces(fake->fd, text, len, step->piece_bytes);
	free(text);
}

static void *fake_main(void *arg)
{
	const struct fake_qmp_step open = {.send = "{\"return\": {}, \"id\": $ID}\r\n"};
	struct fake_qmp *fake = arg;
	size_t i;

	send_pieces(fake->fd, greeting, sizeof(greeting) - 1, 0);
	await(fake, "qmp_capabilities");
	send_step(fake, &open);
	for (i = 0; i < fake->n; i++) {
		if (fake->steps[i].await != NULL)
			await(fake, fake->steps[i].await);
		if (fake->steps[i].send != NULL)
			send_step(fake, &fake->steps[i]);
	}
	close(fake->fd);
	return NULL;
}

struct fake_qmp *fake_qmp_start(const struct fake_qmp_step *steps, size_t n, int *client_fd)
{
	struct fake_qmp *fake = calloc(1, sizeof(*fake));
	int fds[2];

	if (fake == NULL || socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		abort();
	fake->steps = steps;
	fake->n = n;
	fake->fd = fds[0];
	*client_fd = fds[1];
	if (pthread_create(&fake->thread, NULL, fake_main, fake))
		abort();
	return fake;
}

void fake_qmp_join(struct fake_qmp *fake)
{
	pthread_join(fake->thread, NULL);
	free(fake);
}
