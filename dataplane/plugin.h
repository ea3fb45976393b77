/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_PLUGIN_H
#define FERRY_PLUGIN_H
/*
 * The door for packet services. A plugin is a shared object that exports one `struct
 * plugin_descriptor` named `ferry_plugin`; it includes this header and no other of Ferry's, keeps
 * all its state behind the instance pointer that create() returns, and has no mutable globals (two
 * engines may run in one process).
 *
 * Plugins decide, the engine executes: a plugin is asked when a session is admitted (its first
 * packet), re-checked (the policy changed, or the session arrived with a move) and closed. Its
 * answer is a verdict and primitive actions; the engine keeps them in the session and runs them for
 * each packet.
 *
 * Threads. create, destroy, configure, prepare, take, drop, vport_*, section_*, show, tick: control
 * threads, one at a time in one instance. No worker waits meanwhile; a person at the control socket
 * may: what takes longer than some milliseconds is for build. section_* run while a VM stands
 * still: bounded by what the vport has. Never wait for a grace period. admit, abandoned, opened,
 * adopt, closed and state_changed: any worker, and control threads that import or show sessions,
 * several at once; they must not block, allocate or log per packet. What they read must be
 * replaced, not edited: swap an atomic pointer, then give the old one to host->defer_free() or
 * host->defer(). Counters by `worker` need no atomics but in the slot `workers`, which all control
 * threads share.
 *
 * Order: plugins are asked in the order of the config (and `after`); the first verdict that is not
 * PLUGIN_ALLOW ends the chain. Who said ALLOW to a new session hears exactly one of abandoned() (it
 * did not come to be) and closed(), so that what admit reserved or counted can be given back.
 *
 * Policy. A session is stamped before the chain is asked. So: first make the new policy visible,
 * then call host->policy_changed() for the vports it concerns; whoever was judged by the old one is
 * asked again, at its next packet, with request->recheck.
 */
#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLUGIN_ABI_VERSION 2
#define PLUGIN_NAME_MAX 32
#define PLUGIN_STATE_MAX 64 /* bytes of per-session state of one plugin */
#define PLUGIN_METER_NONE 0xff
#define PLUGIN_VPORTS_MAX 4096

/* ---- configuration: a neutral tree, as read from the `config:` key of a plugin or vport ---- */

enum plugin_value_kind { PLUGIN_SCALAR, PLUGIN_LIST, PLUGIN_MAP };

struct plugin_value {
	enum plugin_value_kind kind;
	const char *key; /* of a map's member, else NULL */
	const char *text; /* SCALAR */
	const struct plugin_value *item; /* LIST, MAP: `count` of them */
	uint32_t count;
	uint32_t line, column; /* in the config file; 0: from the control socket */
};

/* Errors for people: one line that names the key. */
struct plugin_error {
	char text[256];
	uint32_t line, column;
};

/* ---- what a plugin sees ---- */

enum plugin_dir { PLUGIN_EGRESS = 0, PLUGIN_INGRESS = 1 }; /* seen from the VM */

enum plugin_verdict {
	PLUGIN_ALLOW,
	PLUGIN_DENY, /* dropped and counted as "denied" */
	PLUGIN_REJECT, /* dropped and answered (RST or ICMP prohibited), rate-limited */
	PLUGIN_NO_NAT_PORT, /* dropped and counted as such; in a recheck: the session uses what is
			       not the vport's any more, and ends even where the denied may
			       finish */
};

/* One connection. Ports are in host order; for ICMP echo the identifier (see session_key.h). */
struct plugin_tuple {
	struct in6_addr local, remote; /* IPv4 is v4-mapped */
	uint32_t vni;
	uint16_t local_port, remote_port;
	uint8_t proto;
	uint8_t icmp_type, icmp_code; /* first packet's, for ICMP and ICMPv6 */
	uint8_t dscp;
};

