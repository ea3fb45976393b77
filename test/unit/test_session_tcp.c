/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every edge of the TCP state table: each state is reached by packets (by whom it is led in both
 * ways), then each combination of FIN, SYN, RST and ACK comes from each side with numbers as its
 * sender would choose them, and the next state is what is written here.
 */
#include "test/unit/track_fixture.h"

enum { C, V };

/* Numbers of both sides as they themselves keep them. */
struct side {
	uint32_t iss, next;
	bool syn, fin;
};

struct play {
	struct track_fixture f;
	struct side side[2];
};

static enum pkt_dir dir_of(int who)
{
	return who == C ? FROM_C : FROM_V;
}

/* Send flags from a side with the numbers it would use: its SYN or FIN again if it has sent it
 * before. */
static enum drop_reason play_send(struct play *play, int who, const char *flags)
{
	struct side *own = &play->side[who], *other = &play->side[!who];
	bool syn = strchr(flags, 'S'), fin = strchr(flags, 'F');
	uint32_t seq = own->next, ack = strchr(flags, 'A') ? other->next : 0;

	if (syn)
		seq = own->iss;
	else if (fin && own->fin)
		seq = own->next - 1;
	return SEND(&play->f, dir_of(who), flags, .seq = seq, .ack = ack);
}

static void play_sent(struct play *play, int who, const char *flags)
{
	struct side *own = &play->side[who];

	if (strchr(flags, 'S') && !own->syn) {
		own->syn = true;
		own->next = own->iss + 1;
	} else if (strchr(flags, 'F') && !own->fin) {
		own->fin = true;
		own->next++;
	}
}

/* "C:S V:SA C:A": all must pass. mirror swaps the sides. */
static void play_script(struct play *play, const char *script, bool mirror)
{
	char flags[8];
	char who;

	memset(play, 0, sizeof(*play));
	fixture_init(&play->f, IPPROTO_TCP);
	play->side[C].iss = play->side[C].next = 0xfffffff0; /* wraps in some scripts */
	play->side[V].iss = play->side[V].next = 0x7ffffffe;
	while (sscanf(script, " %c:%7[A-Z]", &who, flags) == 2) {
		int side = (who == 'C') != mirror ? C : V;

		assert_int_equal(play_send(play, side, flags), DROP_NONE);
		play_sent(play, side, flags);
		script += strcspn(script + 1, " ") + 1;
		if (!*script)
			break;
	}
}

/*
 * Next state by segment: S, SA, A, FA, R, RA. C is the side that leads the state in the script, V
 * the other.
 * "!flags", "!window", "!rst": dropped, nothing changes. "new": a new connection.
 */
struct row {
	const char *state;
	const char *script;
	const char *by_c[6], *by_v[6];
};

static const char *const segments[6] = {"S", "SA", "A", "FA", "R", "RA"};

#define SS "tcp-syn-sent"
#define S2 "tcp-simultaneous-open"
#define SR "tcp-syn-recv"
#define ES "tcp-established"
#define FW "tcp-fin-wait"
#define CW "tcp-close-wait"
#define LA "tcp-last-ack"
#define TW "tcp-time-wait"
#define CL "tcp-close"
#define BAD "!flags"

