/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ports of a run: which there are, what goes in, what came out.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ctrl/replay/play_impl.h"
#include "ctrl/replay/underlay.h"
#include "dataplane/addr.h"

#define IPV4_SOURCE_OFF 26 /* in an Ethernet frame */
#define IPV6_SOURCE_OFF 22

struct play_port *play_port_find(struct play *p, const char *name)
{
	for (unsigned int i = 0; i < p->n_ports; i++)
		if (strcmp(p->ports[i].name, name) == 0)
			return &p->ports[i];
	return NULL;
}

/* Pointers into the array are kept by name only while it grows: it is made in one piece. */
static struct play_port *port_new(struct play *p, const char *name, bool uplink)
{
	struct play_port *port = &p->ports[p->n_ports++];

	*port = (struct play_port){.uplink = uplink};
	snprintf(port->name, sizeof(port->name), "%s", name);
	return port;
}

static void port_look_up(struct play *p, struct play_port *port)
{
	for (unsigned int i = 0; i < p->hosts; i++) {
		struct engine *engine = p->host[i].engine;
		struct vport *v;

		if (port->uplink) {
			port->port[i] = engine_uplink_port(engine);
			continue;
		}
		v = engine_vport_find(engine, port->name);
		port->port[i] = v ? v->port : NULL;
	}
}

/* A vport that was not there before gets its port and output. */
static int port_add(struct play *p, const char *name, bool uplink, char *error, size_t error_len)
{
	struct play_port *port = play_port_find(p, name);
	int rc = 0;

	if (!port) {
		if (p->n_ports == VPORT_MAX + 1)
			return -ENOSPC;
		port = port_new(p, name, uplink);
		rc = output_open(p->options->out_dir, name, &port->output, error, error_len);
	} else if (port->uplink != uplink) {
		snprintf(error, error_len, "a vport may not be called \"%s\" here", name);
		rc = -EINVAL;
	}
	return rc;
}

int play_ports_refresh(struct play *p, char *error, size_t error_len)
{
	int rc = 0;

	for (unsigned int h = 0; h < p->hosts; h++) {
		const struct config *config = setup_config(p->host[h].setup);

		if (engine_uplink_port(p->host[h].engine))
			rc = port_add(p, PLAY_UPLINK, true, error, error_len);
		for (uint32_t i = 0; i < config->n_vports && rc == 0; i++)
			rc = port_add(p, config->vports[i].name, false, error, error_len);
	}
	for (unsigned int i = 0; i < p->n_ports; i++)
		port_look_up(p, &p->ports[i]);
	return rc;
}

int play_ports_open(struct play *p, char *error, size_t error_len)
{
	int rc;

	if (mkdir(p->options->out_dir, 0777) != 0 && errno != EEXIST) {
		rc = -errno;
		snprintf(error, error_len, "%s: %s", p->options->out_dir, strerror(-rc));
		return rc;
	}
	p->ports = calloc(VPORT_MAX + 1, sizeof(*p->ports));
	return p->ports ? play_ports_refresh(p, error, error_len) : -ENOMEM;
}

void play_ports_close(struct play *p)
{
	for (unsigned int i = 0; i < p->n_ports; i++) {
		int rc = output_close(p->ports[i].output);

		if (rc != 0)
			p->output_error = rc;
	}
	free(p->ports);
}

/* ---- in ---- */

static bool frame_from(const struct vport *v, const struct capture_frame *frame)
{
	const uint8_t *d = frame->data;
	struct in6_addr addr;
	rte_be32_t v4;

	if (frame->len_bytes < RTE_ETHER_HDR_LEN)
		return false;
	if (!frame->made_link)
		return memcmp(d + RTE_ETHER_ADDR_LEN, &v->mac, sizeof(v->mac)) == 0;
	if (d[12] == 0x08 && d[13] == 0x00 && frame->len_bytes >= IPV4_SOURCE_OFF + sizeof(v4)) {
		memcpy(&v4, d + IPV4_SOURCE_OFF, sizeof(v4));
		addr = addr_from_v4(v4);
	} else if (d[12] == 0x86 && d[13] == 0xdd &&
		   frame->len_bytes >= IPV6_SOURCE_OFF + sizeof(addr)) {
		memcpy(&addr, d + IPV6_SOURCE_OFF, sizeof(addr));
	} else {
		return false;
	}
	return vport_owns(v, &addr);
}

static struct vport *port_vport(struct play *p, const struct play_port *port)
{
	for (unsigned int i = 0; i < p->hosts && !port->uplink; i++) {
		struct vport *v = engine_vport_find(p->host[i].engine, port->name);

		if (v)
			return v;
	}
	return NULL;
}

