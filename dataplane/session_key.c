/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/session_key.h"

#include "dataplane/addr.h"

bool session_key_pack(
	const struct session_tuple *tuple, struct session_key *key, struct session_addresses6 *a6)
{
	key->vni_proto = tuple->vni << 8 | tuple->proto;
	key->local_port = tuple->local_port;
	key->remote_port = tuple->remote_port;
	if (addr_is_v4(&tuple->local) && addr_is_v4(&tuple->remote)) {
		key->local = addr_to_v4(&tuple->local);
		key->remote = addr_to_v4(&tuple->remote);
		return false;
	}
	a6->local = tuple->local;
	a6->remote = tuple->remote;
	key->addresses = session_key_fold6(&tuple->local, &tuple->remote);
	return true;
}

void session_key_unpack(const struct session_key *key, const struct session_addresses6 *a6,
	struct session_tuple *tuple)
{
	tuple->vni = session_key_vni(key);
	tuple->proto = session_key_proto(key);
	tuple->local_port = key->local_port;
	tuple->remote_port = key->remote_port;
	tuple->local = a6 ? a6->local : addr_from_v4(key->local);
	tuple->remote = a6 ? a6->remote : addr_from_v4(key->remote);
}
