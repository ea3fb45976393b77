/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NAT as a plugin: floating addresses (1:1), shared addresses by port range (SNAT) and forwarded
 * ports (DNAT), for IPv4 and IPv6. README.md says which behaviour of RFC 4787, 5382 and 5508 that
 * is.
 *
 * Life cycle: configure() takes the leases of all vports by name; vport_add() binds those of one
 * and makes its public identities. A session is translated when it is opened, and never again: its
 * outside tuple is its second key. When a session is judged again the question is only whether the
 * vport still holds the lease that its outside tuple is of.
 *
 * Threads: plugin.h, nat.h.
 */
#include "plugins/nat/nat.h"

#include <errno.h>
#include <stdlib.h>

static void count(const struct nat *nat, const struct plugin_request *request, enum nat_count what)
{
	struct nat_vport *v = request->data;
	_Atomic uint64_t *n = &v->counters[request->worker].n[what];

	if (request->dry)
		return;
	if (request->worker >= nat->host->workers)
		atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
	else
		atomic_store_explicit(
			n, atomic_load_explicit(n, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* Lease number i of the vport decided. */
static enum plugin_verdict translated(const struct nat *nat, const struct plugin_request *request,
	struct plugin_answer *answer, const struct plugin_tuple *outside)
{
	answer->translate = true;
	answer->outside = *outside;
	count(nat, request, NAT_OPENED);
	return PLUGIN_ALLOW;
}

static enum plugin_verdict exhausted(const struct nat *nat, const struct plugin_request *request)
{
	count(nat, request, NAT_EXHAUSTED);
	return PLUGIN_NO_NAT_PORT;
}

/* ---- from outside ---- */

static void translate_in(const struct nat_lease *lease, struct plugin_tuple *tuple)
{
	tuple->local = lease->inside;
	if (lease->kind == NAT_DNAT && lease->inside_port)
		tuple->local_port =
			(uint16_t)(lease->inside_port + (tuple->local_port - lease->first));
}

static enum plugin_verdict admit_public(const struct nat *nat, const struct nat_binding *binding,
	const struct plugin_request *request, struct plugin_answer *answer)
{
	struct plugin_tuple view = request->tuple;

	for (uint32_t i = 0; i < binding->count; i++) {
		const struct nat_lease *lease = &binding->lease[i];

		if (lease->kind == NAT_SNAT || !nat_lease_holds(lease, &request->tuple))
			continue;
		answer->rule = i + 1;
		translate_in(lease, &view);
		view.vni = request->vport->vni;
		/*
		 * The VM has this very connection already, by another public address or without
		 * one.
		 */
		if (!nat->host->outside_free(nat->host->engine, &view))
			return exhausted(nat, request);
		return translated(nat, request, answer, &view);
	}
	count(nat, request, NAT_UNSOLICITED);
	return PLUGIN_DENY;
}

/* ---- to the outside ---- */

static bool lease_serves(const struct nat_lease *lease, const struct plugin_tuple *tuple)
{
	if (nat_addr_is_v4(&lease->address) != nat_addr_is_v4(&tuple->remote))
		return false;
	return (lease->kind == NAT_SNAT && nat_addr_any(&lease->inside)) ||
	       nat_addr_same(&lease->inside, &tuple->local);
}

static enum plugin_verdict admit_floating(const struct nat *nat, const struct nat_lease *lease,
	const struct plugin_request *request, struct plugin_answer *answer)
{
	struct plugin_tuple outside = request->tuple;

	outside.local = lease->address;
	outside.vni = lease->vni;
	if (!nat->host->outside_free(nat->host->engine, &outside))
		return exhausted(nat, request);
	return translated(nat, request, answer, &outside);
}

/* Has it something that tells one of many VMs behind an address from another? */
static bool tuple_shares(const struct plugin_tuple *tuple)
{
	switch (tuple->proto) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
		return true;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		/* A query has its identifier on the asking side. */
		return tuple->remote_port == 0;
	default:
		return false;
	}
}

static enum plugin_verdict admit_shared(const struct nat *nat, const struct nat_binding *binding,
	const struct plugin_request *request, struct plugin_answer *answer)
{
	unsigned int tries = NAT_TRIES;
	bool served = false;

	for (uint32_t i = 0; i < binding->count; i++) {
		const struct nat_lease *lease = &binding->lease[i];
		struct plugin_tuple outside = request->tuple;

		if (lease->kind != NAT_SNAT || !lease_serves(lease, &request->tuple))
			continue;
		answer->rule = i + 1;
		if (!tuple_shares(&request->tuple))
			return PLUGIN_DENY;
		served = true;
		if (nat_port_take(nat->host, lease, &outside, &tries))
			return translated(nat, request, answer, &outside);
	}
	return served ? exhausted(nat, request) : PLUGIN_ALLOW;
}

static enum plugin_verdict admit_private(const struct nat *nat, const struct nat_binding *binding,
	const struct plugin_request *request, struct plugin_answer *answer)
{
	/* What the VPC itself can reach stays as it is. */
	if (request->dir != PLUGIN_EGRESS || binding->count == 0 ||
		nat->host->reachable(nat->host->engine, &request->tuple))
		return PLUGIN_ALLOW;
	for (uint32_t i = 0; i < binding->count; i++) {
		const struct nat_lease *lease = &binding->lease[i];

		if (lease->kind == NAT_FLOATING && lease_serves(lease, &request->tuple)) {
			answer->rule = i + 1;
			return admit_floating(nat, lease, request, answer);
		}
	}
	return admit_shared(nat, binding, request, answer);
}

/* ---- the descriptor's calls ---- */

/* Its number from 1 on; 0: none of these. */
static uint32_t binding_holds(const struct nat_binding *binding, const struct plugin_tuple *outside)
{
	for (uint32_t i = 0; i < binding->count; i++)
		if (nat_lease_holds(&binding->lease[i], outside))
			return i + 1;
	return 0;
}

/*
 * One that arrives may be ahead of its lease: adopt() looks closer. Else the port is the vport's
 * or the session must end, for its public address may be another's by now.
 */
static enum plugin_verdict recheck(const struct nat_binding *binding,
	const struct plugin_request *request, struct plugin_answer *answer)
{
	if (!request->outside)
		return PLUGIN_ALLOW;
	answer->translate = true;
	answer->outside = *request->outside;
	answer->rule = binding_holds(binding, request->outside);
	return answer->rule || request->arrives ? PLUGIN_ALLOW : PLUGIN_NO_NAT_PORT;
}

static enum plugin_verdict nat_admit(
	void *instance, const struct plugin_request *request, struct plugin_answer *answer)
{
	const struct nat *nat = instance;
	struct nat_vport *v = request->data;
	const struct nat_binding *binding = atomic_load_explicit(&v->binding, memory_order_acquire);

	if (request->recheck)
		return recheck(binding, request, answer);
	if (request->public_side)
		return admit_public(nat, binding, request, answer);
	return admit_private(nat, binding, request, answer);
}

/*
 * Sessions come before the section with the leases. So one is refused when its outside tuple is of
 * somebody else's lease; when it is nobody's the lease is on its way.
 */
static enum plugin_verdict nat_adopt(
	void *instance, const struct plugin_session *session, uint16_t state_version)
{
	struct nat *nat = instance;
	const struct nat_vport *v = session->data;
	struct nat_lease lease = {.address = session->outside.local,
		.vni = session->outside.vni,
		.first = session->outside.local_port,
		.last = session->outside.local_port};
	bool own, other;

	(void)state_version;
	if (!session->translated)
		return PLUGIN_ALLOW;
	pthread_mutex_lock(&nat->mutex);
	own = binding_holds(atomic_load(&v->binding), &session->outside) != 0;
	other = !own && nat_bind_holder(nat, v, &lease);
	pthread_mutex_unlock(&nat->mutex);
	return other ? PLUGIN_NO_NAT_PORT : PLUGIN_ALLOW;
}

static int nat_configure(
	void *instance, const struct plugin_value *config, bool apply, struct plugin_error *error)
{
	struct nat_rows rows;
	int rc = nat_rows_parse(config, &rows, error);

	if (rc != 0)
		return rc;
	rc = nat_bind_rows(instance, &rows, apply, error);
	if (rc != 0 || !apply)
		free(rows.row);
	return rc;
}

static int nat_vport_check(
	void *instance, const struct plugin_value *settings, struct plugin_error *error)
{
	(void)instance;
	if (settings && settings->count > 0)
		return nat_fail(error, settings, "nat: a vport has no settings but nat_leases");
	return 0;
}

static void vport_unlist(struct nat *nat, struct nat_vport *v)
{
	struct nat_vport **at = &nat->vports;

	pthread_mutex_lock(&nat->mutex);
	while (*at != v)
		at = &(*at)->next;
	*at = v->next;
	pthread_mutex_unlock(&nat->mutex);
}

static int nat_vport_add(void *instance, const struct plugin_vport *view,
	const struct plugin_value *settings, void **data, struct plugin_error *error)
{
	struct nat *nat = instance;
	struct nat_vport *v = calloc(1, sizeof(*v));
	size_t counters = (nat->host->workers + 1u) * sizeof(struct nat_counters);
	int rc;

	(void)settings;
	if (!v)
		return -ENOMEM;
	v->view = view;
	v->counters = aligned_alloc(64, counters);
	if (!v->counters) {
		free(v);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i <= nat->host->workers; i++)
		v->counters[i] = (struct nat_counters){0};
	pthread_mutex_lock(&nat->mutex);
	v->next = nat->vports;
	nat->vports = v;
	pthread_mutex_unlock(&nat->mutex);
	rc = nat_bind_vport(nat, v, error);
	if (rc == 0) {
		*data = v;
		return 0;
	}
	vport_unlist(nat, v);
	free(v->counters);
	free(v);
	return rc;
}

static int nat_vport_change(void *instance, const struct plugin_vport *view,
	const struct plugin_value *settings, void **data, struct plugin_error *error)
{
	(void)view;
	(void)settings;
	return nat_bind_vport(instance, *data, error);
}

static void vport_release(void *memory)
{
	struct nat_vport *v = memory;

	free(atomic_load(&v->binding));
	free(v->counters);
	free(v->moved);
	free(v);
}

/* The engine takes back the identities of this vport, and of no other. */
static void nat_vport_del(void *instance, const struct plugin_vport *view, void *data)
{
	struct nat *nat = instance;

	(void)view;
	vport_unlist(nat, data);
	nat->host->defer(nat->host->engine, data, vport_release);
}

static int nat_create(const struct plugin_host *host, void **instance)
{
	struct nat *nat = calloc(1, sizeof(*nat));

	if (!nat)
		return -ENOMEM;
	nat->host = host;
	pthread_mutex_init(&nat->mutex, NULL);
	*instance = nat;
	return 0;
}

static void nat_destroy(void *instance)
{
	struct nat *nat = instance;

	pthread_mutex_destroy(&nat->mutex);
	free(nat->rows.row);
	free(nat);
}

FERRY_PLUGIN(.name = "nat", .version = "1.0", .summary = "floating, shared and forwarded addresses",
	.state_version = 1, .state_min_version = 1, .create = nat_create, .destroy = nat_destroy,
	.configure = nat_configure, .vport_check = nat_vport_check, .vport_add = nat_vport_add,
	.vport_change = nat_vport_change, .vport_del = nat_vport_del, .admit = nat_admit,
	.adopt = nat_adopt, .section_save = nat_section_save, .section_load = nat_section_load,
	.section_forget = nat_section_forget, .show = nat_show);
