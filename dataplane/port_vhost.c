/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A VM's port on the rte_vhost library (not its PMD, which has 32 ports at most).
 *
 * Life of the rings: ring() tells per ring whether the front end has set it up and enabled it;
 * up() and down() are new_device() and destroy_device(), the only events that say where a VM
 * runs. down() withdraws the device number first and then calls the listener, which waits until
 * no worker holds the old one; after that the library takes the rings apart. The ring indexes are
 * the library's affair: it takes them from SET_VRING_BASE and gives them back in GET_VRING_BASE.
 *
 * Who writes what: vid, ready and fds by the library's events thread, `loud` by it and the
 * workers (bit operations). Workers read them with one load each per burst.
 *
 * Locks of the library in a worker: rte_vhost_enqueue_burst() spins on the ring's lock, so
 * several workers may send to one ring; rte_vhost_dequeue_burst() tries it and returns nothing if
 * it is taken. The events thread holds the locks of all rings of the port while it handles a
 * message about rings. Both functions signal the guest themselves when it asked for it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>

#include <rte_net.h>
#include <rte_vhost.h>

#include "dataplane/port_flow.h"
#include "dataplane/port_impl.h"
#include "dataplane/vhost_link.h"

#define VHOST_TX_BURST 32 /* what the library takes at once */
#define VHOST_F_GUEST_CSUM (UINT64_C(1) << 1)
#define VHOST_F_MRG_RXBUF (UINT64_C(1) << 15)
#define VHOST_F_RING_PACKED (UINT64_C(1) << 34)

struct port_vhost {
	struct port port;
	int vid; /* atomic; -1: rings down */
	uint32_t ready; /* atomic; bit per ring: even to the guest, odd from it */
	uint32_t loud; /* atomic; bit per ring: the guest may still signal it */
	uint32_t broken; /* atomic; bit per ring: not used until set up again; see vhost_room() */
	bool merges; /* atomic; a frame may take many buffers of a split ring */
	uint16_t size[2 * PORT_QUEUES_MAX]; /* atomic; of the rings */
	struct rte_mempool *pool;
	struct vhost_link *link;
	uint64_t features; /* atomic; negotiated */
	uint16_t pairs;
	int fds[PORT_QUEUES_MAX]; /* atomic; kick descriptors of the odd rings, -1: none */
	char peer[PORT_PATH_MAX + 1];
};

/* Bits 0, 2, 4, ...: rings to the guest. */
#define VHOST_TX_RINGS 0x55555555u

static inline struct port_vhost *vhost_of(const struct port *port)
{
	return (struct port_vhost *)(uintptr_t)port;
}

static void vhost_up(void *owner, int vid, uint64_t features)
{
	struct port_vhost *p = owner;

	__atomic_store_n(&p->features, features, __ATOMIC_RELAXED);
	__atomic_store_n(&p->merges,
		(features & (VHOST_F_MRG_RXBUF | VHOST_F_RING_PACKED)) == VHOST_F_MRG_RXBUF,
		__ATOMIC_RELAXED);
	__atomic_store_n(&p->vid, vid, __ATOMIC_RELEASE);
	port_set_level(&p->port, true);
}

static void vhost_down(void *owner, int vid)
{
	struct port_vhost *p = owner;

	bool were_up;

	(void)vid;
	/* The level first: a worker that finds no device must see why. */
	were_up = __atomic_exchange_n(&p->port.rings_up, false, __ATOMIC_ACQ_REL);
	__atomic_store_n(&p->vid, -1, __ATOMIC_SEQ_CST);
	if (were_up)
		port_event(&p->port, PORT_RINGS_DOWN);
}

static void vhost_ring(void *owner, int vid, uint16_t ring, bool ready)
{
	struct port_vhost *p = owner;
	struct rte_vhost_vring vring = {.kickfd = -1};
	uint32_t bit;

	if (ring >= 2 * p->pairs)
		return;
	bit = UINT32_C(1) << ring;
	if (ready && rte_vhost_get_vhost_vring(vid, ring, &vring))
		ready = false;
	if (ring & 1)
		__atomic_store_n(&p->fds[ring / 2], ready ? vring.kickfd : -1, __ATOMIC_RELEASE);
	if (!ready) {
		__atomic_and_fetch(&p->ready, ~bit, __ATOMIC_RELEASE);
		return;
	}
	__atomic_store_n(&p->size[ring], vring.size, __ATOMIC_RELAXED);
	__atomic_or_fetch(&p->loud, bit, __ATOMIC_RELAXED);
	__atomic_and_fetch(&p->broken, ~bit, __ATOMIC_RELAXED);
	__atomic_or_fetch(&p->ready, bit, __ATOMIC_RELEASE);
}

