/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "config/equal.h"
#include "config/value.h"

static bool value_equal(const struct config_option *option, const void *a, const void *b)
{
	char text_a[CONFIG_VALUE_TEXT_MAX], text_b[CONFIG_VALUE_TEXT_MAX];
	const char *x, *y;

	if (option->type == CONFIG_TYPE_SECTION)
		return config_section_equal(option->section, a, b);
	if (option->type == CONFIG_TYPE_TREE)
		return config_tree_equal(*(const struct config_tree *const *)a,
			*(const struct config_tree *const *)b);
	/* Unset values cannot be shown; padding is zero (values are written whole). */
	if (config_value_is_unset(option, a) || config_value_is_unset(option, b))
		return config_value_is_unset(option, a) && config_value_is_unset(option, b);
	x = config_value_show(option, a, text_a);
	y = config_value_show(option, b, text_b);
	return strcmp(x, y) == 0;
}

static bool given(const struct config_option *option, const void *base)
{
	return *(const bool *)((const char *)base + option->given_offset);
}

static bool option_equal(const struct config_option *option, const void *a, const void *b)
{
	uint32_t count_a, count_b;
	const char *x, *y;

	if (option->given_offset != 0 && given(option, a) != given(option, b))
		return false;
	if (!option->list)
		return value_equal(option, config_field(option, a), config_field(option, b));
	x = config_entries(option, a, &count_a);
	y = config_entries(option, b, &count_b);
	if (count_a != count_b)
		return false;
	for (uint32_t i = 0; i < count_a; i++)
		if (!value_equal(
			    option, x + (size_t)i * option->size, y + (size_t)i * option->size))
			return false;
	return true;
}

bool config_section_equal(const struct config_section *section, const void *a, const void *b)
{
	for (unsigned i = 0; i < section->n_options; i++)
		if (!option_equal(&section->options[i], a, b))
			return false;
	return true;
}

bool config_equal(const struct config *a, const struct config *b)
{
	return config_section_equal(&config_section_root, a, b);
}

enum config_effect config_section_effect(
	const struct config_section *section, const void *a, const void *b, uint64_t *fields)
{
	enum config_effect worst = CONFIG_EFFECT_LIVE;

	*fields = 0;
	for (unsigned i = 0; i < section->n_options; i++) {
		const struct config_option *option = &section->options[i];
		enum config_effect effect = option->effect;
		uint64_t inner;

		if (option_equal(option, a, b))
			continue;
		*fields |= UINT64_C(1) << i;
		if (option->type == CONFIG_TYPE_SECTION && !option->list) {
			enum config_effect nested = config_section_effect(option->section,
				config_field(option, a), config_field(option, b), &inner);

			effect = nested > effect ? nested : effect;
		}
		worst = effect > worst ? effect : worst;
	}
	return worst;
}
