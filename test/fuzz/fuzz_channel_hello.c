/* SPDX-License-Identifier: BSD-3-Clause */
/* What a peer that is not trusted yet may say: hello and refusal. What unpacks packs to the
 * same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/channel/hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[CHANNEL_ERROR_TEXT_BYTES];
	uint8_t packed[HELLO_MAX_BYTES];
	struct hello hello, again;
	size_t len_bytes;

	if (hello_refuse_unpack(data, size, text, sizeof(text)) == 0 &&
		strlen(text) >= sizeof(text))
		abort();
	if (hello_unpack(data, size, &hello) < 0)
		return 0;
	len_bytes = hello_pack(&hello, packed);
	if (len_bytes > size || memcmp(packed, data, len_bytes) != 0)
		abort();
	if (hello_unpack(packed, len_bytes, &again) < 0)
		abort();
	return 0;
}