static const struct row rows[] = {
	{SS, "C:S", {SS, BAD, BAD, BAD, CL, CL}, {S2, SR, SS, BAD, "!rst", CL}},
	{S2, "C:S V:S", {S2, SR, SR, BAD, CL, CL}, {S2, SR, SR, BAD, CL, CL}},
	{SR, "C:S V:SA", {SR, ES, ES, FW, CL, CL}, {SR, SR, SR, SR, CL, CL}},
	{SR, "V:S C:S V:SA", {SR, ES, ES, FW, CL, CL}, {SR, SR, SR, SR, CL, CL}},
	{ES, "C:S V:SA C:A", {ES, ES, ES, FW, CL, CL}, {ES, ES, ES, FW, CL, CL}},
	{ES, "C:S V:S C:SA V:SA", {ES, ES, ES, FW, CL, CL}, {ES, ES, ES, FW, CL, CL}},
	{FW, "C:S V:SA C:A C:FA", {FW, FW, FW, FW, CL, CL}, {FW, FW, CW, LA, CL, CL}},
	{FW, "V:S C:SA V:A C:FA", {FW, FW, FW, FW, CL, CL}, {FW, FW, CW, LA, CL, CL}},
	{CW, "C:S V:SA C:A C:FA V:A", {CW, CW, CW, CW, CL, CL}, {CW, CW, CW, LA, CL, CL}},
	{LA, "C:S V:SA C:A C:FA V:A V:FA", {LA, LA, TW, TW, CL, CL}, {LA, LA, LA, LA, CL, CL}},
	{LA, "C:S V:SA C:A C:FA V:FA", {LA, LA, TW, TW, CL, CL}, {LA, LA, LA, LA, CL, CL}},
	{TW, "C:S V:SA C:A C:FA V:A V:FA C:A", {TW, TW, TW, TW, CL, CL}, {TW, TW, TW, TW, CL, CL}},
	{CL, "C:S V:SA C:A C:R", {"new", CL, CL, CL, CL, CL}, {"new", CL, CL, CL, CL, CL}},
};

static enum drop_reason reason_of(const char *expected)
{
	if (strcmp(expected, BAD) == 0)
		return DROP_TCP_FLAGS;
	if (strcmp(expected, "!rst") == 0)
		return DROP_TCP_RST;
	return expected[0] == '!' ? DROP_TCP_WINDOW : DROP_NONE;
}

static void check_edge(const struct row *row, bool mirror, int who, int segment)
{
	const char *expected = who == C ? row->by_c[segment] : row->by_v[segment];
	struct play play;
	struct session before;
	enum drop_reason reason;

	play_script(&play, row->script, mirror);
	ASSERT_STATE(&play.f, row->state);
	before = play.f.s;
	reason = play_send(&play, (who == C) != mirror ? C : V, segments[segment]);
	if (strcmp(expected, "new") == 0) {
		assert_int_equal(reason, DROP_NONE);
		assert_int_equal(play.f.opened, 2);
		return;
	}
	if (reason != reason_of(expected) || play.f.opened != 1)
		fail_msg("%s (%s%s), %s from %c: %s", row->state, row->script,
			mirror ? ", mirrored" : "", segments[segment], "CV"[who],
			drop_name(reason));
	if (expected[0] == '!') {
		assert_memory_equal(&before, &play.f.s, sizeof(before));
		assert_false(play.f.changed);
		return;
	}
	if (strcmp(session_state_name(session_state(&play.f.s)), expected) != 0)
		fail_msg("%s (%s%s), %s from %c: now %s, not %s", row->state, row->script,
			mirror ? ", mirrored" : "", segments[segment], "CV"[who],
			session_state_name(session_state(&play.f.s)), expected);
	assert_int_equal(play.f.changed, before.state != play.f.s.state);
}

static void every_edge_of_the_state_table_leads_where_it_should(void **unused)
{
	for (size_t r = 0; r < RTE_DIM(rows); r++) {
		for (int mirror = 0; mirror < 2; mirror++) {
			for (int segment = 0; segment < 6; segment++) {
				check_edge(&rows[r], mirror, C, segment);
				check_edge(&rows[r], mirror, V, segment);
			}
		}
	}
}

static bool is_sane(uint8_t flags)
{
	uint8_t rest = flags & ~RTE_TCP_ACK_FLAG;

	if (rest == 0 || rest == RTE_TCP_FIN_FLAG)
		return flags & RTE_TCP_ACK_FLAG;
	return rest == RTE_TCP_SYN_FLAG || rest == RTE_TCP_RST_FLAG;
}

