/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tags: an INIT or INIT-ACK names the tag that its sender wants to see in what it receives. It is
 * kept as pending (seq_limit of the half that must send it) and comes into force (seq_end) with the
 * COOKIE-ECHO, which only one who has read the INIT-ACK can send. Until then an association that
 * exists goes on under its old tags, so an INIT from a stranger, or one that is lost, does it no
 * harm (RFC 9260 5.2.2).
 */
#include "dataplane/session_sctp.h"

#include <string.h>

#include <rte_sctp.h>

#include "dataplane/session_track_fast.h"

#define SCTP_CHUNK_HEADER 4
#define SCTP_CHUNKS_MAX 32
#define SCTP_INIT_MIN 20
#define SCTP_REFLECTED 1 /* T flag: the tag is the receiver's own, sent back */

enum sctp_class {
	SCTP_CLASS_DATA, /* and all else that lives in an association */
	SCTP_CLASS_INIT,
	SCTP_CLASS_INIT_ACK,
	SCTP_CLASS_COOKIE_ECHO,
	SCTP_CLASS_COOKIE_ACK,
	SCTP_CLASS_ABORT,
	SCTP_CLASS_SHUTDOWN,
	SCTP_CLASS_SHUTDOWN_COMPLETE,
	SCTP_CLASS_COUNT,
};

/* By chunk type; the rest is DATA. */
static const uint8_t sctp_class_of_chunk[16] = {
	[1] = SCTP_CLASS_INIT,
	[2] = SCTP_CLASS_INIT_ACK,
	[6] = SCTP_CLASS_ABORT,
	[7] = SCTP_CLASS_SHUTDOWN,
	[8] = SCTP_CLASS_SHUTDOWN, /* SHUTDOWN ACK */
	[10] = SCTP_CLASS_COOKIE_ECHO,
	[11] = SCTP_CLASS_COOKIE_ACK,
	[14] = SCTP_CLASS_SHUTDOWN_COMPLETE,
};

#define IN SESSION_SCTP_INIT
#define IA SESSION_SCTP_INIT_ACK
#define CK SESSION_SCTP_COOKIE
#define ES SESSION_SCTP_ESTABLISHED
#define SD SESSION_SCTP_SHUTDOWN
#define CL SESSION_SCTP_CLOSED

/*
 * The next state, for packets whose tag is right. DATA on a set-up under way is a sign that the
 * association before it lives on. Simultaneous INITs (5.2.1) need no row of their own: the tags
 * pair up.
 */
static const uint8_t sctp_edges[SCTP_CLASS_COUNT][SESSION_SCTP_CLOSED - SESSION_SCTP_INIT + 1] = {
	/* in state                 IN  IA  CK  ES  SD  CL */
	[SCTP_CLASS_DATA] = {ES, ES, CK, ES, SD, CL},
	[SCTP_CLASS_INIT] = {IN, IA, CK, IN, SD, CL},
	[SCTP_CLASS_INIT_ACK] = {IA, IA, CK, ES, SD, CL},
	[SCTP_CLASS_COOKIE_ECHO] = {CK, CK, CK, CK, CK, CL},
	[SCTP_CLASS_COOKIE_ACK] = {ES, ES, ES, ES, SD, CL},
	[SCTP_CLASS_ABORT] = {CL, CL, CL, CL, CL, CL},
	[SCTP_CLASS_SHUTDOWN] = {SD, SD, SD, SD, SD, CL},
	[SCTP_CLASS_SHUTDOWN_COMPLETE] = {IN, IA, CK, ES, CL, CL},
};

#undef IN
#undef IA
#undef CK
#undef ES
#undef SD
#undef CL

struct sctp_packet {
	uint32_t tag;
	uint32_t init_tag; /* of INIT and INIT-ACK */
	uint8_t class; /* enum sctp_class */
	bool reflected;
};

static bool read_bytes(const struct pkt *p, uint32_t off, uint32_t len, void *copy)
{
	const void *at = rte_pktmbuf_read(p->mbuf, off, len, copy);

	if (at && at != copy)
		memcpy(copy, at, len);
	return at;
}

/* INIT and INIT-ACK stand alone and carry a tag; an INIT has none of its own (8.5.1). */
static bool read_init(const struct pkt *p, uint32_t off, uint16_t chunk_len, struct sctp_packet *g)
{
	rte_be32_t tag;

	if (chunk_len < SCTP_INIT_MIN || !read_bytes(p, off + SCTP_CHUNK_HEADER, sizeof(tag), &tag))
		return false;
	g->init_tag = rte_be_to_cpu_32(tag);
	return g->init_tag != 0 && (g->class == SCTP_CLASS_INIT) == (g->tag == 0);
}

