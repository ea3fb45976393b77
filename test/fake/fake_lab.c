/* SPDX-License-Identifier: BSD-3-Clause */
#include "test/fake/fake_lab.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_ip.h>

#include "dataplane/vport.h"

static uint64_t lab_now(void *arg)
{
	const struct fake_lab_host *h = arg;

	return __atomic_load_n(&h->lab->now_ns, __ATOMIC_RELAXED) +
	       h->lab->ahead_ns[h - h->lab->host];
}

static void lab_log(void *arg, enum plugin_log_level level, const char *object, const char *text)
{
	struct fake_lab *lab = arg;
	size_t used = strlen(lab->log);

	(void)level;
	snprintf(lab->log + used, sizeof(lab->log) - used, "%s: %s\n", object, text);
	if (used > sizeof(lab->log) / 2)
		memmove(lab->log, lab->log + used / 2, strlen(lab->log + used / 2) + 1);
	if (!lab->quiet)
		fprintf(stderr, "# %s: %s\n", object, text);
}

static int port_bind(uint16_t port, int type)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(port)};
	int fd = socket(AF_INET, type, 0);

	assert(fd >= 0);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	close(fd);
	return -1;
}

/*
 * A free TCP port, and none that the system may give to a connection while the host is down. Labs
 * run beside each other, and all call their hosts h0, h1: one that listened where another one's
 * host is not up yet would be taken for it. So the UDP port of the same number is kept as long as
 * the lab is there.
 */
static bool port_claim(struct fake_lab *lab, uint32_t host)
{
	int fd;

	lab->claim[host] = port_bind(lab->port[host], SOCK_DGRAM);
	if (lab->claim[host] < 0)
		return false;
	fd = port_bind(lab->port[host], SOCK_STREAM);
	if (fd >= 0)
		close(fd);
	else
		close(lab->claim[host]);
	return fd >= 0;
}

