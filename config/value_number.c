/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "config/value.h"

int config_digits(const char *text, uint64_t max, uint64_t *out)
{
	uint64_t number = 0;

	if (text[0] == '\0' || text[strspn(text, "0123456789")] != '\0')
		return -EINVAL;
	/* 010 is eight to one YAML tool and ten to another. */
	if (text[0] == '0' && text[1] != '\0')
		return -EINVAL;
	for (; *text != '\0'; text++)
		if (__builtin_mul_overflow(number, 10, &number) ||
			__builtin_add_overflow(number, *text - '0', &number))
			return -ERANGE;
	if (number > max)
		return -ERANGE;
	*out = number;
	return 0;
}

/* "a number from 1 to 64 (ms)" */
static int expected_number(struct config_loader *loader, const struct config_option *option,
	const struct config_tree *node)
{
	const char *zero = node->text[0] == '0' && node->text[1] != '\0' && !node->quoted
				   ? " without leading zeros"
				   : "";

	return config_expected(loader, node, "a number%s from %" PRId64 " to %" PRId64 "%s%s%s",
		zero, option->min, option->max, option->unit ? " (" : "",
		option->unit ? option->unit : "", option->unit ? ")" : "");
}

VALUE_PARSE(long)
{
	uint64_t number;

	if (node->quoted || config_digits(node->text, option->max, &number) != 0 ||
		number < (uint64_t)option->min)
		return expected_number(loader, option, node);
	*(uint64_t *)value = number;
	return 0;
}

VALUE_SHOW(long)
{
	sprintf(text, "%" PRIu64, *(const uint64_t *)value);
}

VALUE_PARSE(uint)
{
	uint64_t number;
	int rc = value_long_parse(loader, option, node, &number);

	if (rc == 0)
		*(uint32_t *)value = number;
	return rc;
}

VALUE_SHOW(uint)
{
	sprintf(text, "%u", *(const uint32_t *)value);
}

VALUE_PARSE(int)
{
	bool minus = node->text[0] == '-';
	uint64_t number;
	int64_t with_sign;

	if (node->quoted || config_digits(node->text + minus, INT32_MAX, &number) != 0)
		return expected_number(loader, option, node);
	with_sign = minus ? -(int64_t)number : (int64_t)number;
	if (with_sign < option->min || with_sign > option->max)
		return expected_number(loader, option, node);
	*(int32_t *)value = with_sign;
	return 0;
}

VALUE_SHOW(int)
{
	sprintf(text, "%d", *(const int32_t *)value);
}

VALUE_PARSE(bool)
{
	static const char *const words[] = {"false", "no", "off", "true", "yes", "on"};

	for (unsigned i = 0; i < 6 && !node->quoted; i++)
		if (strcmp(node->text, words[i]) == 0) {
			*(bool *)value = i >= 3;
			return 0;
		}
	return config_expected(loader, node, "true or false");
}

VALUE_SHOW(bool)
{
	strcpy(text, *(const bool *)value ? "true" : "false");
}

struct scale {
	const char *suffix;
	uint64_t factor;
};

/* Digits and one of the suffixes; the first row is for digits alone. */
static int scaled_parse(const char *text, const struct scale *scale, uint64_t max, uint64_t *out)
{
	size_t digits = strspn(text, "0123456789");
	char number[24];

	if (digits == 0 || digits >= sizeof(number))
		return -EINVAL;
	memcpy(number, text, digits);
	number[digits] = '\0';
	for (; scale->suffix != NULL; scale++)
		if (strcmp(text + digits, scale->suffix) == 0) {
			int rc = config_digits(number, max / scale->factor, out);

			if (rc == 0)
				*out *= scale->factor;
			return rc;
		}
	return -EINVAL;
}

/* The largest unit that leaves no rest; rows ascend. */
static void scaled_show(const struct scale *scale, uint64_t value, char *text)
{
	const struct scale *best = NULL;

	for (; scale->suffix != NULL; scale++)
		if (scale->suffix[0] != '\0' &&
			(best == NULL || (value != 0 && value % scale->factor == 0)))
			best = scale;
	sprintf(text, "%" PRIu64 "%s", value / best->factor, best->suffix);
}

static const struct scale sizes[] = {
	{"", 1},
	{"B", 1},
	{"K", 1 << 10},
	{"M", 1 << 20},
	{"G", 1 << 30},
	{NULL, 0},
};

VALUE_PARSE(size)
{
	uint64_t bytes;

	if (scaled_parse(node->text, sizes, option->max, &bytes) != 0 ||
		bytes < (uint64_t)option->min) {
		char min[32], max[32];

		scaled_show(sizes, option->min, min);
		scaled_show(sizes, option->max, max);
		return config_expected(
			loader, node, "a size from %s to %s, like 512K or 16M", min, max);
	}
	*(uint64_t *)value = bytes;
	return 0;
}

