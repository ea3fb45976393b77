/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/session_state.h"

#define STATE_NAME(value, id, name, seconds, class) [value] = name,
#define STATE_CLASS(value, id, name, seconds, class) [value] = SESSION_##class,
#define STATE_IDLE(value, id, name, seconds, class) [value] = seconds,

static const char *const state_names[SESSION_STATE_COUNT] = {SESSION_STATES(STATE_NAME)};
static const uint8_t state_classes[SESSION_STATE_COUNT] = {SESSION_STATES(STATE_CLASS)};
static const uint32_t state_idle_s[SESSION_STATE_COUNT] = {SESSION_STATES(STATE_IDLE)};

const char *session_state_name(enum session_state state)
{
	return state < SESSION_STATE_COUNT ? state_names[state] : "unknown";
}

enum session_class session_state_class(enum session_state state)
{
	return state < SESSION_STATE_COUNT ? (enum session_class)state_classes[state]
					   : SESSION_CLOSING;
}

void session_timeouts_default(struct session_timeouts *timeouts)
{
	for (int i = 0; i < SESSION_STATE_COUNT; i++)
		timeouts->idle_ms[i] = state_idle_s[i] * 1000;
}

void session_timeouts_seal(struct session_timeouts *timeouts)
{
	timeouts->least_ms = UINT32_MAX;
	for (int i = SESSION_NONE + 1; i < SESSION_STATE_COUNT; i++)
		if (timeouts->idle_ms[i] < timeouts->least_ms)
			timeouts->least_ms = timeouts->idle_ms[i];
}
