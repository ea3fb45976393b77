/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * plugin/show: the plugins in the order they are asked, and what each says of itself or of one
 * vport.
 */
#include <stdlib.h>
#include <string.h>

#include "ctrl/cmd/daemon.h"
#include "dataplane/vport.h"

struct text {
	char *data;
	size_t len, room;
};

static int text_put(struct plugin_sink *sink, const void *data, size_t len)
{
	struct text *text = sink->arg;

	if (text->len + len + 1 > text->room) {
		size_t room = (text->len + len + 1) * 2;
		char *grown = realloc(text->data, room);

		if (!grown)
			return -1;
		text->data = grown;
		text->room = room;
	}
	memcpy(text->data + text->len, data, len);
	text->len += len;
	text->data[text->len] = '\0';
	return 0;
}

struct showing {
	struct out *out;
	struct vport *vport;
	const char *only;
	uint16_t index;
	bool found;
};

static int show_plugin(const struct plugin_descriptor *d, void *instance, void *arg)
{
	struct showing *showing = arg;
	struct vport *v = showing->vport;
	struct text text = {0};
	struct plugin_sink sink = {.put = text_put, .arg = &text};
	uint16_t index = showing->index++;

	if (showing->only && strcmp(showing->only, d->name) != 0)
		return 0;
	showing->found = true;
	out_row(showing->out);
	out_str(showing->out, "name", d->name);
	out_str(showing->out, "version", d->version);
	out_u64(showing->out, "state_version", d->state_version);
	out_str(showing->out, "summary", d->summary);
	if (d->show)
		d->show(instance, v ? &v->plugin_view : NULL, v ? v->plugin_data[index] : NULL,
			&sink);
	out_str(showing->out, "says", text.data);
	free(text.data);
	return 0;
}

static int plugin_show(struct cmd *cmd)
{
	struct daemon *d = cmd->ctx;
	const char *vport = cmd_option(cmd, "vport");
	struct showing showing = {
		.out = cmd_out(cmd), .only = cmd->n_args > 0 ? cmd->args[0] : NULL};

	if (vport) {
		showing.vport = engine_vport_find(d->engine, vport);
		if (!showing.vport)
			return cmd_fail(cmd, "no vport named \"%s\"", vport);
	}
	out_table(showing.out, "plugins");
	engine_plugin_foreach(d->engine, show_plugin, &showing);
	out_table_end(showing.out);
	if (showing.only && !showing.found)
		return cmd_fail(cmd, "no plugin named \"%s\" is loaded", showing.only);
	return 0;
}

static const struct cmd_row rows[] = {
	{"plugin/show", "[PLUGIN] [--vport=VPORT]", 0, 1, "vport=", CMD_JSON, plugin_show,
		"Show the plugins in the order they are asked, and what they say of themselves."},
};

CMD_NOUN(plugin, rows);
