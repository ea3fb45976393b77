/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * B04: sessions that are born, change and end while all of them are copied, at random, by 20 seeds;
 * what is at the destination after the final must be what the source has, byte for byte. The walk
 * is held in step with the changes, so that they fall all over it. In the second test what is said
 * comes late, twice, and again from the beginning over another connection.
 *
 * The numbers of sessions and of changes of each kind may be given; by default they are small.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "ctrl/migrate/mover_impl.h"
#include "dataplane/drop.h"
#include "test/unit/move_fixture.h"

#define SEEDS 20
#define LATE_US 50000
#define WALK_SLICE 64 /* sessions that a step of the walk brings, about */

static uint32_t sessions = 20000, changes = 400;
static uint32_t seeds_of_trouble = 4;

static struct vswitch_ops ops[2];
static const struct vswitch_ops *real_ops;
static _Atomic uint32_t changed; /* so far, of 3 * changes */
static _Atomic bool in_step; /* the walk waits for changes */

/* What goes wrong on the way; the source's move thread. */
static struct trouble {
	bool on;
	unsigned int seed;
	uint32_t batches, cut_at; /* 0: not any more */
	bool again; /* `last` comes once more */
	struct session_record last[VSWITCH_EXPORT_BATCH];
	uint32_t n_last;
} trouble;

static struct move *running_at(uint32_t host)
{
	struct move *move = lab.host[host].mover->moves;

	return move && !move->done ? move : NULL;
}

/* Late, and once over a connection that ends now. */
static void comes_late(void)
{
	uint32_t rare = sessions / WALK_SLICE / 16 + 1;

	if (rand_r(&trouble.seed) % rare == 0)
		usleep((useconds_t)(rand_r(&trouble.seed) % LATE_US));
	if (++trouble.batches != trouble.cut_at)
		return;
	trouble.cut_at = 0;
	for (uint32_t host = 0; host < 2; host++) {
		struct move *move = running_at(host);

		if (move && move->source && move->channel)
			shutdown(channel_fd(move->channel), SHUT_RDWR);
	}
}

static uint32_t walk(struct vswitch_export *export, struct session_record *out, bool *end)
{
	static _Thread_local uint32_t walked;
	uint32_t n;

	if (trouble.on && trouble.again) {
		trouble.again = false;
		memcpy(out, trouble.last, trouble.n_last * sizeof(*out));
		return trouble.n_last;
	}
	n = real_ops->export_walk(export, out, end);
	walked = *end ? 0 : walked + n;
	/* In step: as much of the changes is done as of the walk. */
	while (atomic_load(&in_step) &&
		(uint64_t)atomic_load(&changed) * sessions < (uint64_t)walked * 3 * changes)
		usleep(20);
	if (!trouble.on)
		return n;
	comes_late();
	if (!*end && rand_r(&trouble.seed) % 8 == 0) {
		memcpy(trouble.last, out, n * sizeof(*out));
		trouble.n_last = n;
		trouble.again = true;
	}
	return n;
}

static uint32_t round_of(struct vswitch_export *export, struct session_record *out, bool *end)
{
	if (trouble.on)
		comes_late();
	return real_ops->export_changed(export, out, end);
}

static void import_begins(struct vswitch_import *import)
{
	if (trouble.on)
		usleep(50);
	real_ops->import_begin(import);
}

static int start(void **state)
{
	(void)state;
	hosts_start_with(sessions * 2 > 65536 ? sessions * 2 : 65536);
	real_ops = lab.host[0].mover->vswitch.ops;
	for (int i = 0; i < 2; i++) {
		ops[i] = *real_ops;
		ops[i].export_walk = walk;
		ops[i].export_changed = round_of;
		ops[i].import_begin = import_begins;
		lab.host[i].mover->vswitch.ops = &ops[i];
	}
	fake_lab_sessions(&lab, 0, "v", 1, sessions);
	return 0;
}

/* As an operator does it; none: v has no such session. */
static void session_ends(uint32_t host, uint32_t number)
{
	const uint16_t versions[VPORT_PLUGINS_MAX] = {0};
	struct engine *engine = lab.host[host].engine;
	struct import_context context = {.vport = fake_lab_vport(&lab, host, "v"),
		.state_versions = versions,
		.by_operator = true};
	struct session_tuple tuple = {.local = fake_addr(V),
		.remote = fake_addr(W),
		.vni = 100,
		.local_port = RTE_BE16(80),
		.remote_port = rte_cpu_to_be_16((uint16_t)number),
		.proto = IPPROTO_TCP};
	struct session_record living;
	int reader = engine_reader_register(engine);

	tuple.remote.s6_addr[15] = (uint8_t)(9 + (number >> 16));
	engine_reader_online(engine, reader);
	if (session_import_find(&context, &tuple, &living))
		session_import_tombstone(&context, living.birth_id, &tuple);
	engine_reader_offline(engine, reader);
	engine_reader_unregister(engine, reader);
}

