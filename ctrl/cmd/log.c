/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctrl/cmd/cmd.h"
#include "ctrl/cmd/suggest.h"
#include "ctrl/log.h"

static const char *module_name_at(void *ctx, size_t i)
{
	enum log_level level;
	const char *name;

	return log_module_at(ctx, i, &name, &level) ? name : NULL;
}

/* "LEVEL" or "MODULE:LEVEL" in its parts; an empty module means all. */
static int setting_parse(
	struct cmd *cmd, const char *setting, char *module, size_t size, enum log_level *level)
{
	const char *colon = strchr(setting, ':');

	snprintf(module, size, "%.*s", colon ? (int)(colon - setting) : 0, setting);
	if (log_level_parse(colon ? colon + 1 : setting, level) < 0)
		return cmd_fail(cmd,
			"\"%s\": expected [MODULE:]LEVEL, LEVEL one of off, err, warn, info, "
			"debug",
			setting);
	return 0;
}

static int module_check(struct cmd *cmd, const char *module)
{
	const char *known;

	for (size_t i = 0; (known = module_name_at(cmd->ctx, i)) != NULL; i++)
		if (strcmp(known, module) == 0)
			return 0;
	known = suggest(module, module_name_at, cmd->ctx);
	if (known)
		return cmd_fail(cmd, "no log module \"%s\"; did you mean \"%s\"?", module, known);
	return cmd_fail(cmd, "no log module \"%s\"; log/show lists them", module);
}

/* All settings are looked at before the first is made. */
static int log_set(struct cmd *cmd)
{
	enum log_level level;
	char module[64];
	int ret;

	for (size_t i = 0; i < cmd->n_args; i++) {
		ret = setting_parse(cmd, cmd->args[i], module, sizeof(module), &level);
		if (ret == 0 && module[0])
			ret = module_check(cmd, module);
		if (ret < 0)
			return ret;
	}
	for (size_t i = 0; i < cmd->n_args; i++) {
		setting_parse(cmd, cmd->args[i], module, sizeof(module), &level);
		log_set_level(cmd->ctx, module[0] ? module : NULL, level);
	}
	return 0;
}

static int log_show(struct cmd *cmd)
{
	struct out *out = cmd_out(cmd);
	struct log_stats stats;
	enum log_level level;
	const char *name;

	log_stats(cmd->ctx, &stats);
	out_table(out, "modules");
	for (size_t i = 0; log_module_at(cmd->ctx, i, &name, &level); i++) {
		out_row(out);
		out_str(out, "module", name);
		out_str(out, "level", log_level_name(level));
	}
	out_table_end(out);
	out_object(out, "lines");
	out_u64(out, "written", stats.written);
	out_u64(out, "suppressed", stats.suppressed);
	out_u64(out, "lost", stats.lost);
	out_str(out, "target", stats.target_error ? strerror(stats.target_error) : "ok");
	out_object_end(out);
	return 0;
}

static int log_reopen_command(struct cmd *cmd)
{
	log_reopen(cmd->ctx);
	return 0;
}

static const struct cmd_row rows[] = {
	{"log/reopen", "", 0, 0, NULL, 0, log_reopen_command,
		"Open the log file again, after it was rotated away."},
	{"log/set", "[MODULE:]LEVEL...", 1, -1, NULL, 0, log_set,
		"Set what is logged, of one module or of all.\n"
		"LEVEL is off, err, warn, info or debug; each takes in those before it.\n"
		"Settings are applied from left to right, all of them or none:\n"
		"  log/set warn migrate:debug"},
	{"log/show", "", 0, 0, NULL, CMD_JSON, log_show,
		"Show modules with their levels, and how many lines were written, suppressed, "
		"lost."},
};

CMD_NOUN(log, rows);
