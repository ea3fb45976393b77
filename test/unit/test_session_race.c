/* SPDX-License-Identifier: BSD-3-Clause */
/* Two workers at one session, both directions or one. Meant for ThreadSanitizer as well. */
#include <pthread.h>

#include "test/unit/track_fixture.h"

#define ROUNDS 2000
#define SEGMENTS 50
#define SEGMENT_LEN 100

/* One session and what each side has got through the tracker so far. */
struct race {
	struct session s;
	struct track_policy policy;
	pthread_barrier_t start;
	_Atomic uint32_t tracked[2]; /* by enum pkt_dir: end of what passed */
	_Atomic uint32_t drops, changes;
	struct track_fixture lane[2]; /* packets of each worker; only these are used */
};

struct worker {
	struct race *race;
	enum pkt_dir dir;
	pthread_t thread;
};

static struct race race;

static void track(struct race *r, enum pkt_dir dir, int lane, struct fake_packet spec)
{
	bool changed = false;

	spec.window = 64240;
	spec.zero_l4_csum = true;
	if (track_packet_fast(&r->s, &r->policy, fixture_packet(&r->lane[lane], dir, spec), 1,
		    &changed) != DROP_NONE)
		r->drops++;
	if (changed)
		r->changes++;
}

/* A handshake up to the ACK that completes it. */
static void begin(struct race *r)
{
	struct fake_packet syn = {.tcp_flags = RTE_TCP_SYN_FLAG, .seq = 100, .window = 64240};
	struct fake_packet syn_ack = {
		.tcp_flags = RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG, .seq = 900, .ack = 101};

	fixture_init(&r->lane[0], IPPROTO_TCP);
	fixture_init(&r->lane[1], IPPROTO_TCP);
	track_open(&r->s, &r->policy, fixture_packet(&r->lane[0], FROM_C, syn), 1);
	track(r, FROM_V, 0, syn_ack);
	r->tracked[FROM_C] = 101;
	r->tracked[FROM_V] = 901;
	r->changes = 0;
}

static void *talk(void *arg)
{
	struct worker *w = arg;
	struct race *r = w->race;
	uint32_t seq = r->tracked[w->dir];
	struct fake_packet spec = {.tcp_flags = RTE_TCP_ACK_FLAG, .payload_len = SEGMENT_LEN};

	pthread_barrier_wait(&r->start);
	for (int i = 0; i <= SEGMENTS; i++) {
		if (i == SEGMENTS) {
			spec.tcp_flags |= RTE_TCP_FIN_FLAG;
			spec.payload_len = 0;
		}
		spec.seq = seq;
		spec.ack = atomic_load(&r->tracked[w->dir ^ 1]);
		track(r, w->dir, w->dir, spec);
		seq += spec.payload_len + (i == SEGMENTS);
		atomic_store(&r->tracked[w->dir], seq);
	}
	return NULL;
}

static void run_workers(struct race *r, void *(*work)(void *))
{
	struct worker workers[2] = {{.race = r, .dir = FROM_C}, {.race = r, .dir = FROM_V}};

	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(workers[i].thread, NULL);
}

static void both_directions_at_once_lose_nothing_and_close(void **unused)
{
	struct fake_packet ack = {.tcp_flags = RTE_TCP_ACK_FLAG};

	for (int i = 0; i < ROUNDS / 10; i++) {
		begin(&race);
		ack.seq = 101;
		ack.ack = 901;
		track(&race, FROM_C, 0, ack);
		run_workers(&race, talk);
		assert_int_equal(race.drops, 0);
		assert_int_equal(race.s.half[FROM_C].seq_end, race.tracked[FROM_C]);
		assert_int_equal(race.s.half[FROM_V].seq_end, race.tracked[FROM_V]);
		assert_int_equal(race.s.half[FROM_C].packets, 2 + SEGMENTS + 1);
		/* Each acknowledges the other's FIN: over, whoever was first. */
		for (int dir = 0; dir < 2; dir++) {
			ack.seq = race.tracked[dir];
			ack.ack = race.tracked[!dir];
			track(&race, (enum pkt_dir)dir, 0, ack);
		}
		assert_int_equal(race.drops, 0);
		ASSERT_STATE(&race, "tcp-time-wait");
	}
}

/* The same packet of C comes by both workers. */
static void *complete(void *arg)
{
	struct worker *w = arg;
	struct fake_packet ack = {.tcp_flags = RTE_TCP_ACK_FLAG, .seq = 101, .ack = 901};

	pthread_barrier_wait(&w->race->start);
	track(w->race, FROM_C, w->dir, ack);
	return NULL;
}

static void one_direction_at_two_workers_changes_the_state_once(void **unused)
{
	for (int i = 0; i < ROUNDS; i++) {
		begin(&race);
		run_workers(&race, complete);
		assert_int_equal(race.drops, 0);
		assert_int_equal(race.changes, 1);
		ASSERT_STATE(&race, "tcp-established");
	}
}

static int set_up(void **unused)
{
	return pthread_barrier_init(&race.start, NULL, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_directions_at_once_lose_nothing_and_close),
		cmocka_unit_test(one_direction_at_two_workers_changes_the_state_once),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
