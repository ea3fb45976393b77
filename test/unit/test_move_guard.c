/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * F07: who may bring a VM. A forger with whatever certificate speaks to the destination's own
 * listener, word by word, beside a move that has to go on. (Each fault of a connection alone is in
 * test_channel_tls and test_channel_frame.)
 */
#include "ctrl/migrate/peer_impl.h"
#include "test/unit/guard_fixture.h"

#define ANSWER_MS 3000

/* ---- a forger ---- */

struct forger {
	struct channel_host *host;
	struct channel *channel;
	struct channel_error error;
	uint8_t payload[65536];
	uint8_t id[16];
};

/* As `name`, with the certificate `certificate`.pem. */
static void forger_new(struct forger *f, const char *name, const char *certificate)
{
	const struct in6_addr loopback = fake_address("127.0.0.1");
	const struct channel_peer peer = {
		.name = "h1", .port = lab.port[1], .addresses = &loopback, .n_addresses = 1};
	char pem[128], key[128], root[128], file[32];
	struct channel_host_config config = {.name = name, .world = &channel_world_real};

	memset(f, 0, sizeof(*f));
	snprintf(file, sizeof(file), "%s.pem", certificate);
	config.certificate_path = fake_ca_path(&ca, file, pem, sizeof(pem));
	snprintf(file, sizeof(file), "%s.key", certificate);
	config.key_path = fake_ca_path(&ca, file, key, sizeof(key));
	config.ca_path = fake_ca_path(&ca, "ca.pem", root, sizeof(root));
	memset(f->id, 0x5a, sizeof(f->id));
	assert_int_equal(channel_host_new(&config, &f->host, &f->error), 0);
	assert_int_equal(channel_host_set_peers(f->host, &peer, 1), 0);
}

static int forger_connect(struct forger *f)
{
	struct channel_dial dial = {.peer = "h1",
		.purpose = CHANNEL_PURPOSE_MOVE,
		.options = {.types = stream_types, .n_types = stream_types_count}};

	memcpy(dial.move_id, f->id, sizeof(dial.move_id));
	return channel_connect(f->host, &dial, &f->channel, &f->error);
}

static void forger_free(struct forger *f)
{
	channel_close(f->channel);
	channel_host_free(f->host);
}

static struct wire_writer forger_writer(struct forger *f)
{
	struct wire_writer w;

	wire_writer_init(&w, f->payload, sizeof(f->payload));
	return w;
}

static void forger_say(struct forger *f, uint16_t type, uint16_t section, uint32_t stream,
	const struct wire_writer *w)
{
	struct frame_kind kind = {
		.type = type, .section = section, .stream = stream, .mandatory = true};

	channel_send(f->channel, &kind, f->payload, wire_writer_len(w),
		channel_deadline_ns(f->channel, 1000));
}

/* The next answer: its type, or 0 when the other side has hung up. A refusal's words into text. */
static uint16_t forger_hears(struct forger *f, char *text, size_t size)
{
	uint64_t until = channel_deadline_ns(f->channel, ANSWER_MS);
	struct wire_reader r;
	struct frame frame;
	int rc;

	text[0] = '\0';
	do {
		fake_lab_run(&lab);
		rc = channel_recv(f->channel, &frame, channel_deadline_ns(f->channel, 5));
	} while ((rc == -ETIMEDOUT || (rc == 0 && frame.kind.type == STREAM_KEEPALIVE)) &&
		 channel_now_ns(f->channel) < until);
	if (rc != 0)
		return 0;
	wire_reader_init(&r, frame.payload, frame.payload_bytes);
	if (frame.kind.type == STREAM_FAILED)
		wire_get_string(&r, text, size);
	return frame.kind.type;
}

static void forger_offers(struct forger *f, const char *name, uint32_t vni)
{
	struct stream_offer offer = {.n_ports = 1, .port[0] = {.vni = vni, .sessions = 10}};
	struct wire_writer w = forger_writer(f);

	memcpy(offer.id, f->id, sizeof(offer.id));
	snprintf(offer.vm, sizeof(offer.vm), "forged");
	snprintf(offer.port[0].name, sizeof(offer.port[0].name), "%s", name);
	stream_put_offer(&w, &offer);
	forger_say(f, STREAM_OFFER, STREAM_SECTION_MOVE, 0, &w);
}

