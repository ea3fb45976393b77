/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Moves between engines of one process, with the real stream over TLS on loopback. One line of JSON
 * a move; bench_stream.py and bench_outage.py run it and make figures of it.
 *
 *	perf_move CERTIFICATES stream SESSIONS MOVES
 *		a VM with so many TCP sessions moves
 *	perf_move CERTIFICATES delta SESSIONS CHANGED MOVES
 *		packets of CHANGED sessions just before the VM stops
 *	perf_move CERTIFICATES outage SESSIONS MOVES
 *		a steady probe both ways; by turns a move and a pause of its length without one
 *
 * CERTIFICATES: made by scripts/test-ca for h0, h1 and h2. This thread is the workers, the fabric
 * and the VMs; the movers have their own threads.
 */
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_cycles.h>

#include "ctrl/migrate/report.h"
#include "dataplane/vport.h"
#include "test/fake/fake_eal.h"
#include "test/fake/fake_lab.h"

#define MOVE_TIMEOUT_MS 120000
#define PAUSE_NS 10000000ULL /* what QEMU takes to switch over, at least */
#define PROBE_NS 100000ULL
#define CALM_MS 30 /* probes before and after */

static struct fake_lab lab;

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static void must(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "perf_move: %s\n", what);
	exit(1);
}

static void to_stdout(void *ctx, const char *text, size_t len)
{
	(void)ctx;
	fwrite(text, 1, len, stdout);
}

static void print_report(uint32_t host, const char *id)
{
	struct out *out = out_open(OUT_JSON, to_stdout, NULL);
	bool found;

	must(out != NULL, "out of memory");
	report_move(out, lab.host[host].mover, id, &found);
	out_close(out);
}

/* ---- stream, delta ---- */

static bool at_phase(uint32_t host, const char *id, enum mover_phase phase)
{
	struct mover_view view;

	return mover_view(lab.host[host].mover, id, &view) == 0 &&
	       (view.phase >= phase || view.done);
}

/*
 * Without a rest, so that what is timed is not the waiting; but whoever wants this core gets
 * it: the movers have cores of their own only where there are three.
 */
static uint64_t spin_to(uint32_t host, const char *id, enum mover_phase phase)
{
	uint64_t end = now_ns() + MOVE_TIMEOUT_MS * 1000000ULL;

	while (!at_phase(host, id, phase) && now_ns() < end) {
		fake_lab_run(&lab);
		sched_yield();
	}
	return now_ns();
}

/* An acknowledgement of each of the first sessions that fake_lab_sessions() made. */
static void touch(uint32_t host, uint32_t count)
{
	struct vport *v = fake_lab_vport(&lab, host, "v");
	char remote[16];

	for (uint32_t i = 1; i <= count; i++) {
		struct fake_packet ack = {.src_mac = "02:00:00:00:00:05",
			.dst_mac = "02:00:00:00:00:fe",
			.src = "10.0.0.5",
			.dst = remote,
			.proto = IPPROTO_TCP,
			.sport = 80,
			.dport = (uint16_t)i,
			.tcp_flags = RTE_TCP_ACK_FLAG,
			.seq = 1000 + i,
			.ack = 9000 + i,
			.window = 512};
		struct rte_mbuf *m;

		snprintf(remote, sizeof(remote), "10.0.0.%u", 9 + (i >> 16));
		m = fake_packet_mbuf(&ack, engine_pool(lab.host[host].engine));
		must(m && port_ring_inject(v->port, m) == 0, "no room for a packet");
		if (i % 256 == 0 || i == count)
			while (engine_poll(lab.host[host].engine) > 0)
				;
	}
}

static void wait_over(uint32_t from, uint32_t to, const char *id)
{
	struct mover_view view;

	fake_lab_over(&lab, from, id, &view);
	must(view.phase == MOVER_COMMITTED, view.reason);
	fake_lab_over(&lab, to, id, &view);
	must(view.phase == MOVER_COMMITTED, view.reason);
}

