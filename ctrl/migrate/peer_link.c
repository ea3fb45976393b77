/* SPDX-License-Identifier: BSD-3-Clause */
/* The asking side of the peers' exchange: one thread per Ferry peer, one question at a time. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctrl/migrate/peer_impl.h"
#include "dataplane/addr.h"

#define ASK_MS 2000
#define PING_MS 1000
#define RETRY_MIN_MS 200
#define RETRY_MAX_MS 3000

static uint64_t link_now_ns(const struct peer_link *link)
{
	return channel_world_now_ns(&link->mover->world);
}

static struct wire_writer link_writer(struct peer_link *link)
{
	struct wire_writer w;

	wire_writer_init(&w, link->buffer, FRAME_PAYLOAD_MAX_BYTES);
	return w;
}

/* Ask and hear; the answer's payload is valid until the next question. */
static int ask(struct peer_link *link, uint16_t type, const struct wire_writer *w, uint16_t want,
	struct wire_reader *r)
{
	struct frame_kind kind = {.type = type, .mandatory = true};
	uint64_t until_ns = channel_deadline_ns(link->channel, ASK_MS);
	struct frame frame;
	int rc;

	if (w && !wire_writer_ok(w))
		return -EMSGSIZE;
	rc = channel_send(link->channel, &kind, link->buffer, w ? wire_writer_len(w) : 0, until_ns);
	if (rc == 0)
		rc = channel_recv(link->channel, &frame, until_ns);
	if (rc == 0 && frame.kind.type != want)
		rc = -EBADMSG;
	if (rc == 0 && r)
		wire_reader_init(r, frame.payload, frame.payload_bytes);
	return rc;
}

/* ---- telling what is ours ---- */

struct owned {
	struct mover *mover;
	struct vswitch_port *port[1024];
	uint32_t count;
};

static int owned_add(struct vswitch_port *port, void *arg)
{
	struct owned *owned = arg;

	if (owned->count < 1024)
		owned->port[owned->count++] = port;
	return 0;
}

static void put_owned(struct peer_link *link, struct wire_writer *w)
{
	const struct vswitch *v = &link->mover->vswitch;
	struct vswitch_identity own[VSWITCH_IDENTITIES_MAX];
	struct owned owned = {.mover = link->mover};

	v->ops->foreach(v->ctx, owned_add, &owned);
	for (uint32_t i = 0; i < owned.count; i++) {
		struct vswitch_port_info info;
		uint32_t n;

		v->ops->info(v->ctx, owned.port[i], &info);
		if (info.role != ROLE_OWNER || !mover_peer_vni(link->mover, link->name, info.vni))
			continue;
		n = v->ops->identities(v->ctx, owned.port[i], own, VSWITCH_IDENTITIES_MAX);
		for (uint32_t k = 0; k < n; k++) {
			put_identity(w, &own[k]);
			wire_put_u64(w, info.epoch);
		}
	}
}

static int tell_owned(struct peer_link *link)
{
	struct exchange *peers = link->mover->exchange;
	struct wire_writer w = link_writer(link);
	uint64_t serial;
	int rc;

	pthread_mutex_lock(&peers->lock);
	serial = peers->told;
	pthread_mutex_unlock(&peers->lock);
	put_owned(link, &w);
	rc = ask(link, PEER_OWNED, &w, PEER_OK, NULL);
	if (rc != 0)
		return rc;
	pthread_mutex_lock(&peers->lock);
	link->told = serial;
	pthread_mutex_unlock(&peers->lock);
	exchange_told(link->mover);
	return 0;
}

/* ---- telling where what was ours has gone ---- */

