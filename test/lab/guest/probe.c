/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A steady stream of numbered UDP datagrams each way over one socket pair, and what became of it.
 *
 * The client sends at once; the server answers with a stream of its own to where the client's
 * datagrams come from, at the same rate. Whoever ends sends END with the number of datagrams it
 * sent, again and again until the other side's END comes back, so that loss at the end is seen too.
 * Both then listen a little longer for late ones and report on what they received.
 *
 * Life cycle: RUN -> ENDING (client asked to stop, END goes out) -> LATE (other side's END is here)
 * -> report. The report is also written every second while it runs. One thread, one poll loop.
 */
#include <endian.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test/lab/guest/program.h"
#include "test/lab/guest/sequence.h"

#define PROBE_MAGIC 0x66797072u
#define PROBE_SIZE_MAX 9000
#define END_EVERY_NS (50 * NS_PER_MS)
#define END_LIMIT_NS (5 * NS_PER_S)
#define LATE_NS (500 * NS_PER_MS)
#define STALL_NS (100 * NS_PER_MS) /* later than this is a pause, not jitter: do not catch up */

enum probe_type { PROBE_DATA = 1, PROBE_END = 2 };
enum probe_state { PROBE_RUN, PROBE_ENDING, PROBE_LATE };

struct probe_message {
	uint32_t magic, type, rate;
	uint32_t run; /* told by the client: what belongs to another run is ignored */
	uint64_t number;
};

struct probe {
	int fd;
	bool client, oneway, peer_known;
	struct sockaddr_in6 peer;
	uint32_t run;
	uint64_t rate, seconds, size, local_port;
	const char *json, *bind_to;
	enum probe_state state;
	uint64_t start_ns, next_ns, end_ns, state_ns, report_ns;
	uint64_t sent, send_errors, send_stalls;
	struct sequence in;
	bool peer_ended;
	uint64_t peer_sent;
};

static void probe_report(const struct probe *p, bool running)
{
	FILE *report = program_report_begin(p->json);
	uint64_t sent = p->peer_ended ? p->peer_sent : p->in.next;
	uint64_t gap_start_ns = p->in.longest_gap_ns ? p->in.gap_start_ns - p->start_ns : 0;

	if (!report)
		return;
	fprintf(report,
		"{\"running\": %s, \"complete\": %s, \"sent\": %lu, \"received\": %lu, "
		"\"lost\": %lu, \"duplicated\": %lu, \"reordered\": %lu, "
		"\"longest_gap_ms\": %.3f, \"gap_start_ms\": %.3f, \"gap_number\": %lu, "
		"\"out\": {\"sent\": %lu, \"errors\": %lu, \"stalls\": %lu}}\n",
		running ? "true" : "false", p->peer_ended ? "true" : "false", sent, p->in.received,
		sequence_lost(&p->in, sent), p->in.duplicated, p->in.reordered,
		(double)p->in.longest_gap_ns / NS_PER_MS, (double)gap_start_ns / NS_PER_MS,
		p->in.gap_number, p->sent, p->send_errors, p->send_stalls);
	program_report_end(report, p->json);
}

static int probe_put(struct probe *p, enum probe_type type, uint64_t number)
{
	char buffer[PROBE_SIZE_MAX] = {0};
	struct probe_message m = {htobe32(PROBE_MAGIC), htobe32(type), htobe32(p->rate),
		htobe32(p->run), htobe64(number)};
	ssize_t n;

	memcpy(buffer, &m, sizeof(m));
	n = sendto(
		p->fd, buffer, p->size, MSG_DONTWAIT, (struct sockaddr *)&p->peer, sizeof(p->peer));
	return n < 0 ? -errno : 0;
}

/* A datagram the kernel did not take has not been sent: its number is used again. */
static void probe_send_due(struct probe *p, uint64_t now_ns)
{
	bool sends = p->peer_known && (p->client || !p->oneway);

	if (p->state != PROBE_RUN || !sends)
		return;
	if (now_ns > p->next_ns + STALL_NS) {
		p->send_stalls++;
		p->next_ns = now_ns;
	}
	for (; p->next_ns <= now_ns; p->next_ns += NS_PER_S / p->rate) {
		if (probe_put(p, PROBE_DATA, p->sent))
			p->send_errors++;
		else
			p->sent++;
	}
}

static void probe_meet(struct probe *p, const struct sockaddr_in6 *from,
	const struct probe_message *m, uint64_t now_ns)
{
	p->peer = *from;
	p->peer_known = true;
	p->run = be32toh(m->run);
	p->rate = be32toh(m->rate);
	p->start_ns = p->next_ns = now_ns;
}

static void probe_take_end(struct probe *p, uint64_t number, uint64_t now_ns)
{
	if (!p->client)
		probe_put(p, PROBE_END, p->sent);
	p->state_ns = now_ns; /* a repeated END means that the answer was lost: stay longer */
	if (p->peer_ended)
		return;
	p->peer_ended = true;
	p->peer_sent = number;
	sequence_end(&p->in, now_ns);
	p->state = PROBE_LATE;
}

static void probe_take(struct probe *p, const struct probe_message *m,
	const struct sockaddr_in6 *from, uint64_t now_ns)
{
	uint32_t type = be32toh(m->type), rate = be32toh(m->rate);

	if (be32toh(m->magic) != PROBE_MAGIC || !rate || rate > 1000000)
		return;
	if (!p->peer_known && type == PROBE_DATA)
		probe_meet(p, from, m, now_ns);
	if (!p->peer_known || be32toh(m->run) != p->run)
		return;
	if (type == PROBE_DATA)
		sequence_add(&p->in, be64toh(m->number), now_ns);
	else if (type == PROBE_END)
		probe_take_end(p, be64toh(m->number), now_ns);
}

static void probe_receive(struct probe *p)
{
	char buffer[PROBE_SIZE_MAX];
	struct probe_message m;
	struct sockaddr_in6 from;
	socklen_t length = sizeof(from);
	ssize_t n;

	while ((n = recvfrom(p->fd, buffer, sizeof(buffer), MSG_DONTWAIT, (struct sockaddr *)&from,
			&length)) >= 0) {
		if (n >= (ssize_t)sizeof(m)) {
			memcpy(&m, buffer, sizeof(m));
			probe_take(p, &m, &from, program_now_ns());
		}
		length = sizeof(from);
	}
}

/* False when the run is over. */
static bool probe_step(struct probe *p, uint64_t now_ns)
{
	bool over = program_stopped() || (p->seconds && now_ns >= p->end_ns);

	if (p->state == PROBE_RUN && over && (!p->client || !p->peer_known))
		return false;
	if (p->state == PROBE_RUN && over) {
		p->state = PROBE_ENDING;
		p->state_ns = p->next_ns = now_ns;
	}
	if (p->state == PROBE_ENDING && now_ns >= p->next_ns) {
		probe_put(p, PROBE_END, p->sent);
		p->next_ns += END_EVERY_NS;
	}
	if (now_ns >= p->report_ns && p->json) {
		probe_report(p, true);
		p->report_ns = now_ns + NS_PER_S;
	}
	return !(p->state == PROBE_ENDING && now_ns >= p->state_ns + END_LIMIT_NS) &&
	       !(p->state == PROBE_LATE && now_ns >= p->state_ns + LATE_NS);
}

static void probe_run(struct probe *p)
{
	struct pollfd poll_fd = {.fd = p->fd, .events = POLLIN};
	struct timespec wait = {0};
	uint64_t now_ns = program_now_ns(), wake_ns;

	p->start_ns = p->next_ns = now_ns;
	p->end_ns = now_ns + p->seconds * NS_PER_S;
	while (probe_step(p, now_ns)) {
		probe_send_due(p, now_ns);
		wake_ns = now_ns + 20 * NS_PER_MS;
		if (p->state != PROBE_LATE && p->next_ns > now_ns && p->next_ns < wake_ns)
			wake_ns = p->next_ns;
		wait.tv_nsec = wake_ns - now_ns;
		if (ppoll(&poll_fd, 1, &wait, NULL) > 0)
			probe_receive(p);
		now_ns = program_now_ns();
	}
}

static int probe_open(struct probe *p)
{
	struct sockaddr_in6 local;
	int off = 0, buffer = 4 << 20;

	if (program_address(p->bind_to, p->local_port, &local))
		return -EINVAL;
	p->fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (p->fd < 0)
		return -errno;
	setsockopt(p->fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	/* What a pause leaves comes at once: beyond the system's limit, where that is allowed. */
	if (setsockopt(p->fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)))
		setsockopt(p->fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
	return bind(p->fd, (struct sockaddr *)&local, sizeof(local)) ? -errno : 0;
}

static const char usage[] =
	"usage: probe client ADDRESS PORT [options]    probe server PORT [options]\n"
	"  --rate N (1000 datagrams a second)  --seconds N (until INT or TERM)  --size BYTES (64)\n"
	"  --bind ADDRESS  --source-port PORT  --oneway (the server only listens)  --json FILE\n"
	"A server ends when its client ends.\n";

static bool probe_options(int argc, char **argv, struct probe *p)
{
	static const struct option options[] = {{"rate", 1, NULL, 'r'}, {"seconds", 1, NULL, 's'},
		{"size", 1, NULL, 'z'}, {"bind", 1, NULL, 'b'}, {"source-port", 1, NULL, 'p'},
		{"oneway", 0, NULL, 'o'}, {"json", 1, NULL, 'j'}, {0}};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'r')
			p->rate = program_number("--rate", optarg, 1, 1000000);
		else if (option == 's')
			p->seconds = program_number("--seconds", optarg, 1, 86400);
		else if (option == 'z')
			p->size = program_number(
				"--size", optarg, sizeof(struct probe_message), PROBE_SIZE_MAX);
		else if (option == 'p')
			p->local_port = program_number("--source-port", optarg, 1, 65535);
		else if (option == 'b')
			p->bind_to = optarg;
		else if (option == 'j')
			p->json = optarg;
		else if (option == 'o')
			p->oneway = true;
		else
			return false;
	}
	argc -= optind;
	argv += optind;
	p->client = argc == 3 && !strcmp(argv[0], "client");
	if (!p->client && (argc != 2 || strcmp(argv[0], "server")))
		return false;
	if (!p->client) {
		p->local_port = program_number("port", argv[1], 1, 65535);
		return true;
	}
	p->peer_known = true;
	return !program_address(argv[1], program_number("port", argv[2], 1, 65535), &p->peer);
}

int main(int argc, char **argv)
{
	struct probe p = {.rate = 1000, .size = 64, .bind_to = "any"};
	int rc;

	if (!probe_options(argc, argv, &p)) {
		fputs(usage, stderr);
		return 2;
	}
	rc = probe_open(&p);
	if (rc) {
		fprintf(stderr, "probe: %s port %lu: %s\n", p.bind_to, p.local_port, strerror(-rc));
		return 1;
	}
	p.run = (uint32_t)program_now_ns() ^ (uint32_t)getpid() << 16;
	program_catch_stop();
	probe_run(&p);
	probe_report(&p, false);
	sequence_free(&p.in);
	close(p.fd);
	return 0;
}
