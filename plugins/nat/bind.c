/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which leases a vport has. A change is made whole beside the old state: bindings first, then
 * public identities (all that go before any that come, since a lease may go from one vport to
 * another), then the new bindings are published and the vports' sessions judged again. Until
 * publishing everything can be undone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/nat/nat.h"

static bool fill_inside(const struct plugin_vport *view, struct nat_lease *lease)
{
	if (!nat_addr_any(&lease->inside) || lease->kind == NAT_SNAT)
		return true;
	for (uint16_t i = 0; i < view->ip_count; i++)
		if (nat_addr_is_v4(&view->ips[i]) == nat_addr_is_v4(&lease->address)) {
			lease->inside = view->ips[i];
			return true;
		}
	return false;
}

static bool binding_has(const struct nat_binding *binding, const struct nat_lease *lease)
{
	for (uint32_t i = 0; i < binding->count; i++)
		if (nat_lease_same(&binding->lease[i], lease))
			return true;
	return false;
}

static int binding_add(struct nat_binding *binding, const struct nat_vport *v,
	const struct nat_lease *lease, struct plugin_error *error)
{
	struct nat_lease *own = &binding->lease[binding->count];

	if (binding_has(binding, lease))
		return 0;
	if (binding->count == NAT_LEASES_MAX)
		return nat_fail(error, NULL, "nat_leases: vport %s: more than %d", v->view->name,
			NAT_LEASES_MAX);
	*own = *lease;
	if (!fill_inside(v->view, own))
		return nat_fail(error, NULL,
			"nat_leases: vport %s has no address of the family of its %s lease",
			v->view->name, nat_kind_name(lease->kind));
	binding->count++;
	return 0;
}

static struct nat_binding *binding_make(
	const struct nat_rows *rows, const struct nat_vport *v, struct plugin_error *error)
{
	struct nat_binding *binding =
		calloc(1, sizeof(*binding) + sizeof(struct nat_lease) * NAT_LEASES_MAX);
	int rc = 0;

	if (!binding) {
		nat_fail(error, NULL, "nat_leases: out of memory");
		return NULL;
	}
	for (uint32_t i = 0; i < rows->count && rc == 0; i++)
		if (strcmp(rows->row[i].vport, v->view->name) == 0)
			rc = binding_add(binding, v, &rows->row[i].lease, error);
	for (uint32_t i = 0; i < v->moved_count && rc == 0; i++)
		rc = binding_add(binding, v, &v->moved[i], error);
	if (rc == 0)
		return binding;
	free(binding);
	return NULL;
}

/* ---- identities ---- */

static struct plugin_identity identity_of(const struct nat_lease *lease)
{
	return (struct plugin_identity){.vni = lease->vni,
		.addr = lease->address,
		.port_first = lease->first,
		.port_last = lease->last};
}

/* Several protocols of the same ports are one identity. */
static bool has_identity(const struct nat_binding *binding, const struct nat_lease *lease)
{
	for (uint32_t i = 0; binding && i < binding->count; i++) {
		const struct nat_lease *own = &binding->lease[i];

		if (own->vni == lease->vni && own->first == lease->first &&
			own->last == lease->last && nat_addr_same(&own->address, &lease->address))
			return true;
	}
	return false;
}

static void identities_leave(const struct nat *nat, const struct nat_vport *v,
	const struct nat_binding *from, const struct nat_binding *to)
{
	for (uint32_t i = 0; from && i < from->count; i++) {
		struct plugin_identity identity = identity_of(&from->lease[i]);

		if (!has_identity(to, &from->lease[i]))
			nat->host->identity_del(nat->host->engine, v->view, &identity);
	}
}

static int identities_come(const struct nat *nat, const struct nat_vport *v,
	const struct nat_binding *from, const struct nat_binding *to, struct plugin_error *error)
{
	for (uint32_t i = 0; to && i < to->count; i++) {
		struct plugin_identity identity = identity_of(&to->lease[i]);
		char text[80];
		int rc;

		if (has_identity(from, &to->lease[i]))
			continue;
		rc = nat->host->identity_add(nat->host->engine, v->view, &identity);
		if (rc == 0)
			continue;
		nat_lease_text(&to->lease[i], text, sizeof(text));
		nat_fail(error, NULL, "nat_leases: address: %s of %s: %s", text, v->view->name,
			rc == -EEXIST ? "another vport here has it" : strerror(-rc));
		return rc;
	}
	return 0;
}