/* From `from` to the other host; `changed` sessions see a packet just before the VM stops. */
static void timed_move(uint32_t from, uint32_t sessions, uint32_t changed)
{
	uint64_t start = now_ns(), cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	uint64_t ready, down, verified, end;
	uint32_t to = !from;
	char id[37];

	fake_lab_move(&lab, from, to, "v", id);
	must(fake_lab_phase(&lab, from, id, MOVER_READY, MOVE_TIMEOUT_MS), "not ready");
	ready = now_ns();
	cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	touch(from, changed);
	down = now_ns();
	fake_lab_rings(&lab, from, "v", false);
	verified = spin_to(from, id, MOVER_VERIFIED);
	fake_lab_rings(&lab, to, "v", true);
	end = spin_to(from, id, MOVER_COMMITTED);
	wait_over(from, to, id);
	printf("{\"sessions\":%u,\"changed\":%u,\"ready_ns\":%" PRIu64 ",\"ready_cpu_ns\":%" PRIu64
	       ",\"final_ns\":%" PRIu64 ",\"commit_ns\":%" PRIu64 ",\"source\":",
		sessions, changed, ready - start, cpu, verified - down, end - verified);
	print_report(from, id);
	printf(",\"destination\":");
	print_report(to, id);
	printf("}\n");
	fflush(stdout);
}

/* ---- outage ---- */

/* One direction of the probe, as its receiver sees it. */
struct probe {
	uint64_t sent, received, due_ns, last_ns, gap_ns;
};

struct steady {
	struct probe in, out; /* towards the VM, from it */
	uint32_t running; /* host of the VM; FAKE_LAB_HOSTS: it stands still */
	uint64_t round_ns, stall_ns; /* the longest time in which this thread did not come round */
};

static void probe_send(uint32_t host, const char *vport, bool from_vm)
{
	struct fake_packet packet = {.src_mac = from_vm ? "02:00:00:00:00:05" : "02:00:00:00:00:09",
		.dst_mac = from_vm ? "02:00:00:00:00:09" : "02:00:00:00:00:05",
		.src = from_vm ? "10.0.0.5" : "10.0.0.9",
		.dst = from_vm ? "10.0.0.9" : "10.0.0.5",
		.sport = 7,
		.dport = 7,
		.payload_len = 32};
	struct rte_mbuf *m = fake_packet_mbuf(&packet, engine_pool(lab.host[host].engine));

	must(m && port_ring_inject(fake_lab_vport(&lab, host, vport)->port, m) == 0,
		"no room for a probe");
}

static bool probe_due(struct probe *probe, uint64_t now)
{
	if (now < probe->due_ns)
		return false;
	probe->due_ns = now + PROBE_NS;
	probe->sent++;
	return true;
}

static void probe_seen(struct probe *probe, uint32_t count, uint64_t now)
{
	if (count == 0)
		return;
	probe->gap_ns = RTE_MAX(probe->gap_ns, now - probe->last_ns);
	probe->last_ns = now;
	probe->received += count;
}

static void steady_run(struct steady *s)
{
	uint64_t now = now_ns();

	s->stall_ns = RTE_MAX(s->stall_ns, now - s->round_ns);
	s->round_ns = now;
	if (probe_due(&s->in, now))
		probe_send(2, "p", false);
	if (s->running < FAKE_LAB_HOSTS && probe_due(&s->out, now))
		probe_send(s->running, "v", true);
	fake_lab_run(&lab);
	sched_yield();
	now = now_ns();
	if (s->running < FAKE_LAB_HOSTS)
		probe_seen(&s->in, fake_lab_drain(&lab, s->running, "v"), now);
	probe_seen(&s->out, fake_lab_drain(&lab, 2, "p"), now);
}

static void steady_for(struct steady *s, uint64_t time_ns)
{
	uint64_t end = now_ns() + time_ns;

	do
		steady_run(s);
	while (now_ns() < end);
}

static void steady_until(struct steady *s, uint32_t host, const char *id, enum mover_phase phase)
{
	uint64_t end = now_ns() + MOVE_TIMEOUT_MS * 1000000ULL;

	while (!at_phase(host, id, phase) && now_ns() < end)
		steady_run(s);
}

static void steady_print(const struct steady *s, const char *what)
{
	uint64_t gap_ns = RTE_MAX(s->in.gap_ns, s->out.gap_ns);

	printf("{\"what\":\"%s\",\"added_ns\":%" PRId64 ",\"lost_in\":%" PRId64
	       ",\"lost_out\":%" PRId64 ",\"stall_ns\":%" PRIu64 "}\n",
		what, (int64_t)(gap_ns - PAUSE_NS), (int64_t)(s->in.sent - s->in.received),
		(int64_t)(s->out.sent - s->out.received), s->stall_ns);
	fflush(stdout);
}

static void steady_begin(struct steady *s, uint32_t host)
{
	uint64_t now = now_ns();

	memset(s, 0, sizeof(*s));
	s->running = host;
	s->in.last_ns = s->out.last_ns = s->round_ns = now;
	steady_for(s, CALM_MS * 1000000ULL);
	s->in.gap_ns = s->out.gap_ns = s->stall_ns = 0;
}

