/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The blocks of a pcapng file. libpcap passes over those it does not know; a capture whose packets
 * are in such blocks would replay as an empty one.
 */
#include <byteswap.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctrl/replay/capture.h"

#define SECTION_HEADER 0x0a0d0d0au
#define BYTE_ORDER 0x1a2b3c4du

struct block {
	uint32_t type, len_bytes;
};

enum block_kind { BLOCK_FRAME, BLOCK_OTHER, BLOCK_TIMELESS, BLOCK_UNKNOWN };

/* draft-ietf-opsawg-pcapng, section 10.1 */
static enum block_kind block_kind(uint32_t type)
{
	switch (type) {
	case 2: /* Packet, obsolete */
	case 6: /* Enhanced Packet */
		return BLOCK_FRAME;
	case 3: /* Simple Packet */
		return BLOCK_TIMELESS;
	case SECTION_HEADER:
	case 1: /* Interface Description */
	case 4: /* Name Resolution */
	case 5: /* Interface Statistics */
	case 10: /* Decryption Secrets */
	case 0x00000bad: /* Custom */
	case 0x40000bad:
		return BLOCK_OTHER;
	default:
		return BLOCK_UNKNOWN;
	}
}

/* False: the file ends here; how, is for the reader of packets to say. */
static bool block_read(FILE *file, bool *swapped, struct block *block)
{
	uint32_t order;

	if (fread(block, sizeof(*block), 1, file) != 1)
		return false;
	if (block->type == SECTION_HEADER) {
		if (fread(&order, sizeof(order), 1, file) != 1)
			return false;
		*swapped = order != BYTE_ORDER;
		if (fseek(file, -(long)sizeof(order), SEEK_CUR) != 0)
			return false;
	}
	if (*swapped) {
		block->type = bswap_32(block->type);
		block->len_bytes = bswap_32(block->len_bytes);
	}
	return true;
}

int capture_blocks_check(const char *path, char *error, size_t error_len)
{
	FILE *file = fopen(path, "rbe");
	unsigned int frames = 0;
	bool swapped = false;
	struct block block;
	long at = 0;
	int rc = 0;

	if (!file)
		return -errno;
	while (rc == 0 && block_read(file, &swapped, &block)) {
		enum block_kind kind = block_kind(block.type);

		frames += kind == BLOCK_FRAME;
		if (kind == BLOCK_UNKNOWN || kind == BLOCK_TIMELESS) {
			rc = -EBADMSG;
			snprintf(error, error_len,
				"after frame %u, at offset %ld: a block of type 0x%08x %s", frames,
				at, block.type,
				kind == BLOCK_TIMELESS ? "(Simple Packet) has no time"
						       : "is not supported");
		}
		/* A length that cannot be is found by the reader of packets, with its frame. */
		if (block.len_bytes < 12)
			break;
		at += (long)block.len_bytes;
		if (fseek(file, at, SEEK_SET) != 0)
			break;
	}
	fclose(file);
	return rc;
}
