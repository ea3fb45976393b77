/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The builder writes from the inside out of a frame in one pass: Ethernet, IP with a length to be
 * filled in, L4, payload; then lengths and checksums are patched. Checksums are computed by a plain
 * loop of its own, so that they can serve to check the product's.
 */
#include "test/fake/fake_packet.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

#define SCTP_INIT_LEN 20

/* A frame being written. */
struct writer {
	uint8_t *at, *end;
};

static uint8_t *put(struct writer *w, const void *bytes, size_t len)
{
	uint8_t *start = w->at;

	assert((size_t)(w->end - w->at) >= len);
	if (bytes)
		memcpy(w->at, bytes, len);
	else
		memset(w->at, 0, len);
	w->at += len;
	return start;
}

static void store16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void store32(uint8_t *at, uint32_t value)
{
	store16(at, value >> 16);
	store16(at + 2, value);
}

static uint16_t load16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static void put8(struct writer *w, uint32_t value)
{
	uint8_t byte = (uint8_t)value;

	put(w, &byte, 1);
}

static void put16(struct writer *w, uint32_t value)
{
	store16(put(w, NULL, 2), value);
}

static void put32(struct writer *w, uint32_t value)
{
	store32(put(w, NULL, 4), value);
}

static void put_mac(struct writer *w, const char *text, const char *usual)
{
	struct rte_ether_addr mac;
	unsigned int b[6];
	int n = sscanf(
		text ? text : usual, "%x:%x:%x:%x:%x:%x", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]);

	assert(n == 6);
	(void)n;
	for (int i = 0; i < 6; i++)
		mac.addr_bytes[i] = (uint8_t)b[i];
	put(w, &mac, sizeof(mac));
}

static bool is_ipv6(const char *text)
{
	return text && strchr(text, ':');
}

static void put_address(struct writer *w, const char *text)
{
	uint8_t bytes[16];
	bool six = is_ipv6(text);
	int ok = inet_pton(six ? AF_INET6 : AF_INET, text, bytes);

	assert(ok == 1);
	(void)ok;
	put(w, bytes, six ? 16 : 4);
}

