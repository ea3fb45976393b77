/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/vmagent/peer.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "ctrl/vmagent/pump.h"
#include "ctrl/vmagent/record.h"

void peer_move_id(const char *id, uint8_t move_id[16])
{
	XXH128_canonical_t hash;

	XXH128_canonicalFromHash(&hash, XXH3_128bits(id, strlen(id)));
	memcpy(move_id, hash.digest, 16);
}

int peer_say(struct channel *channel, const struct peer_word *word, uint64_t timeout_ms)
{
	const struct frame_kind kind = {.type = VMAGENT_FRAME_WORD, .mandatory = true};
	json_t *root =
		json_pack("{s:s, s:s, s:s, s:s, s:b, s:i}", "mark", handover_mark_name(word->mark),
			"id", word->id, "reason", word->reason, "vm", word->vm, "was_running",
			(int)word->was_running, "multifd_channels", (int)word->multifd_channels);
	char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	int err = -ENOMEM;

	if (text != NULL)
		err = channel_send(channel, &kind, text, strlen(text),
			channel_deadline_ns(channel, timeout_ms));
	free(text);
	json_decref(root);
	return err;
}

static void take_text(json_t *root, const char *key, char *text, size_t size)
{
	const char *value = json_string_value(json_object_get(root, key));

	snprintf(text, size, "%s", value ? value : "");
}

static int word_parse(const struct frame *frame, struct peer_word *word)
{
	json_t *root = json_loadb((const char *)frame->payload, frame->payload_bytes, 0, NULL);
	json_int_t channels = json_integer_value(json_object_get(root, "multifd_channels"));
	char mark[16];

	if (root == NULL)
		return -EPROTO;
	*word = (struct peer_word){0};
	take_text(root, "mark", mark, sizeof(mark));
	take_text(root, "id", word->id, sizeof(word->id));
	take_text(root, "reason", word->reason, sizeof(word->reason));
	take_text(root, "vm", word->vm, sizeof(word->vm));
	word->mark = handover_mark_parse(mark);
	word->was_running = json_is_true(json_object_get(root, "was_running"));
	word->multifd_channels = channels;
	json_decref(root);
	if (word->mark == MARK_SILENT || !record_name_valid(word->id) || channels < 0 ||
		channels > 64)
		return -EPROTO;
	return 0;
}

int peer_hear(struct channel *channel, struct peer_word *word, uint64_t timeout_ms)
{
	struct frame frame;
	int err = channel_recv(
		channel, &frame, timeout_ms ? channel_deadline_ns(channel, timeout_ms) : 0);

	if (err)
		return err;
	return frame.kind.type == VMAGENT_FRAME_WORD ? word_parse(&frame, word) : -EPROTO;
}
