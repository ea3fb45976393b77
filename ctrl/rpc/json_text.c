/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/rpc/json_text.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <event2/buffer.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

static int put(struct evbuffer *to, const void *bytes, size_t len_bytes)
{
	return evbuffer_add(to, bytes, len_bytes) == 0 ? 0 : -ENOMEM;
}

/* Length of the sequence that starts with this byte (RFC 3629, section 4), 0: none does. */
static unsigned int sequence_len(unsigned char c)
{
	if (c < 0x80)
		return 1;
	if (c >= 0xc2 && c <= 0xdf)
		return 2;
	if (c >= 0xe0 && c <= 0xef)
		return 3;
	return c >= 0xf0 && c <= 0xf4 ? 4 : 0;
}

/* May `c` be byte `i` (>= 1) of the sequence that starts with `first`? */
static bool continues(unsigned char first, unsigned int i, unsigned char c)
{
	unsigned char low = 0x80, high = 0xbf;

	if (i == 1 && first == 0xe0)
		low = 0xa0;
	else if (i == 1 && first == 0xed)
		high = 0x9f;
	else if (i == 1 && first == 0xf0)
		low = 0x90;
	else if (i == 1 && first == 0xf4)
		high = 0x8f;
	return c >= low && c <= high;
}

static int put_ascii(unsigned char c, struct evbuffer *to)
{
	static const char letters[] = "\b\f\n\r\t\"\\";
	static const char names[] = "bfnrt\"\\";
	const char *letter = c ? strchr(letters, c) : NULL;
	char escape[8];

	if (c == 0)
		return put(to, REPLACEMENT, 3);
	if (letter) {
		escape[0] = '\\';
		escape[1] = names[letter - letters];
		return put(to, escape, 2);
	}
	snprintf(escape, sizeof(escape), "\\u%04x", c);
	return put(to, escape, 6);
}

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* Takes one byte that is not plain, or any byte while a sequence is held. 1: taken. 0: the held
 * sequence was broken by it and closed, try it again. */
static int encode_byte(struct json_encoder *encoder, unsigned char c, struct evbuffer *to)
{
	int ret;

	if (encoder->n_held == 0) {
		unsigned int len = sequence_len(c);

		if (len <= 1) {
			ret = len ? put_ascii(c, to) : put(to, REPLACEMENT, 3);
			return ret < 0 ? ret : 1;
		}
	} else if (!continues(encoder->held[0], encoder->n_held, c)) {
		encoder->n_held = 0;
		return put(to, REPLACEMENT, 3);
	}
	encoder->held[encoder->n_held++] = c;
	if (encoder->n_held < sequence_len(encoder->held[0]))
		return 1;
	ret = put(to, encoder->held, encoder->n_held);
	encoder->n_held = 0;
	return ret < 0 ? ret : 1;
}

int json_encode(
	struct json_encoder *encoder, const char *text, size_t len_bytes, struct evbuffer *to)
{
	size_t i = 0, start;
	int ret;

	while (i < len_bytes) {
		for (start = i; encoder->n_held == 0 && i < len_bytes && is_plain(text[i]); i++)
			;
		if (i > start && put(to, text + start, i - start) < 0)
			return -ENOMEM;
		if (i == len_bytes)
			break;
		ret = encode_byte(encoder, (unsigned char)text[i], to);
		if (ret < 0)
			return ret;
		i += (size_t)ret;
	}
	return 0;
}

int json_encode_end(struct json_encoder *encoder, struct evbuffer *to)
{
	if (encoder->n_held == 0)
		return 0;
	encoder->n_held = 0;
	return put(to, REPLACEMENT, 3);
}

static int hex_value(const unsigned char *digits)
{
	int value = 0;

	for (int i = 0; i < 4; i++) {
		unsigned char c = digits[i] | 0x20;

		if (c >= '0' && c <= '9')
			value = value << 4 | (c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value << 4 | (c - 'a' + 10);
		else
			return -EPROTO;
	}
	return value;
}

static int put_code(unsigned int code, struct evbuffer *to)
{
	unsigned char utf8[4];

	if (code < 0x80) {
		utf8[0] = (unsigned char)code;
		return put(to, utf8, 1);
	}
	if (code < 0x800) {
		utf8[0] = 0xc0 | code >> 6;
		utf8[1] = 0x80 | (code & 0x3f);
		return put(to, utf8, 2);
	}
	if (code < 0x10000) {
		utf8[0] = 0xe0 | code >> 12;
		utf8[1] = 0x80 | (code >> 6 & 0x3f);
		utf8[2] = 0x80 | (code & 0x3f);
		return put(to, utf8, 3);
	}
	utf8[0] = 0xf0 | code >> 18;
	utf8[1] = 0x80 | (code >> 12 & 0x3f);
	utf8[2] = 0x80 | (code >> 6 & 0x3f);
	utf8[3] = 0x80 | (code & 0x3f);
	return put(to, utf8, 4);
}

static int decode_letter(unsigned char c, struct evbuffer *to)
{
	static const char names[] = "bfnrt\"\\/";
	static const char letters[] = "\b\f\n\r\t\"\\/";
	const char *name = c ? strchr(names, c) : NULL;

	return name ? put(to, &letters[name - names], 1) : -EPROTO;
}

/* Looks at the held escape: 1 when it is complete and written, 0 when it needs more. */
static int decode_escape(struct json_decoder *decoder, struct evbuffer *to)
{
	const unsigned char *held = decoder->held;
	int code, low, ret;

	if (decoder->n_held < 2)
		return 0;
	if (held[1] != 'u') {
		ret = decode_letter(held[1], to);
		return ret < 0 ? ret : 1;
	}
	if (decoder->n_held < 6)
		return 0;
	code = hex_value(held + 2);
	if (code < 0 || (code >= 0xdc00 && code <= 0xdfff))
		return -EPROTO;
	if (code < 0xd800 || code > 0xdbff) {
		ret = put_code((unsigned int)code, to);
		return ret < 0 ? ret : 1;
	}
	if ((decoder->n_held > 6 && held[6] != '\\') || (decoder->n_held > 7 && held[7] != 'u'))
		return -EPROTO;
	if (decoder->n_held < 12)
		return 0;
	low = hex_value(held + 8);
	if (low < 0xdc00 || low > 0xdfff)
		return -EPROTO;
	ret = put_code(
		0x10000 + (((unsigned int)code - 0xd800) << 10) + (unsigned int)(low - 0xdc00), to);
	return ret < 0 ? ret : 1;
}

int json_decode(struct json_decoder *decoder, const char *text, size_t len_bytes,
	struct evbuffer *to, size_t *used_bytes)
{
	size_t i = 0, start;
	int ret;

	while (i < len_bytes) {
		for (start = i; !decoder->n_held && i < len_bytes && text[i] != '"' &&
				text[i] != '\\' && (unsigned char)text[i] >= 0x20;
			i++)
			;
		if (i > start && put(to, text + start, i - start) < 0)
			return -ENOMEM;
		if (i == len_bytes)
			break;
		if (!decoder->n_held && text[i] == '"') {
			*used_bytes = i + 1;
			return 1;
		}
		if (!decoder->n_held && text[i] != '\\')
			return -EPROTO;
		decoder->held[decoder->n_held++] = (unsigned char)text[i++];
		ret = decode_escape(decoder, to);
		if (ret < 0)
			return ret;
		if (ret == 1)
			decoder->n_held = 0;
	}
	*used_bytes = i;
	return 0;
}
