/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_NAT_H
#define FERRY_NAT_H
/*
 * Public addresses. What the files of this plugin share, from the written lease to a packet's other
 * tuple:
 *
 *	lease.c   a lease as written -> struct nat_lease; which leases cannot be together
 *	bind.c    the leases of a vport -> struct nat_binding and its public identities; change from
 *one to the next port.c    a free port of a lease for a new session move.c    what moves with the
 *vport; what plugin/show says nat.c     the descriptor: configuration, vports, admission
 *
 * No table of ports is kept: a port is taken when the engine has a session with that outside tuple.
 * So whatever ends a session, here or by a move, gives its port back, and nothing can leak or be
 * given back twice.
 *
 * Workers read nat_vport.binding, which is replaced whole, and count by worker. All else belongs to
 * the control thread; `mutex` is for adopt(), which runs on control threads that do not hold the
 * engine's.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "dataplane/plugin.h"

#define NAT_NAME_MAX 64
#define NAT_LEASES_MAX 64 /* of one vport */
#define NAT_TRIES 1024 /* ports looked at for one session: bounds the time of a packet */

enum nat_kind { NAT_FLOATING, NAT_SNAT, NAT_DNAT, NAT_KINDS };

struct nat_lease {
	struct in6_addr address; /* public */
	struct in6_addr
		inside; /* all zero, as written: the first address of that family; SNAT: all */
	uint32_t vni; /* of the external network */
	uint16_t first, last; /* FLOATING: 0, 0 */
	uint16_t inside_port; /* DNAT: behind `first`; 0: the same ports */
	uint8_t kind; /* enum nat_kind */
	uint8_t proto; /* DNAT: 0: TCP and UDP */
};

/* As configured. */
struct nat_row {
	char vport[NAT_NAME_MAX];
	struct nat_lease lease;
};
struct nat_rows {
	struct nat_row *row;
	uint32_t count;
};

/* Of one vport, with `inside` filled in. */
struct nat_binding {
	uint32_t count;
	struct nat_lease lease[];
};

enum nat_count { NAT_OPENED, NAT_EXHAUSTED, NAT_UNSOLICITED, NAT_COUNTS };
struct nat_counters {
	_Atomic uint64_t n[NAT_COUNTS];
} __attribute__((aligned(64)));

struct nat_vport {
	const struct plugin_vport *view;
	_Atomic(struct nat_binding *) binding;
	struct nat_counters *counters; /* workers + 1 */
	uint64_t moved_counts[NAT_COUNTS]; /* from the hosts before */
	/* Leases that came with the vport and that no configuration of this host names. */
	struct nat_lease *moved;
	uint32_t moved_count;
	struct nat_vport *next;
};

struct nat {
	const struct plugin_host *host;
	pthread_mutex_t mutex; /* rows and the list with its bindings, against adopt() */
	struct nat_rows rows;
	struct nat_vport *vports;
};

/* ---- lease.c ---- */

/* Fill error from what stands at `value` (NULL: nowhere); returns -EINVAL. */
int nat_fail(struct plugin_error *error, const struct plugin_value *value, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The parts external_networks and nat_leases; free rows->row. 0 or -errno. */
int nat_rows_parse(
	const struct plugin_value *config, struct nat_rows *rows, struct plugin_error *error);
/* The same lease, whatever lies behind it. */
bool nat_lease_same(const struct nat_lease *a, const struct nat_lease *b);
/* They cannot be two leases: one packet could be for either. */
bool nat_lease_clash(const struct nat_lease *a, const struct nat_lease *b, bool same_vport);
bool nat_lease_holds(const struct nat_lease *lease, const struct plugin_tuple *outside);
const char *nat_kind_name(uint8_t kind);
/* "203.0.113.7:1024-2047" */
void nat_lease_text(const struct nat_lease *lease, char *text, size_t len);
bool nat_addr_is_v4(const struct in6_addr *addr);
bool nat_addr_same(const struct in6_addr *a, const struct in6_addr *b);
bool nat_addr_any(const struct in6_addr *addr);

/* ---- bind.c ---- */

/* The vport is in the list (again, with other addresses or other moved leases): bind it. */
int nat_bind_vport(struct nat *nat, struct nat_vport *v, struct plugin_error *error);
/*
 * From the configured rows to others, for all vports: all or nothing. Takes rows->row when it
 * succeeds.
 */
int nat_bind_rows(struct nat *nat, struct nat_rows *rows, bool apply, struct plugin_error *error);
/* Who but `v` has a lease that clashes; NULL: nobody. */
const char *nat_bind_holder(
	const struct nat *nat, const struct nat_vport *v, const struct nat_lease *lease);

/* ---- port.c ---- */

/* Fill in outside->local_port with a free one of lease. `tries`: what may still be looked at. */
bool nat_port_take(const struct plugin_host *host, const struct nat_lease *lease,
	struct plugin_tuple *outside, unsigned int *tries);

/* ---- move.c ---- */

int nat_section_save(
	void *instance, const struct plugin_vport *view, void *data, struct plugin_sink *sink);
int nat_section_load(void *instance, const struct plugin_vport *view, void *data,
	const struct plugin_section *section, struct plugin_error *error);
void nat_section_forget(void *instance, const struct plugin_vport *view, void *data);
int nat_show(void *instance, const struct plugin_vport *view, void *data, struct plugin_sink *sink);

#endif
