/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The types of scalar options: text becomes a value, a value becomes text. Private to config/.
 */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include "config/loader.h"
#include "config/options.h"

#define CONFIG_VALUE_TEXT_MAX 128 /* of a shown value that is not text itself */

struct config_value_type {
	const char *name; /* in the reference */
	size_t size; /* of the field; 0: of the enum */
	/* `node` is a scalar that is not null. 0, or an error recorded in the loader. */
	int (*parse)(struct config_loader *loader, const struct config_option *option,
		const struct config_tree *node, void *value);
	/* NULL: the field is a `const char *`. */
	void (*show)(const struct config_option *option, const void *value,
		char text[static CONFIG_VALUE_TEXT_MAX]);
	bool bare; /* shown without quotes */
};

const struct config_value_type *config_value_type(enum config_type type);

/* The text of a field: `text`, or the field itself when it is text; NULL when unset. */
const char *config_value_show(const struct config_option *option, const void *value,
	char text[static CONFIG_VALUE_TEXT_MAX]);
/* All bytes zero: nothing was given. */
bool config_value_is_unset(const struct config_option *option, const void *value);

/* A whole string of decimal digits, without a leading zero, up to max. -EINVAL, -ERANGE. */
int config_digits(const char *text, uint64_t max, uint64_t *out);

#define VALUE_PARSE(NAME) \
	int value_##NAME##_parse(struct config_loader *loader, const struct config_option *option, \
		const struct config_tree *node, void *value)
#define VALUE_SHOW(NAME) \
	void value_##NAME##_show(const struct config_option *option, const void *value, \
		char text[static CONFIG_VALUE_TEXT_MAX])

VALUE_PARSE(text);
VALUE_PARSE(name);
VALUE_PARSE(socket);
VALUE_PARSE(uuid);
VALUE_PARSE(choice);
VALUE_SHOW(choice);
VALUE_PARSE(bool);
VALUE_SHOW(bool);
VALUE_PARSE(uint);
VALUE_SHOW(uint);
VALUE_PARSE(int);
VALUE_SHOW(int);
VALUE_PARSE(long);
VALUE_SHOW(long);
VALUE_PARSE(size);
VALUE_SHOW(size);
VALUE_PARSE(duration);
VALUE_SHOW(duration);
VALUE_PARSE(mode);
VALUE_SHOW(mode);
VALUE_PARSE(mask);
VALUE_SHOW(mask);
VALUE_PARSE(protocol);
VALUE_SHOW(protocol);
VALUE_PARSE(range);
VALUE_SHOW(range);
VALUE_PARSE(mac);
VALUE_SHOW(mac);
VALUE_PARSE(address);
VALUE_SHOW(address);
VALUE_PARSE(prefix);
VALUE_SHOW(prefix);
VALUE_PARSE(interface);
VALUE_PARSE(endpoint);
VALUE_SHOW(endpoint);

#endif
