/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs commands: a request becomes a struct running, which is the caller's struct cmd and what the
 * frame knows beside it. It lives until the answer is complete: at the end of the function, of the
 * last step, or at cmd_finish, also when the client is gone by then.
 */
#include "ctrl/cmd/cmd.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctrl/cmd/registry.h"
#include "ctrl/cmd/suggest.h"
#include "ctrl/rpc/server.h"

struct running {
	struct cmd cmd; /* first: a struct cmd is cast back */
	const struct cmd_row *row;
	struct loop *loop;
	struct rpc_reply *reply;
	struct out *out;
	char *error;
	bool json;

	char **words; /* copies of all arguments, freed at the end */
	size_t n_words;
	const char **args; /* of words, those that are no options; then the options */
	const char **options;
	size_t n_options;

	cmd_fn *step;
	void (*end)(struct cmd *cmd);
	void (*gone)(struct cmd *cmd);
};

static struct running *running_of(const struct cmd *cmd)
{
	return (struct running *)cmd;
}

static void running_free(struct running *running)
{
	for (size_t i = 0; i < running->n_words; i++)
		free(running->words[i]);
	free(running->words);
	free(running->args);
	free(running->error);
	free(running);
}

/* --- what commands call --- */

static void to_reply(void *ctx, const char *text, size_t len_bytes)
{
	struct running *running = ctx;

	rpc_reply_append(running->reply, text, len_bytes);
}

struct out *cmd_out(struct cmd *cmd)
{
	return running_of(cmd)->out;
}

bool cmd_is_json(const struct cmd *cmd)
{
	return running_of(cmd)->json;
}

struct out *cmd_line(struct cmd *cmd)
{
	struct running *running = running_of(cmd);

	out_abandon(running->out);
	running->out = out_open(running->json ? OUT_JSON : OUT_LINE, to_reply, running);
	return running->out;
}

void cmd_line_end(struct cmd *cmd)
{
	struct running *running = running_of(cmd);

	out_close(running->out);
	running->out = NULL;
}

int cmd_fail(struct cmd *cmd, const char *format, ...)
{
	struct running *running = running_of(cmd);
	va_list args;

	free(running->error);
	va_start(args, format);
	if (vasprintf(&running->error, format, args) < 0)
		running->error = NULL;
	va_end(args);
	return -EINVAL;
}

/* Is `option` ("--name", "--name=value") the one called name? */
static bool option_is(const char *option, const char *name, size_t len_bytes)
{
	return strncmp(option + 2, name, len_bytes) == 0 &&
	       (option[2 + len_bytes] == '\0' || option[2 + len_bytes] == '=');
}

const char *cmd_option(const struct cmd *cmd, const char *name)
{
	const struct running *running = running_of(cmd);
	size_t len_bytes = strlen(name);

	for (size_t i = running->n_options; i-- > 0;) {
		const char *option = running->options[i];

		if (option_is(option, name, len_bytes))
			return option[2 + len_bytes] ? option + 3 + len_bytes : "";
	}
	return NULL;
}

int cmd_number(struct cmd *cmd, const char *what, const char *text, uint64_t max, uint64_t *number)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	const char *digits = hex ? "0123456789abcdefABCDEF" : "0123456789";
	const char *first = hex ? text + 2 : text;
	unsigned long long value;

	errno = 0;
	value = strtoull(first, NULL, hex ? 16 : 10);
	if (!*first || first[strspn(first, digits)] || errno || value > max)
		return cmd_fail(cmd, "%s: expected a whole number up to %llu, found \"%s\"", what,
			(unsigned long long)max, text);
	*number = value;
	return 0;
}

size_t cmd_room(const struct cmd *cmd)
{
	return rpc_reply_room(running_of(cmd)->reply);
}

/* --- ends --- */

