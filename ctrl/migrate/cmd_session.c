/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * session/save and session/load: a vport's sessions to a file and from one, by the code of the move
 * (export, records, intake). In slices of the loop, so that nothing waits for a large table; the
 * vport cannot go meanwhile (mover_use). What is saved is made safe on the disk by a thread of its
 * own, for which the loop does not wait.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "ctrl/cmd/cmd.h"
#include "ctrl/migrate/cmd_session.h"
#include "ctrl/migrate/session_file.h"

#define BATCHES 4 /* of sessions, in a slice */

struct transfer {
	struct session_work work;
	struct session_file file;
	struct vswitch_export *export; /* save, and what follows */
	struct cmd *cmd;
	struct loop *loop;
	struct event *tick;
	pthread_t thread; /* while publishing */
	bool publishing;
	int published;
	struct section_map map; /* load */
	struct move_sessions sessions;
	uint64_t taken;
	bool looked; /* load: all of the file is good */
};

/* ---- what both, and session/apply, begin with ---- */

int session_work_begin(
	struct cmd *cmd, const char *vport, const char *what, struct session_work *work)
{
	struct mover *mover = cmd->ctx;
	const struct vswitch *v = &mover->vswitch;

	memset(work, 0, sizeof(*work));
	if (!atomic_load(&mover->attached))
		return cmd_fail(cmd, "not ready yet");
	work->port = v->ops->find(v->ctx, vport);
	if (!work->port)
		return cmd_fail(cmd, "no vport named \"%s\"", vport);
	v->ops->info(v->ctx, work->port, &work->info);
	memcpy(work->use.vport, work->info.name, sizeof(work->use.vport));
	work->mover = mover;
	work->use.what = what;
	mover_use(mover, &work->use);
	return 0;
}

int session_work_writes(struct cmd *cmd, const struct session_work *work)
{
	if (work->info.role == ROLE_OWNER)
		return 0;
	return cmd_fail(cmd, "vport %s is %s here: its sessions are changed where it serves",
		work->info.name, role_name(work->info.role));
}

void session_work_end(struct session_work *work)
{
	if (work->mover)
		mover_unuse(work->mover, &work->use);
	work->mover = NULL;
}

void session_work_show(struct out *out, const struct move_sessions *sessions)
{
	out_u64(out, "old", sessions->old);
	out_u64(out, "refused", sessions->refused);
	out_u64(out, "conflicting", sessions->conflict);
	out_u64(out, "foreign", sessions->foreign);
	out_object(out, "reasons");
	for (int i = 1; i < DROP_COUNT; i++)
		if (sessions->by_reason[i])
			out_u64(out, drop_name((enum drop_reason)i), sessions->by_reason[i]);
	out_object_end(out);
}

/* Of the vport, which may go from here on. */
static void transfer_let_go(struct transfer *t)
{
	if (t->export)
		t->work.mover->vswitch.ops->export_close(t->export);
	t->export = NULL;
	if (t->work.import)
		t->work.mover->vswitch.ops->import_close(t->work.import);
	t->work.import = NULL;
	session_work_end(&t->work);
	if (t->tick)
		event_free(t->tick);
	t->tick = NULL;
}

static void transfer_free(struct transfer *t)
{
	transfer_let_go(t);
	session_file_close(&t->file);
	free(t);
}

static void transfer_end(struct cmd *cmd)
{
	transfer_free(cmd->state);
}

static struct transfer *transfer_begin(struct cmd *cmd, const char *what)
{
	struct transfer *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->file.fd = -1;
	if (session_work_begin(cmd, cmd->args[1], what, &t->work) == 0)
		return t;
	free(t);
	return NULL;
}

/* ---- save ---- */

/* From the loop or, when that is gone, from its end: the mover may be gone too. */
static void save_published(void *arg)
{
	struct transfer *t = arg;
	struct cmd *cmd = t->cmd;
	int rc = t->published;

	pthread_join(t->thread, NULL);
	if (rc == 0)
		out_u64(cmd_out(cmd), "saved", t->file.records);
	else
		cmd_fail(cmd, "%s", t->file.error);
	transfer_free(t);
	cmd_finish(cmd, rc);
}

static void *save_publish(void *arg)
{
	struct transfer *t = arg;

	t->published = session_file_publish(&t->file);
	/* Without memory for the word there is nobody to tell; the file is there. */
	loop_post(t->loop, save_published, t);
	return NULL;
}

/* One slice. 1: there is more; 0: all is written. */
static int save_slice(struct transfer *t)
{
	const struct vswitch_ops *ops = t->work.mover->vswitch.ops;
	struct session_record record[VSWITCH_EXPORT_BATCH];
	bool end = false;

	for (int i = 0; i < BATCHES && !end; i++) {
		uint32_t count = ops->export_look(t->export, record, &end);

		for (uint32_t n = 0; n < count; n++)
			if (session_file_record(&t->file, &record[n]) != 0)
				return -EIO;
	}
	if (!end)
		return 1;
	return session_file_end(&t->file);
}

/* When others have had their turn. */
static void save_again(struct transfer *t)
{
	struct timeval now = {0};

	event_add(t->tick, &now);
}

static void save_tick(evutil_socket_t fd, short what, void *arg)
{
	struct transfer *t = arg;
	struct cmd *cmd = t->cmd;
	int rc = save_slice(t);

	(void)fd;
	(void)what;
	if (rc == 1) {
		save_again(t);
		return;
	}
	if (rc != 0)
		cmd_fail(cmd, "%s", t->file.error);
	/* A disk may take seconds: that is waited for elsewhere, and nothing of the switch is held.
	 */
	transfer_let_go(t);
	if (rc == 0)
		rc = -pthread_create(&t->thread, NULL, save_publish, t);
	t->publishing = rc == 0;
	if (rc == 0)
		return;
	transfer_free(t);
	cmd_finish(cmd, rc);
}

