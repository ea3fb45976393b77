/* SPDX-License-Identifier: BSD-3-Clause */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctrl/channel/hello.h"
#include "ctrl/channel/wire.h"

/* A tag with this bit must be understood; without it, it is skipped. */
#define TAG_MANDATORY 0x8000

size_t hello_pack(const struct hello *hello, uint8_t *out)
{
	const struct channel_hello *said = &hello->said;
	struct wire_writer w;

	wire_writer_init(&w, out, HELLO_MAX_BYTES);
	wire_put_u16(&w, said->protocol_min);
	wire_put_u16(&w, said->protocol_max);
	wire_put_u8(&w, (uint8_t)said->purpose);
	wire_put_u64(&w, said->features);
	wire_put_bytes(&w, said->boot_id, sizeof(said->boot_id));
	wire_put_bytes(&w, said->move_id, sizeof(said->move_id));
	wire_put_u32(&w, said->index);
	wire_put_u64(&w, hello->first_sequence);
	wire_put_string(&w, said->host);
	return wire_writer_len(&w);
}

/* None is known yet: optional ones are skipped. */
static void extensions_skip(struct wire_reader *r)
{
	while (wire_reader_left(r) > 0) {
		uint16_t tag = wire_get_u16(r);
		uint16_t len_bytes = wire_get_u16(r);

		wire_get_ref(r, len_bytes);
		if (tag & TAG_MANDATORY)
			wire_reader_fail(r);
	}
}

static bool host_is_sane(const char *host)
{
	if (*host == '\0')
		return false;
	for (; *host != '\0'; host++) {
		if (!isgraph((unsigned char)*host))
			return false;
	}
	return true;
}

int hello_unpack(const uint8_t *from, size_t len_bytes, struct hello *hello)
{
	struct hello h = {};
	struct wire_reader r;

	wire_reader_init(&r, from, len_bytes);
	h.said.protocol_min = wire_get_u16(&r);
	h.said.protocol_max = wire_get_u16(&r);
	h.said.purpose = wire_get_u8(&r);
	h.said.features = wire_get_u64(&r);
	wire_get_bytes(&r, h.said.boot_id, sizeof(h.said.boot_id));
	wire_get_bytes(&r, h.said.move_id, sizeof(h.said.move_id));
	h.said.index = wire_get_u32(&r);
	h.first_sequence = wire_get_u64(&r);
	wire_get_string(&r, h.said.host, sizeof(h.said.host));
	extensions_skip(&r);
	if (!wire_reader_done(&r) || !host_is_sane(h.said.host))
		return -EPROTO;
	if (h.said.protocol_min > h.said.protocol_max || h.first_sequence > UINT64_MAX / 2)
		return -EPROTO;
	*hello = h;
	return 0;
}

size_t hello_refuse_pack(const struct channel_error *why, uint8_t *out)
{
	struct wire_writer w;

	wire_writer_init(&w, out, HELLO_MAX_BYTES);
	wire_put_string(&w, channel_reason_name(why->reason));
	wire_put_string(&w, why->text);
	return wire_writer_len(&w);
}

int hello_refuse_unpack(const uint8_t *from, size_t len_bytes, char *text, size_t text_bytes)
{
	char name[32], words[CHANNEL_ERROR_TEXT_BYTES];
	struct wire_reader r;

	wire_reader_init(&r, from, len_bytes);
	wire_get_string(&r, name, sizeof(name));
	wire_get_string(&r, words, sizeof(words));
	if (!wire_reader_ok(&r))
		return -EPROTO;
	snprintf(text, text_bytes, "%s: %s", name, words);
	for (char *at = text; *at != '\0'; at++) {
		if (!isprint((unsigned char)*at))
			*at = '?';
	}
	return 0;
}