void fake_lab_new(struct fake_lab *lab, uint32_t hosts)
{
	memset(lab, 0, sizeof(*lab));
	lab->hosts = hosts;
	lab->now_ns = 1000000000000ULL;
	/* In memory, as /run is: the store's writes are part of a cutover. */
	strcpy(lab->dir, access("/dev/shm", W_OK) == 0 ? "/dev/shm/ferry-lab.XXXXXX"
						       : "/tmp/ferry-lab.XXXXXX");
	assert(mkdtemp(lab->dir));
	for (uint32_t i = 0; i < hosts; i++) {
		int tries = 0;

		do {
			static _Atomic uint16_t next;

			lab->port[i] = 20000 + (getpid() * 61 + next++) % 12000;
			assert(tries++ < 12000);
		} while (!port_claim(lab, i));
	}
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

void fake_lab_free(struct fake_lab *lab)
{
	for (uint32_t i = 0; i < lab->hosts; i++) {
		fake_lab_stop(lab, i);
		close(lab->claim[i]);
	}
	nftw(lab->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void lab_config(struct fake_lab *lab, uint32_t host)
{
	struct config_error fault;
	char error[1024], *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	fprintf(f, "host: {name: h%u, run_dir: %s/h%u}\n", host, lab->dir, host);
	fprintf(f, "engine: {workers: 1, sessions: %u, mbufs: 2048, session_quota_percent: 90}\n",
		lab->sessions ? lab->sessions : 16384);
	fprintf(f,
		"uplink: {device: net_null0, ips: [192.0.2.%u/24], mtu: 1600, "
		"mac: '02:00:c0:00:02:%02x'}\n",
		host + 1, host + 1);
	if (lab->tls_dir)
		fprintf(f, "tls: {ca: %s/ca.pem, cert: %s/h%u.pem, key: %s/h%u.key}\n",
			lab->tls_dir, lab->tls_dir, host, lab->tls_dir, host);
	else
		fprintf(f, "tls: {insecure: true}\n");
	fprintf(f, "plugins: %s\n", lab->plugins[host] ? lab->plugins[host] : "[]");
	fprintf(f, "migrate: {listen: '127.0.0.1:%u', %s}\n", lab->port[host],
		lab->migrate ? lab->migrate : "announce_interval_ms: 10");
	fprintf(f, "peers:\n");
	for (uint32_t i = 0; i < lab->hosts; i++)
		if (i != host)
			fprintf(f,
				"  - {name: h%u, vteps: [192.0.2.%u], address: "
				"'127.0.0.1:%u'%s%s}\n",
				i, i + 1, lab->port[i], lab->peer_vnis ? ", vnis: " : "",
				lab->peer_vnis ? lab->peer_vnis : "");
	fprintf(f, "vpcs:\n  - {name: shop, vni: 100, subnets: [10.0.0.0/24, 'fd00::/64'], "
		   "gateway_ips: [10.0.0.1, 'fd00::1'], gateway_mac: '02:00:00:00:00:fe'}\n");
	if (lab->vports[host])
		fprintf(f, "vports:\n%s", lab->vports[host]);
	if (lab->extra[host])
		fprintf(f, "%s", lab->extra[host]);
	fclose(f);
	if (config_load_text(text, len, "lab", &lab->host[host].config, &fault) != 0) {
		config_error_format(&fault, error, sizeof(error));
		fprintf(stderr, "# %s\n%s", error, text);
		assert(!"config");
	}
	free(text);
}

void fake_lab_start(struct fake_lab *lab, uint32_t host)
{
	struct fake_lab_host *h = &lab->host[host];
	struct mover_options options = {.log = lab_log, .log_arg = lab, .world = lab->world[host]};
	struct setup_options setup = {.ring_ports = true,
		.paused = true,
		.birth = mover_birth,
		.vport_free = mover_vport_free};
	char error[512] = "", name[8];

	memset(h, 0, sizeof(*h));
	h->lab = lab;
	lab_config(lab, host);
	snprintf(name, sizeof(name), "lab%u", host);
	options.config = h->config;
	if (mover_create(&options, &h->mover, error, sizeof(error)) != 0) {
		fprintf(stderr, "# %s\n", error);
		assert(!"mover");
	}
	setup.clock.now_ns = lab_now;
	setup.clock.arg = h;
	setup.engine_name = name;
	setup.plugin_dir = lab->plugin_dir;
	setup.birth_arg = h->mover;
	setup.callbacks = (struct engine_callbacks){.log = lab_log,
		.role_store = lab->role_store ? lab->role_store : mover_role_store,
		.role_changed = mover_role_changed,
		.rings_heard = mover_rings_heard,
		.rings = mover_rings,
		.relayed_from = mover_relayed_from,
		.arg = h->mover};
	setup.callbacks.log = NULL;
	if (setup_create(h->config, &setup, &h->setup, error, sizeof(error)) != 0) {
		fprintf(stderr, "# %s\n", error);
		assert(!"setup");
	}
	h->engine = setup_engine(h->setup);
	h->uplink = engine_uplink_port(h->engine);
	h->up = true;
	if (mover_attach(h->mover, h->setup, error, sizeof(error)) != 0) {
		fprintf(stderr, "# %s\n", error);
		assert(!"attach");
	}
}

int fake_lab_reload(struct fake_lab *lab, uint32_t host, char *error, size_t error_len)
{
	struct fake_lab_host *h = &lab->host[host];
	struct config *before = h->config;
	int rc;

	lab_config(lab, host);
	rc = setup_reload(h->setup, h->config, error, error_len);
	if (rc == 0)
		rc = mover_reload(h->mover, h->config, error, error_len);
	config_free(rc == 0 ? before : h->config);
	if (rc != 0)
		h->config = before;
	return rc;
}

void fake_lab_stop(struct fake_lab *lab, uint32_t host)
{
	struct fake_lab_host *h = &lab->host[host];

	if (!h->up)
		return;
	h->up = false;
	mover_detach(h->mover);
	setup_destroy(h->setup);
	mover_destroy(h->mover);
	config_free(h->config);
}

/* ---- the fabric ---- */

static void fabric_give(struct fake_lab *lab, uint32_t to, const uint8_t *frame, size_t len)
{
	struct fake_lab_host *h = &lab->host[to];
	struct rte_mbuf *m;

	if (!h->up || h->cut)
		return;
	m = fake_frame_mbuf(frame, len, engine_pool(h->engine));
	if (m && port_ring_inject(h->uplink, m) != 0)
		rte_pktmbuf_free(m);
}

static void fabric_carry(struct fake_lab *lab, uint32_t from, const uint8_t *frame, size_t len)
{
	const struct rte_ether_hdr *ether = (const struct rte_ether_hdr *)frame;
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(ether + 1);

	lab->fabric_frames++;
	if (lab->host[from].cut || (lab->tap && !lab->tap(lab->tap_arg, from, frame, len)))
		return;
	for (uint32_t to = 0; to < lab->hosts; to++) {
		if (to == from)
			continue;
		if (ether->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV4) &&
			ip->dst_addr != rte_cpu_to_be_32(0xc0000200u + to + 1))
			continue;
		fabric_give(lab, to, frame, len);
	}
}

static bool lab_round(struct fake_lab *lab)
{
	uint8_t frame[FAKE_FRAME_MAX];
	bool moved = false;
	size_t len;

	for (uint32_t i = 0; i < lab->hosts; i++) {
		struct fake_lab_host *h = &lab->host[i];

		if (!h->up)
			continue;
		moved = engine_poll(h->engine) > 0 || moved;
		while ((len = fake_host_receive(h->uplink, frame, sizeof(frame))) > 0) {
			fabric_carry(lab, i, frame, len);
			moved = true;
		}
	}
	return moved;
}

void fake_lab_run(struct fake_lab *lab)
{
	uint64_t real_ns = rte_get_timer_cycles() * 1000000 / (rte_get_timer_hz() / 1000);

	if (lab->real_ns && !lab->frozen)
		__atomic_add_fetch(&lab->now_ns, real_ns - lab->real_ns, __ATOMIC_RELAXED);
	lab->real_ns = real_ns;
	for (int i = 0; i < 10000 && lab_round(lab); i++)
		;
	for (uint32_t i = 0; i < lab->hosts; i++)
		if (lab->host[i].up)
			engine_tick(lab->host[i].engine);
}

static bool never(void *arg)
{
	(void)arg;
	return false;
}

void fake_lab_run_ms(struct fake_lab *lab, uint32_t time_ms)
{
	fake_lab_until(lab, never, NULL, time_ms);
}

bool fake_lab_until(struct fake_lab *lab, bool (*done)(void *arg), void *arg, uint32_t timeout_ms)
{
	uint64_t end = rte_get_timer_cycles() + timeout_ms * (rte_get_timer_hz() / 1000);

	do {
		fake_lab_run(lab);
		if (done(arg))
			return true;
		usleep(200);
	} while (rte_get_timer_cycles() < end);
	return false;
}

/* ---- vports ---- */

struct vport *fake_lab_vport(struct fake_lab *lab, uint32_t host, const char *name)
{
	return engine_vport_find(lab->host[host].engine, name);
}

enum role fake_lab_role(struct fake_lab *lab, uint32_t host, const char *name)
{
	struct vport *v = lab->host[host].up ? fake_lab_vport(lab, host, name) : NULL;

	return v ? vport_role(v) : ROLE_COUNT;
}

void fake_lab_rings(struct fake_lab *lab, uint32_t host, const char *name, bool up)
{
	struct vport *v = fake_lab_vport(lab, host, name);

	assert(v);
	if (up)
		port_resume(v->port);
	else
		port_pause(v->port);
}

/* ---- moves ---- */

void fake_lab_move(struct fake_lab *lab, uint32_t from, uint32_t to, const char *name, char *id)
{
	char host[8], error[512] = "";
	struct mover_request request = {.vport = name, .host = host, .mode = MOVER_RINGS};

	snprintf(host, sizeof(host), "h%u", to);
	if (mover_start(lab->host[from].mover, &request, id, error, sizeof(error)) != 0) {
		fprintf(stderr, "# %s\n", error);
		assert(!"move starts");
	}
}

struct phase_wait {
	struct mover *mover;
	const char *id;
	enum mover_phase phase;
	struct mover_view view;
};

static bool phase_reached(void *arg)
{
	struct phase_wait *wait = arg;

	return mover_view(wait->mover, wait->id, &wait->view) == 0 &&
	       (wait->view.phase == wait->phase || wait->view.done);
}

bool fake_lab_phase(struct fake_lab *lab, uint32_t host, const char *id, enum mover_phase phase,
	uint32_t timeout_ms)
{
	struct phase_wait wait = {.mover = lab->host[host].mover, .id = id, .phase = phase};

	fake_lab_until(lab, phase_reached, &wait, timeout_ms);
	if (wait.view.phase != phase)
		fprintf(stderr, "# h%u: phase %s, step %s, not %s: %s\n", host,
			mover_phase_name(wait.view.phase), wait.view.step, mover_phase_name(phase),
			wait.view.reason);
	return wait.view.phase == phase;
}

static bool move_over(void *arg)
{
	struct phase_wait *wait = arg;

	return mover_view(wait->mover, wait->id, &wait->view) == 0 && wait->view.done;
}

void fake_lab_over(struct fake_lab *lab, uint32_t host, const char *id, struct mover_view *view)
{
	struct phase_wait wait = {.mover = lab->host[host].mover, .id = id};

	if (!fake_lab_until(lab, move_over, &wait, 60000)) {
		fprintf(stderr, "# h%u: phase %s, step %s: %s\n", host,
			mover_phase_name(wait.view.phase), wait.view.step, wait.view.reason);
		assert(!"the move ends");
	}
	*view = wait.view;
}

struct all_ports {
	struct fake_lab *lab;
	uint32_t host;
	const char *vm;
	bool up;
	char name[16][64];
	uint32_t count;
};

static int port_of_vm(struct vport *v, void *arg)
{
	struct all_ports *all = arg;

	if (strcmp(v->vm, all->vm) == 0 || strcmp(v->name, all->vm) == 0)
		snprintf(all->name[all->count++], 64, "%s", v->name);
	return 0;
}

static void vm_rings(struct fake_lab *lab, uint32_t host, const char *vm, bool up)
{
	struct all_ports all = {.lab = lab, .host = host, .vm = vm, .up = up};
	struct vport *v = fake_lab_vport(lab, host, vm);

	if (v)
		all.vm = v->vm;
	engine_vport_foreach(lab->host[host].engine, port_of_vm, &all);
	for (uint32_t i = 0; i < all.count; i++)
		fake_lab_rings(lab, host, all.name[i], up);
}

void fake_lab_migrate(struct fake_lab *lab, uint32_t from, uint32_t to, const char *name)
{
	char id[37];

	fake_lab_move(lab, from, to, name, id);
	assert(fake_lab_phase(lab, from, id, MOVER_READY, 60000));
	fake_lab_finish(lab, from, to, name, id);
}

void fake_lab_finish(
	struct fake_lab *lab, uint32_t from, uint32_t to, const char *name, const char *id)
{
	struct mover_view view;

	vm_rings(lab, from, name, false);
	assert(fake_lab_phase(lab, from, id, MOVER_VERIFIED, 60000));
	vm_rings(lab, to, name, true);
	fake_lab_over(lab, from, id, &view);
	assert(view.phase == MOVER_COMMITTED);
	fake_lab_over(lab, to, id, &view);
	assert(view.phase == MOVER_COMMITTED);
}

/* ---- packets ---- */

void fake_lab_send(
	struct fake_lab *lab, uint32_t host, const char *vport, const struct fake_packet *packet)
{
	struct vport *v = fake_lab_vport(lab, host, vport);
	struct rte_mbuf *m = fake_packet_mbuf(packet, engine_pool(lab->host[host].engine));

	assert(v && m && port_ring_inject(v->port, m) == 0);
	fake_lab_run(lab);
}

uint32_t fake_lab_drain(struct fake_lab *lab, uint32_t host, const char *vport)
{
	return fake_host_drain(fake_lab_vport(lab, host, vport)->port);
}