/* The class of a packet is that of its first chunk that is more than DATA. */
static bool read_packet(const struct pkt *p, struct sctp_packet *g)
{
	uint32_t off = p->l4_off + sizeof(struct rte_sctp_hdr), end = off + p->payload_len;
	const struct rte_sctp_hdr *sctp = pkt_l4(p);
	uint8_t chunk[SCTP_CHUNK_HEADER];

	*g = (struct sctp_packet){.tag = rte_be_to_cpu_32(sctp->tag), .class = SCTP_CLASS_DATA};
	for (int i = 0; i < SCTP_CHUNKS_MAX && off + SCTP_CHUNK_HEADER <= end; i++) {
		uint16_t len;

		if (!read_bytes(p, off, sizeof(chunk), chunk))
			return i > 0;
		len = (uint16_t)(chunk[2] << 8 | chunk[3]);
		if (len < SCTP_CHUNK_HEADER || (off + len > end && !(p->flags & PKT_FRAGMENT)))
			return i > 0;
		g->class = chunk[0] < RTE_DIM(sctp_class_of_chunk) ? sctp_class_of_chunk[chunk[0]]
								   : SCTP_CLASS_DATA;
		g->reflected = chunk[1] & SCTP_REFLECTED;
		if (g->class == SCTP_CLASS_INIT || g->class == SCTP_CLASS_INIT_ACK)
			return i == 0 && read_init(p, off, len, g);
		if (g->class != SCTP_CLASS_DATA)
			return true;
		off += RTE_ALIGN_CEIL((uint32_t)len, 4u);
	}
	return p->payload_len >= SCTP_CHUNK_HEADER;
}

static bool tag_is(const uint32_t *kept, uint32_t tag)
{
	return tag != 0 && SESSION_GET(*kept) == tag;
}

/* The tags that came with the set-up are in force. */
static void tags_commit(struct session_half *own, struct session_half *other)
{
	struct session_half *both[2] = {own, other};

	for (int i = 0; i < 2; i++) {
		if (SESSION_GET(both[i]->seq_limit) != 0)
			SESSION_SET(both[i]->seq_end, SESSION_GET(both[i]->seq_limit));
		SESSION_SET(both[i]->seq_limit, 0);
	}
}

/* ABORT and SHUTDOWN-COMPLETE may carry the receiver's tag back to it (8.5.1). */
static bool end_tag_good(const struct session *s, const struct pkt *p, const struct sctp_packet *g)
{
	const struct session_half *own = &s->half[p->dir], *other = &s->half[p->dir ^ 1];

	return tag_is(&own->seq_end, g->tag) || (g->reflected && tag_is(&other->seq_end, g->tag));
}

/* A side not heard before: its tag is taken as it is, but not to end the association or begin
 * another. */
static bool unheard(const struct session_half *own, const struct sctp_packet *g)
{
	return (SESSION_GET(own->flags) & SESSION_HALF_LIBERAL) && g->tag != 0 &&
	       (g->class == SCTP_CLASS_DATA || g->class == SCTP_CLASS_COOKIE_ACK ||
		       g->class == SCTP_CLASS_SHUTDOWN);
}

/* The next state by a packet, or SESSION_NONE when its tag is wrong. */
static enum session_state judge(const struct session *s, const struct pkt *p,
	const struct sctp_packet *g, enum session_state state)
{
	const struct session_half *own = &s->half[p->dir];
	bool known = SESSION_GET(own->seq_end) != 0;
	bool good, pending = tag_is(&own->seq_limit, g->tag);

	switch (g->class) {
	case SCTP_CLASS_INIT:
		good = true;
		break;
	case SCTP_CLASS_INIT_ACK:
		good = pending;
		break;
	case SCTP_CLASS_COOKIE_ECHO:
		good = pending || tag_is(&own->seq_end, g->tag);
		if (!pending && good)
			return state; /* again, its answer was lost */
		break;
	case SCTP_CLASS_ABORT:
		if (pending && known && !tag_is(&own->seq_end, g->tag))
			return SESSION_SCTP_ESTABLISHED; /* of the new set-up only */
		good = pending || end_tag_good(s, p, g);
		break;
	case SCTP_CLASS_SHUTDOWN_COMPLETE:
		good = end_tag_good(s, p, g);
		break;
	default:
		good = tag_is(&own->seq_end, g->tag);
		break;
	}
	good |= unheard(own, g);
	return good ? sctp_edges[g->class][state - SESSION_SCTP_INIT] : SESSION_NONE;
}

