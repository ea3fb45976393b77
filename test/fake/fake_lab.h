/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_FAKE_LAB_H
#define FERRY_FAKE_LAB_H
/*
 * Up to four hypervisors in one process: real engines on ring ports, real movers, joined by real
 * connections on loopback (plain or TLS), and a fabric that carries the uplinks' frames. Host i is
 * called "h<i>", its VTEP is 192.0.2.<i+1>. One thread polls everything: fake_lab_run(), and while
 * a call here waits.
 *
 * Each knows VPC 100, 10.0.0.0/24 and fd00::/64. A host's vports are given when it starts, as YAML;
 * they are born with rings down, fake_lab_rings() is the VM coming and going.
 */
#include "ctrl/migrate/mover.h"
#include "test/fake/fake_host.h"

#define FAKE_LAB_HOSTS 4
#define FAKE_LAB_VM \
	"  - {name: v, vm: vm1, vpc: shop, mac: '02:00:00:00:00:05', ips: [10.0.0.5, " \
	"'fd00::5'],\n" \
	"     uuid: 00000000-0000-4000-8000-000000000005, port: {path: /tmp/v.sock}}\n"

struct fake_lab_host {
	bool up;
	struct config *config;
	struct setup *setup;
	struct engine *engine;
	struct mover *mover;
	struct port *uplink;
	const struct fake_lab *lab;
	bool cut; /* the fabric drops what it sends and what is for it */
};

struct fake_lab {
	struct fake_lab_host host[FAKE_LAB_HOSTS];
	uint32_t hosts;
	uint64_t now_ns; /* of all engines; moves with real time in fake_lab_run() unless frozen */
	bool frozen;
	uint64_t real_ns;
	char dir[64];
	uint16_t port[FAKE_LAB_HOSTS];
	int claim[FAKE_LAB_HOSTS]; /* sockets that keep these ports from other labs */
	const char *extra[FAKE_LAB_HOSTS]; /* more YAML for a host, top level; NULL: none */
	const char *vports[FAKE_LAB_HOSTS]; /* YAML list entries, or NULL */
	const char *plugins[FAKE_LAB_HOSTS]; /* YAML list in flow style; NULL: none are loaded */
	const char *plugin_dir; /* where they are, by name */
	const char *tls_dir; /* h<i>.pem, h<i>.key, ca.pem of scripts/test-ca; NULL: plain */
	const char *peer_vnis; /* "[200]": all that peers may speak for; NULL: everything */
	const char *migrate; /* "key: value, key: value" for all; NULL: none */
	const struct channel_world *world[FAKE_LAB_HOSTS]; /* NULL: the real one */
	/* In place of the mover's, which it calls in the end; NULL: the mover's. */
	int (*role_store)(void *mover, const struct vport *vport, enum role role, uint64_t epoch);
	uint32_t sessions; /* table size of hosts that start now; 0: 16384 */
	uint64_t ahead_ns[FAKE_LAB_HOSTS]; /* a host's clock, of the others' */
	uint64_t fabric_frames;
	/* Sees each frame on the fabric; false: lost. May be NULL. */
	bool (*tap)(void *arg, uint32_t from, const uint8_t *frame, size_t len);
	void *tap_arg;
	bool quiet;
	char log[16384]; /* what was said, for tests that look for a reason */
};

/* Sets up paths and ports; hosts are started one by one. */
void fake_lab_new(struct fake_lab *lab, uint32_t hosts);
void fake_lab_free(struct fake_lab *lab);
void fake_lab_start(struct fake_lab *lab, uint32_t host);
/* Orderly or not, the same: nobody is told. The store stays. */
void fake_lab_stop(struct fake_lab *lab, uint32_t host);

/* The host's config anew, from what the lab says now. */
int fake_lab_reload(struct fake_lab *lab, uint32_t host, char *error, size_t error_len);

/* Poll all engines and carry frames until nothing moves. */
void fake_lab_run(struct fake_lab *lab);
/* Run for so long, in real time. */
void fake_lab_run_ms(struct fake_lab *lab, uint32_t time_ms);
/* Run until done(arg), false after timeout_ms. */
bool fake_lab_until(struct fake_lab *lab, bool (*done)(void *arg), void *arg, uint32_t timeout_ms);

struct vport *fake_lab_vport(struct fake_lab *lab, uint32_t host, const char *name);
enum role fake_lab_role(struct fake_lab *lab, uint32_t host, const char *name);
void fake_lab_rings(struct fake_lab *lab, uint32_t host, const char *name, bool up);

/* A move of VM or vport `name`; the id is kept by the caller (37 bytes). Asserts that it starts. */
void fake_lab_move(struct fake_lab *lab, uint32_t from, uint32_t to, const char *name, char *id);
bool fake_lab_phase(struct fake_lab *lab, uint32_t host, const char *id, enum mover_phase phase,
	uint32_t timeout_ms);
/* Until it is over; its last view. */
void fake_lab_over(struct fake_lab *lab, uint32_t host, const char *id, struct mover_view *view);
/* A move that is ready, to its end: rings down at `from`, up at `to`, committed at both. */
void fake_lab_finish(
	struct fake_lab *lab, uint32_t from, uint32_t to, const char *name, const char *id);
/*
 * The ferryd of `from` says that it has begun this move (16 bytes) to `to`, when it is asked; it
 * does nothing for it. Until it is forgotten.
 */
struct move *fake_lab_announce(
	struct fake_lab *lab, uint32_t from, uint32_t to, const uint8_t *move_id);
void fake_lab_forget(struct fake_lab *lab, uint32_t from, struct move *announced);
/* The whole of it: start, ready, rings down at `from`, up at `to`, committed. */
void fake_lab_migrate(struct fake_lab *lab, uint32_t from, uint32_t to, const char *name);

/* A frame from a VM into its port. */
void fake_lab_send(
	struct fake_lab *lab, uint32_t host, const char *vport, const struct fake_packet *packet);
/* Frames that came out of a port, counted and freed. */
uint32_t fake_lab_drain(struct fake_lab *lab, uint32_t host, const char *vport);

/* All sessions of a vport, one sorted line each, without what may differ between hosts; caller
 * frees. */
char *fake_lab_dump(struct fake_lab *lab, uint32_t host, const char *vport);
/* `count` established TCP sessions 10.0.0.9:first+i -> vport:80, through the constructor. */
void fake_lab_sessions(
	struct fake_lab *lab, uint32_t host, const char *vport, uint32_t first, uint32_t count);

#endif