void cmd_finish(struct cmd *cmd, int result)
{
	struct running *running = running_of(cmd);
	struct rpc_reply *reply = running->reply;
	int ret = running->out ? out_error(running->out) : 0;

	rpc_reply_on_gone(reply, NULL, NULL);
	if (result >= 0 && ret == 0) {
		if (running->out)
			out_close(running->out);
		rpc_reply_finish(reply);
	} else {
		out_abandon(running->out);
		if (!running->error)
			running->error = strdup(strerror(result < 0 ? -result : -ret));
		rpc_reply_fail(reply, running->error ? running->error : "out of memory");
	}
	running_free(running);
}

struct verdict {
	struct cmd *cmd;
	int error;
	char text[];
};

static void verdict_apply(void *ctx)
{
	struct verdict *verdict = ctx;
	struct running *running = running_of(verdict->cmd);

	if (verdict->error)
		cmd_fail(verdict->cmd, "%s", verdict->text);
	else
		rpc_reply_append(running->reply, verdict->text, strlen(verdict->text));
	cmd_finish(verdict->cmd, verdict->error ? -EINVAL : 0);
	free(verdict);
}

int cmd_post_finish(struct cmd *cmd, int error, const char *text)
{
	size_t len_bytes = strlen(text);
	struct verdict *verdict = malloc(sizeof(*verdict) + len_bytes + 1);
	int ret;

	if (!verdict)
		return -ENOMEM;
	verdict->cmd = cmd;
	verdict->error = error;
	memcpy(verdict->text, text, len_bytes + 1);
	ret = loop_post(running_of(cmd)->loop, verdict_apply, verdict);
	if (ret < 0)
		free(verdict);
	return ret;
}

static void tell_gone(void *ctx)
{
	struct running *running = ctx;

	if (running->gone)
		running->gone(&running->cmd);
}

int cmd_defer(struct cmd *cmd, void (*gone)(struct cmd *cmd))
{
	struct running *running = running_of(cmd);

	running->gone = gone;
	rpc_reply_on_gone(running->reply, tell_gone, running);
	return CMD_LATER;
}

static void take_step(void *ctx)
{
	struct running *running = ctx;
	int ret = -EPIPE;

	if (!rpc_reply_gone(running->reply))
		ret = running->step(&running->cmd);
	if (ret == CMD_MORE && out_error(running->out) == 0) {
		rpc_reply_on_drain(running->reply, take_step, running);
		return;
	}
	if (running->end)
		running->end(&running->cmd);
	cmd_finish(&running->cmd, ret == CMD_MORE ? 0 : ret);
}

int cmd_stream(struct cmd *cmd, cmd_fn *step, void (*end)(struct cmd *cmd))
{
	struct running *running = running_of(cmd);

	running->step = step;
	running->end = end;
	rpc_reply_on_drain(running->reply, take_step, running);
	return CMD_LATER;
}

/* --- begin --- */

struct option_names {
	const char *options; /* of the row */
	bool json;
	char name[64]; /* the one handed out last */
};

/* The i-th name of "limit vpc=", for suggest; *value tells of its '='. */
static const char *option_name_at(struct option_names *names, size_t i, bool *value)
{
	const char *name = names->options ? names->options : "";
	size_t len_bytes;

	for (;; i--) {
		name += strspn(name, " ");
		len_bytes = strcspn(name, " ");
		if (len_bytes == 0)
			break;
		if (i == 0) {
			*value = name[len_bytes - 1] == '=';
			snprintf(names->name, sizeof(names->name), "%.*s",
				(int)(len_bytes - *value), name);
			return names->name;
		}
		name += len_bytes;
	}
	*value = false;
	return i == 0 && names->json ? "json" : NULL;
}

static int option_check(struct running *running, const char *option)
{
	struct option_names names = {running->row->options, running->row->flags & CMD_JSON, ""};
	const char *name;
	bool value;

	for (size_t i = 0; (name = option_name_at(&names, i, &value)) != NULL; i++) {
		if (!option_is(option, name, strlen(name)))
			continue;
		if (!strchr(option, '=') == !value)
			return 0;
		return cmd_fail(&running->cmd, "option --%s of \"%s\" takes %s value", name,
			running->row->name, value ? "a" : "no");
	}
	return cmd_fail(&running->cmd, "\"%s\" has no option \"%s\"", running->row->name, option);
}