static void save_gone(struct cmd *cmd)
{
	struct transfer *t = cmd->state;

	if (t->publishing)
		return;
	transfer_free(t);
	cmd_finish(cmd, -ECANCELED);
}

static int save_open(struct cmd *cmd, struct transfer *t)
{
	const struct vswitch *v = &t->work.mover->vswitch;
	struct stream_file head = {.vni = t->work.info.vni,
		.saved_s = (uint64_t)channel_world_wall_s(&t->work.mover->world)};
	int rc;

	snprintf(head.host, sizeof(head.host), "%s", t->work.mover->name);
	memcpy(head.vport, t->work.info.name, sizeof(head.vport));
	memcpy(head.uuid, t->work.info.uuid, sizeof(head.uuid));
	head.n_sections = v->ops->sections(v->ctx, head.section, VSWITCH_SECTIONS_MAX);
	rc = v->ops->export_open(v->ctx, t->work.port, false, &t->export);
	if (rc != 0)
		return rc;
	if (session_file_create(&t->file, cmd->args[0], &head) != 0)
		return cmd_fail(cmd, "%s", t->file.error);
	t->cmd = cmd;
	t->loop = mover_loop(t->work.mover);
	t->tick = event_new(loop_base(t->loop), -1, 0, save_tick, t);
	if (!t->tick)
		return -ENOMEM;
	save_again(t);
	return 0;
}

static int session_save(struct cmd *cmd)
{
	struct transfer *t = transfer_begin(cmd, "its sessions are being saved");
	int rc = t ? save_open(cmd, t) : -EINVAL;

	if (rc != 0) {
		if (t)
			transfer_free(t);
		return rc;
	}
	cmd->state = t;
	return cmd_defer(cmd, save_gone);
}

/* ---- load ---- */

static int load_step(struct cmd *cmd)
{
	struct transfer *t = cmd->state;
	struct intake intake = {.vswitch = &t->work.mover->vswitch,
		.import = t->work.import,
		.map = &t->map,
		.sessions = &t->sessions};
	struct frame frame;
	int rc = session_file_next(&t->file, &frame);

	if (rc < 0)
		return cmd_fail(cmd, "%s", t->file.error);
	if (rc == 1 && t->looked &&
		intake_records(&intake, frame.payload, frame.payload_bytes, &t->taken) != 0)
		return cmd_fail(cmd, "%s: plugin state that cannot be read", t->file.path);
	if (rc == 1)
		return CMD_MORE;
	if (!t->looked) {
		t->looked = true;
		session_file_rewind(&t->file);
		return CMD_MORE;
	}
	out_u64(cmd_out(cmd), "read", t->taken);
	out_u64(cmd_out(cmd), "installed", t->sessions.installed);
	session_work_show(cmd_out(cmd), &t->sessions);
	return 0;
}

static int load_open(struct cmd *cmd, struct transfer *t)
{
	const struct vswitch *v = &t->work.mover->vswitch;
	struct stream_file head;
	char why[256];
	int rc = session_work_writes(cmd, &t->work);

	if (rc != 0)
		return rc;
	if (session_file_open(&t->file, cmd->args[0], &head) != 0)
		return cmd_fail(cmd, "%s", t->file.error);
	if (head.vni != t->work.info.vni)
		return cmd_fail(cmd, "%s: sessions of %s in VNI %u; vport %s is in VNI %u",
			t->file.path, head.vport, head.vni, t->work.info.name, t->work.info.vni);
	t->map.count = head.n_sections;
	memcpy(t->map.offered, head.section, sizeof(t->map.offered));
	if (!section_map_match(&t->map, v, why, sizeof(why)))
		return cmd_fail(cmd, "%s: %s", t->file.path, why);
	return v->ops->import_open(
		v->ctx, t->work.port, t->map.state_versions, true, &t->work.import);
}

static int session_load(struct cmd *cmd)
{
	struct transfer *t = transfer_begin(cmd, "its sessions are being loaded");
	int rc = t ? load_open(cmd, t) : -EINVAL;

	if (rc != 0) {
		if (t)
			transfer_free(t);
		return rc;
	}
	cmd->state = t;
	return cmd_stream(cmd, load_step, transfer_end);
}

static const struct cmd_row rows[] = {
	{"session/apply", "VPORT JSON", 2, 2, NULL, CMD_JSON, session_apply,
		"Add, update or delete sessions of a vport that serves here.\n"
		"JSON: one change or a list of them, {\"op\": \"add\" | \"update\" | \"delete\", "
		"...} with\n"
		"the fields that session/dump --json shows. Each is decided on its own, as those "
		"of a\n"
		"move are (policy, quota, conflicts), and answered in its place."},
	{"session/load", "FILE VPORT", 2, 2, NULL, CMD_JSON, session_load,
		"Take sessions from a file into a vport that serves here.\n"
		"The whole file is checked first; then each session is decided on its own, as "
		"those of a\n"
		"move are. What lives already is left as it is (\"old\")."},
	{"session/save", "FILE VPORT", 2, 2, NULL, CMD_JSON, session_save,
		"Write a vport's sessions to a file (absolute path), in the format of the move's "
		"stream."},
};

CMD_NOUN(session_file, rows);