/* No more probes; what is on its way arrives. */
static void steady_end(struct steady *s)
{
	steady_for(s, CALM_MS * 1000000ULL);
	s->in.due_ns = s->out.due_ns = UINT64_MAX;
	steady_for(s, CALM_MS * 1000000ULL);
}

static void outage_move(uint32_t from)
{
	uint32_t to = !from;
	struct steady s;
	uint64_t down;
	char id[37];

	fake_lab_move(&lab, from, to, "v", id);
	must(fake_lab_phase(&lab, from, id, MOVER_READY, MOVE_TIMEOUT_MS), "not ready");
	steady_begin(&s, from);
	down = now_ns();
	s.running = FAKE_LAB_HOSTS;
	fake_lab_rings(&lab, from, "v", false);
	steady_until(&s, from, id, MOVER_VERIFIED);
	while (now_ns() < down + PAUSE_NS)
		steady_run(&s);
	fake_lab_rings(&lab, to, "v", true);
	s.running = to;
	steady_until(&s, from, id, MOVER_COMMITTED);
	steady_end(&s);
	wait_over(from, to, id);
	steady_print(&s, "move");
}

static void outage_pause(uint32_t host)
{
	struct steady s;
	uint64_t down;

	steady_begin(&s, host);
	down = now_ns();
	s.running = FAKE_LAB_HOSTS;
	fake_lab_rings(&lab, host, "v", false);
	while (now_ns() < down + PAUSE_NS)
		steady_run(&s);
	fake_lab_rings(&lab, host, "v", true);
	s.running = host;
	steady_end(&s);
	steady_print(&s, "pause");
}

/* ---- the scene ---- */

static void scene(const char *certificates, uint32_t hosts, uint32_t sessions)
{
	uint64_t memory_mb = 256 + (uint64_t)sessions * 2 * 400 / 1000000;

	must(fake_eal_start_mb((unsigned int)memory_mb) == 0, "EAL does not start");
	fake_lab_new(&lab, hosts);
	lab.tls_dir = certificates;
	lab.quiet = true;
	lab.sessions = RTE_MAX(sessions / 4 * 5 + 4096, 16384u);
	lab.migrate = "announce_repeats: 1, announce_interval_ms: 1";
	lab.vports[0] = FAKE_LAB_VM;
	if (hosts > 2)
		lab.vports[2] = "  - {name: p, vpc: shop, mac: '02:00:00:00:00:09', ips: "
				"[10.0.0.9], port: {path: /tmp/p.sock}}\n";
	if (hosts > 2) {
		lab.extra[0] = lab.extra[1] = "locations: [{vpc: shop, ip: 10.0.0.9, vtep: "
					      "192.0.2.3, mac: '02:00:00:00:00:09'}]\n";
		lab.extra[2] = "locations: [{vpc: shop, ip: 10.0.0.5, vtep: 192.0.2.1, mac: "
			       "'02:00:00:00:00:05'}]\n";
	}
	for (uint32_t i = 0; i < hosts; i++)
		fake_lab_start(&lab, i);
	fake_lab_rings(&lab, 0, "v", true);
	if (hosts > 2)
		fake_lab_rings(&lab, 2, "p", true);
	fake_lab_run_ms(&lab, 200);
	must(fake_lab_role(&lab, 0, "v") == ROLE_OWNER, "the VM is not served");
	fake_lab_sessions(&lab, 0, "v", 1, sessions);
}

static uint32_t number(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	must(*text && !*end && value <= 64000000, "not a number");
	return (uint32_t)value;
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[2] : "";
	bool delta = strcmp(what, "delta") == 0, outage = strcmp(what, "outage") == 0;
	uint32_t sessions, changed, moves;

	must((argc == 5 && (outage || strcmp(what, "stream") == 0)) || (argc == 6 && delta),
		"CERTIFICATES stream SESSIONS MOVES | delta SESSIONS CHANGED MOVES | outage "
		"SESSIONS MOVES");
	sessions = number(argv[3]);
	changed = delta ? number(argv[4]) : 0;
	moves = number(argv[argc - 1]);
	must(changed <= sessions, "more changed sessions than there are");
	scene(argv[1], outage ? 3 : 2, sessions);
	for (uint32_t i = 0; i < moves; i++) {
		if (outage) {
			outage_pause(i % 2);
			outage_move(i % 2);
		} else {
			timed_move(i % 2, sessions, changed);
		}
	}
	fake_lab_free(&lab);
	return 0;
}
