/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ssl.h>

#include "ctrl/channel/host_impl.h"

#define HANDSHAKE_DEFAULT_MS 5000
#define DAY_S 86400

struct channel_host {
	char name[CHANNEL_NAME_BYTES];
	uint8_t boot_id[16];
	unsigned handshake_ms;
	const struct channel_world *world;
	pthread_mutex_t lock; /* of what follows, down to the counters */
	bool insecure;
	unsigned warn_days;
	struct credentials *credentials; /* NULL: none configured */
	struct peers *peers;
	_Atomic uint64_t by_reason[CHANNEL_REASON_COUNT];
	_Atomic uint64_t events[HOST_EVENTS];
	_Atomic uint64_t skipped;
};

static int host_files_check(const char *certificate_path, const char *key_path, const char *ca_path,
	bool insecure, struct channel_error *error)
{
	unsigned given = (certificate_path != NULL) + (key_path != NULL) + (ca_path != NULL);

	if (given == 3 || (given == 0 && insecure))
		return 0;
	return channel_error_set(error, CHANNEL_REASON_OWN_FILES,
		given == 0
			? "no certificate, key and CA files, and the config does not say insecure"
			: "certificate, key and CA files must be given together");
}

static int host_files_set(struct channel_host *host, const char *certificate_path,
	const char *key_path, const char *ca_path, bool insecure)
{
	struct credentials *fresh = NULL, *old;
	int ret = 0;

	if (certificate_path != NULL)
		ret = credentials_new(certificate_path, key_path, ca_path, &fresh);
	if (ret < 0)
		return ret;
	pthread_mutex_lock(&host->lock);
	old = host->credentials;
	host->credentials = fresh;
	host->insecure = insecure;
	pthread_mutex_unlock(&host->lock);
	credentials_free(old);
	return 0;
}

int channel_host_new(const struct channel_host_config *config, struct channel_host **host,
	struct channel_error *error)
{
	struct channel_host *made;
	int ret = host_files_check(config->certificate_path, config->key_path, config->ca_path,
		config->insecure, error);

	if (ret < 0)
		return ret;
	if (config->name == NULL || config->name[0] == '\0' ||
		strlen(config->name) >= CHANNEL_NAME_BYTES)
		return channel_error_set(error, CHANNEL_REASON_HOST_NAME,
			"our host name must have 1 to %d characters", CHANNEL_NAME_BYTES - 1);
	made = calloc(1, sizeof(*made));
	if (made == NULL)
		return channel_error_set(error, CHANNEL_REASON_MEMORY, "no memory");
	strcpy(made->name, config->name);
	memcpy(made->boot_id, config->boot_id, sizeof(made->boot_id));
	made->handshake_ms =
		config->handshake_ms != 0 ? config->handshake_ms : HANDSHAKE_DEFAULT_MS;
	made->warn_days = CHANNEL_CERTIFICATE_WARN_DAYS;
	made->world = config->world != NULL ? config->world : &channel_world_real;
	pthread_mutex_init(&made->lock, NULL);
	ret = host_files_set(made, config->certificate_path, config->key_path, config->ca_path,
		config->insecure);
	if (ret < 0) {
		channel_host_free(made);
		return channel_error_set(error, CHANNEL_REASON_MEMORY, "no memory");
	}
	*host = made;
	return 0;
}

void channel_host_free(struct channel_host *host)
{
	if (host == NULL)
		return;
	credentials_free(host->credentials);
	peers_free(host->peers);
	pthread_mutex_destroy(&host->lock);
	free(host);
}

int channel_host_set_peers(
	struct channel_host *host, const struct channel_peer *peers, unsigned n_peers)
{
	struct peers *fresh, *old;
	int ret = peers_new(peers, n_peers, &fresh);

	if (ret < 0)
		return ret;
	pthread_mutex_lock(&host->lock);
	old = host->peers;
	host->peers = fresh;
	pthread_mutex_unlock(&host->lock);
	peers_free(old);
	return 0;
}

int channel_host_set_files(struct channel_host *host, const char *certificate_path,
	const char *key_path, const char *ca_path, bool insecure)
{
	int ret = host_files_check(certificate_path, key_path, ca_path, insecure, NULL);

	return ret < 0 ? ret : host_files_set(host, certificate_path, key_path, ca_path, insecure);
}

void channel_host_set_warn_days(struct channel_host *host, unsigned days)
{
	pthread_mutex_lock(&host->lock);
	host->warn_days = days;
	pthread_mutex_unlock(&host->lock);
}

const struct channel_world *channel_host_world(const struct channel_host *host)
{
	return host->world;
}