/* A vport as plugins know it: valid from vport_add to vport_del. `data` is the plugin's own. */
struct plugin_vport {
	const char *name;
	uint16_t id; /* < PLUGIN_VPORTS_MAX, reused after vport_del and a grace period */
	uint32_t vni;
	/* Not for workers (vport_change replaces them): */
	const struct in6_addr *ips;
	uint16_t ip_count;
	const char *const *groups; /* security groups by name */
	uint16_t group_count;
	uint8_t mac[6];
};

/* The question of admit and recheck. */
struct plugin_request {
	const struct plugin_vport *vport;
	struct plugin_tuple tuple; /* as the VM sees it; for a first packet to a public identity:
				      as the network sees it, until a plugin has translated it */
	enum plugin_dir dir; /* who opened it */
	bool recheck; /* a living session: policy changed, or it came with a move */
	bool dry; /* only a question (trace, session/dump): reserve, count and keep nothing */
	bool public_side; /* opened from outside the VPC, to a public identity */
	uint16_t worker; /* who asks: < host->workers; or == host->workers: a control thread */
	uint64_t now_ns; /* the vport's clock */
	uint64_t session_id; /* birth id; 0: not born yet */
	/* Of a recheck: what this plugin keeps in the session (NULL: nothing). */
	const uint8_t *state;
	uint8_t state_len;
	bool arrives; /* of a recheck: it comes with a move, adopt() is next */
	const struct plugin_tuple
		*outside; /* of a recheck: as the network sees it; NULL: not translated */
	void *data; /* what vport_add stored for this plugin and vport */
};

/* The answer; the engine hands it from plugin to plugin, each adds. */
struct plugin_answer {
	/* Translate: the session gets a second key, the network's view of it. */
	bool translate;
	struct plugin_tuple outside; /* local/remote/ports/vni as the network sees them; or, for a
				      request with public_side, the VM's view */
	int16_t dscp; /* 0-63; -1: leave */
	uint8_t meter[2]; /* by enum plugin_dir: number of a meter of this vport */
	int32_t mirror_vport; /* id; -1: none */
	bool report; /* call state_changed for this session */
	/*
	 * What follows is each plugin's own, and empty when it is asked.
	 * Per-session state: kept by the engine, moves with the session. Not looked at in a
	 * recheck.
	 */
	uint8_t state_len;
	uint8_t state[PLUGIN_STATE_MAX];
	/* Why, for trace and session/dump: a rule number (from 1) or similar; 0: none. */
	uint32_t rule;
	uint32_t group; /* index in vport->groups + 1; 0: none */
};

struct plugin_session {
	const struct plugin_vport *vport;
	struct plugin_tuple tuple;
	struct plugin_tuple outside; /* same as tuple when not translated */
	bool translated;
	enum plugin_dir dir; /* who opened it */
	uint64_t session_id;
	uint16_t worker; /* as in plugin_request */
	uint64_t packets[2], bytes[2]; /* by enum plugin_dir */
	uint64_t opened_ns, last_ns, now_ns; /* the vport's clock */
	const char *state; /* name of the session's state */
	uint8_t *plugin_state; /* this plugin's own, may be changed in place (single words) */
	uint8_t plugin_state_len;
	void *data;
};

enum plugin_close_reason {
	PLUGIN_CLOSE_IDLE,
	PLUGIN_CLOSE_END, /* FIN or RST seen, then its time was over */
	PLUGIN_CLOSE_POLICY,
	PLUGIN_CLOSE_EVICTED,
	PLUGIN_CLOSE_OPERATOR,
	PLUGIN_CLOSE_REPLACED, /* a new connection on the same tuple */
	PLUGIN_CLOSE_MOVED, /* the session lives on elsewhere: release local things, report nothing
			     */
};

/* ---- what the engine offers ---- */

enum plugin_log_level { PLUGIN_LOG_ERROR, PLUGIN_LOG_WARN, PLUGIN_LOG_INFO, PLUGIN_LOG_DEBUG };

