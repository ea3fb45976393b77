/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/channel/certificate.h"
#include "ctrl/channel/peers.h"

struct peers {
	unsigned n;
	struct channel_peer list[]; /* all they point to is ours */
};

static void peer_fini(struct channel_peer *peer)
{
	for (unsigned i = 0; i < peer->n_certificate_names; i++)
		free((char *)peer->certificate_names[i]);
	free((void *)peer->certificate_names);
	free((void *)peer->addresses);
	free((char *)peer->name);
}

static int peer_copy(struct channel_peer *to, const struct channel_peer *from)
{
	size_t addresses_bytes = from->n_addresses * sizeof(*from->addresses);
	struct in6_addr *addresses = malloc(addresses_bytes + 1);
	char **names = calloc(from->n_certificate_names + 1, sizeof(*names));

	*to = (struct channel_peer){
		.name = strdup(from->name),
		.port = from->port,
		.addresses = addresses,
		.certificate_names = (const char *const *)names,
	};
	if (to->name == NULL || addresses == NULL || names == NULL)
		goto fail;
	if (addresses_bytes > 0)
		memcpy(addresses, from->addresses, addresses_bytes);
	to->n_addresses = from->n_addresses;
	for (unsigned i = 0; i < from->n_certificate_names; i++) {
		names[i] = strdup(from->certificate_names[i]);
		if (names[i] == NULL)
			goto fail;
		to->n_certificate_names++;
	}
	return 0;
fail:
	peer_fini(to);
	return -ENOMEM;
}

static bool peer_name_is_good(const struct channel_peer *list, unsigned at)
{
	const char *name = list[at].name;

	if (name == NULL || name[0] == '\0' || strlen(name) >= CHANNEL_NAME_BYTES)
		return false;
	for (unsigned i = 0; i < at; i++) {
		if (strcmp(list[i].name, name) == 0)
			return false;
	}
	return true;
}

int peers_new(const struct channel_peer *list, unsigned n, struct peers **peers)
{
	struct peers *made = calloc(1, sizeof(*made) + n * sizeof(made->list[0]));
	int ret;

	if (made == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++) {
		ret = peer_name_is_good(list, i) ? peer_copy(&made->list[i], &list[i]) : -EINVAL;
		if (ret < 0) {
			peers_free(made);
			return ret;
		}
		made->n++;
	}
	*peers = made;
	return 0;
}

void peers_free(struct peers *peers)
{
	if (peers == NULL)
		return;
	for (unsigned i = 0; i < peers->n; i++)
		peer_fini(&peers->list[i]);
	free(peers);
}

static bool peer_has_address(const struct channel_peer *peer, const struct in6_addr *address)
{
	for (unsigned i = 0; i < peer->n_addresses; i++) {
		if (IN6_ARE_ADDR_EQUAL(&peer->addresses[i], address))
			return true;
	}
	return false;
}

static bool peer_has_certificate(const struct channel_peer *peer, X509 *certificate)
{
	if (peer->n_certificate_names == 0)
		return certificate_is_called(certificate, peer->name);
	for (unsigned i = 0; i < peer->n_certificate_names; i++) {
		if (certificate_is_called(certificate, peer->certificate_names[i]))
			return true;
	}
	return false;
}

static bool peer_fits(const struct channel_peer *peer, const struct peers_claim *claim)
{
	if (claim->name != NULL && strcmp(claim->name, peer->name) != 0)
		return false;
	if (claim->address != NULL && !peer_has_address(peer, claim->address))
		return false;
	return claim->certificate == NULL || peer_has_certificate(peer, claim->certificate);
}

const struct channel_peer *peers_find(const struct peers *peers, const struct peers_claim *claim)
{
	for (unsigned i = 0; peers != NULL && i < peers->n; i++) {
		if (peer_fits(&peers->list[i], claim))
			return &peers->list[i];
	}
	return NULL;
}
