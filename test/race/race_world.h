/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TEST_RACE_WORLD_H
#define FERRY_TEST_RACE_WORLD_H
/*
 * An engine under real worker threads: an uplink of two queues, vports that stay ("v", "l", "r"),
 * a plugin, a peer. The clock is the test's: it moves only when somebody moves it.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/engine.h"

#define RACE_WORKERS 3
#define RACE_VNI 100
#define RACE_QUEUES 2
#define RACE_ALL 255 /* .to: everybody */
#define RACE_PIECE 240 /* bytes of a fragment */
#define RACE_CHURN 4 /* vports that come and go: 10.0.0.100 ... */

struct race_world {
	struct engine *engine;
	const char *plugin;
	struct port *uplink;
	struct vport *v, *l, *r; /* r changes its role */
	_Atomic uint64_t now_ns;
	_Atomic bool over; /* who feeds packets may stop */
	_Atomic uint64_t injected, collected;
};

/* mbufs come from a pool whose handler is built with this program; after EAL, before the engine. */
int race_pool_use(void);

/* plugin: its path, its name, and what it is told first. */
void race_world_start(
	struct race_world *w, const char *path, const char *plugin, const char *config);
void race_world_stop(struct race_world *w);

/* A vport 10.0.0.`host`, 02:00:00:00:00:`host`, of group web. */
struct vport *race_vport(struct race_world *w, const char *name, uint8_t host);
/* What race_vport() was made from; its pointers are static and the same for all threads. */
struct vport_spec race_vport_spec(const char *name, uint8_t host, struct in6_addr *ip);
void race_configure(struct race_world *w, const char *text);

/* Give one UDP or TCP frame to a port; from_host 0: through the tunnel, from 10.0.0.9. */
struct race_frame {
	uint8_t from, to; /* last octet of 10.0.0.x */
	uint8_t proto, tcp_flags;
	uint16_t sport, dport;
	uint16_t payload_len;
	uint8_t piece; /* 1, 2: only this fragment of two; 0: whole */
};
void race_inject(struct race_world *w, struct port *port, const struct race_frame *frame);
/* Take and free what the engine sent there. */
void race_collect(struct race_world *w, struct port *port);

/* Threads that feed the engine until w->over; arg: the world. */
void *race_feed_vms(void *arg);
void *race_feed_uplink(void *arg);

#endif