static void take(struct session *s, const struct pkt *p, const struct sctp_packet *g)
{
	struct session_half *own = &s->half[p->dir], *other = &s->half[p->dir ^ 1];
	uint8_t flags = SESSION_GET(own->flags);

	if (g->class == SCTP_CLASS_INIT || g->class == SCTP_CLASS_INIT_ACK) {
		SESSION_SET(other->seq_limit, g->init_tag);
	} else if (g->class == SCTP_CLASS_COOKIE_ECHO && tag_is(&own->seq_limit, g->tag)) {
		tags_commit(own, other);
	} else if (flags & SESSION_HALF_LIBERAL) {
		SESSION_SET(own->seq_end, g->tag);
		SESSION_SET(own->flags, flags & ~SESSION_HALF_LIBERAL);
	}
	if (!(flags & SESSION_HALF_SEEN))
		SESSION_SET(own->flags, SESSION_GET(own->flags) | SESSION_HALF_SEEN);
}

enum drop_reason session_sctp_packet(
	struct session *s, const struct pkt *p, uint32_t now_ms, bool *changed)
{
	uint64_t word = atomic_load_explicit(&s->state, memory_order_acquire), next;
	enum session_state state;
	struct sctp_packet g;

	if (!read_packet(p, &g))
		return DROP_BAD_L4;
	do {
		if (word & SESSION_DEAD)
			return DROP_SESSION_CLOSED;
		state = word & SESSION_STATE_MASK;
		if (state < SESSION_SCTP_INIT || state > SESSION_SCTP_CLOSED)
			return DROP_BAD_L4;
		state = judge(s, p, &g, state);
		if (state == SESSION_NONE)
			return DROP_SCTP_TAG;
		take(s, p, &g);
		next = (word & ~SESSION_STATE_MASK) | state;
		next |= state == SESSION_SCTP_ESTABLISHED ? SESSION_ASSURED : 0;
	} while (next != word && !atomic_compare_exchange_weak_explicit(&s->state, &word, next,
					 memory_order_release, memory_order_acquire));
	if (next != word)
		*changed = true;
	track_count(s, p, p->dir);
	track_refresh(s, now_ms);
	return DROP_NONE;
}

enum drop_reason session_sctp_may_open(const struct track_policy *policy, const struct pkt *p)
{
	struct sctp_packet g;

	if (!read_packet(p, &g))
		return DROP_BAD_L4;
	if (g.class == SCTP_CLASS_INIT)
		return DROP_NONE;
	if (!policy->pickup || g.tag == 0)
		return DROP_NO_SESSION;
	return g.class == SCTP_CLASS_DATA || g.class == SCTP_CLASS_COOKIE_ECHO ? DROP_NONE
									       : DROP_NO_SESSION;
}

bool session_sctp_reopens(const struct session *s, const struct pkt *p)
{
	struct sctp_packet g;

	return session_state(s) == SESSION_SCTP_CLOSED && read_packet(p, &g) &&
	       g.class == SCTP_CLASS_INIT;
}

bool session_sctp_rejudges(const struct session *s, const struct pkt *p)
{
	bool known = SESSION_GET(s->half[0].seq_end) | SESSION_GET(s->half[1].seq_end);
	struct sctp_packet g;

	return known && session_state(s) != SESSION_SCTP_CLOSED && read_packet(p, &g) &&
	       g.class == SCTP_CLASS_INIT;
}

void session_sctp_open(struct session *s, const struct pkt *p)
{
	uint64_t word = p->dir == PKT_INGRESS ? SESSION_FIRST_INGRESS | SESSION_LEAD_INGRESS : 0;
	struct session_half *own = &s->half[p->dir], *other = &s->half[p->dir ^ 1];
	struct sctp_packet g;

	read_packet(p, &g);
	own->flags = SESSION_HALF_SEEN;
	if (g.class == SCTP_CLASS_INIT) {
		other->seq_limit = g.init_tag;
		word |= SESSION_SCTP_INIT;
	} else {
		own->seq_end = g.tag;
		other->flags = SESSION_HALF_LIBERAL;
		word |= SESSION_PICKUP;
		word |= g.class == SCTP_CLASS_COOKIE_ECHO ? SESSION_SCTP_COOKIE
							  : SESSION_SCTP_ESTABLISHED;
	}
	atomic_store_explicit(&s->state, word, memory_order_release);
}

enum drop_reason session_sctp_related(const struct session *s, uint8_t error_dir, uint32_t tag)
{
	const struct session_half *sender = &s->half[error_dir ^ 1];

	if (SESSION_GET(sender->flags) & SESSION_HALF_LIBERAL)
		return DROP_NONE;
	if (tag_is(&sender->seq_end, tag) || tag_is(&sender->seq_limit, tag))
		return DROP_NONE;
	/* About an INIT: plausible while a set-up of this side is under way. */
	return tag == 0 && SESSION_GET(s->half[error_dir].seq_limit) != 0 ? DROP_NONE
									  : DROP_SCTP_TAG;
}
