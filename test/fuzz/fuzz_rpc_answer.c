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

/* 1 and the result, the error or neither; or what went wrong. */
static int read_answer(const char *data, size_t size, size_t piece_bytes, char **result,
	char **error, size_t *used)
{
	struct evbuffer *to = evbuffer_new();
	struct result_stream stream;
	size_t n, len;
	int ret = 0;

	result_stream_init(&stream);
	for (*used = 0; *used < size && ret == 0; *used += n) {
		n = size - *used < piece_bytes ? size - *used : piece_bytes;
		ret = result_stream_feed(&stream, data + *used, n, to);
	}
	len = evbuffer_get_length(to);
	*result = calloc(1, len + 1);
	evbuffer_remove(to, *result, len);
	*error = NULL;
	if (ret == 1 && result_stream_end(&stream, error) < 0)
		ret = -1;
	result_stream_clear(&stream);
	evbuffer_free(to);
	return ret;
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
	char *result[2], *error[2];
	size_t used[2];
	int ret[2];

	ret[0] = read_answer((const char *)data, size, size, &result[0], &error[0], &used[0]);
	ret[1] = read_answer((const char *)data, size, 1, &result[1], &error[1], &used[1]);
	assert((ret[0] == 1) == (ret[1] == 1));
	if (ret[0] == 1) {
		assert(strcmp(result[0], result[1]) == 0);
		assert(!error[0] == !error[1] && (!error[0] || strcmp(error[0], error[1]) == 0));
		if (!error[0])
			compare((const char *)data, used[1], result[1]);
	}
	for (int i = 0; i < 2; i++) {
		free(result[i]);
		free(error[i]);
	}
	return 0;
}
