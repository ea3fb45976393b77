/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/drop.h"

#define DROP_NAME(id, name, text) name,
#define DROP_TEXT(id, name, text) text,

static const char *const drop_names[DROP_COUNT] = {DROP_REASONS(DROP_NAME)};
static const char *const drop_texts[DROP_COUNT] = {DROP_REASONS(DROP_TEXT)};

const char *drop_name(enum drop_reason reason)
{
	return reason < DROP_COUNT ? drop_names[reason] : "unknown";
}

const char *drop_text(enum drop_reason reason)
{
	return reason < DROP_COUNT ? drop_texts[reason] : "unknown";
}
