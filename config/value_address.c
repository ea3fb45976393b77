/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config/value.h"

#define MAPPED_BITS 96 /* before the IPv4 part of ::ffff:a.b.c.d */

/* IPv4 comes out v4-mapped; a v4-mapped text is refused, it would hide which family is meant. */
static int address_parse(const char *text, struct in6_addr *out)
{
	struct in6_addr address = {0};
	struct in_addr v4;

	if (inet_pton(AF_INET, text, &v4) == 1) {
		address.s6_addr[10] = address.s6_addr[11] = 0xff;
		memcpy(&address.s6_addr[12], &v4, sizeof(v4));
	} else if (inet_pton(AF_INET6, text, &address) != 1 || IN6_IS_ADDR_V4MAPPED(&address)) {
		return -EINVAL;
	}
	*out = address;
	return 0;
}

static void address_show(const struct in6_addr *address, char *text)
{
	if (IN6_IS_ADDR_V4MAPPED(address))
		inet_ntop(AF_INET, &address->s6_addr[12], text, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, address, text, INET6_ADDRSTRLEN);
}

static bool address_is_unicast(const struct in6_addr *address)
{
	if (IN6_IS_ADDR_V4MAPPED(address))
		return address->s6_addr[12] != 0 && address->s6_addr[12] < 224;
	return !IN6_IS_ADDR_UNSPECIFIED(address) && !IN6_IS_ADDR_MULTICAST(address);
}

/* What a YAML 1.1 tool leaves of an unquoted value with colons in it. */
static const char *number_trap(const struct config_tree *node)
{
	uint64_t number;

	if (node->quoted || config_digits(node->text, UINT64_MAX, &number) != 0)
		return "";
	return " (YAML 1.1 tools turn unquoted digits with colons into a number: put it in quotes)";
}

static int expected_address(
	struct config_loader *loader, const struct config_tree *node, const char *what)
{
	return config_expected(loader, node, "%s%s", what, number_trap(node));
}

VALUE_PARSE(mac)
{
	const char *text = node->text;
	uint8_t mac[6];
	char end;

	if (strlen(text) != 17 ||
		sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%c", &mac[0], &mac[1], &mac[2],
			&mac[3], &mac[4], &mac[5], &end) != 6 ||
		text[strspn(text, "0123456789abcdefABCDEF:")] != '\0')
		return expected_address(loader, node, "a MAC address like 52:54:00:12:34:56");
	if ((mac[0] & 1) != 0 || memcmp(mac, "\0\0\0\0\0\0", 6) == 0)
		return config_expected(
			loader, node, "a unicast MAC address (first byte even, not all zero)");
	memcpy(value, mac, sizeof(mac));
	return 0;
}

VALUE_SHOW(mac)
{
	const uint8_t *mac = value;

	sprintf(text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
		mac[5]);
}

VALUE_PARSE(address)
{
	struct in6_addr address;

	if (address_parse(node->text, &address) != 0)
		return expected_address(loader, node, "an address like 192.0.2.1 or 2001:db8::1");
	if (!address_is_unicast(&address))
		return config_expected(loader, node, "a unicast address");
	*(struct in6_addr *)value = address;
	return 0;
}

VALUE_SHOW(address)
{
	address_show(value, text);
}

/* "address" or "address/length"; without a length `len` is that of one address. */
static int prefix_parse(const char *text, struct config_prefix *out, bool *has_len)
{
	const char *slash = strchr(text, '/');
	size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);
	struct config_prefix prefix;
	char address[INET6_ADDRSTRLEN];
	uint64_t bits = 128;
	unsigned skip;

	memset(&prefix, 0, sizeof(prefix)); /* its padding too */
	if (len >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, len);
	address[len] = '\0';
	if (address_parse(address, &prefix.addr) != 0)
		return -EINVAL;
	skip = IN6_IS_ADDR_V4MAPPED(&prefix.addr) ? MAPPED_BITS : 0;
	if (slash != NULL && config_digits(slash + 1, 128 - skip, &bits) != 0)
		return -EINVAL;
	prefix.len = slash != NULL ? bits + skip : 128;
	*has_len = slash != NULL;
	memcpy(out, &prefix, sizeof(prefix));
	return 0;
}

/* Clear the host bits; true when there were any. */
static bool prefix_mask(struct config_prefix *prefix)
{
	bool any = false;

	for (unsigned bit = prefix->len; bit < 128; bit++) {
		uint8_t one = 0x80 >> (bit % 8);

		any |= (prefix->addr.s6_addr[bit / 8] & one) != 0;
		prefix->addr.s6_addr[bit / 8] &= ~one;
	}
	return any;
}

VALUE_PARSE(prefix)
{
	struct config_prefix prefix;
	bool has_len;

	if (prefix_parse(node->text, &prefix, &has_len) != 0)
		return expected_address(loader, node, "a prefix like 10.0.0.0/24 or 2001:db8::/64");
	if (prefix_mask(&prefix)) {
		char text[CONFIG_VALUE_TEXT_MAX];

		value_prefix_show(option, &prefix, text);
		return config_expected(loader, node, "a prefix without host bits, as %s", text);
	}
	memcpy(value, &prefix, sizeof(prefix));
	return 0;
}

VALUE_SHOW(prefix)
{
	const struct config_prefix *prefix = value;
	unsigned skip = IN6_IS_ADDR_V4MAPPED(&prefix->addr) ? MAPPED_BITS : 0;

	address_show(&prefix->addr, text);
	sprintf(text + strlen(text), "/%u", prefix->len - skip);
}

VALUE_PARSE(interface)
{
	struct config_prefix prefix;
	bool has_len;

	if (prefix_parse(node->text, &prefix, &has_len) != 0 || !has_len)
		return expected_address(loader, node,
			"an address with its prefix length like 192.0.2.1/24 or 2001:db8::1/64");
	if (!address_is_unicast(&prefix.addr))
		return config_expected(loader, node, "a unicast address with its prefix length");
	memcpy(value, &prefix, sizeof(prefix));
	return 0;
}

VALUE_PARSE(endpoint)
{
	const char *colon = strrchr(node->text, ':'), *first = node->text;
	struct config_endpoint endpoint;
	char address[INET6_ADDRSTRLEN];
	uint64_t port;
	size_t len = colon != NULL ? (size_t)(colon - first) : 0;
	bool brackets = len > 2 && first[0] == '[' && colon[-1] == ']';

	memset(&endpoint, 0, sizeof(endpoint)); /* its padding too */
	first += brackets;
	len -= brackets ? 2 : 0;
	if (len == 0 || len >= sizeof(address) || config_digits(colon + 1, 65535, &port) != 0 ||
		port == 0)
		goto wrong;
	memcpy(address, first, len);
	address[len] = '\0';
	if (address_parse(address, &endpoint.addr) != 0 ||
		brackets == IN6_IS_ADDR_V4MAPPED(&endpoint.addr))
		goto wrong;
	endpoint.port = port;
	memcpy(value, &endpoint, sizeof(endpoint));
	return 0;
wrong:
	return expected_address(
		loader, node, "an address and port like 192.0.2.1:6790 or [2001:db8::1]:6790");
}

VALUE_SHOW(endpoint)
{
	const struct config_endpoint *endpoint = value;
	bool brackets = !IN6_IS_ADDR_V4MAPPED(&endpoint->addr);
	char address[INET6_ADDRSTRLEN];

	address_show(&endpoint->addr, address);
	sprintf(text, brackets ? "[%s]:%u" : "%s:%u", address, endpoint->port);
}