/* What host 0 would send of a vport of its own. */
static void forger_describes(struct forger *f, const char *name)
{
	const struct vswitch *v = &lab.host[0].mover->vswitch;
	struct wire_writer w = forger_writer(f);

	assert_int_equal(v->ops->describe(v->ctx, v->ops->find(v->ctx, name), &w), 0);
	forger_say(f, STREAM_PORT, STREAM_SECTION_MOVE, 0, &w);
}

static void forger_records(struct forger *f, uint32_t stream, uint32_t vni, const char *local)
{
	struct session_record record = {.tuple = {.vni = vni,
						.local = fake_address(local),
						.remote = fake_address("10.0.0.9"),
						.local_port = 22,
						.remote_port = 1,
						.proto = IPPROTO_TCP},
		.birth_id = 1,
		.state = SESSION_TCP_ESTABLISHED | SESSION_ASSURED | SESSION_FIRST_INGRESS,
		.life_ms = 100000,
		.half = {{.packets = 3,
				 .bytes = 1500,
				 .seq_end = 1000,
				 .seq_limit = 70000,
				 .window_max = 65535,
				 .scale = 7,
				 .flags = SESSION_HALF_SEEN},
			{.packets = 4,
				.bytes = 300,
				.seq_end = 9000,
				.seq_limit = 80000,
				.window_max = 65535,
				.scale = 9,
				.flags = SESSION_HALF_SEEN}}};
	struct wire_writer w = forger_writer(f);
	int len = session_record_pack(&record, f->payload, sizeof(f->payload), NULL);
	uint8_t bytes[SESSION_RECORD_MAX];

	assert_true(len > 0);
	memcpy(bytes, f->payload, (size_t)len);
	wire_put_bytes(&w, bytes, (size_t)len);
	forger_say(f, STREAM_RECORDS, STREAM_SECTION_SESSIONS, stream, &w);
}

/* Offered and described, ready for sessions. */
static void forger_prepares(struct forger *f, const char *name)
{
	char text[256];

	forger_offers(f, name, 100);
	assert_int_equal(forger_hears(f, text, sizeof(text)), STREAM_ACCEPT);
	forger_describes(f, name);
	assert_int_equal(forger_hears(f, text, sizeof(text)), STREAM_PORT_READY);
}

/* ---- F07 ---- */

static void says_nothing_first(struct forger *f)
{
	forger_records(f, 0, 100, "10.0.0.8");
}

static void says_of_a_port_that_is_not_offered(struct forger *f)
{
	forger_prepares(f, "w");
	forger_records(f, 7, 100, "10.0.0.8");
}

static void says_of_another_tenant(struct forger *f)
{
	forger_prepares(f, "w");
	forger_records(f, 0, 200, "10.0.0.8");
}

static void says_of_a_neighbour(struct forger *f)
{
	forger_prepares(f, "w");
	forger_records(f, 0, 100, "10.0.0.7");
}

static void says_it_owns_what_the_host_owns(struct forger *f)
{
	char text[256];

	forger_offers(f, "own", 100);
	assert_int_equal(forger_hears(f, text, sizeof(text)), STREAM_ACCEPT);
	forger_describes(f, "own");
}

static void says_half_a_record(struct forger *f)
{
	struct wire_writer w = forger_writer(f);

	forger_prepares(f, "w");
	w = forger_writer(f);
	wire_put_u8(&w, 0);
	forger_say(f, STREAM_RECORDS, STREAM_SECTION_SESSIONS, 0, &w);
}

static void says_what_is_the_destinations_to_say(struct forger *f)
{
	struct wire_writer w = forger_writer(f);

	forger_prepares(f, "w");
	wire_put_u64(&w, 1);
	wire_put_u8(&w, 0);
	forger_say(f, STREAM_COMMIT, STREAM_SECTION_MOVE, 0, &w);
}

static const struct {
	const char *what;
	void (*say)(struct forger *f);
	const char *reason; /* in the destination's own report; NULL: a reason, whichever */
} forgeries[] = {
	{"sessions before an offer", says_nothing_first, NULL},
	{"a port that is not in the move", says_of_a_port_that_is_not_offered, NULL},
	{"a session of another tenant", says_of_another_tenant, "not of its addresses"},
	{"a session of a neighbour", says_of_a_neighbour, "not of its addresses"},
	{"a vport that the host owns", says_it_owns_what_the_host_owns, "own"},
	{"half a record", says_half_a_record, "malformed"},
	{"a word of the other side", says_what_is_the_destinations_to_say, "not its to send"},
};