VALUE_SHOW(size)
{
	scaled_show(sizes, *(const uint64_t *)value, text);
}

/* Plain digits are seconds. */
static const struct scale durations[] = {
	{"", 1000},
	{"ms", 1},
	{"s", 1000},
	{"m", 60000},
	{"h", 3600000},
	{"d", 86400000},
	{NULL, 0},
};

VALUE_PARSE(duration)
{
	uint64_t ms;

	if (scaled_parse(node->text, durations, option->max, &ms) != 0 ||
		ms < (uint64_t)option->min) {
		char min[32], max[32];

		scaled_show(durations, option->min, min);
		scaled_show(durations, option->max, max);
		return config_expected(loader, node,
			"a duration from %s to %s, like 500ms, 30s (or 30), 5m, 2h or 1d", min,
			max);
	}
	*(uint64_t *)value = ms;
	return 0;
}

VALUE_SHOW(duration)
{
	scaled_show(durations, *(const uint64_t *)value, text);
}

VALUE_PARSE(mode)
{
	uint32_t mode = 0;

	/* With the zero and four digits, so that a mode some tool made decimal is noticed. */
	if (strlen(node->text) != 4 || node->text[0] != '0' || strspn(node->text, "01234567") != 4)
		return config_expected(
			loader, node, "a file mode in four octal digits like \"0660\"");
	for (const char *c = node->text; *c != '\0'; c++)
		mode = mode * 8 + (*c - '0');
	*(uint32_t *)value = mode;
	return 0;
}

VALUE_SHOW(mode)
{
	sprintf(text, "%04o", *(const uint32_t *)value);
}

VALUE_PARSE(mask)
{
	const char *text = node->text;
	size_t digits = strlen(text);
	uint64_t mask = 0;

	if (digits < 3 || digits > 18 || strncmp(text, "0x", 2) != 0 ||
		text[2 + strspn(text + 2, "0123456789abcdefABCDEF")] != '\0')
		return config_expected(loader, node, "a mask in hexadecimal like \"0x130008000\"");
	sscanf(text + 2, "%" SCNx64, &mask);
	*(uint64_t *)value = mask;
	return 0;
}

VALUE_SHOW(mask)
{
	sprintf(text, "0x%" PRIx64, *(const uint64_t *)value);
}

/* Protocol numbers of IANA; 0 (IPv6 hop-by-hop, no upper protocol) stands for any. */
static const struct {
	const char *name;
	uint32_t number;
} protocols[] = {
	{"any", 0},
	{"icmp", 1},
	{"tcp", 6},
	{"udp", 17},
	{"icmpv6", 58},
	{"sctp", 132},
};

VALUE_PARSE(protocol)
{
	uint64_t number;

	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
		if (strcmp(node->text, protocols[i].name) == 0) {
			*(uint32_t *)value = protocols[i].number;
			return 0;
		}
	if (config_digits(node->text, 255, &number) != 0 || number == 0)
		return config_expected(loader, node,
			"any, tcp, udp, sctp, icmp, icmpv6 or a protocol number from 1 to 255");
	*(uint32_t *)value = number;
	return 0;
}

VALUE_SHOW(protocol)
{
	uint32_t number = *(const uint32_t *)value;

	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
		if (number == protocols[i].number) {
			strcpy(text, protocols[i].name);
			return;
		}
	sprintf(text, "%u", number);
}

VALUE_PARSE(range)
{
	const char *sep = strpbrk(node->text, "-:");
	uint64_t first, last;
	char low[16];
	int rc = 0;

	if (sep != NULL && (size_t)(sep - node->text) < sizeof(low)) {
		memcpy(low, node->text, sep - node->text);
		low[sep - node->text] = '\0';
		rc = config_digits(low, option->max, &first);
		if (rc == 0)
			rc = config_digits(sep + 1, option->max, &last);
	} else {
		rc = config_digits(node->text, option->max, &first);
		last = first;
	}
	if (rc != 0 || first < (uint64_t)option->min || last < first)
		return config_expected(loader, node,
			"a number or range like 80 or 8000-8100 within %" PRId64 "-%" PRId64,
			option->min, option->max);
	*(struct config_range *)value = (struct config_range){first, last};
	return 0;
}

VALUE_SHOW(range)
{
	const struct config_range *range = value;

	if (range->first == range->last)
		sprintf(text, "%u", range->first);
	else
		sprintf(text, "%u-%u", range->first, range->last);
}
