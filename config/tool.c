/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The config library at the command line, for the build and for tests:
 *   config-tool reference      the reference, as Markdown
 *   config-tool check FILE...  nothing when all load, else the errors; exit code 1
 *   config-tool show FILE      the config with every default
 */
#include <stdio.h>
#include <string.h>

#include "config/config.h"

static int tool_load(const char *path, struct config **config)
{
	struct config_error err;
	char text[1024];
	int rc = config_load(path, config, &err);

	if (rc != 0) {
		config_error_format(&err, text, sizeof(text));
		fprintf(stderr, "%s\n", text);
	}
	return rc;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	struct config *config;
	int failed = 0;

	if (strcmp(verb, "reference") == 0 && argc == 2)
		return config_reference(stdout) != 0;
	if ((strcmp(verb, "check") == 0 && argc > 2) || (strcmp(verb, "show") == 0 && argc == 3)) {
		for (int i = 2; i < argc; i++) {
			if (tool_load(argv[i], &config) != 0) {
				failed = 1;
				continue;
			}
			if (verb[0] == 's')
				failed |= config_show(config, stdout) != 0;
			config_free(config);
		}
		return failed;
	}
	fprintf(stderr, "usage: config-tool reference | check FILE... | show FILE\n");
	return 2;
}