bool channel_host_find(
	struct channel_host *host, const struct peers_claim *claim, struct host_peer *peer)
{
	const struct channel_peer *found;

	pthread_mutex_lock(&host->lock);
	found = peers_find(host->peers, claim);
	if (found != NULL && peer != NULL) {
		memset(peer, 0, sizeof(*peer));
		strcpy(peer->name, found->name);
		peer->port = found->port;
		if (found->n_addresses > 0)
			peer->address = found->addresses[0];
	}
	pthread_mutex_unlock(&host->lock);
	return found != NULL;
}

int channel_host_credentials(
	struct channel_host *host, struct credentials_use *use, struct channel_error *error)
{
	int ret;

	pthread_mutex_lock(&host->lock);
	if (host->credentials == NULL)
		ret = channel_error_set(error, CHANNEL_REASON_OWN_FILES,
			"no certificate, key and CA files are configured");
	else
		ret = credentials_get(host->credentials, use, error);
	pthread_mutex_unlock(&host->lock);
	return ret;
}

bool channel_host_is_insecure(struct channel_host *host)
{
	bool insecure;

	pthread_mutex_lock(&host->lock);
	insecure = host->insecure;
	pthread_mutex_unlock(&host->lock);
	return insecure;
}

unsigned channel_host_handshake_ms(const struct channel_host *host)
{
	return host->handshake_ms;
}

const char *channel_host_name(const struct channel_host *host)
{
	return host->name;
}

const uint8_t *channel_host_boot_id(const struct channel_host *host)
{
	return host->boot_id;
}

void channel_host_count(struct channel_host *host, enum channel_reason reason)
{
	host->by_reason[reason]++;
}

void channel_host_note(struct channel_host *host, enum host_event event)
{
	host->events[event]++;
}

void channel_host_note_skipped(struct channel_host *host)
{
	host->skipped++;
}

/* Whole days, rounded down: -1 from the second it is over. */
static int days_until(int64_t end_s, int64_t now_s)
{
	int64_t left_s = end_s - now_s;

	return (int)((left_s - (left_s < 0 ? DAY_S - 1 : 0)) / DAY_S);
}

static void status_dates(struct channel_host_status *s, const struct credentials_use *use,
	int64_t now_s, unsigned warn_days)
{
	char date[CERTIFICATE_DATE_BYTES];
	bool ca_first = use->ca.not_after_s < use->own.not_after_s;
	const struct certificate_info *first = ca_first ? &use->ca : &use->own;
	const char *whose = ca_first ? "CA" : "our certificate";

	s->has_certificate = true;
	strcpy(s->subject, use->own.subject);
	strcpy(s->ca_subject, use->ca.subject);
	s->not_before_s = use->own.not_before_s;
	s->not_after_s = use->own.not_after_s;
	s->ca_not_after_s = use->ca.not_after_s;
	s->days_left = days_until(first->not_after_s, now_s);
	s->warn = s->days_left < (int)warn_days || now_s < s->not_before_s;
	if (!s->warn || s->problem[0] != '\0')
		return;
	certificate_date(now_s < s->not_before_s ? s->not_before_s : first->not_after_s, date);
	snprintf(s->problem, sizeof(s->problem), "%s (%s) %s %s",
		now_s < s->not_before_s ? "our certificate" : whose,
		now_s < s->not_before_s ? s->subject : first->subject,
		now_s < s->not_before_s ? "is not valid before"
		: s->days_left < 0      ? "expired on"
					: "expires on",
		date);
}

void channel_host_status(struct channel_host *host, struct channel_host_status *status)
{
	struct channel_host_status s = {};
	struct credentials_use use;

	pthread_mutex_lock(&host->lock);
	s.insecure = host->insecure;
	if (host->credentials != NULL) {
		bool usable = credentials_get(host->credentials, &use, NULL) == 0;

		strcpy(s.problem, credentials_problem(host->credentials));
		s.reloads = credentials_reloads(host->credentials);
		s.warn = !usable;
		if (usable) {
			status_dates(&s, &use, channel_world_wall_s(host->world), host->warn_days);
			SSL_CTX_free(use.context);
		}
	}
	pthread_mutex_unlock(&host->lock);
	s.warn |= s.problem[0] != '\0';
	s.connects = host->events[HOST_CONNECTED];
	s.accepts = host->events[HOST_ACCEPTED];
	s.frames_skipped = host->skipped;
	for (int i = 0; i < CHANNEL_REASON_COUNT; i++)
		s.by_reason[i] = host->by_reason[i];
	*status = s;
}
