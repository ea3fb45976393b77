/* SPDX-License-Identifier: BSD-3-Clause */
/* What a hostile client may send: the same bytes in one piece and in small ones must bring the same
 * answers, and leave nothing behind. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "ctrl/cmd/cmd.h"
#include "ctrl/rpc/conn.h"

static struct loop *loop;
static struct cmd_registry *registry;

static void on_wake(void *ctx)
{
}

struct outcome {
	char *text;
	size_t len_bytes;
	enum rpc_conn_state state;
};

static struct outcome run(const uint8_t *data, size_t size, size_t piece_bytes)
{
	struct rpc_limits limits = {.message_bytes = 4096, .string_bytes = 256, .values = 100};
	struct outcome outcome;
	struct rpc_conn *conn;
	size_t total = 0, n;

	rpc_limits_fill(&limits);
	conn = rpc_conn_create(&(struct rpc_conn_options){
		cmd_registry_handle, registry, &limits, &total, on_wake, NULL});
	for (size_t i = 0; i < size; i += n) {
		n = size - i < piece_bytes ? size - i : piece_bytes;
		rpc_conn_input(conn, (const char *)data + i, n, 1);
		while (rpc_conn_run(conn, 1))
			;
	}
	rpc_conn_input_end(conn, 1);
	outcome.state = rpc_conn_state(conn);
	outcome.len_bytes = evbuffer_get_length(rpc_conn_output(conn));
	outcome.text = malloc(outcome.len_bytes + 1);
	evbuffer_remove(rpc_conn_output(conn), outcome.text, outcome.len_bytes);
	rpc_conn_destroy(conn);
	assert(total == 0);
	return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outcome whole, pieces;

	if (!registry) {
		loop_create(&loop);
		cmd_registry_create(&(struct cmd_registry_options){"fuzz", "1", loop}, &registry);
	}
	whole = run(data, size, size ? size : 1);
	pieces = run(data, size, size ? data[0] % 7 + 1 : 1);
	assert(whole.state == pieces.state);
	assert(whole.len_bytes == pieces.len_bytes);
	assert(memcmp(whole.text, pieces.text, whole.len_bytes) == 0);
	free(whole.text);
	free(pieces.text);
	return 0;
}