static void flags_that_no_stack_sends_are_dropped_in_every_state(void **unused)
{
	const uint8_t used = fixture_flags("FSRA");
	struct session before;
	struct play play;

	for (size_t r = 0; r < RTE_DIM(rows); r++) {
		play_script(&play, rows[r].script, false);
		before = play.f.s;
		for (int flags = 0; flags < 256; flags++) {
			struct fake_packet spec = {.tcp_flags = (uint8_t)flags,
				.window = 1000,
				.seq = play.side[C].next,
				.ack = play.side[V].next};

			if (is_sane(flags & used))
				continue;
			assert_int_equal(
				fixture_track(&play.f, fixture_packet(&play.f, FROM_C, spec)),
				DROP_TCP_FLAGS);
			assert_memory_equal(&before, &play.f.s, sizeof(before));
		}
	}
}

static void psh_urg_ece_and_cwr_say_nothing_about_state(void **unused)
{
	struct play play;

	play_script(&play, "C:SEC V:SAE C:APU", false);
	ASSERT_STATE(&play.f, "tcp-established");
	assert_int_equal(play_send(&play, C, "FAPUEC"), DROP_NONE);
	ASSERT_STATE(&play.f, "tcp-fin-wait");
}

static void only_a_syn_opens_and_anything_else_needs_pickup(void **unused)
{
	static const struct {
		const char *flags;
		enum drop_reason strict, pickup;
	} cases[] = {
		{"S", DROP_NONE, DROP_NONE},
		{"SA", DROP_NO_SESSION, DROP_NO_SESSION},
		{"A", DROP_NO_SESSION, DROP_NONE},
		{"FA", DROP_NO_SESSION, DROP_NONE},
		{"R", DROP_NO_SESSION, DROP_NO_SESSION},
		{"RA", DROP_NO_SESSION, DROP_NO_SESSION},
		{"SF", DROP_TCP_FLAGS, DROP_TCP_FLAGS},
		{"", DROP_TCP_FLAGS, DROP_TCP_FLAGS},
	};
	struct track_fixture f;

	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		for (int pickup = 0; pickup < 2; pickup++) {
			fixture_init(&f, IPPROTO_TCP);
			f.policy.pickup = pickup;
			assert_int_equal(SEND(&f, FROM_V, cases[i].flags, .seq = 5, .ack = 9),
				pickup ? cases[i].pickup : cases[i].strict);
		}
	}
}

static void a_fin_counts_as_acknowledged_only_by_an_ack_that_covers_it(void **unused)
{
	struct track_fixture f;

	fixture_init(&f, IPPROTO_TCP);
	fixture_establish(&f);
	PASS(&f, FROM_C, "FA", .seq = 101, .ack = 901, .payload_len = 10);
	PASS(&f, FROM_V, "A", .seq = 901, .ack = 111);
	ASSERT_STATE(&f, "tcp-fin-wait");
	PASS(&f, FROM_V, "A", .seq = 901, .ack = 112);
	ASSERT_STATE(&f, "tcp-close-wait");
	PASS(&f, FROM_V, "FA", .seq = 901, .ack = 112);
	PASS(&f, FROM_C, "A", .seq = 112, .ack = 901);
	ASSERT_STATE(&f, "tcp-last-ack");
	PASS(&f, FROM_C, "A", .seq = 112, .ack = 902);
	ASSERT_STATE(&f, "tcp-time-wait");
}

static void a_fin_before_the_handshake_is_complete_is_not_forgotten(void **unused)
{
	struct track_fixture f;

	fixture_init(&f, IPPROTO_TCP);
	PASS(&f, FROM_C, "S", .seq = 100, .payload_len = 50);
	PASS(&f, FROM_V, "SA", .seq = 900, .ack = 151);
	PASS(&f, FROM_V, "A", .seq = 901, .ack = 151, .payload_len = 200);
	PASS(&f, FROM_V, "FA", .seq = 1101, .ack = 151);
	ASSERT_STATE(&f, "tcp-syn-recv");
	PASS(&f, FROM_C, "A", .seq = 151, .ack = 1102);
	ASSERT_STATE(&f, "tcp-fin-wait");
	PASS(&f, FROM_C, "FA", .seq = 151, .ack = 1102);
	ASSERT_STATE(&f, "tcp-last-ack");
	PASS(&f, FROM_V, "A", .seq = 1102, .ack = 152);
	ASSERT_STATE(&f, "tcp-time-wait");
}

