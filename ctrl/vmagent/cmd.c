/* SPDX-License-Identifier: BSD-3-Clause */
/* The agent's commands: vm/list, vm/move, vm/show, vm/history, vm/abort, vm/resolve. */
#include "ctrl/vmagent/cmd.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "ctrl/vmagent/agent.h"

#define COUNT_MAX 64
#define DOWNTIME_MAX_MS 2000000 /* QEMU's own limit */

/* A JSON value under a key: what agent reports are made of becomes fields, lists and tables. */
static void show(struct out *out, const char *key, json_t *value)
{
	const char *name;
	json_t *part;

	switch (json_typeof(value)) {
	case JSON_OBJECT:
		json_object_foreach (value, name, part)
			show(out, name, part);
		break;
	case JSON_ARRAY:
		out_table(out, key);
		for (size_t i = 0; i < json_array_size(value); i++) {
			out_row(out);
			show(out, NULL, json_array_get(value, i));
		}
		out_table_end(out);
		break;
	case JSON_STRING:
		out_str(out, key, json_string_value(value));
		break;
	case JSON_INTEGER:
		out_i64(out, key, json_integer_value(value));
		break;
	case JSON_REAL:
		out_real(out, key, json_real_value(value), 3);
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		out_bool(out, key, json_is_true(value));
		break;
	case JSON_NULL:
		out_str(out, key, NULL);
		break;
	}
}

static int vm_list(struct cmd *cmd)
{
	json_t *vms = agent_vms(cmd->ctx);

	show(cmd_out(cmd), "vms", vms);
	json_decref(vms);
	return 0;
}

/* An optional number: -1 when it was not given. */
static int option_number(struct cmd *cmd, const char *name, uint64_t max, int *number)
{
	const char *text = cmd_option(cmd, name);
	uint64_t value;
	int err;

	*number = -1;
	if (text == NULL)
		return 0;
	err = cmd_number(cmd, name, text, max, &value);
	if (err == 0)
		*number = value;
	return err;
}

static int vm_move(struct cmd *cmd)
{
	struct agent_request request = {.vm = cmd->args[0],
		.host = cmd->args[1],
		.id = cmd_option(cmd, "id"),
		.leave = cmd_option(cmd, "leave") != NULL};
	char id[HANDOVER_ID_MAX];
	int err = option_number(cmd, "multifd", COUNT_MAX, &request.multifd_channels);

	if (err == 0)
		err = option_number(cmd, "zstd", 19, &request.zstd_level);
	if (err == 0)
		err = option_number(
			cmd, "downtime-limit", DOWNTIME_MAX_MS, &request.downtime_limit_ms);
	if (err)
		return err;
	switch (err = agent_start(cmd->ctx, &request, id)) {
	case 0:
		out_str(cmd_out(cmd), "id", id);
		return 0;
	case -EBUSY:
		return cmd_fail(cmd, "a move of \"%s\" is under way", request.vm);
	case -EAGAIN:
		return cmd_fail(cmd, "too many moves are under way");
	case -EEXIST:
		return cmd_fail(cmd, "move \"%s\" was another VM's, or to another host", id);
	case -EPROTO:
		return cmd_fail(cmd, "the record of move \"%s\" cannot be read", id);
	case -EHOSTUNREACH:
		return cmd_fail(
			cmd, "no peer \"%s\" with a `vmagent` in the configuration", request.host);
	case -EINVAL:
		return cmd_fail(cmd, "a name may have letters, digits, '-', '_' and '.'");
	default:
		return err;
	}
}

static int vm_show(struct cmd *cmd)
{
	json_t *report = agent_report(cmd->ctx, cmd->args[0]);

	if (report == NULL)
		return cmd_fail(cmd, "no move of that id or VM: \"%s\"", cmd->args[0]);
	show(cmd_out(cmd), NULL, report);
	json_decref(report);
	return 0;
}

static int vm_history(struct cmd *cmd)
{
	static const char *const keys[] = {"id", "vm", "side", "peer", "outcome", "step",
		"pause_ms", "memory_bytes", "reason"};
	json_t *reports = agent_reports(cmd->ctx), *report;
	struct out *out = cmd_out(cmd);
	size_t i, k;

	out_table(out, "moves");
	json_array_foreach (reports, i, report) {
		out_row(out);
		for (k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
			show(out, keys[k], json_object_get(report, keys[k]));
	}
	out_table_end(out);
	json_decref(reports);
	return 0;
}

static int vm_abort(struct cmd *cmd)
{
	const char *reason = cmd->n_args > 1 ? cmd->args[1] : "by the operator";

	if (agent_abort(cmd->ctx, cmd->args[0], reason))
		return cmd_fail(cmd, "no move under way of that id or VM: \"%s\"", cmd->args[0]);
	return 0;
}

static int vm_resolve(struct cmd *cmd)
{
	bool run = strcmp(cmd->args[1], "run") == 0;

	if (!run && strcmp(cmd->args[1], "drop") != 0)
		return cmd_fail(cmd, "expected run or drop, found \"%s\"", cmd->args[1]);
	if (agent_resolve(cmd->ctx, cmd->args[0], run))
		return cmd_fail(cmd, "no move under way of that id or VM: \"%s\"", cmd->args[0]);
	return 0;
}

static const struct cmd_row vm_rows[] = {
	{"vm/abort", "ID|VM [REASON]", 1, 2, NULL, 0, vm_abort,
		"undo a move, as long as the VM was not given away"},
	{"vm/history", "", 0, 0, NULL, CMD_JSON, vm_history, "the last moves, oldest first"},
	{"vm/list", "", 0, 0, NULL, CMD_JSON, vm_list, "VMs with a QMP socket on this host"},
	{"vm/move",
		"VM HOST [--id=ID] [--multifd=N] [--zstd=LEVEL] [--downtime-limit=MS] [--leave]", 2,
		2, "id= multifd= zstd= downtime-limit= leave", CMD_JSON, vm_move,
		"start to move a VM to another host\n"
		"Shows the move's id at once; the same id again is the same move. 0 turns multifd\n"
		"and zstd off. --leave does not end the QEMU process here afterwards."},
	{"vm/resolve", "ID|VM run|drop", 2, 2, NULL, 0, vm_resolve,
		"answer for a move that neither side can decide\n"
		"run: the VM runs on this host, and the other one is known not to run it.\n"
		"drop: the VM does not run on this host."},
	{"vm/show", "ID|VM", 1, 1, NULL, CMD_JSON, vm_show, "steps, times and bytes of a move"},
};

CMD_NOUN(vm, vm_rows);