static void vhost_features(void *owner, uint64_t features)
{
	struct port_vhost *p = owner;

	__atomic_store_n(&p->features, features, __ATOMIC_RELAXED);
}

static void vhost_gone(void *owner)
{
	struct port_vhost *p = owner;

	__atomic_store_n(&p->ready, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&p->features, 0, __ATOMIC_RELAXED);
	for (int i = 0; i < PORT_QUEUES_MAX; i++)
		__atomic_store_n(&p->fds[i], -1, __ATOMIC_RELAXED);
}

static void vhost_status(void *owner)
{
	struct port_vhost *p = owner;

	port_event(&p->port, PORT_STATUS);
}

static const struct vhost_owner_ops vhost_owner_ops = {
	.up = vhost_up,
	.down = vhost_down,
	.ring = vhost_ring,
	.features = vhost_features,
	.gone = vhost_gone,
	.status = vhost_status,
};

static int vhost_check(const struct port_params *params, char *error, size_t len)
{
	if (!params->path || !params->path[0])
		return port_fail(error, len, EINVAL, "%s: no socket path", params->name);
	if (strlen(params->path) > PORT_PATH_MAX)
		return port_fail(error, len, ENAMETOOLONG,
			"%s: socket path has %zu bytes, a socket's name at most %d", params->name,
			strlen(params->path), PORT_PATH_MAX);
	if (params->feature_mask & ~PORT_FEATURES)
		return port_fail(error, len, EINVAL, "%s: virtio features not carried: %#jx",
			params->name, (uintmax_t)(params->feature_mask & ~PORT_FEATURES));
	return 0;
}

static int vhost_open(const struct port_params *params, struct port **out, char *error, size_t len)
{
	struct vhost_link_params link = {
		.path = params->path,
		.server = params->server,
		.mode = params->mode,
		.group = params->group,
		.features = params->feature_mask ? params->feature_mask : PORT_FEATURES,
		.pairs = params->queues,
		.ops = &vhost_owner_ops,
	};
	int ret = vhost_check(params, error, len);
	struct port_vhost *p;

	if (ret)
		return ret;
	p = port_alloc(sizeof(*p));
	if (!p)
		return port_fail(error, len, ENOMEM, "%s: no memory", params->name);
	p->port.ops = &port_vhost_ops;
	p->port.listener = params->listener;
	snprintf(p->port.name, sizeof(p->port.name), "%s", params->name);
	snprintf(p->peer, sizeof(p->peer), "%s", params->path);
	p->pool = params->pool;
	p->pairs = params->queues;
	p->vid = -1;
	vhost_gone(p);
	link.owner = p;
	ret = vhost_link_open(&link, &p->link, error, len);
	if (ret) {
		free(p);
		return ret;
	}
	*out = &p->port;
	return 0;
}

static void vhost_close(struct port *port)
{
	struct port_vhost *p = vhost_of(port);

	vhost_link_close(p->link);
	free(p);
}

/* Rings from the guest that workers must poll: the highest ready one and all below it. */
static uint16_t vhost_rx_queues(const struct port *port)
{
	uint32_t ready = __atomic_load_n(&vhost_of(port)->ready, __ATOMIC_RELAXED);

	ready &= ~VHOST_TX_RINGS;
	return ready ? (uint16_t)(32 - __builtin_clz(ready)) / 2 : 0;
}

static void vhost_info(const struct port *port, struct port_info *info)
{
	const struct port_vhost *p = vhost_of(port);
	uint32_t ready = __atomic_load_n(&p->ready, __ATOMIC_RELAXED);
	uint64_t connects = vhost_link_connects(p->link);

	info->queues_rx = __builtin_popcount(ready & ~VHOST_TX_RINGS);
	info->queues_tx = __builtin_popcount(ready & VHOST_TX_RINGS);
	info->rings_broken = __builtin_popcount(__atomic_load_n(&p->broken, __ATOMIC_RELAXED));
	info->features = __atomic_load_n(&p->features, __ATOMIC_RELAXED);
	info->features_offered = vhost_link_features(p->link);
	info->reconnects = connects ? connects - 1 : 0;
	info->connected_ns = vhost_link_connected_ns(p->link);
	info->ring_resyncs = vhost_link_resyncs(p->link);
	snprintf(info->peer, sizeof(info->peer), "%s", p->peer);
	vhost_link_error(p->link, info->last_error, sizeof(info->last_error));
}

/*
 * A ring that came up signals each buffer; a worker that polls anyway tells it to be quiet, once.
 */
static void vhost_quiet(struct port_vhost *p, int vid, uint32_t rings)
{
	__atomic_and_fetch(&p->loud, ~rings, __ATOMIC_RELAXED);
	for (; rings; rings &= rings - 1)
		rte_vhost_enable_guest_notification(vid, __builtin_ctz(rings), 0);
}

