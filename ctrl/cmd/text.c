/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/cmd/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "dataplane/port.h"
#include "dataplane/addr.h"

const char *text_addr(const struct in6_addr *addr, char *text, size_t size)
{
	if (addr_is_v4(addr))
		inet_ntop(AF_INET, &addr->s6_addr[12], text, (socklen_t)size);
	else
		inet_ntop(AF_INET6, addr, text, (socklen_t)size);
	return text;
}

const char *text_prefix(const struct in6_addr *addr, unsigned int len, char *text, size_t size)
{
	char host[INET6_ADDRSTRLEN];

	text_addr(addr, host, sizeof(host));
	snprintf(text, size, "%s/%u", host,
		addr_is_v4(addr) && len >= ADDR_V4_BITS ? len - ADDR_V4_BITS : len);
	return text;
}

const char *text_mac(const struct rte_ether_addr *mac, char *text, size_t size)
{
	snprintf(text, size, "%02x:%02x:%02x:%02x:%02x:%02x", mac->addr_bytes[0],
		mac->addr_bytes[1], mac->addr_bytes[2], mac->addr_bytes[3], mac->addr_bytes[4],
		mac->addr_bytes[5]);
	return text;
}

const char *text_proto(uint8_t proto, char *text, size_t size)
{
	static const struct {
		uint8_t proto;
		const char *name;
	} names[] = {
		{IPPROTO_TCP, "tcp"},
		{IPPROTO_UDP, "udp"},
		{IPPROTO_ICMP, "icmp"},
		{IPPROTO_ICMPV6, "icmpv6"},
		{IPPROTO_SCTP, "sctp"},
	};

	snprintf(text, size, "%u", proto);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].proto == proto)
			snprintf(text, size, "%s", names[i].name);
	return text;
}

int text_parse_proto(const char *text, uint8_t *proto)
{
	char name[8];

	for (unsigned int i = 1; i <= UINT8_MAX; i++)
		if (strcasecmp(text_proto((uint8_t)i, name, sizeof(name)), text) == 0) {
			*proto = (uint8_t)i;
			return 0;
		}
	return -EINVAL;
}

static void text_endpoint(const struct in6_addr *addr, rte_be16_t port, char *text, size_t size)
{
	char host[INET6_ADDRSTRLEN];

	text_addr(addr, host, sizeof(host));
	snprintf(text, size, addr_is_v4(addr) ? "%s:%u" : "[%s]:%u", host, rte_be_to_cpu_16(port));
}

const char *text_tuple(const struct session_tuple *tuple, char *text, size_t size)
{
	char local[64], remote[64], proto[8];

	text_endpoint(&tuple->local, tuple->local_port, local, sizeof(local));
	text_endpoint(&tuple->remote, tuple->remote_port, remote, sizeof(remote));
	snprintf(text, size, "%s %s <-> %s", text_proto(tuple->proto, proto, sizeof(proto)), local,
		remote);
	return text;
}

int text_parse_addr(const char *text, struct in6_addr *addr)
{
	struct in_addr v4;

	if (inet_pton(AF_INET, text, &v4) == 1) {
		*addr = addr_from_v4(v4.s_addr);
		return 0;
	}
	return inet_pton(AF_INET6, text, addr) == 1 ? 0 : -EINVAL;
}

int text_parse_mac(const char *text, struct rte_ether_addr *mac)
{
	return rte_ether_unformat_addr(text, mac) == 0 ? 0 : -EINVAL;
}

static void text_drops(struct out *out, const char *key, const uint64_t *drops)
{
	out_object(out, key);
	for (int i = 1; i < DROP_COUNT; i++)
		if (drops[i])
			out_u64(out, drop_name((enum drop_reason)i), drops[i]);
	out_object_end(out);
}

void text_drop_rows(struct out *out, const char *port, const char *where, const uint64_t *drops)
{
	for (int i = 1; i < DROP_COUNT; i++) {
		if (!drops[i] || i == DROP_CONSUMED)
			continue;
		out_row(out);
		out_str(out, "port", port);
		out_str(out, "direction", where);
		out_str(out, "reason", drop_name((enum drop_reason)i));
		out_u64(out, "packets", drops[i]);
		out_str(out, "meaning", drop_text((enum drop_reason)i));
	}
}

void text_port_stats(struct out *out, const char *key, const struct port_stats *stats)
{
	out_object(out, key);
	out_u64(out, "rx_packets", stats->rx_packets);
	out_u64(out, "rx_missed", stats->rx_missed);
	out_u64(out, "rx_bytes", stats->rx_bytes);
	out_u64(out, "tx_packets", stats->tx_packets);
	out_u64(out, "tx_bytes", stats->tx_bytes);
	out_u64(out, "tx_dropped_port_down", stats->tx_dropped[0]);
	out_u64(out, "tx_dropped_full", stats->tx_dropped[1]);
	out_u64(out, "delivered", stats->delivered);
	out_u64(out, "relayed", stats->relayed);
	out_u64(out, "parked", stats->parked);
	out_u64(out, "unparked", stats->unparked);
	out_u64(out, "sessions_opened", stats->sessions_opened);
	out_u64(out, "sessions_closed", stats->sessions_closed);
	text_drops(out, "drops", stats->drop);
	text_drops(out, "drops_towards", stats->in_drop);
	out_object_end(out);
}

void text_features(struct out *out, const char *key, uint64_t features)
{
	char number[8];

	out_list(out, key);
	for (unsigned int i = 0; i < 64; i++) {
		if (!(features >> i & 1))
			continue;
		snprintf(number, sizeof(number), "bit-%u", i);
		out_str(out, NULL, port_feature_name(i) ? port_feature_name(i) : number);
	}
	out_list_end(out);
}
