/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "ctrl/channel/reason.h"

struct reason_row {
	const char *name;
	const char *meaning;
	int code;
};

static const struct reason_row reason_rows[CHANNEL_REASON_COUNT] = {
#define REASON_ROW(id, text, number, what) {.name = text, .meaning = what, .code = number},
	CHANNEL_REASONS(REASON_ROW)
#undef REASON_ROW
};

const char *channel_reason_name(enum channel_reason reason)
{
	return reason < CHANNEL_REASON_COUNT ? reason_rows[reason].name : "unknown";
}

const char *channel_reason_meaning(enum channel_reason reason)
{
	return reason < CHANNEL_REASON_COUNT ? reason_rows[reason].meaning : "unknown";
}

int channel_reason_errno(enum channel_reason reason)
{
	return reason < CHANNEL_REASON_COUNT ? -reason_rows[reason].code : -EIO;
}

int channel_error_set(
	struct channel_error *error, enum channel_reason reason, const char *format, ...)
{
	va_list args;

	if (error != NULL) {
		error->reason = reason;
		va_start(args, format);
		vsnprintf(error->text, sizeof(error->text), format, args);
		va_end(args);
	}
	return channel_reason_errno(reason);
}
