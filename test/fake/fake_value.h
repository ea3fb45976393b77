/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_FAKE_VALUE_H
#define FERRY_FAKE_VALUE_H
/*
 * Plugin configurations for tests, from YAML's flow style without quotes:
 *
 *	{groups: [{name: web, rules: [{direction: ingress, protocol: tcp, ports: [80,
 *8000-8100]}]}]}
 *
 * Line and column are those of the text. Asserts that it is well-formed.
 */
#include "dataplane/plugin.h"

struct plugin_value *fake_value(const char *text);
void fake_value_free(struct plugin_value *value);

#endif