/* The forged move, as the destination sees it; ended. */
static void forged_ended(const struct forger *f, struct mover_view *view)
{
	char id[37];
	size_t n = 0;

	for (int i = 0; i < 16; i++)
		n += (size_t)sprintf(
			id + n, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", f->id[i]);
	fake_lab_over(&lab, 1, id, view);
}

static void refused_whole(struct forger *f, size_t i)
{
	struct mover_counts counts;
	struct mover_view view;
	char text[256];
	uint64_t failed;

	mover_counts(lab.host[1].mover, &counts);
	failed = counts.failed;
	forgeries[i].say(f);
	while (forger_hears(f, text, sizeof(text)) != 0)
		; /* what it says on its way to hanging up */
	forged_ended(f, &view);
	assert_int_equal(view.phase, MOVER_FAILED);
	assert_true(view.reason[0] != '\0');
	if (forgeries[i].reason && !strstr(view.reason, forgeries[i].reason))
		fail_msg("%s: \"%s\"", forgeries[i].what, view.reason);
	mover_counts(lab.host[1].mover, &counts);
	assert_int_equal(counts.failed, failed + 1);
	assert_null(fake_lab_vport(&lab, 1, "w"));
	assert_int_equal(fake_lab_role(&lab, 1, "own"), ROLE_OWNER);
	assert_int_equal(atomic_load(&fake_lab_vport(&lab, 1, "own")->sessions), 0);
}

static void f07_a_peer_is_held_to_its_own_move_and_others_go_on(void **state)
{
	char id[37];

	(void)state;
	fake_lab_move(&lab, 0, 1, "v", id);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_READY, 10000));
	for (size_t i = 0; i < sizeof(forgeries) / sizeof(forgeries[0]); i++) {
		struct move *known;
		struct forger f;

		forger_new(&f, "h0", "h0");
		f.id[0] = (uint8_t)i;
		known = fake_lab_announce(&lab, 0, 1, f.id);
		assert_int_equal(forger_connect(&f), 0);
		refused_whole(&f, i);
		forger_free(&f);
		fake_lab_forget(&lab, 0, known);
	}
	fake_lab_finish(&lab, 0, 1, "v", id);
	v_is_whole_at(1);
}

static uint64_t unannounced(void)
{
	struct mover_counts counts;

	mover_counts(lab.host[1].mover, &counts);
	return counts.refused[MOVER_REFUSED_UNANNOUNCED];
}

/* With the key of h0, which knows nothing of it. */
static void refused_as(uint8_t first, const char *why)
{
	uint64_t was = unannounced();
	struct forger f;
	char text[256];

	forger_new(&f, "h0", "h0");
	f.id[0] = first;
	assert_int_equal(forger_connect(&f), 0);
	forger_offers(&f, "w", 100);
	assert_int_equal(forger_hears(&f, text, sizeof(text)), STREAM_FAILED);
	if (!strstr(text, why))
		fail_msg("\"%s\"", text);
	assert_int_equal(unannounced(), was + 1);
	assert_null(fake_lab_vport(&lab, 1, "w"));
	forger_free(&f);
}

static void f07_a_move_that_its_host_has_not_started_is_refused_first(void **state)
{
	struct move *known;
	struct forger f;
	char id[37];

	(void)state;
	fake_lab_move(&lab, 0, 1, "v", id);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_READY, 10000));
	refused_as(1, "h0 has not started this move");
	/* One that is over counts no more: what was recorded then is of no use. */
	forger_new(&f, "h0", "h0");
	f.id[0] = 2;
	known = fake_lab_announce(&lab, 0, 1, f.id);
	fake_lab_forget(&lab, 0, known);
	refused_as(2, "h0 has not started this move");
	forger_free(&f);
	fake_lab_finish(&lab, 0, 1, "v", id);
	v_is_whole_at(1);
}

/* h9 says at h1 that it has owned V since `epoch`. */
static void h9_says(uint64_t epoch)
{
	struct exchange *peers = lab.host[1].mover->exchange;
	const struct vswitch_identity v = {.vni = 100, .addr = fake_addr("10.0.0.5")};

	pthread_mutex_lock(&peers->lock);
	assert_true(peer_known_set(peers, "h9", &v, epoch));
	pthread_mutex_unlock(&peers->lock);
}

