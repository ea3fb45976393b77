/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All moves of a host: birth and death, the list, and what commands may do with one. The engine's
 * callbacks are in mover_roles.c, peers of the config in mover_peers.c.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "ctrl/migrate/mover_impl.h"

const char *mover_phase_name(enum mover_phase phase)
{
	static const char *const names[] = {
		[MOVER_PREPARING] = "preparing",
		[MOVER_READY] = "ready",
		[MOVER_FINAL] = "final",
		[MOVER_VERIFIED] = "verified",
		[MOVER_COMMITTED] = "committed",
		[MOVER_FAILED] = "failed",
	};

	return (unsigned int)phase < sizeof(names) / sizeof(names[0]) ? names[phase] : "unknown";
}

const char *mover_refusal_name(enum mover_refusal refusal)
{
	static const char *const names[MOVER_REFUSED_COUNT] = {
		[MOVER_REFUSED_MALFORMED] = "malformed",
		[MOVER_REFUSED_UNANNOUNCED] = "unannounced",
		[MOVER_REFUSED_VNI] = "vni",
		[MOVER_REFUSED_VTEP] = "vtep",
		[MOVER_REFUSED_SECTIONS] = "sections",
		[MOVER_REFUSED_ROOM] = "room",
		[MOVER_REFUSED_PORT] = "port",
		[MOVER_REFUSED_OWNED] = "owned-elsewhere",
		[MOVER_REFUSED_BUSY] = "busy",
	};

	return (unsigned int)refusal < MOVER_REFUSED_COUNT ? names[refusal] : "unknown";
}

void mover_log(struct mover *mover, enum plugin_log_level level, const char *object,
	const char *format, ...)
{
	char text[512];
	va_list args;

	if (!mover->options.log)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	mover->options.log(mover->options.log_arg, level, object, text);
}

/* ---- moves ---- */