/*
 * The library marks an unfinished checksum as RX_L4_CKSUM_NONE with the packet type; the port's
 * contract is what the library takes on the way out.
 */
static void vhost_mark_csum(struct rte_mbuf *m)
{
	struct rte_net_hdr_lens lens;
	uint32_t type = rte_net_get_ptype(m, &lens, RTE_PTYPE_ALL_MASK);
	uint64_t flags = RTE_ETH_IS_IPV4_HDR(type) ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6;

	switch (type & RTE_PTYPE_L4_MASK) {
	case RTE_PTYPE_L4_TCP:
		flags |= RTE_MBUF_F_TX_TCP_CKSUM;
		break;
	case RTE_PTYPE_L4_UDP:
		flags |= RTE_MBUF_F_TX_UDP_CKSUM;
		break;
	case RTE_PTYPE_L4_SCTP:
		flags |= RTE_MBUF_F_TX_SCTP_CKSUM;
		break;
	default:
		flags = 0;
	}
	m->ol_flags = (m->ol_flags & ~RTE_MBUF_F_RX_L4_CKSUM_MASK) | flags;
	m->l2_len = lens.l2_len;
	m->l3_len = lens.l3_len;
}

static uint16_t vhost_rx(struct port *port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
	struct port_vhost *p = vhost_of(port);
	int vid = __atomic_load_n(&p->vid, __ATOMIC_ACQUIRE);
	uint32_t loud, rings = UINT32_C(3) << 2 * queue;
	uint16_t n, size;

	if (unlikely(vid < 0 || queue >= p->pairs))
		return 0;
	loud = __atomic_load_n(&p->loud, __ATOMIC_RELAXED) & rings;
	if (unlikely(loud))
		vhost_quiet(p, vid, loud);
	/* More than the ring has would overrun the library's list of used descriptors. */
	size = __atomic_load_n(&p->size[2 * queue + 1], __ATOMIC_RELAXED);
	n = rte_vhost_dequeue_burst(vid, 2 * queue + 1, p->pool, mbufs, RTE_MIN(count, size));
	for (uint16_t i = 0; i < n; i++) {
		uint64_t csum = mbufs[i]->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;

		if (csum == RTE_MBUF_F_RX_L4_CKSUM_NONE)
			vhost_mark_csum(mbufs[i]);
	}
	return n;
}

/*
 * How many frames the library may be given at once. It notes each buffer in a list as long as the
 * ring and trusts the guest's index for how many there are (22.11), so a guest that claims more
 * than its ring holds would make it write behind that list. A frame takes one buffer, unless
 * buffers are merged; then the index is looked at first, and a ring that claims too much is not
 * used any more. A guest that changes the index between this look and the library's is not
 * caught: whoever fears that offers no MRG_RXBUF.
 */
static uint16_t vhost_room(struct port_vhost *p, int vid, uint16_t ring)
{
	uint16_t size = __atomic_load_n(&p->size[ring], __ATOMIC_RELAXED);
	uint16_t claimed;

	if (!__atomic_load_n(&p->merges, __ATOMIC_RELAXED))
		return RTE_MIN(size, VHOST_TX_BURST);
	claimed = rte_vhost_avail_entries(vid, ring);
	if (likely(claimed <= size))
		return claimed ? VHOST_TX_BURST : 0;
	__atomic_or_fetch(&p->broken, UINT32_C(1) << ring, __ATOMIC_RELAXED);
	return 0;
}

static uint16_t vhost_send(
	struct port_vhost *p, int vid, uint16_t ring, struct rte_mbuf **mbufs, uint16_t count)
{
	uint16_t sent = 0, n, some;

	do {
		some = vhost_room(p, vid, ring);
		some = RTE_MIN(count - sent, some);
		n = some ? rte_vhost_enqueue_burst(vid, ring, &mbufs[sent], some) : 0;
		sent += n;
	} while (sent < count && n && n == some);
	rte_pktmbuf_free_bulk(mbufs, sent); /* the library copies */
	return sent;
}

/*
 * The ring for each frame: all frames of a flow to one, spread over the `rings` (bits) that are
 * ready.
 */
static uint32_t vhost_spread(
	uint32_t rings, struct rte_mbuf **mbufs, uint16_t count, uint8_t *ring_of)
{
	uint32_t n = __builtin_popcount(rings), used = 0;
	uint8_t ring[PORT_QUEUES_MAX];

	for (uint32_t i = 0, left = rings; left; left &= left - 1)
		ring[i++] = __builtin_ctz(left);
	for (uint16_t i = 0; i < count; i++) {
		ring_of[i] = ring[(uint64_t)port_flow_hash(mbufs[i]) * n >> 32];
		used |= UINT32_C(1) << ring_of[i];
	}
	return used;
}

