/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * session/apply: changes said in JSON (session_change.h), each through the constructor that the
 * records of a move go through. Nothing is done before all of it could be read.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/cmd/text.h"
#include "ctrl/migrate/cmd_session.h"
#include "ctrl/migrate/session_change.h"

#define CHANGES_MAX 4096 /* of one command: it answers at once */

struct outcome {
	const char *text; /* what became of it */
	enum drop_reason reason;
	bool done;
};

/* Names as in IMPORT_*; an addition to what is there is no old news. */
static struct outcome record_apply(
	const struct session_work *work, enum session_op op, const struct session_record *record)
{
	struct outcome outcome = {0};
	enum import_outcome import = work->mover->vswitch.ops->import_record(
		work->import, record, &outcome.reason, NULL);

	outcome.text = import == IMPORT_OLD && op == SESSION_OP_ADD ? "exists"
								    : import_outcome_name(import);
	outcome.done = import == IMPORT_INSTALLED || import == IMPORT_UPDATED;
	return outcome;
}

/* Between begin and end. */
static struct outcome change_apply(const struct session_work *work,
	const struct session_change *change, char *why, size_t why_len)
{
	const struct vswitch_ops *ops = work->mover->vswitch.ops;
	struct session_record record, living;
	struct journal_tombstone dead;
	bool found = ops->import_find(work->import, &change->tuple, &living);

	if (change->op == SESSION_OP_ADD) {
		if (session_change_fill(change, &record, why, why_len) != 0)
			return (struct outcome){.text = "malformed"};
		record.birth_id = 0;
		return record_apply(work, change->op, &record);
	}
	if (!found)
		return (struct outcome){.text = "missing"};
	if (change->id && change->id != living.birth_id)
		return (struct outcome){.text = "another"};
	if (change->op == SESSION_OP_DELETE) {
		dead = (struct journal_tombstone){
			.birth_id = living.birth_id, .tuple = change->tuple};
		return ops->import_dead(work->import, &dead)
			       ? (struct outcome){.text = "deleted", .done = true}
			       : (struct outcome){.text = "missing"};
	}
	record = living;
	if (session_change_fill(change, &record, why, why_len) != 0)
		return (struct outcome){.text = "malformed"};
	record.birth_id = living.birth_id;
	record.version = living.version + 1;
	return record_apply(work, change->op, &record);
}

static void change_show(
	struct out *out, const struct session_change *change, const struct outcome *outcome)
{
	char tuple[TEXT_TUPLE_MAX];

	out_row(out);
	out_str(out, "op", session_op_name(change->op));
	out_str(out, "session", text_tuple(&change->tuple, tuple, sizeof(tuple)));
	out_str(out, "outcome", outcome->text);
	out_str(out, "reason", outcome->reason ? drop_name(outcome->reason) : NULL);
}

static const json_t *change_at(const json_t *json, size_t i)
{
	return json_is_array(json) ? json_array_get(json, i) : json;
}

/* All of them, read; what is to be filled is tried out. */
static int changes_read(struct cmd *cmd, const struct session_work *work, const json_t *json,
	struct session_change *changes, size_t count)
{
	struct session_record record;
	char why[160];

	for (size_t i = 0; i < count; i++) {
		int rc = session_change_read(
			change_at(json, i), &work->info, &changes[i], why, sizeof(why));

		memset(&record, 0, sizeof(record));
		record.tuple = changes[i].tuple;
		if (rc == 0 && changes[i].op != SESSION_OP_DELETE)
			rc = session_change_fill(&changes[i], &record, why, sizeof(why));
		if (rc != 0)
			return cmd_fail(cmd, "change %zu: %s", i + 1, why);
	}
	return 0;
}

static void changes_apply(struct cmd *cmd, const struct session_work *work,
	const struct session_change *changes, size_t count)
{
	const struct vswitch_ops *ops = work->mover->vswitch.ops;
	struct out *out = cmd_out(cmd);
	uint64_t done = 0;
	char why[160];

	out_table(out, "changes");
	for (size_t i = 0; i < count; i++) {
		struct outcome outcome;

		ops->import_begin(work->import);
		outcome = change_apply(work, &changes[i], why, sizeof(why));
		ops->import_end(work->import);
		done += outcome.done;
		change_show(out, &changes[i], &outcome);
	}
	out_table_end(out);
	out_u64(out, "done", done);
	out_u64(out, "not_done", count - done);
}

static int changes_run(struct cmd *cmd, struct session_work *work, const json_t *json)
{
	const struct vswitch *v = &work->mover->vswitch;
	size_t count = json_is_array(json) ? json_array_size(json) : 1;
	struct vswitch_section own[VSWITCH_SECTIONS_MAX];
	uint16_t versions[VSWITCH_SECTIONS_MAX] = {0};
	struct session_change *changes;
	uint32_t n_own;
	int rc;

	if (count == 0 || count > CHANGES_MAX)
		return cmd_fail(cmd, "1 to %d changes at once", CHANGES_MAX);
	n_own = v->ops->sections(v->ctx, own, VSWITCH_SECTIONS_MAX);
	for (uint32_t i = 0; i < n_own; i++)
		versions[i] = own[i].version;
	changes = calloc(count, sizeof(*changes));
	if (!changes)
		return -ENOMEM;
	rc = changes_read(cmd, work, json, changes, count);
	if (rc == 0)
		rc = v->ops->import_open(v->ctx, work->port, versions, true, &work->import);
	if (rc == 0) {
		changes_apply(cmd, work, changes, count);
		v->ops->import_close(work->import);
	}
	free(changes);
	return rc;
}

int session_apply(struct cmd *cmd)
{
	json_error_t fault;
	json_t *json = json_loads(cmd->args[1], JSON_REJECT_DUPLICATES, &fault);
	struct session_work work;
	int rc;

	if (!json)
		return cmd_fail(cmd, "JSON: %s at character %d", fault.text, fault.position);
	rc = session_work_begin(cmd, cmd->args[0], "its sessions are being changed", &work);
	if (rc == 0) {
		rc = session_work_writes(cmd, &work);
		if (rc == 0)
			rc = changes_run(cmd, &work, json);
		session_work_end(&work);
	}
	json_decref(json);
	return rc;
}
