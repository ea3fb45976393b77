/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a source may say in a move: the first byte chooses the message, the rest is its payload. A
 * session record that unpacks packs to the same bytes again, however it was written.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/migrate/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void record(const uint8_t *data, size_t size)
{
	uint8_t once[SESSION_RECORD_MAX], twice[SESSION_RECORD_MAX];
	struct session_record first, second;
	uint64_t digest, again;
	int used = session_record_unpack(data, size, &first, &digest);
	int len;

	if (used < 0)
		return;
	if ((size_t)used > size)
		abort();
	len = session_record_pack(&first, once, sizeof(once), &digest);
	if (len < 0 || session_record_unpack(once, (size_t)len, &second, &again) != len ||
		digest != again)
		abort();
	if (session_record_pack(&second, twice, sizeof(twice), &again) != len ||
		memcmp(once, twice, (size_t)len) != 0 || digest != again)
		abort();
}

static void deaths(const uint8_t *data, size_t size)
{
	struct journal_tombstone dead;
	struct wire_reader r;

	wire_reader_init(&r, data, size);
	while (wire_reader_left(&r) > 0 && stream_get_death(&r, &dead))
		if (dead.birth_id == 0)
			abort();
}

static void offer(const struct frame *frame)
{
	struct stream_offer offer;

	if (stream_get_offer(frame, &offer) == 0 &&
		(offer.n_ports == 0 || offer.n_ports > STREAM_PORTS_MAX ||
			offer.n_sections > VSWITCH_SECTIONS_MAX ||
			strnlen(offer.vm, sizeof(offer.vm)) == sizeof(offer.vm)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame frame = {.payload = data + 1, .payload_bytes = size - 1};
	struct stream_accept accept;
	struct stream_verified verified;
	struct stream_final final;
	struct stream_file file;

	if (size == 0)
		return 0;
	switch (data[0] % 7) {
	case 0:
		record(frame.payload, frame.payload_bytes);
		break;
	case 1:
		deaths(frame.payload, frame.payload_bytes);
		break;
	case 2:
		offer(&frame);
		break;
	case 3:
		stream_get_accept(&frame, &accept);
		break;
	case 4:
		stream_get_final(&frame, &final);
		break;
	case 5:
		stream_get_verified(&frame, &verified);
		break;
	default:
		if (stream_get_file(&frame, &file) == 0 && file.n_sections > VSWITCH_SECTIONS_MAX)
			abort();
	}
	return 0;
}