/* Sorts the words into arguments and options; after "--" all are arguments. */
static int words_sort(struct running *running)
{
	bool options = true;
	int ret;

	for (size_t i = 0; i < running->n_words; i++) {
		const char *word = running->words[i];

		if (!options || strncmp(word, "--", 2) != 0) {
			running->args[running->cmd.n_args++] = word;
		} else if (word[2] == '\0') {
			options = false;
		} else {
			ret = option_check(running, word);
			if (ret < 0)
				return ret;
			running->options[running->n_options++] = word;
		}
	}
	running->cmd.args = running->args;
	running->json = cmd_option(&running->cmd, "json") != NULL;
	return 0;
}

static int count_check(struct running *running)
{
	const struct cmd_row *row = running->row;
	size_t n = running->cmd.n_args;
	const char *limit;
	char usage[256];
	int count;

	if (n < (size_t)row->min_args) {
		limit = "at least";
		count = row->min_args;
	} else if (row->max_args >= 0 && n > (size_t)row->max_args) {
		limit = "at most";
		count = row->max_args;
	} else {
		return 0;
	}
	cmd_row_usage(row, usage, sizeof(usage));
	return cmd_fail(&running->cmd, "\"%s\" takes %s %d argument%s, %zu given\nusage: %s %s",
		row->name, limit, count, count == 1 ? "" : "s", n, row->name, usage);
}

static int words_copy(struct running *running, const struct rpc_request *request)
{
	running->words = calloc(request->n_args + 1, sizeof(*running->words));
	running->args = calloc(2 * request->n_args + 1, sizeof(*running->args));
	if (!running->words || !running->args)
		return -ENOMEM;
	running->options = running->args + request->n_args;
	for (size_t i = 0; i < request->n_args; i++) {
		running->words[i] = strdup(request->args[i]);
		if (!running->words[i])
			return -ENOMEM;
		running->n_words++;
	}
	return 0;
}

static struct running *running_create(const struct cmd_registry *registry,
	const struct cmd_entry *entry, const struct rpc_request *request, struct rpc_reply *reply)
{
	struct running *running = calloc(1, sizeof(*running));

	if (!running)
		return NULL;
	running->row = entry->row;
	running->loop = registry->loop;
	running->reply = reply;
	running->cmd.ctx = entry->ctx;
	if (words_copy(running, request) < 0) {
		running_free(running);
		return NULL;
	}
	return running;
}

static void refuse_unknown(
	const struct cmd_registry *registry, const char *method, struct rpc_reply *reply)
{
	const char *near = cmd_registry_suggest(registry, method);
	char text[512];

	snprintf(text, sizeof(text),
		"\"%.200s\" is not a valid command%s%s%s (\"list-commands\" lists them)", method,
		near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	rpc_reply_fail(reply, text);
}

void cmd_registry_handle(void *ctx, const struct rpc_request *request, struct rpc_reply *reply)
{
	const struct cmd_registry *registry = ctx;
	const struct cmd_entry *entry = cmd_registry_find(registry, request->method);
	struct running *running;
	int ret;

	if (!entry) {
		refuse_unknown(registry, request->method, reply);
		return;
	}
	running = running_create(registry, entry, request, reply);
	if (!running) {
		rpc_reply_fail(reply, "out of memory");
		return;
	}
	ret = words_sort(running);
	running->out = out_open(running->json ? OUT_JSON : OUT_TEXT, to_reply, running);
	if (!running->out) {
		running_free(running);
		rpc_reply_fail(reply, "out of memory");
		return;
	}
	if (ret == 0)
		ret = count_check(running);
	if (ret == 0)
		ret = running->row->run(&running->cmd);
	if (ret != CMD_LATER)
		cmd_finish(&running->cmd, ret);
}