/* Internet checksum (RFC 1071), unfolded sum in and out. */
static uint32_t sum_bytes(uint32_t sum, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		sum += load16(bytes + i);
	if (len & 1)
		sum += (uint32_t)bytes[len - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* CRC32C bit by bit (RFC 9260 appendix A); stored little-endian in an SCTP header. */
static uint32_t crc32c(const uint8_t *bytes, size_t len)
{
	uint32_t crc = ~0U;

	for (size_t i = 0; i < len; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

/* Pseudo header: addresses, protocol, length. */
static uint32_t pseudo_sum(const uint8_t *addresses, bool six, uint8_t proto, size_t len)
{
	return sum_bytes(proto + (uint32_t)len, addresses, six ? 32 : 8);
}

static void put_payload(struct writer *w, const struct fake_packet *f)
{
	uint8_t *at = put(w, f->payload, f->payload_len);

	if (!f->payload) {
		for (uint16_t i = 0; i < f->payload_len; i++)
			at[i] = (uint8_t)('a' + i % 26);
	}
}

static void put_tcp_options(struct writer *w, const struct fake_packet *f)
{
	uint8_t *start = w->at;

	if (f->mss) {
		put16(w, 2 << 8 | 4);
		put16(w, f->mss);
	}
	if (f->wscale) {
		put8(w, 3);
		put8(w, 3);
		put8(w, f->wscale & 0x7f);
	}
	if (f->sack_ok)
		put16(w, 4 << 8 | 2);
	if (f->sack[0] != f->sack[1]) {
		put16(w, 5 << 8 | 10);
		put32(w, f->sack[0]);
		put32(w, f->sack[1]);
	}
	put(w, f->tcp_options ? f->tcp_options : "", f->tcp_options_len);
	while ((w->at - start) % 4)
		put8(w, 1);
	assert(w->at - start <= 40);
}

static size_t put_tcp(struct writer *w, const struct fake_packet *f)
{
	uint8_t *tcp = w->at;

	put16(w, f->sport);
	put16(w, f->dport);
	put32(w, f->seq);
	put32(w, f->ack);
	put8(w, 0);
	put8(w, f->tcp_flags);
	put16(w, f->window);
	put32(w, 0);
	put_tcp_options(w, f);
	tcp[12] = (uint8_t)((w->at - tcp) / 4 << 4);
	put_payload(w, f);
	return 16;
}

static size_t put_udp(struct writer *w, const struct fake_packet *f)
{
	put16(w, f->sport);
	put16(w, f->dport);
	put16(w, 8u + f->payload_len);
	put16(w, 0);
	put_payload(w, f);
	return 6;
}

static size_t put_icmp(struct writer *w, const struct fake_packet *f)
{
	uint8_t quoted[FAKE_FRAME_MAX];
	size_t len, l3 = RTE_ETHER_HDR_LEN;

	put8(w, f->icmp_type);
	put8(w, f->icmp_code);
	put16(w, 0);
	if (!f->quoted) {
		put16(w, f->icmp_id);
		put16(w, f->icmp_seq);
		put_payload(w, f);
		return 2;
	}
	put32(w, f->icmp_mtu);
	len = fake_packet_build(f->quoted, quoted, sizeof(quoted)) - l3;
	if (!f->quoted_len && (quoted[l3] >> 4) == 4)
		len = RTE_MIN(len, (quoted[l3] & 0xfu) * 4 + 8);
	else if (!f->quoted_len)
		len = RTE_MIN(len, 48u);
	else
		len = RTE_MIN(len, f->quoted_len);
	put(w, quoted + l3, len);
	return 2;
}

static size_t put_sctp(struct writer *w, const struct fake_packet *f)
{
	put16(w, f->sport);
	put16(w, f->dport);
	put32(w, f->sctp_tag);
	put32(w, 0);
	put_payload(w, f);
	return 8;
}

/* Write the L4 part and its checksum. */
static void put_l4(
	struct writer *w, const struct fake_packet *f, const uint8_t *addresses, uint8_t proto)
{
	bool six = is_ipv6(f->src);
	uint8_t *l4 = w->at;
	uint32_t sum, crc;
	size_t csum_off;

	switch (proto) {
	case IPPROTO_TCP:
		csum_off = put_tcp(w, f);
		break;
	case IPPROTO_UDP:
		csum_off = put_udp(w, f);
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		csum_off = put_icmp(w, f);
		break;
	case IPPROTO_SCTP:
		csum_off = put_sctp(w, f);
		break;
	default:
		put_payload(w, f);
		return;
	}
	if (f->zero_l4_csum)
		return;
	if (proto == IPPROTO_SCTP) {
		crc = crc32c(l4, (size_t)(w->at - l4)) ^ (f->bad_l4_csum ? 1 : 0);
		memcpy(l4 + csum_off, &crc, 4);
		return;
	}
	sum = proto == IPPROTO_ICMP ? 0 : pseudo_sum(addresses, six, proto, (size_t)(w->at - l4));
	sum = (uint16_t)~sum_bytes(sum, l4, (size_t)(w->at - l4));
	if (proto == IPPROTO_UDP && sum == 0)
		sum = 0xffff;
	store16(l4 + csum_off, sum ^ (f->bad_l4_csum ? 0x0101 : 0));
}

static void put_ipv4(struct writer *w, const struct fake_packet *f, uint8_t proto)
{
	uint8_t *ip = w->at;
	uint8_t header_len = (uint8_t)(20 + f->ip_options_len);
	size_t len;

	assert(header_len % 4 == 0 && header_len <= 60);
	put8(w, 0x40 | header_len / 4);
	put8(w, f->tos);
	put16(w, 0);
	put16(w, f->ip_id);
	put16(w, f->dont_fragment ? 0x4000 : 0);
	put8(w, f->ttl ? f->ttl : 64);
	put8(w, proto);
	put16(w, 0);
	put_address(w, f->src ? f->src : "198.51.100.10");
	put_address(w, f->dst ? f->dst : "10.0.0.5");
	put(w, f->ip_options ? f->ip_options : "", f->ip_options_len);
	put_l4(w, f, ip + 12, proto);
	len = f->ip_len ? f->ip_len : (size_t)(w->at - ip);
	store16(ip + 2, (uint32_t)len);
	store16(ip + 10, ~sum_bytes(0, ip, header_len) ^ (f->bad_ip_csum ? 0x0101u : 0));
}

static void put_ipv6(struct writer *w, const struct fake_packet *f, uint8_t proto)
{
	uint8_t *ip = w->at;

	put32(w, 6u << 28 | (uint32_t)f->tos << 20);
	put16(w, 0);
	put8(w, f->ext_len ? f->ext_first : proto);
	put8(w, f->ttl ? f->ttl : 64);
	put_address(w, f->src);
	put_address(w, f->dst);
	put(w, f->ext ? f->ext : "", f->ext_len);
	put_l4(w, f, ip + 8, proto);
	store16(ip + 4, f->ip_len ? f->ip_len : (uint32_t)(w->at - ip - 40));
}

size_t fake_packet_build(const struct fake_packet *f, uint8_t *frame, size_t size)
{
	struct writer w = {frame, frame + size};
	uint8_t proto = f->proto ? f->proto : IPPROTO_UDP;
	bool six = is_ipv6(f->src);

	assert(!f->src || !f->dst || six == is_ipv6(f->dst));
	put_mac(&w, f->dst_mac, "02:00:00:00:00:02");
	put_mac(&w, f->src_mac, "02:00:00:00:00:01");
	for (int i = 0; i < FAKE_VLANS_MAX && f->vlan[i]; i++) {
		put16(&w, RTE_ETHER_TYPE_VLAN);
		put16(&w, f->vlan[i]);
	}
	put16(&w, f->ethertype ? f->ethertype : six ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4);
	if (six)
		put_ipv6(&w, f, proto);
	else
		put_ipv4(&w, f, proto);
	if (w.at - frame < f->pad_to)
		put(&w, NULL, f->pad_to - (size_t)(w.at - frame));
	if (f->cut_to && w.at - frame > f->cut_to)
		return f->cut_to;
	return (size_t)(w.at - frame);
}

size_t fake_fragment_build(const struct fake_fragment *f, uint8_t *frame, size_t size)
{
	const uint8_t *ip = f->whole + RTE_ETHER_HDR_LEN;
	bool six = ip[0] >> 4 == 6;
	size_t header_len = six ? 40 : (ip[0] & 0xfu) * 4;
	size_t payload_len = six ? load16(ip + 4) : load16(ip + 2) - header_len;
	struct writer w = {frame, frame + size};
	uint16_t len;
	uint8_t *out;
	uint32_t more;

	assert(f->offset % 8 == 0);
	assert(f->whole_len >= RTE_ETHER_HDR_LEN + header_len + payload_len);
	if (f->offset >= payload_len)
		return 0;
	len = (uint16_t)RTE_MIN(f->len, payload_len - f->offset);
	more = f->offset + len < payload_len;
	out = put(&w, f->whole, RTE_ETHER_HDR_LEN + header_len) + RTE_ETHER_HDR_LEN;
	if (six) {
		store16(out + 4, len + 8u);
		out[6] = IPPROTO_FRAGMENT;
		put16(&w, (uint32_t)ip[6] << 8);
		put16(&w, f->offset | more);
		put32(&w, f->id);
	} else {
		store16(out + 2, (uint32_t)(header_len + len));
		store16(out + 6, more << 13 | f->offset / 8u);
		store16(out + 10, 0);
		store16(out + 10, ~sum_bytes(0, out, header_len));
	}
	put(&w, ip + header_len + f->offset, len);
	return (size_t)(w.at - frame);
}

size_t fake_vxlan_build(const struct fake_vxlan *v, const uint8_t *inner, size_t inner_len,
	uint8_t *frame, size_t size)
{
	uint8_t payload[FAKE_FRAME_MAX];
	struct fake_packet outer = {.src_mac = v->src_mac,
		.dst_mac = v->dst_mac,
		.src = v->src ? v->src : "192.0.2.3",
		.dst = v->dst ? v->dst : "192.0.2.1",
		.ttl = v->ttl,
		.sport = v->sport ? v->sport : 49152,
		.dport = v->dport ? v->dport : 4789,
		.bad_l4_csum = v->bad_l4_csum,
		.payload = payload,
		.payload_len = (uint16_t)(8 + inner_len)};

	assert(inner_len + 8 <= sizeof(payload));
	outer.zero_l4_csum =
		v->zero_l4_csum || (!is_ipv6(outer.src) && !v->checksum && !v->bad_l4_csum);
	store32(payload, (uint32_t)(v->no_flags ? 0
				    : v->flags  ? v->flags
						: 8)
					 << 24 |
				 (v->reserved & 0xffffff));
	store32(payload + 4, v->vni << 8 | v->reserved >> 24);
	memcpy(payload + 8, inner, inner_len);
	return fake_packet_build(&outer, frame, size);
}

size_t fake_sctp_init(uint8_t *chunk, uint8_t type, uint32_t tag)
{
	fake_sctp_chunk(chunk, type, 0, SCTP_INIT_LEN - 4);
	store32(chunk + 4, tag);
	store32(chunk + 8, 65536);
	store32(chunk + 12, 10 << 16 | 10);
	store32(chunk + 16, tag);
	return SCTP_INIT_LEN;
}

size_t fake_sctp_chunk(uint8_t *chunk, uint8_t type, uint8_t flags, uint16_t len)
{
	size_t padded = (4u + len + 3) & ~3u;

	memset(chunk, 0, padded);
	chunk[0] = type;
	chunk[1] = flags;
	store16(chunk + 2, 4u + len);
	return padded;
}