static int tell_note(struct peer_link *link, struct peer_note *note)
{
	struct mover *mover = link->mover;
	const struct vswitch *v = &mover->vswitch;
	struct vswitch_port *port = peer_local(mover, &note->id);
	struct vswitch_port_info info;
	struct store_entry entry;
	struct wire_writer w;

	if (!port)
		return 0;
	v->ops->info(v->ctx, port, &info);
	if (info.role == ROLE_OWNER)
		return tell_owned(link);
	if (info.role != ROLE_MOVED || !store_get(mover->store, info.name, &entry) ||
		!entry.owner[0])
		return 0;
	memcpy(note->id.mac, info.mac, sizeof(note->id.mac));
	w = link_writer(link);
	put_identity(&w, &note->id);
	wire_put_u64(&w, info.epoch);
	wire_put_string(&w, entry.owner);
	return ask(link, PEER_LOCATED, &w, PEER_OK, NULL);
}

static int tell_notes(struct peer_link *link)
{
	struct exchange *peers = link->mover->exchange;
	int rc = 0;

	for (;;) {
		struct peer_note note;

		pthread_mutex_lock(&peers->lock);
		if (link->notes == 0) {
			pthread_mutex_unlock(&peers->lock);
			return 0;
		}
		note = link->note[--link->notes];
		pthread_mutex_unlock(&peers->lock);
		rc = tell_note(link, &note);
		if (rc != 0)
			return rc;
	}
}

/* ---- claims ---- */

/* Under the lock: the next claim this peer can answer; copied. */
static bool claim_next(struct peer_link *link, struct peer_claim *copy)
{
	struct exchange *peers = link->mover->exchange;
	uint64_t now_ns = link_now_ns(link);

	for (struct peer_claim *claim = peers->claims; claim; claim = claim->next)
		if (!claim->over && !claim->coming &&
			(claim->owner[0] ? strcmp(claim->owner, link->name) == 0 &&
						   now_ns - claim->answered_ns > 200000000ULL
					 : claim->answered_ns == 0 ||
						   now_ns - claim->answered_ns > 1000000000ULL)) {
			*copy = *claim;
			claim->answered_ns = now_ns;
			return true;
		}
	return false;
}

static struct peer_claim *claim_find(struct exchange *peers, const char *vport)
{
	for (struct peer_claim *claim = peers->claims; claim; claim = claim->next)
		if (strcmp(claim->vport, vport) == 0 && !claim->over)
			return claim;
	return NULL;
}

static int claim_ask(struct peer_link *link, const struct peer_claim *claim, uint8_t *verdict,
	char *host, size_t host_len)
{
	const struct vswitch *v = &link->mover->vswitch;
	struct vswitch_port *port = v->ops->find(v->ctx, claim->vport);
	struct vswitch_identity own;
	struct vswitch_port_info info;
	struct wire_writer w = link_writer(link);
	struct wire_reader r;
	int rc;

	if (!port)
		return 0;
	v->ops->info(v->ctx, port, &info);
	memset(&own, 0, sizeof(own));
	v->ops->identities(v->ctx, port, &own, 1);
	wire_put_string(&w, info.name);
	wire_put_string(&w, info.uuid);
	put_identity(&w, &own);
	wire_put_u64(&w, info.epoch);
	rc = ask(link, PEER_CLAIM, &w, PEER_CLAIM_ANSWER, &r);
	if (rc != 0)
		return rc;
	*verdict = wire_get_u8(&r);
	wire_get_string(&r, host, host_len);
	return wire_reader_ok(&r) ? 0 : -EBADMSG;
}

static void claim_over(
	struct mover *mover, const char *vport, enum role_event event, const char *why)
{
	struct exchange *peers = mover->exchange;
	struct peer_claim *claim;

	pthread_mutex_lock(&peers->lock);
	claim = claim_find(peers, vport);
	if (claim) {
		claim->over = true;
		mover->claims_waiting--;
	}
	pthread_mutex_unlock(&peers->lock);
	if (claim)
		peer_claim_result(mover, vport, event, why);
}

static void claim_heard(
	struct peer_link *link, const struct peer_claim *asked, uint8_t verdict, const char *host)
{
	struct mover *mover = link->mover;
	struct exchange *peers = mover->exchange;
	struct peer_claim *claim;
	uint32_t links = 0;
	bool all = false;
	char why[160];

