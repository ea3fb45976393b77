/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/session_ext.h"

#include <errno.h>
#include <string.h>

#define TAG_BYTES 2

uint8_t *session_ext_state(struct session_ext *ext, uint8_t plugin, uint8_t *len)
{
	for (unsigned int at = 0; ext && at < ext->state_bytes;
		at += TAG_BYTES + ext->state[at + 1])
		if (ext->state[at] == plugin) {
			*len = ext->state[at + 1];
			return &ext->state[at + TAG_BYTES];
		}
	*len = 0;
	return NULL;
}

int session_ext_put(struct session_ext *ext, uint8_t plugin, const void *state, uint8_t len)
{
	uint8_t had, *place = session_ext_state(ext, plugin, &had);

	if (place && had != len)
		return -EINVAL;
	if (!place) {
		if (ext->state_bytes + TAG_BYTES + len > SESSION_EXT_STATE_BYTES)
			return -ENOSPC;
		place = &ext->state[ext->state_bytes];
		place[0] = plugin;
		place[1] = len;
		place += TAG_BYTES;
		ext->state_bytes = (uint8_t)(ext->state_bytes + TAG_BYTES + len);
	}
	memcpy(place, state, len);
	return 0;
}
