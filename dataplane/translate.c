/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Translation: rewrite a packet between its session's two keys. Egress goes from the VM's view
 * (key) to the network's (key2), ingress the other way. Works on any difference between the keys
 * (addresses, ports, both sides); ICMP errors have their quoted packet rewritten too. Later
 * fragments have addresses only.
 */
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "dataplane/csum.h"
#include "dataplane/icmp.h"
#include "dataplane/parse.h"
#include "dataplane/session_ext.h"
#include "dataplane/worker.h"

/* Where the ports of a protocol lie, as offsets from L4: 0xff = none. */
struct l4_ports {
	uint8_t source, destination;
};

static struct l4_ports ports_of(const struct pkt *p)
{
	switch (p->proto) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
		return (struct l4_ports){0, 2};
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		/* The identifier; see session_key.h for whose port it is. */
		return (struct l4_ports){4, 4};
	default:
		return (struct l4_ports){0xff, 0xff};
	}
}

static void rewrite_bytes(struct pkt *p, void *at, const void *to, uint16_t len_bytes, bool pseudo)
{
	struct in6_addr from;
	struct csum_change change = {
		.from = &from, .to = to, .len_bytes = len_bytes, .pseudo = pseudo};

	memcpy(&from, at, len_bytes);
	if (memcmp(&from, to, len_bytes) == 0)
		return;
	memcpy(at, to, len_bytes);
	csum_l4_change(p, &change);
	if (pseudo && !(p->flags & PKT_IPV6)) {
		struct rte_ipv4_hdr *ip = pkt_l3(p);

		ip->hdr_checksum = csum_update(ip->hdr_checksum, &from, to, len_bytes);
	}
}

static void rewrite_addresses(
	struct pkt *p, const struct in6_addr *source, const struct in6_addr *destination)
{
	if (p->flags & PKT_IPV6) {
		struct rte_ipv6_hdr *ip = pkt_l3(p);

		rewrite_bytes(p, ip->src_addr, source, sizeof(*source), true);
		rewrite_bytes(p, ip->dst_addr, destination, sizeof(*destination), true);
	} else {
		struct rte_ipv4_hdr *ip = pkt_l3(p);
		rte_be32_t source4 = addr_to_v4(source), destination4 = addr_to_v4(destination);

		rewrite_bytes(p, &ip->src_addr, &source4, sizeof(source4), true);
		rewrite_bytes(p, &ip->dst_addr, &destination4, sizeof(destination4), true);
	}
}

static void rewrite_ports(struct pkt *p, rte_be16_t source, rte_be16_t destination)
{
	struct l4_ports ports = ports_of(p);
	uint8_t *l4 = pkt_l4(p);

	if (p->flags & PKT_LATER_FRAGMENT || ports.source == 0xff)
		return;
	if (ports.source == ports.destination) {
		/* One identifier: the asking side's port is the one that is not zero. */
		rte_be16_t id = source ? source : destination;

		rewrite_bytes(p, l4 + ports.source, &id, sizeof(id), false);
		return;
	}
	rewrite_bytes(p, l4 + ports.source, &source, sizeof(source), false);
	rewrite_bytes(p, l4 + ports.destination, &destination, sizeof(destination), false);
}

/*
 * The error's own addresses: the vport's side changes with the session's, whichever of its
 * addresses the vport spoke up from, for only the session's is known outside (RFC 5508 REQ-4,
 * REQ-5). The far side is whoever made the error (a router) and stays, unless it is the session's
 * remote itself.
 */
static void translate_error(
	struct pkt *p, const struct session_tuple *from, const struct session_tuple *to)
{
	bool out = p->dir == PKT_EGRESS;
	struct in6_addr source, destination;
	struct in6_addr *own = out ? &source : &destination, *far = out ? &destination : &source;

	parse_addresses(p, &source, &destination);
	if (!addr_equal(&from->local, &to->local))
		*own = to->local;
	if (addr_equal(far, &from->remote))
		*far = to->remote;
	icmp_quoted_rewrite(p, to);
	rewrite_addresses(p, &source, &destination);
}

static void rewrite(struct pkt *p, const struct session_tuple *to, bool out)
{
	if (out) {
		rewrite_addresses(p, &to->local, &to->remote);
		rewrite_ports(p, to->local_port, to->remote_port);
	} else {
		rewrite_addresses(p, &to->remote, &to->local);
		rewrite_ports(p, to->remote_port, to->local_port);
	}
}

/* SCTP's sum is over the whole packet, and no pseudo header. */
static void rewrite_summed(struct pkt *p, const struct session_tuple *to, bool out)
{
	bool summed = p->proto == IPPROTO_SCTP && !(p->flags & PKT_FRAGMENT);
	rte_le32_t before = summed ? csum_sctp_of(p) : 0;

	rewrite(p, to, out);
	if (summed)
		csum_sctp_change(p, before);
}

/* A fragment may change in its IP header only, for nobody here has all of what the sum is over. */
static enum drop_reason translate_sctp(
	struct pkt *p, const struct session_tuple *from, const struct session_tuple *to)
{
	bool out = p->dir == PKT_EGRESS;
	const struct in6_addr *sender[2] = {&from->local, &to->local};
	enum drop_reason reason;

	if (!out)
		sender[0] = &from->remote, sender[1] = &to->remote;
	if (p->flags & PKT_FRAGMENT &&
		(from->local_port != to->local_port || from->remote_port != to->remote_port))
		return DROP_UNSUPPORTED;
	reason = translate_sctp_names(p, sender[0], sender[1]);
	if (reason == DROP_NONE)
		rewrite_summed(p, to, out);
	return reason;
}

enum drop_reason translate_packet(struct pkt *p)
{
	const struct session *s = p->session;
	struct session_tuple inside, outside;
	const struct session_tuple *from, *to;

	if (!s->has_key2)
		return DROP_PLUGIN;
	session_key_unpack(&s->key, s->is_ipv6 ? &s->a6 : NULL, &inside);
	session_key_unpack(session_key2(s), session_key2_a6(s), &outside);
	from = p->dir == PKT_EGRESS ? &inside : &outside;
	to = p->dir == PKT_EGRESS ? &outside : &inside;
	if (p->flags & PKT_ICMP_ERROR) {
		translate_error(p, from, to);
		return DROP_NONE;
	}
	if (p->proto == IPPROTO_SCTP)
		return translate_sctp(p, from, to);
	rewrite(p, to, p->dir == PKT_EGRESS);
	return DROP_NONE;
}

void translate_back(struct pkt *p)
{
	struct session_tuple inside;

	session_key_unpack(&p->session->key, p->session->is_ipv6 ? &p->session->a6 : NULL, &inside);
	if (p->session->has_key2 && !(p->flags & PKT_ICMP_ERROR))
		rewrite_summed(p, &inside, p->dir == PKT_EGRESS);
}