static void publish(struct nat *nat, struct nat_vport *v, struct nat_binding *binding)
{
	struct nat_binding *old;

	pthread_mutex_lock(&nat->mutex);
	old = atomic_exchange(&v->binding, binding);
	pthread_mutex_unlock(&nat->mutex);
	if (!old)
		return;
	nat->host->defer_free(nat->host->engine, old);
	nat->host->policy_changed(nat->host->engine, v->view);
}

/* ---- changes ---- */

const char *nat_bind_holder(
	const struct nat *nat, const struct nat_vport *v, const struct nat_lease *lease)
{
	for (const struct nat_vport *other = nat->vports; other; other = other->next) {
		const struct nat_binding *binding = atomic_load(&other->binding);

		for (uint32_t i = 0; other != v && binding && i < binding->count; i++)
			if (nat_lease_clash(&binding->lease[i], lease, false))
				return other->view->name;
	}
	for (uint32_t i = 0; i < nat->rows.count; i++)
		if (strcmp(nat->rows.row[i].vport, v->view->name) != 0 &&
			nat_lease_clash(&nat->rows.row[i].lease, lease, false))
			return nat->rows.row[i].vport;
	return NULL;
}

int nat_bind_vport(struct nat *nat, struct nat_vport *v, struct plugin_error *error)
{
	struct nat_binding *old = atomic_load(&v->binding);
	struct nat_binding *binding = binding_make(&nat->rows, v, error);
	struct plugin_error ignored;
	int rc;

	if (!binding)
		return -EINVAL;
	identities_leave(nat, v, old, binding);
	rc = identities_come(nat, v, old, binding, error);
	if (rc == 0) {
		publish(nat, v, binding);
		return 0;
	}
	identities_leave(nat, v, binding, old);
	identities_come(nat, v, binding, old, &ignored);
	free(binding);
	return rc;
}

/* What moved here with a vport is not to be given to another. */
static int moved_check(
	const struct nat *nat, const struct nat_rows *rows, struct plugin_error *error)
{
	for (const struct nat_vport *v = nat->vports; v; v = v->next)
		for (uint32_t i = 0; i < v->moved_count; i++)
			for (uint32_t n = 0; n < rows->count; n++) {
				const struct nat_row *row = &rows->row[n];
				bool same = strcmp(row->vport, v->view->name) == 0;
				char text[80];

				if (!nat_lease_clash(&row->lease, &v->moved[i], same) ||
					(same && nat_lease_same(&row->lease, &v->moved[i])))
					continue;
				nat_lease_text(&row->lease, text, sizeof(text));
				return nat_fail(error, NULL,
					"nat_leases: ports: %s of %s overlaps a lease that %s "
					"brought here",
					text, row->vport, v->view->name);
			}
	return 0;
}

static int identities_switch(
	const struct nat *nat, struct nat_binding **to, struct plugin_error *error)
{
	struct plugin_error ignored;
	const struct nat_vport *v;
	uint32_t i = 0;
	int rc = 0;

	for (v = nat->vports; v; v = v->next)
		identities_leave(nat, v, atomic_load(&v->binding), to[i++]);
	for (v = nat->vports, i = 0; v && rc == 0; v = v->next)
		rc = identities_come(nat, v, atomic_load(&v->binding), to[i++], error);
	if (rc == 0)
		return 0;
	for (v = nat->vports, i = 0; v; v = v->next)
		identities_leave(nat, v, to[i++], atomic_load(&v->binding));
	for (v = nat->vports, i = 0; v; v = v->next)
		identities_come(nat, v, to[i++], atomic_load(&v->binding), &ignored);
	return rc;
}

int nat_bind_rows(struct nat *nat, struct nat_rows *rows, bool apply, struct plugin_error *error)
{
	struct nat_binding **to;
	struct nat_vport *v;
	uint32_t count = 0, made = 0;
	int rc = moved_check(nat, rows, error);

	for (v = nat->vports; v; v = v->next)
		count++;
	to = calloc(count + 1, sizeof(*to));
	if (!to)
		rc = nat_fail(error, NULL, "nat_leases: out of memory");
	for (v = nat->vports; v && rc == 0; v = v->next) {
		to[made] = binding_make(rows, v, error);
		rc = to[made++] ? 0 : -EINVAL;
	}
	if (rc == 0 && apply)
		rc = identities_switch(nat, to, error);
	if (rc != 0 || !apply) {
		for (uint32_t i = 0; i < made; i++)
			free(to[i]);
		free(to);
		return rc;
	}
	pthread_mutex_lock(&nat->mutex);
	free(nat->rows.row);
	nat->rows = *rows;
	pthread_mutex_unlock(&nat->mutex);
	for (v = nat->vports, made = 0; v; v = v->next)
		publish(nat, v, to[made++]);
	free(to);
	return 0;
}
