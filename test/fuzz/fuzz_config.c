/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as a config: an error with a place, or a config that shows, loads again and is equal to
 * itself.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_error(const struct config_error *err)
{
	char text[2048];

	if (err->code >= 0 || err->text[0] == '\0')
		abort();
	if (config_error_format(err, text, sizeof(text)) >= (int)sizeof(text))
		abort();
}

static void check_config(const struct config *config)
{
	struct config *again = NULL;
	struct config_error err;
	struct config_diff diff;
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (out == NULL || config_show(config, out) != 0)
		abort();
	fclose(out);
	if (config_load_text(text, len, "shown", &again, &err) != 0 ||
		!config_equal(config, again) || config_diff(config, again, &diff) != 0 ||
		diff.n_changes != 0)
		abort();
	config_diff_free(&diff);
	config_free(again);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config *config = NULL;
	struct config_error err;

	if (config_load_text((const char *)data, size, "fuzz", &config, &err) != 0) {
		check_error(&err);
		return 0;
	}
	check_config(config);
	config_free(config);
	return 0;
}