struct play_port *play_port_of(struct play *p, const struct timeline_frame *next)
{
	struct play_port *port = p->input[next->capture], *uplink = NULL;

	if (port)
		return port;
	for (unsigned int i = 0; i < p->n_ports; i++) {
		const struct vport *v;

		port = &p->ports[i];
		if (port->uplink)
			uplink = port;
		v = port_vport(p, port);
		if (v && frame_from(v, &next->frame))
			return port;
	}
	return uplink;
}

/* Where nobody knows MACs, the port's own is right. */
static void fill_macs(struct play *p, const struct play_port *port, struct rte_ether_hdr *ether)
{
	const struct vport *v = port_vport(p, port);

	if (v && rte_is_zero_ether_addr(&ether->src_addr))
		ether->src_addr = v->mac;
}

int play_inject(struct play *p, struct play_port *port, const struct capture_frame *frame)
{
	struct rte_mempool *pool = engine_pool(p->host[port->host].engine);
	uint32_t at = 0, len = frame->len_bytes + frame->missing_bytes;
	struct rte_mbuf *head = rte_pktmbuf_alloc(pool), *tail = head;

	while (tail && at < len) {
		uint16_t room = rte_pktmbuf_tailroom(tail);
		uint16_t take = (uint16_t)RTE_MIN((uint32_t)room, len - at);
		uint16_t have = (uint16_t)RTE_MIN(
			(uint32_t)take, at < frame->len_bytes ? frame->len_bytes - at : 0);
		uint8_t *to = rte_pktmbuf_mtod(tail, uint8_t *);

		memcpy(to, frame->data + at, have);
		memset(to + have, 0, take - have);
		tail->data_len = take;
		head->pkt_len += take;
		at += take;
		if (at == len)
			break;
		tail->next = rte_pktmbuf_alloc(pool);
		tail = tail->next;
		head->nb_segs++;
	}
	if (tail && frame->made_link && len >= RTE_ETHER_HDR_LEN)
		fill_macs(p, port, rte_pktmbuf_mtod(head, struct rte_ether_hdr *));
	if (tail && port->port[port->host] && port_ring_inject(port->port[port->host], head) == 0)
		return 0;
	rte_pktmbuf_free(head);
	return -ENOBUFS;
}

/* ---- out ---- */

static bool host_has(const struct play_host *host, const struct in6_addr *addr)
{
	static const struct in6_addr none;

	return !addr_equal(addr, &none) &&
	       (addr_equal(addr, &host->vtep[0]) || addr_equal(addr, &host->vtep[1]));
}

/* Between two hosts of the replay the underlay is here. */
static bool carry(
	struct play *p, const struct play_port *uplink, unsigned int from, const struct rte_mbuf *m)
{
	unsigned int to = 1 - from;
	struct rte_mbuf *copy;
	struct in6_addr addr;

	if (p->hosts < 2 || !underlay_destination(m, &addr) || !host_has(&p->host[to], &addr))
		return false;
	copy = rte_pktmbuf_copy(m, engine_pool(p->host[to].engine), 0, UINT32_MAX);
	if (copy && port_ring_inject(uplink->port[to], copy) != 0)
		rte_pktmbuf_free(copy);
	p->counts.carried++;
	return true;
}

static void take(struct play *p, struct play_port *port, unsigned int host, struct rte_mbuf *m)
{
	struct rte_mempool *pool = engine_pool(p->host[host].engine);
	uint64_t now_ns = p->clock->now_ns;
	int rc = 0;

	if (port->uplink && !p->options->no_resolve && underlay_answer(port->port[host], pool, m)) {
		p->counts.resolved++;
		return;
	}
	if (!port->uplink || !carry(p, port, host, m))
		rc = output_write(port->output,
			p->first_ns + now_ns > PLAY_START_NS ? p->first_ns + now_ns - PLAY_START_NS
							     : 0,
			m);
	if (rc != 0 && !p->output_error)
		p->output_error = rc;
	rte_pktmbuf_free(m);
}

void play_collect(struct play *p)
{
	for (unsigned int i = 0; i < p->n_ports; i++)
		for (unsigned int host = 0; host < p->hosts; host++) {
			struct play_port *port = &p->ports[i];
			struct rte_mbuf *m;

			while (port->port[host] && (m = port_ring_collect(port->port[host])))
				take(p, port, host, m);
		}
}

bool play_port_view(const struct play *p, unsigned int index, struct play_port_view *view)
{
	if (index >= p->n_ports)
		return false;
	*view = (struct play_port_view){.name = p->ports[index].name,
		.in = p->ports[index].in,
		.out = output_frames(p->ports[index].output)};
	return true;
}
