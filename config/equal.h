/* SPDX-License-Identifier: BSD-3-Clause */
/* Comparison of structs by their section of the options table. Private to config/. */
#ifndef CONFIG_EQUAL_H
#define CONFIG_EQUAL_H

#include "config/options.h"

bool config_section_equal(const struct config_section *section, const void *a, const void *b);

/* Bit i of `fields`: option i differs. Returns the worst effect among those. */
enum config_effect config_section_effect(
	const struct config_section *section, const void *a, const void *b, uint64_t *fields);

#endif