/* Up to VHOST_TX_BURST frames over several rings; what does not fit ends up at the end of mbufs. */
static uint16_t vhost_tx_spread(
	struct port_vhost *p, int vid, uint32_t rings, struct rte_mbuf **mbufs, uint16_t count)
{
	struct rte_mbuf *some[VHOST_TX_BURST], *unsent[VHOST_TX_BURST];
	uint8_t ring_of[VHOST_TX_BURST];
	uint16_t n_unsent = 0;
	uint32_t used = vhost_spread(rings, mbufs, count, ring_of);

	for (; used; used &= used - 1) {
		uint8_t ring = __builtin_ctz(used);
		uint16_t n = 0, sent;

		for (uint16_t i = 0; i < count; i++)
			if (ring_of[i] == ring)
				some[n++] = mbufs[i];
		sent = vhost_send(p, vid, ring, some, n);
		memcpy(&unsent[n_unsent], &some[sent], (n - sent) * sizeof(some[0]));
		n_unsent += n - sent;
	}
	memcpy(&mbufs[count - n_unsent], unsent, n_unsent * sizeof(unsent[0]));
	return count - n_unsent;
}

static uint16_t vhost_tx(struct port *port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
	struct port_vhost *p = vhost_of(port);
	int vid = __atomic_load_n(&p->vid, __ATOMIC_ACQUIRE);
	uint32_t rings = __atomic_load_n(&p->ready, __ATOMIC_ACQUIRE) & VHOST_TX_RINGS &
			 ~__atomic_load_n(&p->broken, __ATOMIC_RELAXED);
	uint16_t done = 0, n;

	(void)queue;
	if (unlikely(vid < 0 || !rings))
		return 0;
	if (!(rings & (rings - 1)))
		return vhost_send(p, vid, __builtin_ctz(rings), mbufs, count);
	do {
		uint16_t some = RTE_MIN(count - done, VHOST_TX_BURST);

		n = vhost_tx_spread(p, vid, rings, &mbufs[done], some);
		done += n;
		if (n < some)
			break;
	} while (done < count);
	return done;
}

/* Of the fullest ring. Where buffers are merged a frame may take two; else it takes a chain. */
static uint16_t vhost_tx_room(const struct port *port, uint16_t *capacity)
{
	const struct port_vhost *p = vhost_of(port);
	int vid = __atomic_load_n(&p->vid, __ATOMIC_ACQUIRE);
	uint32_t rings = __atomic_load_n(&p->ready, __ATOMIC_ACQUIRE) & VHOST_TX_RINGS &
			 ~__atomic_load_n(&p->broken, __ATOMIC_RELAXED);
	bool merges = __atomic_load_n(&p->merges, __ATOMIC_RELAXED);
	uint16_t room = UINT16_MAX;

	if (vid < 0 || !rings)
		return 0;
	for (; rings; rings &= rings - 1) {
		uint16_t ring = __builtin_ctz(rings), size = p->size[ring];
		uint16_t free = rte_vhost_avail_entries(vid, ring);

		if (free >= room)
			continue;
		room = free;
		*capacity = merges ? size / 2 : 0;
	}
	return merges ? room / 2 : room;
}

static int vhost_rx_fd(const struct port *port, uint16_t queue)
{
	int fd = queue < PORT_QUEUES_MAX
			 ? __atomic_load_n(&vhost_of(port)->fds[queue], __ATOMIC_ACQUIRE)
			 : -1;

	return fd >= 0 ? fd : -1;
}

static void vhost_rx_notify(struct port *port, uint16_t queue, bool on)
{
	struct port_vhost *p = vhost_of(port);
	int vid = __atomic_load_n(&p->vid, __ATOMIC_ACQUIRE);
	int fd = vhost_rx_fd(port, queue);
	eventfd_t value;
	const struct iovec iov = {.iov_base = &value, .iov_len = sizeof(value)};

	if (vid < 0 || queue >= p->pairs)
		return;
	rte_vhost_enable_guest_notification(vid, 2 * queue + 1, on);
	/* NOWAIT, whatever flags the front end has set on its descriptor since. */
	if (!on && fd >= 0 && preadv2(fd, &iov, 1, -1, RWF_NOWAIT) < 0)
		return; /* empty already */
}

const struct port_ops port_vhost_ops = {
	.open = vhost_open,
	.close = vhost_close,
	.info = vhost_info,
	.rx = vhost_rx,
	.tx = vhost_tx,
	.tx_room = vhost_tx_room,
	.rx_queues = vhost_rx_queues,
	.rx_fd = vhost_rx_fd,
	.rx_notify = vhost_rx_notify,
};
