/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Telling a VPC where a vport is now: gratuitous ARP, unsolicited NA and RARP for every identity
 * that is the vport's alone (no port range), to the peers of its VNI and to local neighbours.
 * Frames are made on the caller's thread and sent by worker 0 through a ring, so that ports keep
 * their one writer.
 */
#include <errno.h>

#include <rte_ring.h>

#include "dataplane/arp_nd.h"
#include "dataplane/engine_parts.h"
#include "dataplane/worker.h"

/* One frame for worker 0: into the VPC as if the vport had sent it to all. Under the mutex. */
static int announce_frame(struct vport *v, uint32_t vni, struct rte_mbuf *m)
{
	if (!m)
		return -ENOMEM;
	m->hash.usr = vni;
	m->port = v->id;
	if (rte_ring_sp_enqueue(v->engine->announcements, m) == 0)
		return 0;
	rte_pktmbuf_free(m);
	return -ENOBUFS;
}

int engine_announce(struct vport *v)
{
	struct engine *engine = v->engine;
	const struct vport_addresses *own;
	int rc;

	pthread_mutex_lock(&engine->mutex);
	if (role_duty(vport_role(v)) != ROLE_DUTY_FORWARD) {
		pthread_mutex_unlock(&engine->mutex);
		return -EPERM;
	}
	own = atomic_load(&v->addresses);
	rc = announce_frame(v, v->vni, arp_nd_rarp(engine->pool, &v->mac));
	for (uint16_t i = 0; i < own->ip_count && rc == 0; i++)
		rc = announce_frame(v, v->vni, arp_nd_announce(engine->pool, &own->ip[i], &v->mac));
	for (struct vport_identity *id = v->identities; id && rc == 0; id = id->next)
		if (id->id.port_last == 0)
			rc = announce_frame(v, id->id.vni,
				arp_nd_announce(engine->pool, &id->id.addr, &v->mac));
	pthread_mutex_unlock(&engine->mutex);
	engine_wake(engine);
	return rc;
}

void announce_run(struct worker *w)
{
	struct rte_mbuf *m;

	while (rte_ring_sc_dequeue(w->engine->announcements, (void **)&m) == 0) {
		struct vport *v =
			atomic_load_explicit(&w->engine->vport[m->port], memory_order_acquire);

		/* The role may have changed while the frame waited: nothing leaks then. */
		if (v && role_duty(vport_role(v)) == ROLE_DUTY_FORWARD)
			flood_frame(w, v, m->hash.usr, m);
		rte_pktmbuf_free(m);
	}
}
