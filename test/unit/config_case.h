/* SPDX-License-Identifier: BSD-3-Clause */
/* What tests of config/ share: load a text, or fail with the error that was met. */
#ifndef TEST_CONFIG_CASE_H
#define TEST_CONFIG_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <string.h>

#include "config/config.h"

static inline struct config *case_load(const char *text)
{
	struct config *config = NULL;
	struct config_error err;
	char message[1024];

	if (config_load_text(text, strlen(text), "t", &config, &err) != 0) {
		config_error_format(&err, message, sizeof(message));
		fail_msg("%s", message);
	}
	return config;
}

/* The file that was refused says "t:LINE:COLUMN: PATH: ...TEXT...". */
static inline void case_refuse(
	const char *text, unsigned line, unsigned column, const char *path, const char *expected)
{
	struct config *config = NULL;
	struct config_error err;
	char message[1024], wanted[320];

	if (config_load_text(text, strlen(text), "t", &config, &err) == 0)
		fail_msg("loaded:\n%s", text);
	config_error_format(&err, message, sizeof(message));
	snprintf(wanted, sizeof(wanted), "t:%u:%u: %s%s", line, column, path,
		path[0] != '\0' ? ": " : "");
	if (strncmp(message, wanted, strlen(wanted)) != 0 || strstr(message, expected) == NULL)
		fail_msg(
			"for\n%s\nfound    %s\nexpected %s... %s", text, message, wanted, expected);
	assert_null(config);
	assert_true(err.code < 0);
}

static inline struct in6_addr case_address(const char *text)
{
	struct in6_addr address = {0};

	if (inet_pton(AF_INET, text, &address.s6_addr[12]) == 1)
		address.s6_addr[10] = address.s6_addr[11] = 0xff;
	else
		assert_int_equal(inet_pton(AF_INET6, text, &address), 1);
	return address;
}

#endif