/* A two-rate three-color meter (RFC 4115) of a vport, run by the engine for sessions that name it.
 */
struct plugin_meter {
	uint64_t cir_bytes_s, eir_bytes_s;
	uint64_t cbs_bytes, ebs_bytes;
};
struct plugin_meter_level {
	uint64_t committed_bytes, excess_bytes; /* tokens left now */
};

struct plugin_identity {
	uint32_t vni; /* of the external network */
	struct in6_addr addr;
	uint16_t port_first, port_last; /* 0, 0: all, announced; a range: never announced */
};

struct plugin_host {
	void *engine; /* first argument of each call */
	const char *engine_name; /* unique in the process: for names that DPDK wants unique */
	uint16_t workers;
	void (*log)(void *engine, enum plugin_log_level level, const char *format, ...)
		__attribute__((format(printf, 3, 4)));
	/* Given to free(), or to `release`, a grace period from now. Any thread. NULL: nothing. */
	void (*defer_free)(void *engine, void *memory);
	void (*defer)(void *engine, void *memory, void (*release)(void *memory));
	/* Living sessions of all (vport NULL) or one vport are to be judged again. Control thread.
	 */
	void (*policy_changed)(void *engine, const struct plugin_vport *vport);
	/* Meters, control thread only. number < 8 per vport. */
	int (*meter_set)(void *engine, const struct plugin_vport *vport, uint8_t number,
		const struct plugin_meter *meter);
	int (*meter_level)(void *engine, const struct plugin_vport *vport, uint8_t number,
		struct plugin_meter_level *level);
	int (*meter_level_set)(void *engine, const struct plugin_vport *vport, uint8_t number,
		const struct plugin_meter_level *level);
	/* Public identities of a vport: located, announced, moved and fenced like its own. */
	int (*identity_add)(void *engine, const struct plugin_vport *vport,
		const struct plugin_identity *identity);
	int (*identity_del)(void *engine, const struct plugin_vport *vport,
		const struct plugin_identity *identity);
	/* Is this outside tuple (its second key) free? Worker or control. */
	bool (*outside_free)(void *engine, const struct plugin_tuple *outside);
	/* Has the VPC of this tuple a location, a subnet or a route for its remote? Worker or
	 * control. */
	bool (*reachable)(void *engine, const struct plugin_tuple *tuple);
};

/* A growing buffer for sections and show. put() returns -ENOMEM or 0; errors stick. */
struct plugin_sink {
	int (*put)(struct plugin_sink *sink, const void *data, size_t len_bytes);
	void *arg;
};

/* What a section holds, as section_save wrote it in `version` (state_min_version to state_version).
 */
struct plugin_section {
	uint16_t version;
	const uint8_t *bytes;
	size_t len_bytes;
};

/* ---- the descriptor: NULL for what a plugin does not care about, but create and destroy ---- */

struct plugin_descriptor {
	uint32_t abi; /* PLUGIN_ABI_VERSION */
	const char *name; /* [a-z][a-z0-9-]*, < PLUGIN_NAME_MAX; also the section's name */
	const char *version; /* for people */
	const char *summary; /* one line */
	const char *after; /* a plugin that, if it is there, must be asked (and moved) before this
			      one */
	uint16_t state_version, state_min_version; /* of what section_* and state hold */
	bool state_optional; /* a destination without this plugin may skip its state */

