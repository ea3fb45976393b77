/* SPDX-License-Identifier: BSD-3-Clause */
/* What a broken daemon may answer: the streamed result must be what a JSON parser makes of the
 * whole answer, however it is cut. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <jansson.h>

#include "ctrl/rpc/result_stream.h"

struct answer {
	int ret; /* 1: whole, then result and error (or NULL) count */
	char *result, *error;
	size_t used_bytes;
};

static struct answer read_answer(const char *data, size_t size, size_t piece_bytes)
{
	struct evbuffer *to = evbuffer_new();
	struct result_stream stream;
	struct answer answer = {0};
	size_t n, len;

	result_stream_init(&stream);
	for (; answer.used_bytes < size && answer.ret == 0; answer.used_bytes += n) {
		n = size - answer.used_bytes < piece_bytes ? size - answer.used_bytes : piece_bytes;
		answer.ret = result_stream_feed(&stream, data + answer.used_bytes, n, to);
	}
	len = evbuffer_get_length(to);
	answer.result = calloc(1, len + 1);
	evbuffer_remove(to, answer.result, len);
	if (answer.ret == 1 && result_stream_end(&stream, &answer.error) < 0)
		answer.ret = -1;
	result_stream_clear(&stream);
	evbuffer_free(to);
	return answer;
}

static void compare(const char *data, size_t used, const char *result)
{
	json_t *root =
		json_loadb(data, used, JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK, NULL);
	const char *wanted = json_string_value(json_object_get(root, "result"));

	/* The parser is the stricter one: it knows UTF-8 and the rest of the message. */
	if (wanted)
		assert(strcmp(wanted, result) == 0);
	json_decref(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct answer whole = read_answer((const char *)data, size, size);
	struct answer pieces = read_answer((const char *)data, size, 1);

	assert((whole.ret == 1) == (pieces.ret == 1));
	if (whole.ret == 1) {
		assert(strcmp(whole.result, pieces.result) == 0);
		assert(!whole.error == !pieces.error);
		assert(!whole.error || strcmp(whole.error, pieces.error) == 0);
		if (!whole.error)
			compare((const char *)data, pieces.used_bytes, pieces.result);
	}
	free(whole.result);
	free(whole.error);
	free(pieces.result);
	free(pieces.error);
	return 0;
}
