/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_PORT_H
#define FERRY_PORT_H
/*
 * A port: where frames come from and go to. Behind one ops table stand port_eth (any DPDK vdev or
 * NIC by device string), port_vhost (the rte_vhost library) and port_ring (replay, tests). A
 * vport owns one; the uplink is one.
 *
 * Threads: rx/tx from workers; open, close and info under the engine mutex; ring events come from
 * the library's events thread (vhost) or from whoever calls port_pause()/port_resume() (eth).
 *
 * Life: open -> rings go up and down any number of times -> unlink from the workers, one grace
 * period -> close. Between PORT_RINGS_DOWN's return and the next PORT_RINGS_UP the library takes
 * ring memory apart, so the listener of a vhost port must wait until no worker is inside rx or tx
 * of that port.
 */
#include <stdbool.h>
#include <stdint.h>

#include <rte_ether.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#define PORT_NAME_MAX 64
#define PORT_QUEUES_MAX 16
#define PORT_PATH_MAX 107 /* sun_path less the NUL */

struct port;

enum port_kind { PORT_ETH, PORT_VHOST, PORT_RING };
enum port_event { PORT_RINGS_UP, PORT_RINGS_DOWN, PORT_STATUS /* last_error changed */ };

/*
 * Ring events. The callee may wait for one grace period, no longer: QEMU waits for the answer. It
 * must not wait for a lock that the caller of port_close() holds: close waits for an event under
 * way. The level is changed before the event and re-read with port_rings_up() at each decision;
 * an event is only a reason to look. After port_open() look once: a front end may have come
 * before the call returned, and a PORT_ETH that is born up sends no event. Once port_close() has
 * begun no new event comes. `port` is given because events may come before port_open() has
 * returned it.
 */
struct port_listener {
	void (*event)(void *arg, struct port *port, enum port_event event);
	void *arg;
};

struct port_params {
	const char *name;
	enum port_kind kind;
	/* PORT_ETH */
	/* "net_af_packet0,iface=veth1", "0000:01:00.0", ...; a vdev is made, under a free name */
	const char *device;
	bool promiscuous; /* a vport, whose MACs are not the device's; pointless on an uplink */
	/*
	 * An uplink on an interface that the host uses too (af_packet): take ARP, ICMP, ND and UDP
	 * to this port alone, so that what else comes there costs nothing. 0: everything.
	 */
	uint16_t only_udp_port;
	bool paused; /* born with rings down: the place a VM without a VMM moves to */
	/* PORT_VHOST */
	const char *path; /* <= PORT_PATH_MAX bytes */
	bool server; /* we listen; else we connect and reconnect */
	/* Virtio features offered, before negotiation: part of PORT_FEATURES; 0: all of it */
	uint64_t feature_mask;
	uint32_t mode, group; /* of a server's socket file, e.g. 0660 and a gid; 0: leave */
	/* both */
	uint16_t queues; /* receive queues / queue pairs, 1..PORT_QUEUES_MAX */
	uint16_t tx_queues; /* PORT_ETH: as many as workers, else a lock is taken */
	uint16_t mtu; /* of L3 */
	struct rte_mempool *pool;
	struct port_listener listener;
};

/*
 * Virtio features offered by default: a pinned list, so that it does not grow with the library.
 * No GSO.
 */
#define PORT_FEATURES \
	(UINT64_C(1) << 0 /* CSUM */ | UINT64_C(1) << 1 /* GUEST_CSUM */ | \
		UINT64_C(1) << 3 /* MTU */ | UINT64_C(1) << 15 /* MRG_RXBUF */ | \
		UINT64_C(1) << 17 /* CTRL_VQ */ | UINT64_C(1) << 18 /* CTRL_RX */ | \
		UINT64_C(1) << 21 /* GUEST_ANNOUNCE */ | UINT64_C(1) << 22 /* MQ */ | \
		UINT64_C(1) << 26 /* LOG_ALL */ | UINT64_C(1) << 27 /* ANY_LAYOUT */ | \
		UINT64_C(1) << 28 /* INDIRECT_DESC */ | UINT64_C(1) << 29 /* EVENT_IDX */ | \
		UINT64_C(1) << 30 /* PROTOCOL_FEATURES */ | UINT64_C(1) << 32 /* VERSION_1 */ | \
		UINT64_C(1) << 34 /* RING_PACKED */ | UINT64_C(1) << 35 /* IN_ORDER */)

