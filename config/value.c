/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "config/value.h"

/* By enum config_type; TREE and SECTION are no scalars. */
static const struct config_value_type types[CONFIG_TYPES] = {
	[CONFIG_TYPE_TEXT] = {"text", sizeof(char *), value_text_parse, NULL, false},
	[CONFIG_TYPE_NAME] = {"name", sizeof(char *), value_name_parse, NULL, false},
	[CONFIG_TYPE_SOCKET] = {"socket path", sizeof(char *), value_socket_parse, NULL, false},
	[CONFIG_TYPE_UUID] = {"UUID", sizeof(char *), value_uuid_parse, NULL, false},
	[CONFIG_TYPE_BOOL] = {"true or false", sizeof(bool), value_bool_parse, value_bool_show,
		true},
	[CONFIG_TYPE_UINT] = {"number", sizeof(uint32_t), value_uint_parse, value_uint_show, true},
	[CONFIG_TYPE_INT] = {"number", sizeof(int32_t), value_int_parse, value_int_show, true},
	[CONFIG_TYPE_LONG] = {"number", sizeof(uint64_t), value_long_parse, value_long_show, true},
	[CONFIG_TYPE_SIZE] = {"size", sizeof(uint64_t), value_size_parse, value_size_show, false},
	[CONFIG_TYPE_DURATION] = {"duration", sizeof(uint64_t), value_duration_parse,
		value_duration_show, false},
	[CONFIG_TYPE_CHOICE] = {"word", 4, value_choice_parse, value_choice_show, true},
	[CONFIG_TYPE_MODE] = {"file mode", sizeof(uint32_t), value_mode_parse, value_mode_show,
		false},
	[CONFIG_TYPE_MASK] = {"hexadecimal mask", sizeof(uint64_t), value_mask_parse,
		value_mask_show, false},
	[CONFIG_TYPE_PROTOCOL] = {"protocol", sizeof(uint32_t), value_protocol_parse,
		value_protocol_show, false},
	[CONFIG_TYPE_RANGE] = {"range", sizeof(struct config_range), value_range_parse,
		value_range_show, false},
	[CONFIG_TYPE_MAC] = {"MAC", 6, value_mac_parse, value_mac_show, false},
	[CONFIG_TYPE_ADDRESS] = {"address", sizeof(struct in6_addr), value_address_parse,
		value_address_show, false},
	[CONFIG_TYPE_PREFIX] = {"prefix", sizeof(struct config_prefix), value_prefix_parse,
		value_prefix_show, false},
	[CONFIG_TYPE_INTERFACE] = {"address/length", sizeof(struct config_prefix),
		value_interface_parse, value_prefix_show, false},
	[CONFIG_TYPE_ENDPOINT] = {"address:port", sizeof(struct config_endpoint),
		value_endpoint_parse, value_endpoint_show, false},
};

const struct config_value_type *config_value_type(enum config_type type)
{
	return &types[type];
}

const char *config_value_show(const struct config_option *option, const void *value,
	char text[static CONFIG_VALUE_TEXT_MAX])
{
	if (types[option->type].show == NULL)
		return *(const char *const *)value;
	types[option->type].show(option, value, text);
	return text;
}

bool config_value_is_unset(const struct config_option *option, const void *value)
{
	const unsigned char *bytes = value;

	for (size_t i = 0; i < option->size; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

static int keep_text(struct config_loader *loader, const char *text, void *value)
{
	/* The tree lives as long as the config, so its text can be the value. */
	*(const char **)value = text;
	return 0;
}

VALUE_PARSE(text)
{
	if (node->text[0] == '\0')
		return config_expected(loader, node, "some text");
	return keep_text(loader, node->text, value);
}

VALUE_PARSE(name)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	const char *text = node->text;
	size_t len =
		strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

	if (len == 0 || len > (size_t)option->max || text[len] != '\0' ||
		strchr(letters, text[0]) == NULL)
		return config_expected(loader, node,
			"a name of 1 to %d letters, digits and . _ - that starts with a letter or "
			"digit",
			(int)option->max);
	return keep_text(loader, text, value);
}

VALUE_PARSE(socket)
{
	size_t len = strlen(node->text);

	if (node->text[0] != '/')
		return config_expected(loader, node, "an absolute path of a unix socket");
	if (len > CONFIG_SOCKET_PATH_MAX)
		return config_fail(loader, node,
			"expected a socket path of at most %d bytes, found one of %zu",
			CONFIG_SOCKET_PATH_MAX, len);
	return keep_text(loader, node->text, value);
}

VALUE_PARSE(uuid)
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	const char *text = node->text;
	char *copy;

	for (size_t i = 0; i < sizeof(form); i++) {
		bool right = form[i] == 'x' ? text[i] != '\0' && strchr("0123456789abcdefABCDEF",
									 text[i]) != NULL
					    : text[i] == form[i];

		if (!right)
			return config_expected(
				loader, node, "a UUID like 6ba7b810-9dad-11d1-80b4-00c04fd430c8");
	}
	copy = config_arena_text(loader->arena, text, sizeof(form) - 1);
	if (copy == NULL)
		return config_no_memory(loader);
	for (char *c = copy; *c != '\0'; c++)
		if (*c >= 'A' && *c <= 'F')
			*c += 'a' - 'A';
	return keep_text(loader, copy, value);
}

static const char *word_at(const void *words, unsigned index)
{
	return ((const char *const *)words)[index];
}

VALUE_PARSE(choice)
{
	char list[160] = "";
	const char *close;
	unsigned count = 0;

	for (; option->words[count] != NULL; count++) {
		if (strcmp(option->words[count], node->text) == 0) {
			memcpy(value, &count, sizeof(count));
			return 0;
		}
		strncat(list, count > 0 ? ", " : "", sizeof(list) - strlen(list) - 1);
		strncat(list, option->words[count], sizeof(list) - strlen(list) - 1);
	}
	close = config_suggest(node->text, word_at, option->words, count);
	if (close != NULL)
		return config_expected(
			loader, node, "one of %s (did you mean \"%s\"?)", list, close);
	return config_expected(loader, node, "one of %s", list);
}

VALUE_SHOW(choice)
{
	unsigned index;

	memcpy(&index, value, sizeof(index));
	strcpy(text, option->words[index]);
}