static void change(uint32_t host, unsigned int *seed)
{
	uint32_t any = (uint32_t)rand_r(seed);

	switch (any % 3) {
	case 0: /* born by a packet, or changed by one */
		v_sends_udp(host, (uint16_t)(any >> 8));
		break;
	case 1:
		v_sends_udp(host, (uint16_t)(1024 + (any >> 8) % 512));
		break;
	default:
		session_ends(host, 1 + (any >> 8) % sessions);
	}
}

/* With `more`: half-way a third more sessions than there were, beyond what was made room for. */
static void changes_while_it_is_copied(uint32_t host, const char *id, unsigned int *seed, bool more)
{
	struct mover_view view;

	for (uint32_t i = 0; i < 3 * changes; i++) {
		if (more && i == 3 * changes / 2)
			fake_lab_sessions(&lab, host, "v", sessions + 1, sessions / 3);
		change(host, seed);
		atomic_fetch_add(&changed, 1);
		/* A connection that was made again: the walk begins anew, with what is left. */
		assert_int_equal(mover_view(lab.host[host].mover, id, &view), 0);
		assert_false(view.done);
	}
}

/* The first lines in which they differ. */
static void differ(const char *here, const char *there, unsigned int n)
{
	while (*here == *there) {
		const char *end = strchr(here, '\n');

		if (!end || strncmp(here, there, (size_t)(end - here) + 1) != 0)
			break;
		there += end + 1 - here;
		here = end + 1;
	}
	fail_msg("seed %u: %.200s\n is at the destination %.200s", n, here, there);
}

static void tables_are_the_same(uint32_t from, uint32_t to, unsigned int n)
{
	char *before = fake_lab_dump(&lab, from, "v"), *after = fake_lab_dump(&lab, to, "v");

	if (strcmp(before, after) != 0) {
		struct move *move = running_at(to);
		const struct move_sessions *is = &move->port[0].sessions;

		fprintf(stderr,
			"# %.14s, at the destination %.14s: installed %llu, updated %llu, old "
			"%llu, "
			"refused %llu, conflicting %llu, digest %s, %u reconnects\n",
			before, after, (unsigned long long)is->installed,
			(unsigned long long)is->updated, (unsigned long long)is->old,
			(unsigned long long)is->refused, (unsigned long long)is->conflict,
			is->digest_ok ? "same" : "another", move->reconnects);
		for (int i = 1; i < DROP_COUNT; i++)
			if (is->by_reason[i])
				fprintf(stderr, "# %s: %llu\n", drop_name((enum drop_reason)i),
					(unsigned long long)is->by_reason[i]);
		differ(strchr(before, '\n') + 1, strchr(after, '\n') + 1, n);
	}
	free(before);
	free(after);
}

/* A move there, with changes all the time, until it is frozen. */
static void moves_with_changes(unsigned int n)
{
	uint32_t from = n & 1, to = !from;
	unsigned int seed = n + 1;
	struct mover_view view;
	char id[37];

	atomic_store(&changed, 0);
	atomic_store(&in_step, true);
	fake_lab_move(&lab, from, to, "v", id);
	changes_while_it_is_copied(from, id, &seed, n == 0);
	atomic_store(&in_step, false);
	assert_true(fake_lab_phase(&lab, from, id, MOVER_READY, 60000));
	for (uint32_t i = 0; i < changes; i++)
		change(from, &seed);
	fake_lab_rings(&lab, from, "v", false);
	assert_true(fake_lab_phase(&lab, to, id, MOVER_VERIFIED, 60000));
	tables_are_the_same(from, to, n);
	fake_lab_rings(&lab, to, "v", true);
	fake_lab_over(&lab, from, id, &view);
	assert_int_equal(view.phase, MOVER_COMMITTED);
	fake_lab_over(&lab, to, id, &view);
}

static void B04_nothing_is_lost_that_changes_while_all_is_copied_20_seeds(void **state)
{
	(void)state;
	memset(&trouble, 0, sizeof(trouble));
	for (unsigned int n = 0; n < SEEDS; n++)
		moves_with_changes(n);
}

static void B04_nor_is_it_when_messages_come_late_twice_and_again(void **state)
{
	(void)state;
	for (unsigned int n = 0; n < seeds_of_trouble; n++) {
		memset(&trouble, 0, sizeof(trouble));
		trouble.seed = n + 100;
		trouble.cut_at = 1 + (uint32_t)rand_r(&trouble.seed) % (sessions / WALK_SLICE);
		trouble.on = true;
		moves_with_changes(n);
		trouble.on = false;
		assert_int_equal(trouble.cut_at, 0); /* it was cut, and came again */
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			B04_nothing_is_lost_that_changes_while_all_is_copied_20_seeds, start,
			lab_end),
		cmocka_unit_test_setup_teardown(
			B04_nor_is_it_when_messages_come_late_twice_and_again, start, lab_end),
	};

	if (argc > 2) {
		sessions = (uint32_t)atoi(argv[1]);
		changes = (uint32_t)atoi(argv[2]);
		seeds_of_trouble = SEEDS;
	}
	if (argc > 3)
		cmocka_set_test_filter(argv[3]);
	return cmocka_run_group_tests(tests, move_setup, NULL);
}