	int (*create)(const struct plugin_host *host, void **instance);
	void (*destroy)(void *instance);
	/*
	 * Check and take a configuration: all or nothing. `apply` false: only check. Called at
	 * start and on reload. error->text names the key.
	 */
	int (*configure)(void *instance, const struct plugin_value *config, bool apply,
		struct plugin_error *error);
	/*
	 * For tables that take long to build: all four or none. They stand in for configure with
	 * `apply`, so that nobody waits for this plugin meanwhile.
	 * prepare: check, and note what build needs of the instance; changes nothing in force.
	 * build: the long part, on any thread, beside all other calls: touches `prepared` alone.
	 * take: what was built comes into force, with what has changed since prepare.
	 * drop: `prepared` goes, taken or not, also after a prepare or build that failed. Vports
	 * that come or change with it come before, so what was built for them may wait here.
	 * Several may be prepared at once, and what was in force before may be taken again.
	 */
	int (*prepare)(void *instance, const struct plugin_value *config, void **prepared,
		struct plugin_error *error);
	int (*build)(void *prepared, struct plugin_error *error);
	int (*take)(void *instance, void *prepared, struct plugin_error *error);
	void (*drop)(void *instance, void *prepared);

	/*
	 * *data is given back in requests of this vport. settings: the vport's own `plugins:` entry
	 * or NULL. vport_check looks at settings alone and changes nothing; all plugins are asked
	 * before the first vport_add or vport_change, so that these need not fail for what a person
	 * wrote.
	 */
	int (*vport_check)(
		void *instance, const struct plugin_value *settings, struct plugin_error *error);
	int (*vport_add)(void *instance, const struct plugin_vport *vport,
		const struct plugin_value *settings, void **data, struct plugin_error *error);
	int (*vport_change)(void *instance, const struct plugin_vport *vport,
		const struct plugin_value *settings, void **data, struct plugin_error *error);
	void (*vport_del)(void *instance, const struct plugin_vport *vport, void *data);

	/* A new session, or (request->recheck) a living one that is judged again. */
	enum plugin_verdict (*admit)(
		void *instance, const struct plugin_request *request, struct plugin_answer *answer);
	/*
	 * The session this plugin allowed did not come to be: refused by another one, no room, lost
	 * a race. request->state: what this plugin had put into its answer.
	 */
	void (*abandoned)(void *instance, const struct plugin_request *request);
	/* The session that was admitted lives now, and has its id. Not told of one that arrives:
	 * see adopt. */
	void (*opened)(void *instance, const struct plugin_session *session);
	/* Told once, to plugins that admitted or adopted the session. */
	void (*closed)(void *instance, const struct plugin_session *session,
		enum plugin_close_reason reason);
	void (*state_changed)(void *instance, const struct plugin_session *session);
	/*
	 * A session arrives with a move and brings `plugin_state` of version state_version (len 0:
	 * none). Claim what belongs to it (a port of a lease, ...). PLUGIN_ALLOW or the reason it
	 * cannot live here. admit was asked before, with recheck.
	 */
	enum plugin_verdict (*adopt)(
		void *instance, const struct plugin_session *session, uint16_t state_version);

	/*
	 * Per-vport state that moves: written at the source, read at the destination. Twice: when
	 * the move is prepared (refuse then what cannot be here: a lease, a name in use) and when
	 * the vport stands still. The second replaces the first.
	 */
	int (*section_save)(void *instance, const struct plugin_vport *vport, void *data,
		struct plugin_sink *sink);
	int (*section_load)(void *instance, const struct plugin_vport *vport, void *data,
		const struct plugin_section *section, struct plugin_error *error);
	/*
	 * The move was given up and the vport stays here as it was before, passive: what a section
	 * claimed for it (a lease, a name) is free again. Also when none was loaded.
	 */
	void (*section_forget)(void *instance, const struct plugin_vport *vport, void *data);

	/* Text for plugin/show (vport NULL: the instance). JSON object, one line. */
	int (*show)(void *instance, const struct plugin_vport *vport, void *data,
		struct plugin_sink *sink);
	/* Called about each 100 ms on a control thread. */
	void (*tick)(void *instance, uint64_t now_ns);
};

#define FERRY_PLUGIN(...) \
	__attribute__((visibility("default"))) extern const struct plugin_descriptor ferry_plugin; \
	const struct plugin_descriptor ferry_plugin = {.abi = PLUGIN_ABI_VERSION, __VA_ARGS__}

#endif