static void a_refused_connection_may_be_tried_again_with_the_same_number(void **unused)
{
	struct track_fixture f;

	fixture_init(&f, IPPROTO_TCP);
	for (uint32_t i = 1; i <= 3; i++) {
		PASS(&f, FROM_C, "S", .seq = 100);
		assert_int_equal(f.opened, i);
		assert_int_equal(SEND(&f, FROM_V, "RA", .seq = 0, .ack = 99), DROP_TCP_RST);
		ASSERT_STATE(&f, "tcp-syn-sent");
		PASS(&f, FROM_V, "RA", .seq = 0, .ack = 101);
		ASSERT_STATE(&f, "tcp-close");
	}
}

static void the_state_word_names_opener_and_answered(void **unused)
{
	struct track_fixture f;

	fixture_init(&f, IPPROTO_TCP);
	PASS(&f, FROM_C, "S", .seq = 100);
	assert_true(f.s.state & SESSION_FIRST_INGRESS);
	PASS(&f, FROM_V, "SA", .seq = 900, .ack = 101);
	assert_false(f.s.state & SESSION_ASSURED);
	PASS(&f, FROM_C, "A", .seq = 101, .ack = 901);
	assert_true(f.s.state & SESSION_ASSURED);
	fixture_init(&f, IPPROTO_TCP);
	PASS(&f, FROM_V, "S", .seq = 100);
	assert_false(f.s.state & SESSION_FIRST_INGRESS);
}

static void a_dead_session_takes_nothing(void **unused)
{
	struct track_fixture f;
	bool changed = false;

	fixture_init(&f, IPPROTO_TCP);
	fixture_establish(&f);
	f.s.state |= SESSION_DEAD;
	assert_int_equal(
		track_packet_fast(&f.s, &f.policy,
			fixture_packet(&f, FROM_C,
				(struct fake_packet){
					.tcp_flags = RTE_TCP_ACK_FLAG, .seq = 101, .ack = 901}),
			f.now_ms, &changed),
		DROP_SESSION_CLOSED);
	assert_false(changed);
	assert_int_equal(f.s.half[FROM_C].packets, 2);
}

static void packets_and_bytes_of_ip_are_counted_per_direction(void **unused)
{
	struct track_fixture f;

	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		uint64_t header = (ipv6 ? 40 : 20) + 20;

		fixture_init(&f, IPPROTO_TCP);
		f.ipv6 = ipv6;
		fixture_establish(&f);
		PASS(&f, FROM_V, "A", .seq = 901, .ack = 101, .payload_len = 1000);
		PASS(&f, FROM_V, "A", .seq = 1901, .ack = 101, .payload_len = 0, .pad_to = 100);
		assert_int_equal(f.s.half[FROM_C].packets, 2);
		assert_int_equal(f.s.half[FROM_C].bytes, 2 * header);
		assert_int_equal(f.s.half[FROM_V].packets, 3);
		assert_int_equal(f.s.half[FROM_V].bytes, 3 * header + 1000);
		assert_int_equal(
			SEND(&f, FROM_V, "A", .seq = 901 + (1 << 24), .ack = 101), DROP_TCP_WINDOW);
		assert_int_equal(f.s.half[FROM_V].packets, 3);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_edge_of_the_state_table_leads_where_it_should),
		cmocka_unit_test(flags_that_no_stack_sends_are_dropped_in_every_state),
		cmocka_unit_test(psh_urg_ece_and_cwr_say_nothing_about_state),
		cmocka_unit_test(only_a_syn_opens_and_anything_else_needs_pickup),
		cmocka_unit_test(a_fin_counts_as_acknowledged_only_by_an_ack_that_covers_it),
		cmocka_unit_test(a_fin_before_the_handshake_is_complete_is_not_forgotten),
		cmocka_unit_test(a_refused_connection_may_be_tried_again_with_the_same_number),
		cmocka_unit_test(the_state_word_names_opener_and_answered),
		cmocka_unit_test(a_dead_session_takes_nothing),
		cmocka_unit_test(packets_and_bytes_of_ip_are_counted_per_direction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