static void id_text(const uint8_t id[16], char *text)
{
	size_t n = 0;

	for (int i = 0; i < 16; i++)
		n += (size_t)sprintf(
			text + n, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", id[i]);
}

struct move *move_new(struct mover *mover, const uint8_t id[16])
{
	struct move *move = calloc(1, sizeof(*move));

	if (!move)
		return NULL;
	move->mover = mover;
	memcpy(move->id_bytes, id, sizeof(move->id_bytes));
	id_text(id, move->id);
	move->payload = malloc(FRAME_PAYLOAD_MAX_BYTES);
	move->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	move->started_ns = move_now_ns(move);
	move->started_wall_s = channel_world_wall_s(&mover->world);
	if (!move->payload || move->wake_fd < 0 || channel_cancel_init(&move->cancel) != 0) {
		if (move->wake_fd >= 0)
			close(move->wake_fd);
		free(move->payload);
		free(move);
		return NULL;
	}
	return move;
}

void move_free(struct move *move)
{
	if (move->handed)
		channel_close(move->handed);
	move_channel_drop(move);
	for (uint32_t i = 0; i < move->n_ports; i++)
		if (move->port[i].tallied)
			tally_fini(&move->port[i].tally);
	channel_cancel_fini(&move->cancel);
	close(move->wake_fd);
	free(move->payload);
	free(move);
}

/* Under the lock. The oldest ended ones beyond the history go; a thread that is over is joined by
 * them. */
void mover_enter(struct mover *mover, struct move *move)
{
	struct move **at = &mover->moves;
	uint32_t ended = 0;

	move->next = mover->moves;
	mover->moves = move;
	mover->counts.running++;
	mover->counts.started++;
	while (*at) {
		struct move *old = *at;

		ended += old->done;
		if (!old->done || ended <= MOVER_HISTORY_MAX) {
			at = &old->next;
			continue;
		}
		*at = old->next;
		if (old->has_thread)
			pthread_join(old->thread, NULL);
		move_free(old);
	}
}

static void *move_main(void *arg)
{
	struct move *move = arg;
	const struct vswitch *v = &move->mover->vswitch;

	pthread_setname_np(pthread_self(), move->source ? "ferry-move-out" : "ferry-move-in");
	v->ops->thread_enter(v->ctx);
	move_drive(move, move->steps);
	v->ops->thread_leave(v->ctx);
	return NULL;
}

/* The move is in the list. On failure it ends as failed. */
int move_launch(struct move *move, const struct move_step *steps)
{
	int rc;

	move->steps = steps;
	rc = pthread_create(&move->thread, NULL, move_main, move);
	if (rc == 0) {
		move->has_thread = true;
		return 0;
	}
	move_fail(move, "no thread for the move: %s", strerror(rc));
	pthread_mutex_lock(&move->mover->lock);
	move->done = true;
	move->phase = MOVER_FAILED;
	move->mover->counts.running--;
	move->mover->counts.failed++;
	move_event_add(move, MOVER_EVENT_END, move_now_ns(move));
	pthread_mutex_unlock(&move->mover->lock);
	return -rc;
}

struct move *mover_find(struct mover *mover, const char *id)
{
	/* A caller may call his move whatever he likes, but not take it for another's. */
	for (struct move *move = mover->moves; move; move = move->next)
		if (strcmp(move->id, id) == 0)
			return move;
	for (struct move *move = mover->moves; move; move = move->next)
		if (move->caller_id[0] && strcmp(move->caller_id, id) == 0)
			return move;
	return NULL;
}

struct move *mover_of_vport(struct mover *mover, const char *vport)
{
	for (struct move *move = mover->moves; move; move = move->next)
		for (uint32_t i = 0; !move->done && i < move->n_ports; i++)
			if (strcmp(move->port[i].name, vport) == 0)
				return move;
	return NULL;
}

uint64_t mover_now_ns(const struct mover *mover)
{
	return channel_world_now_ns(&mover->world);
}

struct loop *mover_loop(const struct mover *mover)
{
	return mover->options.loop;
}

struct engine *mover_engine(const struct mover *mover)
{
	return setup_engine(mover->setup);
}

/* ---- life ---- */

static void store_told(void *arg, const char *text)
{
	mover_log(arg, PLUGIN_LOG_ERROR, "store", "%s", text);
}

static void mover_names(struct mover *mover, const struct mover_options *options)
{
	const struct config *config = options->config;
	const char *name = options->host_name ? options->host_name : config->host.name;

	if (name)
		snprintf(mover->name, sizeof(mover->name), "%s", name);
	else if (gethostname(mover->name, sizeof(mover->name) - 1) != 0)
		snprintf(mover->name, sizeof(mover->name), "localhost");
	snprintf(mover->run_dir, sizeof(mover->run_dir), "%s",
		options->run_dir ? options->run_dir
				 : (config->host.run_dir ? config->host.run_dir : "/run/ferry"));
}

static int channels_create(struct mover *mover, char *error, size_t error_len)
{
	const struct config *config = mover->options.config;
	struct channel_host_config host = {.name = mover->name,
		.certificate_path = config->tls.cert,
		.key_path = config->tls.key,
		.ca_path = config->tls.ca,
		.insecure = mover_insecure(config),
		.handshake_ms = config->migrate.connect_ms,
		.world = &mover->world};
	struct channel_error fault = {0};
	int rc;

	if (getrandom(host.boot_id, sizeof(host.boot_id), 0) != sizeof(host.boot_id))
		return -EIO;
	rc = channel_host_new(&host, &mover->channel_host, &fault);
	if (rc != 0)
		snprintf(error, error_len, "%s", fault.text);
	return rc;
}

int mover_create(
	const struct mover_options *options, struct mover **out, char *error, size_t error_len)
{
	struct mover *mover = calloc(1, sizeof(*mover));
	pthread_condattr_t attr;
	char dir[320];
	int rc;

	if (!mover)
		return -ENOMEM;
	mover->options = *options;
	mover->world = options->world ? *options->world : channel_world_real;
	pthread_mutex_init(&mover->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&mover->changed, &attr);
	pthread_condattr_destroy(&attr);
	mover_names(mover, options);
	snprintf(dir, sizeof(dir), "%s/vports", mover->run_dir);
	rc = store_open(dir, store_told, mover, &mover->store);
	if (rc != 0)
		snprintf(error, error_len, "%s: %s", dir, strerror(-rc));
	if (rc == 0)
		rc = channels_create(mover, error, error_len);
	if (rc == 0)
		rc = mover_reload(mover, options->config, error, error_len);
	mover->options.config = NULL;
	if (rc != 0) {
		mover_destroy(mover);
		return rc;
	}
	*out = mover;
	return 0;
}

void mover_destroy(struct mover *mover)
{
	if (!mover)
		return;
	mover_detach(mover);
	channel_host_free(mover->channel_host);
	bandwidth_free(mover->bandwidth);
	store_close(mover->store);
	mover_peers_free(mover);
	pthread_cond_destroy(&mover->changed);
	pthread_mutex_destroy(&mover->lock);
	free(mover);
}

static void serve(void *arg, struct channel *channel)
{
	if (channel_hello(channel)->purpose == CHANNEL_PURPOSE_PEER)
		exchange_serve(arg, channel);
	else
		dest_serve(arg, channel);
}

static void refused(void *arg, const struct channel_error *error)
{
	mover_log(arg, PLUGIN_LOG_WARN, "migrate", "refused: %s", error->text);
}

static int mover_listen(struct mover *mover, char *error, size_t error_len)
{
	struct channel_listener_config config = {.endpoint = {.address = mover->limits.listen.addr,
							 .port = mover->limits.listen.port},
		.accept = {.plain = mover->insecure,
			.purposes = CHANNEL_PURPOSE_BIT(CHANNEL_PURPOSE_MOVE) |
				    CHANNEL_PURPOSE_BIT(CHANNEL_PURPOSE_PEER)},
		.serve = serve,
		.refused = refused,
		.ctx = mover};
	struct channel_error fault;
	int rc;

	if (!config.endpoint.port)
		return 0;
	rc = channel_listener_start(mover->channel_host, &config, &mover->listener, &fault);
	if (rc != 0)
		snprintf(error, error_len, "migrate.listen: %s", fault.text);
	return rc;
}

/* A vport that came with a move is in no config: made again from what it came with. */
static int vport_again(const struct store_entry *entry, void *arg)
{
	struct mover *mover = arg;
	const struct vswitch *v = &mover->vswitch;
	char *text = store_description(mover->store, entry->name);
	struct vswitch_prepared made = {0};
	int rc = 0;

	if (text && !v->ops->find(v->ctx, entry->name)) {
		rc = v->ops->prepare(v->ctx, (const uint8_t *)text, strlen(text), &made);
		if (rc == 0 && (entry->role == ROLE_OWNER || entry->role == ROLE_MOVED ||
				       entry->role == ROLE_FROZEN))
			rc = mover_role_restore(mover, made.port, entry);
	}
	if (rc != 0)
		mover_log(mover, PLUGIN_LOG_ERROR, entry->name,
			"came with a move and cannot be made again: %s",
			made.error[0] ? made.error : strerror(-rc));
	free(text);
	return 0;
}

static int relay_again(const struct store_entry *entry, void *arg)
{
	struct mover *mover = arg;
	const struct vswitch *v = &mover->vswitch;
	struct vswitch_port *port = v->ops->find(v->ctx, entry->name);

	if (port && (entry->role == ROLE_MOVED || entry->role == ROLE_FROZEN) &&
		!IN6_IS_ADDR_UNSPECIFIED(&entry->vtep))
		v->ops->relay_to(v->ctx, port, &entry->vtep);
	return 0;
}

int mover_attach(struct mover *mover, struct setup *setup, char *error, size_t error_len)
{
	int rc = vswitch_ferry_create(setup, &mover->ferry);

	if (rc != 0) {
		snprintf(error, error_len, "%s", strerror(-rc));
		return rc;
	}
	mover->setup = setup;
	mover->vswitch = vswitch_ferry_ops(mover->ferry);
	store_foreach(mover->store, vport_again, mover);
	store_foreach(mover->store, relay_again, mover);
	atomic_store(&mover->attached, true);
	rc = exchange_start(mover);
	if (rc == 0)
		rc = mover_listen(mover, error, error_len);
	if (rc == 0)
		mover_claims_again(mover);
	else
		mover_detach(mover);
	return rc;
}

static void moves_stop(struct mover *mover)
{
	struct move *move;

	pthread_mutex_lock(&mover->lock);
	for (move = mover->moves; move; move = move->next) {
		atomic_store(&move->stop, true);
		channel_cancel_set(&move->cancel);
		move_wake(move);
	}
	pthread_mutex_unlock(&mover->lock);
	while (mover->moves) {
		move = mover->moves;
		if (move->has_thread)
			pthread_join(move->thread, NULL);
		pthread_mutex_lock(&mover->lock);
		mover->moves = move->next;
		pthread_mutex_unlock(&mover->lock);
		for (uint32_t i = 0; i < move->n_ports; i++) {
			mover->vswitch.ops->export_close(move->port[i].export);
			mover->vswitch.ops->import_close(move->port[i].import);
		}
		move_free(move);
	}
}

void mover_detach(struct mover *mover)
{
	if (!mover->ferry)
		return;
	atomic_store(&mover->attached, false);
	exchange_stop(mover);
	if (mover->listener)
		channel_listener_stop(mover->listener);
	mover->listener = NULL;
	moves_stop(mover);
	exchange_free(mover);
	vswitch_ferry_destroy(mover->ferry);
	mover->ferry = NULL;
}