	switch (verdict) {
	case CLAIM_RUNNING:
		snprintf(why, sizeof(why), "its rings are up on %s", link->name);
		claim_over(mover, asked->vport, ROLE_CLAIM_REFUSED, why);
		return;
	case CLAIM_FREE:
		snprintf(why, sizeof(why), "%s gave it up", link->name);
		claim_over(mover, asked->vport, ROLE_CLAIM_GRANTED, why);
		return;
	default:
		break;
	}
	pthread_mutex_lock(&peers->lock);
	for (struct peer_link *one = peers->links; one; one = one->next)
		links++;
	claim = claim_find(peers, asked->vport);
	if (claim && verdict == CLAIM_COMING) {
		claim->coming = true;
	} else if (claim && verdict == CLAIM_ELSEWHERE) {
		if (strcmp(host, mover->name) == 0)
			all = true;
		else
			snprintf(claim->owner, sizeof(claim->owner), "%s", host);
	} else if (claim) {
		claim->unknown++;
		all = claim->owner[0] || claim->unknown >= links;
	}
	pthread_mutex_unlock(&peers->lock);
	if (all) {
		snprintf(why, sizeof(why), "%s does not have it", link->name);
		claim_over(mover, asked->vport, ROLE_CLAIM_GRANTED, why);
	}
}

static int claims_ask(struct peer_link *link)
{
	struct exchange *peers = link->mover->exchange;
	struct peer_claim claim;
	uint8_t verdict = CLAIM_UNKNOWN;
	char host[64] = "";
	bool some;
	int rc;

	do {
		pthread_mutex_lock(&peers->lock);
		some = claim_next(link, &claim);
		pthread_mutex_unlock(&peers->lock);
		if (!some)
			break;
		rc = claim_ask(link, &claim, &verdict, host, sizeof(host));
		if (rc != 0)
			return rc;
		claim_heard(link, &claim, verdict, host);
	} while (some);
	return 0;
}

/* Claims whose owner cannot be reached, or whose sessions do not come. Any link's thread. */
static void claims_expire(struct peer_link *link)
{
	struct mover *mover = link->mover;
	struct exchange *peers = mover->exchange;
	const struct vswitch *v = &mover->vswitch;
	uint64_t now_ns = link_now_ns(link), wait_ns;
	char vport[64] = "";

	pthread_mutex_lock(&mover->lock);
	wait_ns = mover->limits.claim_ms * 1000000ULL;
	pthread_mutex_unlock(&mover->lock);
	pthread_mutex_lock(&peers->lock);
	for (struct peer_claim *claim = peers->claims; claim && !vport[0]; claim = claim->next)
		if (!claim->over && now_ns - claim->since_ns > wait_ns * (claim->coming ? 3 : 1))
			memcpy(vport, claim->vport, sizeof(vport));
	for (struct peer_claim **at = &peers->claims; *at;) {
		struct peer_claim *claim = *at;

		if (!claim->over) {
			at = &claim->next;
			continue;
		}
		*at = claim->next;
		free(claim);
	}
	pthread_mutex_unlock(&peers->lock);
	if (vport[0]) {
		struct vswitch_port *port = v->ops->find(v->ctx, vport);
		struct vswitch_port_info info = {.role = ROLE_OWNER};

		if (port)
			v->ops->info(v->ctx, port, &info);
		claim_over(mover, vport,
			info.role == ROLE_CLAIM ? ROLE_CLAIM_TIMEOUT : ROLE_CLAIM_GRANTED,
			info.role == ROLE_CLAIM ? "its last owner cannot be reached" : "served");
	}
}

/* ---- doubts ---- */

static bool doubt_next(struct peer_link *link, struct peer_doubt *copy)
{
	struct exchange *peers = link->mover->exchange;

	for (struct peer_doubt *doubt = peers->doubts; doubt; doubt = doubt->next)
		if (!doubt->settled && strcmp(doubt->owner, link->name) == 0) {
			*copy = *doubt;
			return true;
		}
	return false;
}

