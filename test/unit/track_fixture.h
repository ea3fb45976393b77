/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TRACK_FIXTURE_H
#define FERRY_TRACK_FIXTURE_H
/*
 * One tuple under the trackers, without table and engine: what a worker does with each packet
 * (find, reopen, admit, track), on a clock of the test's own. C (198.51.100.10, port 40000) is the
 * remote side, V (10.0.0.5, port 80) the vport, so C -> V is ingress.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/session_track_fast.h"
#include "test/fake/fake_packet.h"

#define FROM_C PKT_INGRESS
#define FROM_V PKT_EGRESS

struct track_fixture {
	struct session s;
	struct track_policy policy;
	struct session_timeouts timeouts;
	uint32_t now_ms;
	uint16_t window; /* of packets that name none */
	uint8_t proto;
	bool ipv6;
	bool exists;
	bool changed; /* by the last packet */
	uint32_t opened; /* sessions made so far */
	struct fake_pkt packet;
};

static inline void fixture_init(struct track_fixture *f, uint8_t proto)
{
	memset(f, 0, sizeof(*f));
	f->proto = proto;
	f->window = 64240;
	f->now_ms = 1000;
	session_timeouts_default(&f->timeouts);
}

static inline uint8_t fixture_flags(const char *text)
{
	static const struct {
		char letter;
		uint8_t flag;
	} names[] = {{'F', RTE_TCP_FIN_FLAG}, {'S', RTE_TCP_SYN_FLAG}, {'R', RTE_TCP_RST_FLAG},
		{'P', RTE_TCP_PSH_FLAG}, {'A', RTE_TCP_ACK_FLAG}, {'U', RTE_TCP_URG_FLAG},
		{'E', RTE_TCP_ECE_FLAG}, {'C', RTE_TCP_CWR_FLAG}};
	uint8_t flags = 0;

	for (size_t i = 0; i < RTE_DIM(names); i++)
		flags |= strchr(text, names[i].letter) ? names[i].flag : 0;
	return flags;
}

/* A packet of the tuple: `spec` says the rest. */
static inline struct pkt *fixture_packet(
	struct track_fixture *f, enum pkt_dir dir, struct fake_packet spec)
{
	const char *c = f->ipv6 ? "2001:db8::10" : "198.51.100.10";
	const char *v = f->ipv6 ? "2001:db8:5::5" : "10.0.0.5";

	spec.proto = f->proto;
	spec.src = dir == FROM_C ? c : v;
	spec.dst = dir == FROM_C ? v : c;
	if (!spec.sport && !spec.dport) {
		spec.sport = dir == FROM_C ? 40000 : 80;
		spec.dport = dir == FROM_C ? 80 : 40000;
	}
	return fake_pkt_make(&f->packet, &spec, dir);
}

/* What a worker does with a packet whose tuple is ours. */
static inline enum drop_reason fixture_track(struct track_fixture *f, struct pkt *p)
{
	enum drop_reason reason;

	f->changed = false;
	if (f->exists && session_expired(&f->s, &f->timeouts, f->now_ms))
		f->exists = false;
	if (f->exists && track_reopens(&f->s, p))
		f->exists = false;
	if (f->exists)
		return track_packet_fast(&f->s, &f->policy, p, f->now_ms, &f->changed);
	reason = track_may_open(&f->policy, p);
	if (reason != DROP_NONE)
		return reason;
	memset(&f->s, 0xa5, sizeof(f->s)); /* the constructor's memory is not clean */
	f->s.key = p->key;
	track_open(&f->s, &f->policy, p, f->now_ms);
	f->exists = true;
	f->opened++;
	return DROP_NONE;
}

static inline enum drop_reason fixture_send(
	struct track_fixture *f, enum pkt_dir dir, const char *flags, struct fake_packet spec)
{
	spec.tcp_flags = fixture_flags(flags);
	if (!spec.window)
		spec.window = f->window;
	return fixture_track(f, fixture_packet(f, dir, spec));
}

/* TCP: SEND(f, FROM_C, "SA", .seq = 1, .ack = 2). PASS: it must be forwarded. */
#define SEND(f, dir, flags, ...) fixture_send(f, dir, flags, (struct fake_packet){__VA_ARGS__})
#define PASS(f, dir, flags, ...) assert_int_equal(SEND(f, dir, flags, __VA_ARGS__), DROP_NONE)
#define ASSERT_STATE(f, expected) \
	assert_string_equal(session_state_name(session_state(&(f)->s)), expected)

/* C:100 and V:900 have shaken hands: next are C 101 and V 901. */
static inline void fixture_establish(struct track_fixture *f)
{
	PASS(f, FROM_C, "S", .seq = 100);
	PASS(f, FROM_V, "SA", .seq = 900, .ack = 101);
	PASS(f, FROM_C, "A", .seq = 101, .ack = 901);
	ASSERT_STATE(f, "tcp-established");
}

/* V sends full segments, without an ack in between. */
static inline void fixture_transfer(
	struct track_fixture *f, uint32_t *seq, uint32_t ack, int segments)
{
	for (int i = 0; i < segments; i++, *seq += 1448)
		PASS(f, FROM_V, "A", .seq = *seq, .ack = ack, .payload_len = 1448, .window = 509);
}

static inline uint32_t fixture_idle_ms(const struct track_fixture *f)
{
	return f->timeouts.idle_ms[session_idle_state(&f->s)];
}

#endif