/* Of a virtio feature, for people; NULL: none known here. */
const char *port_feature_name(unsigned int bit);

struct port_info {
	bool rings_up;
	uint16_t queues_rx, queues_tx; /* in use */
	uint64_t features; /* vhost: negotiated */
	uint64_t features_offered;
	uint64_t reconnects;
	uint64_t connected_ns; /* vhost: so long ago the front end connected; 0: never */
	uint16_t rings_broken; /* vhost: not served any more, the guest's index is nonsense */
	uint64_t ring_resyncs; /* vhost: rings that came up elsewhere than the front end said */
	char peer[PORT_PATH_MAX + 1]; /* socket path or device name */
	char ifname[32];
	char last_error[128]; /* empty: none. A change sends PORT_STATUS, once, for the log */
	struct rte_ether_addr mac; /* eth only */
};

/* Mutator threads. Undo is complete on failure; *error (may be NULL) gets one line for people. */
int port_open(const struct port_params *params, struct port **out, char *error, size_t error_len);
/*
 * The caller has made sure that no worker uses the port (unlinked + grace). May block for the
 * library.
 */
void port_close(struct port *port);
void port_info(const struct port *port, struct port_info *info);

/*
 * Frames that the device lost because nobody took them in time, or for want of buffers, ever. Any
 * thread but the workers.
 */
uint64_t port_rx_missed(const struct port *port);

/* Any thread, a level, not an event. */
bool port_rings_up(const struct port *port);

/* Ports without a VMM: the same events as a VMM's rings. -EOPNOTSUPP for vhost. */
int port_pause(struct port *port);
int port_resume(struct port *port);

/*
 * Workers. Returns the count.
 * rx: one worker per queue at a time. A frame whose L4 checksum the guest left unfinished carries
 * RTE_MBUF_F_TX_{TCP,UDP,SCTP}_CKSUM with RTE_MBUF_F_TX_IPV4/IPV6, l2_len and l3_len; the field
 * holds the pseudo-header sum: csum_finish() before the frame goes on.
 * tx: any number of workers at once. Owns the first `returned` mbufs; the array may be reordered,
 * the rest of it are the mbufs that did not fit and stay with the caller. `queue` is the worker's
 * index; a vhost port ignores it and spreads flows over the enabled rings by mbuf->hash.rss if
 * RTE_MBUF_F_RX_RSS_HASH is set, else by a hash of the headers. Frames of one flow keep their
 * order. Locks of the library (22.11): tx spins on the ring's lock (other workers, messages of
 * the front end), rx only tries it and returns 0 if taken.
 */
uint16_t port_rx(struct port *port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);
uint16_t port_tx(struct port *port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);
/*
 * About how many frames it would take now, and of how many when nothing waits in it (0: not known):
 * a guest that has just been set going is slow to give buffers. UINT16_MAX where nobody can tell.
 * Worker.
 */
uint16_t port_tx_room(const struct port *port, uint16_t *capacity);

/* Receive queues a worker should poll now (changes with ring state; 0 when rings are down). */
uint16_t port_rx_queues(const struct port *port);

/*
 * Adaptive polling: port_rx_notify(q, true); one more port_rx(q); then sleep in poll() on
 * port_rx_fd(q) if it is not -1, else for a short time; then port_rx_notify(q, false). Ask for
 * the descriptor before each sleep and keep it in no epoll set: it belongs to the device or the
 * front end. An eventfd (vhost) may stay readable without a frame waiting: port_rx_notify(false)
 * empties it.
 */
int port_rx_fd(const struct port *port, uint16_t queue);
void port_rx_notify(struct port *port, uint16_t queue, bool on);

/*
 * PORT_RING only: a port of rings in this process (replay, tests). Any thread but the workers,
 * one at a time. inject takes m, the queues in turn, -ENOBUFS when that one is full; collect
 * gives the next frame the engine sent, or NULL.
 */
int port_ring_inject(struct port *port, struct rte_mbuf *m);
struct rte_mbuf *port_ring_collect(struct port *port);

#endif