static void doubt_settle(struct mover *mover, const struct peer_doubt *asked, bool believed)
{
	struct exchange *peers = mover->exchange;

	pthread_mutex_lock(&peers->lock);
	for (struct peer_doubt **at = &peers->doubts; *at;) {
		struct peer_doubt *doubt = *at;

		if (doubt->id.vni != asked->id.vni ||
			!addr_equal(&doubt->id.addr, &asked->id.addr) ||
			doubt->epoch != asked->epoch) {
			at = &doubt->next;
			continue;
		}
		*at = doubt->next;
		free(doubt);
	}
	if (believed)
		peer_known_set(peers, asked->host, &asked->id, asked->epoch);
	pthread_mutex_unlock(&peers->lock);
	if (believed)
		peer_take(mover, asked->host, &asked->id, asked->epoch);
	else
		mover_log(mover, PLUGIN_LOG_ERROR, asked->host,
			"says that it owns what %s owns: not believed", asked->owner);
}

static int doubts_ask(struct peer_link *link)
{
	struct exchange *peers = link->mover->exchange;
	struct peer_doubt doubt;

	for (;;) {
		struct wire_writer w;
		struct wire_reader r;
		bool some, owns;
		uint64_t epoch;
		int rc;

		pthread_mutex_lock(&peers->lock);
		some = doubt_next(link, &doubt);
		pthread_mutex_unlock(&peers->lock);
		if (!some)
			return 0;
		w = link_writer(link);
		put_identity(&w, &doubt.id);
		rc = ask(link, PEER_ASK_OWNER, &w, PEER_OWNER, &r);
		if (rc != 0)
			return rc;
		owns = wire_get_u8(&r) != 0;
		epoch = wire_get_u64(&r);
		if (!wire_reader_ok(&r))
			return -EBADMSG;
		doubt_settle(link->mover, &doubt, !owns || epoch < doubt.epoch);
	}
}

/* The host that was thought owner is out of reach: after claim_ms the other one is believed,
 * loudly. */
static void doubts_expire(struct peer_link *link)
{
	struct mover *mover = link->mover;
	struct exchange *peers = mover->exchange;
	uint64_t now_ns = link_now_ns(link), wait_ns;
	struct peer_doubt doubt;
	bool some;

	pthread_mutex_lock(&mover->lock);
	wait_ns = mover->limits.claim_ms * 1000000ULL;
	pthread_mutex_unlock(&mover->lock);
	pthread_mutex_lock(&peers->lock);
	some = doubt_next(link, &doubt) && now_ns - doubt.since_ns > wait_ns;
	pthread_mutex_unlock(&peers->lock);
	if (!some)
		return;
	mover_log(mover, PLUGIN_LOG_WARN, doubt.host,
		"is believed to own what was %s's, which cannot be reached", doubt.owner);
	doubt_settle(mover, &doubt, true);
}

/* ---- moves that come from there ---- */

/* Does it know this move of ours, which has just come, or has lost its connection? */
static bool move_next(struct peer_link *link, uint8_t id[16], char text[37])
{
	struct mover *mover = link->mover;
	uint64_t now_ns = link_now_ns(link);
	bool found = false;

	pthread_mutex_lock(&mover->lock);
	for (struct move *move = mover->moves; move && !found; move = move->next) {
		if (move->source || move->done || strcmp(move->peer, link->name) != 0)
			continue;
		found = atomic_load(&move->announced) == ANNOUNCED_ASKED ||
			(move->lost_ns && now_ns - move->lost_ns > MOVER_LOST_ASK_NS &&
				now_ns - move->lost_asked_ns > MOVER_LOST_ASK_NS);
		if (!found)
			continue;
		move->lost_asked_ns = now_ns;
		memcpy(id, move->id_bytes, 16);
		memcpy(text, move->id, sizeof(move->id));
	}
	pthread_mutex_unlock(&mover->lock);
	return found;
}

