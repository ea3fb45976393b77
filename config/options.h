/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The options table: one row says all there is to know of an option. The loader (decode.c), the
 * renderer (show.c), the comparison (diff.c) and the reference (reference.c) walk it; none of them
 * names an option. To add one: a field in types.h, a row in options_*.c, and
 * `ninja -C build config-reference` for
 * REFERENCE.md.
 * Private to config/.
 */
#ifndef CONFIG_OPTIONS_H
#define CONFIG_OPTIONS_H

#include <stddef.h>

#include "config/config.h"

enum config_type {
	CONFIG_TYPE_TEXT,
	CONFIG_TYPE_NAME,
	CONFIG_TYPE_SOCKET, /* path of a unix socket */
	CONFIG_TYPE_UUID,
	CONFIG_TYPE_BOOL,
	CONFIG_TYPE_UINT,
	CONFIG_TYPE_INT,
	CONFIG_TYPE_LONG, /* uint64_t */
	CONFIG_TYPE_SIZE, /* uint64_t bytes */
	CONFIG_TYPE_DURATION, /* uint64_t ms */
	CONFIG_TYPE_CHOICE, /* an enum */
	CONFIG_TYPE_MODE,
	CONFIG_TYPE_MASK, /* uint64_t in hexadecimal */
	CONFIG_TYPE_PROTOCOL,
	CONFIG_TYPE_RANGE,
	CONFIG_TYPE_MAC,
	CONFIG_TYPE_ADDRESS, /* unicast */
	CONFIG_TYPE_PREFIX, /* host bits zero */
	CONFIG_TYPE_INTERFACE, /* a unicast address with the length of its network */
	CONFIG_TYPE_ENDPOINT,
	CONFIG_TYPE_TREE, /* a neutral map for others */
	CONFIG_TYPE_SECTION,
	CONFIG_TYPES,
};

struct config_section;

struct config_option {
	const char *key;
	enum config_type type;
	bool list; /* of `type`; the field is a pointer, the count stands at count_offset */
	bool required;
	enum config_effect effect; /* of a change; sections: what their options say */
	uint16_t offset, count_offset;
	uint16_t given_offset; /* of a bool that tells "given"; 0: none */
	uint16_t size; /* of the field (of one entry of a list) */
	const char *fallback; /* as it would be written; NULL: unset */
	const char *unit;
	int64_t min, max; /* of a number or of the ends of a range */
	uint32_t entries_max; /* of a list; 0: only the limits of the file */
	const char *const *words; /* of a choice, by value, NULL at the end */
	const struct config_section *section;
	const char *help;
};

struct config_section {
	const char *help;
	size_t size; /* of the struct */
	bool has_node; /* the struct starts with its `node` */
	const struct config_option *options;
	unsigned n_options;
};

/* A scalar field, a list of scalars, a nested struct, a list of structs with a node. */
#define OPTION(S, FIELD, TYPE, ...) \
	{ \
		.key = #FIELD, .type = CONFIG_TYPE_##TYPE, .offset = offsetof(struct S, FIELD), \
		.size = sizeof(((struct S *)0)->FIELD), __VA_ARGS__ \
	}
#define OPTION_LIST(S, FIELD, TYPE, ...) \
	{ \
		.key = #FIELD, .type = CONFIG_TYPE_##TYPE, .list = true, \
		.offset = offsetof(struct S, FIELD), \
		.count_offset = offsetof(struct S, n_##FIELD), \
		.size = sizeof(*((struct S *)0)->FIELD), __VA_ARGS__ \
	}
#define OPTION_SECTION(S, FIELD, SECTION, ...) \
	{ \
		.key = #FIELD, .type = CONFIG_TYPE_SECTION, .offset = offsetof(struct S, FIELD), \
		.size = sizeof(((struct S *)0)->FIELD), .section = SECTION, __VA_ARGS__ \
	}
/* A nested struct without a tag: its rows name fields of the outer struct, from its start. */
#define OPTION_IN(S, GROUP, FIELD, TYPE, ...) \
	{ \
		.key = #FIELD, .type = CONFIG_TYPE_##TYPE, \
		.offset = offsetof(struct S, GROUP.FIELD), \
		.size = sizeof(((struct S *)0)->GROUP.FIELD), __VA_ARGS__ \
	}
#define OPTION_INLINE(FIELD, SECTION) \
	{ \
		.key = #FIELD, .type = CONFIG_TYPE_SECTION, .section = SECTION \
	}
#define SECTION(S, OPTIONS, ...) \
	{ \
		.size = sizeof(S), .options = OPTIONS, \
		.n_options = sizeof(OPTIONS) / sizeof(OPTIONS[0]), __VA_ARGS__ \
	}

/* The file itself. Its rows stand in the order of the file's sections. */
extern const struct config_section config_section_root;

extern const struct config_section config_section_host, config_section_dpdk, config_section_engine,
	config_section_log;
extern const struct config_section config_section_uplink, config_section_peer, config_section_tls,
	config_section_vpc, config_section_location, config_section_external_network,
	config_section_nat_lease;
extern const struct config_section config_section_vport, config_section_group,
	config_section_plugin;
extern const struct config_section config_section_timeouts, config_section_migrate,
	config_section_vmagent;

static inline void *config_field(const struct config_option *option, const void *base)
{
	return (char *)base + option->offset;
}

/* The entries of a list field, and their number. */
static inline void *config_entries(
	const struct config_option *option, const void *base, uint32_t *count)
{
	void *entries;

	/* The field is a T *; its bits are read without naming T. */
	__builtin_memcpy(&entries, (const char *)base + option->offset, sizeof(entries));
	__builtin_memcpy(count, (const char *)base + option->count_offset, sizeof(*count));
	return entries;
}

#endif
