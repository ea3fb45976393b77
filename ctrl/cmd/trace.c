/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * trace: what would happen to this packet, stage by stage, without a side effect.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "ctrl/cmd/daemon.h"
#include "dataplane/session_walk.h"
#include "dataplane/trace.h"

#define FRAME_MAX 9728

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Hexadecimal bytes; blanks and colons between them do not count. -1: not that. */
static int read_frame(const char *text, uint8_t *frame)
{
	int len = 0;

	while (*text) {
		int high, low;

		if (*text == ' ' || *text == ':') {
			text++;
			continue;
		}
		high = hex_digit(text[0]);
		low = high < 0 ? -1 : hex_digit(text[1]);
		if (low < 0 || len == FRAME_MAX)
			return -1;
		frame[len++] = (uint8_t)(high << 4 | low);
		text += 2;
	}
	return len;
}

static void trace_line(void *arg, const char *stage, const char *text)
{
	struct out *out = arg;

	out_row(out);
	out_str(out, "stage", stage);
	out_str(out, "result", text);
}

static int trace_command(struct cmd *cmd)
{
	struct trace_sink sink = {.line = trace_line, .arg = cmd_out(cmd)};
	struct daemon *d = cmd->ctx;
	struct vport *vport = NULL;
	uint8_t frame[FRAME_MAX];
	int len, reader, rc;

	if (strcmp(cmd->args[0], "uplink") != 0) {
		vport = engine_vport_find(d->engine, cmd->args[0]);
		if (!vport)
			return cmd_fail(cmd, "no vport named \"%s\"", cmd->args[0]);
	}
	len = read_frame(cmd->args[1], frame);
	if (len <= 0)
		return cmd_fail(cmd, "the packet must be hexadecimal bytes of an Ethernet frame");
	reader = engine_reader_register(d->engine);
	if (reader < 0)
		return cmd_fail(cmd, "too many readers at once");
	out_table(sink.arg, "trace");
	engine_reader_online(d->engine, reader);
	rc = trace_packet(d->engine, vport, frame, (size_t)len, &sink);
	engine_reader_offline(d->engine, reader);
	engine_reader_unregister(d->engine, reader);
	out_table_end(sink.arg);
	return rc == -EINVAL ? cmd_fail(cmd, "the frame does not fit a packet buffer") : rc;
}

static const struct cmd_row rows[] = {
	{"trace", "VPORT|uplink HEX", 2, 2, NULL, CMD_JSON, trace_command,
		"Say what would happen to a packet, stage by stage; nothing happens.\n"
		"HEX: the Ethernet frame as the VM sends it; for uplink with its outer header."},
};

CMD_NOUN(trace, rows);