static void f07_a_vm_that_a_third_host_has_owned_since_does_not_come(void **state)
{
	struct mover_view view;
	char id[37];

	(void)state;
	h9_says(UINT64_MAX / 2);
	fake_lab_move(&lab, 0, 1, "v", id);
	fake_lab_over(&lab, 0, id, &view);
	assert_int_equal(view.phase, MOVER_FAILED);
	assert_non_null(strstr(view.reason, "vport v: h9 says that it has owned it since"));
	v_is_whole_at(0);
	h9_says(1);
	fake_lab_move(&lab, 0, 1, "v", id);
	assert_true(fake_lab_phase(&lab, 0, id, MOVER_READY, 10000));
	fake_lab_finish(&lab, 0, 1, "v", id);
	v_is_whole_at(1);
}

static void f07_a_host_that_cannot_be_asked_brings_nothing(void **state)
{
	(void)state;
	fake_lab_stop(&lab, 1);
	lab.migrate = "connect_ms: 300";
	fake_lab_start(&lab, 1);
	fake_lab_rings(&lab, 1, "own", true);
	fake_lab_stop(&lab, 0);
	refused_as(1, "h0 cannot be asked whether it started this move");
}

static void f07_nobody_gets_in_by_a_name_or_a_key_that_is_not_his(void **state)
{
	static const struct {
		const char *name, *certificate;
		enum channel_reason counted; /* by the destination */
	} strangers[] = {
		{"h0", "other", CHANNEL_REASON_PEER_NAME}, /* our CA, another host */
		{"other", "h0",
			CHANNEL_REASON_HOST_NAME}, /* a name that is not the certificate's */
		{"h0", "h0-foreign", CHANNEL_REASON_UNKNOWN_CA},
	};

	(void)state;
	fake_ca_issue(&ca, "other");
	fake_ca_issue(&ca, "h0,ca=foreign,file=h0-foreign");
	for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
		struct channel_host_status was = status_of(1), is;
		struct forger f;
		char text[256];

		forger_new(&f, strangers[i].name, strangers[i].certificate);
		/* With TLS 1.3 the connecting side may be done before it is refused. */
		if (forger_connect(&f) == 0)
			assert_int_equal(forger_hears(&f, text, sizeof(text)), 0);
		is = status_of(1);
		assert_int_equal(is.by_reason[strangers[i].counted],
			was.by_reason[strangers[i].counted] + 1);
		forger_free(&f);
	}
	assert_null(fake_lab_vport(&lab, 1, "w"));
	fake_lab_migrate(&lab, 0, 1, "v");
	v_is_whole_at(1);
}

static void f07_plain_links_are_there_only_where_the_file_says_insecure(void **state)
{
	(void)state;
	assert_false(status_of(0).insecure);
	fake_lab_stop(&lab, 0);
	lab.tls_dir = NULL; /* the lab's file says so then */
	fake_lab_start(&lab, 0);
	assert_true(status_of(0).insecure);
}

static int limited_hosts_start(void **state)
{
	int rc = hosts_start(state);

	fake_lab_stop(&lab, 1);
	lab.peer_vnis = "[200]";
	fake_lab_start(&lab, 1);
	fake_lab_rings(&lab, 1, "own", true);
	return rc;
}

static void f07_a_peer_speaks_for_its_tenants_only(void **state)
{
	struct mover_view view;
	char id[37];

	(void)state;
	fake_lab_move(&lab, 0, 1, "v", id);
	fake_lab_over(&lab, 0, id, &view);
	assert_int_equal(view.phase, MOVER_FAILED);
	assert_non_null(strstr(view.reason, "not yours to speak for"));
	assert_int_equal(fake_lab_role(&lab, 0, "v"), ROLE_OWNER);
	assert_null(fake_lab_vport(&lab, 1, "v"));
	v_is_whole_at(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GUARD_TEST(f07_a_peer_is_held_to_its_own_move_and_others_go_on, hosts_start),
		GUARD_TEST(f07_a_move_that_its_host_has_not_started_is_refused_first, hosts_start),
		GUARD_TEST(f07_a_vm_that_a_third_host_has_owned_since_does_not_come, hosts_start),
		GUARD_TEST(f07_a_host_that_cannot_be_asked_brings_nothing, hosts_start),
		GUARD_TEST(f07_nobody_gets_in_by_a_name_or_a_key_that_is_not_his, hosts_start),
		GUARD_TEST(
			f07_plain_links_are_there_only_where_the_file_says_insecure, hosts_start),
		GUARD_TEST(f07_a_peer_speaks_for_its_tenants_only, limited_hosts_start),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
