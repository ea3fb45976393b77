/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_PORT_H
#define FERRY_PORT_H
/*
 * A port: where frames come from and go to. Two kinds stand behind one ops table: port_eth (any DPDK vdev
 * or NIC by device string) and port_vhost (the rte_vhost library). A vport owns one; the uplink is one.
 *
 * Threads: rx/tx from workers; open, close and info under the engine mutex; ring events come from the
 * library's events thread (vhost) or from whoever calls port_pause()/port_resume() (eth).
 */
#include <stdbool.h>
#include <stdint.h>

#include <rte_ether.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#define PORT_NAME_MAX 64
#define PORT_QUEUES_MAX 16
#define PORT_PATH_MAX 107 /* sun_path less the NUL */

enum port_kind { PORT_ETH, PORT_VHOST };
enum port_event { PORT_RINGS_UP, PORT_RINGS_DOWN };

/*
 * Ring events. The callee may wait for one grace period, no longer: QEMU waits for the answer.
 * The level is re-read with port_rings_up() at each decision; an event is only a reason to look.
 */
struct port_listener {
	void (*event)(void *arg, enum port_event event);
	void *arg;
};

struct port_params {
	const char *name;
	enum port_kind kind;
	/* PORT_ETH */
	const char *
		device; /* "net_af_packet0,iface=veth1", "0000:01:00.0", ... made if it is a vdev */
	/* PORT_VHOST */
	const char *path; /* <= PORT_PATH_MAX bytes */
	bool server; /* we listen; else we connect and reconnect */
	uint64_t feature_mask; /* virtio features offered, before negotiation; 0: the default set */
	uint32_t mode; /* of a server socket, e.g. 0660; 0: leave */
	/* both */
	uint16_t queues; /* receive queues / queue pairs, 1..PORT_QUEUES_MAX */
	uint16_t tx_queues; /* PORT_ETH: as many as workers, else a lock is taken */
	uint16_t mtu; /* of L3 */
	struct rte_mempool *pool;
	struct port_listener listener;
};

struct port;

struct port_info {
	bool rings_up;
	uint16_t queues_rx, queues_tx; /* in use */
	uint64_t features; /* vhost: negotiated */
	uint64_t features_offered;
	uint64_t reconnects;
	char peer[PORT_PATH_MAX + 1]; /* socket path or device name */
	char ifname[32];
	char last_error[128]; /* empty: none; logged once per change of state */
	struct rte_ether_addr mac; /* eth only */
};

/* Mutator threads. Undo is complete on failure; *error (may be NULL) gets one line for people. */
int port_open(const struct port_params *params, struct port **out, char *error, size_t error_len);
/* The caller has made sure that no worker uses the port (unlinked + grace). May block for the library. */
void port_close(struct port *port);
void port_info(const struct port *port, struct port_info *info);

/* Any thread, a level, not an event. */
bool port_rings_up(const struct port *port);

/* Ports without a VMM: the same events as a VMM's rings. -EOPNOTSUPP for vhost. */
int port_pause(struct port *port);
int port_resume(struct port *port);

/*
 * Workers. Returns the count. rx sets ol_flags/l2..l4_len of guests' unfinished checksums as DPDK does
 * (RTE_MBUF_F_TX_*_CKSUM for vhost with NET_COMPLIANT_OL_FLAGS). tx takes ownership of the first
 * `returned` mbufs; the rest stay with the caller. tx queue: any number, mapped inside (flow hash or
 * worker index).
 */
uint16_t port_rx(struct port *port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);
uint16_t port_tx(struct port *port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);

/* Receive queues a worker should poll now (changes with ring state; 0 when rings are down). */
uint16_t port_rx_queues(const struct port *port);

/* A descriptor that becomes readable when a frame may wait, for adaptive polling; -1: none. */
int port_rx_fd(const struct port *port, uint16_t queue);
/* Ask the other side to signal (true before sleeping) or not. */
void port_rx_notify(struct port *port, uint16_t queue, bool on);

#endif