static void move_heard(struct peer_link *link, const char *text, bool known)
{
	struct mover *mover = link->mover;
	struct exchange *peers = mover->exchange;
	struct move *move;

	pthread_mutex_lock(&peers->lock);
	if (!known)
		snprintf(link->unknown_move, sizeof(link->unknown_move), "%s", text);
	pthread_mutex_unlock(&peers->lock);
	pthread_mutex_lock(&mover->lock);
	move = mover_find(mover, text);
	if (move && atomic_load(&move->announced) == ANNOUNCED_ASKED)
		atomic_store(&move->announced, known ? ANNOUNCED_YES : ANNOUNCED_NO);
	if (move)
		move_wake(move);
	pthread_mutex_unlock(&mover->lock);
}

static int moves_ask(struct peer_link *link)
{
	uint8_t id[16];
	char text[37];
	struct wire_writer w;
	struct wire_reader r;

	atomic_store(&link->asks, false);
	while (move_next(link, id, text)) {
		bool known;
		int rc;

		w = link_writer(link);
		wire_put_bytes(&w, id, sizeof(id));
		rc = ask(link, PEER_ASK_MOVE, &w, PEER_MOVE, &r);
		if (rc != 0)
			return rc;
		known = wire_get_u8(&r) != 0;
		if (!wire_reader_ok(&r))
			return -EBADMSG;
		move_heard(link, text, known);
	}
	return 0;
}

/* ---- the thread ---- */

static int link_connect(struct peer_link *link)
{
	struct mover *mover = link->mover;
	struct channel_dial dial = {.peer = link->name,
		.plain = mover->insecure,
		.purpose = CHANNEL_PURPOSE_PEER,
		.options = {
			.types = peer_types, .n_types = peer_types_count, .cancel = &link->cancel}};
	struct channel_error error;

	return channel_connect(mover->channel_host, &dial, &link->channel, &error);
}

static int link_work(struct peer_link *link)
{
	int rc = 0;

	if (atomic_exchange(&link->tell, false)) {
		rc = tell_owned(link);
		if (rc != 0)
			atomic_store(&link->tell, true);
	}
	if (rc == 0)
		rc = tell_notes(link);
	if (rc == 0)
		rc = claims_ask(link);
	if (rc == 0)
		rc = doubts_ask(link);
	if (rc == 0)
		rc = moves_ask(link);
	return rc;
}

static void link_sleep(struct peer_link *link, uint32_t time_ms)
{
	struct exchange *peers = link->mover->exchange;
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += time_ms / 1000;
	until.tv_nsec += (long)(time_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_mutex_lock(&peers->lock);
	if (!atomic_load(&link->stop) && !(atomic_load(&link->up) && atomic_load(&link->tell)) &&
		!(atomic_load(&link->up) && (link->notes || atomic_load(&link->asks))))
		pthread_cond_timedwait(&peers->wake, &peers->lock, &until);
	pthread_mutex_unlock(&peers->lock);
}

void *peer_link_main(void *arg)
{
	struct peer_link *link = arg;
	struct mover *mover = link->mover;
	uint32_t retry_ms = RETRY_MIN_MS;
	uint64_t pinged_ns = 0;

	while (!atomic_load(&link->stop)) {
		int rc = 0;

		if (!link->channel) {
			rc = link_connect(link);
			atomic_store(&link->tell, true);
			atomic_store(&link->up, rc == 0);
		}
		if (rc == 0)
			rc = link_work(link);
		if (rc == 0 && link_now_ns(link) - pinged_ns > PING_MS * 1000000ULL) {
			rc = ask(link, PEER_PING, NULL, PEER_OK, NULL);
			pinged_ns = link_now_ns(link);
		}
		if (rc != 0 && link->channel) {
			channel_close(link->channel);
			link->channel = NULL;
			atomic_store(&link->up, false);
			exchange_told(mover);
		}
		claims_expire(link);
		if (rc != 0)
			doubts_expire(link);
		link_sleep(link, rc == 0 ? 250 : retry_ms);
		retry_ms = rc == 0 ? RETRY_MIN_MS
				   : (retry_ms * 2 < RETRY_MAX_MS ? retry_ms * 2 : RETRY_MAX_MS);
	}
	if (link->channel)
		channel_close(link->channel);
	return NULL;
}
