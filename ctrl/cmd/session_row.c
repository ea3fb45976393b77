/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/cmd/session_row.h"

#include <netinet/in.h>

#include <rte_byteorder.h>

#include "ctrl/cmd/text.h"

static void row_half(struct out *out, const char *key, const struct session_half *half, bool tcp)
{
	out_object(out, key);
	out_u64(out, "packets", half->packets);
	out_u64(out, "bytes", half->bytes);
	if (tcp) {
		out_u64(out, "seq_end", half->seq_end);
		out_u64(out, "seq_limit", half->seq_limit);
		out_u64(out, "window_max", half->window_max);
		if (half->scale == SESSION_SCALE_UNKNOWN)
			out_str(out, "scale", "unknown");
		else
			out_u64(out, "scale", half->scale);
	}
	out_object_end(out);
}

void session_row_full(struct out *out, const char *vport, const struct session_record *r)
{
	char text[INET6_ADDRSTRLEN], tuple[TEXT_TUPLE_MAX], proto[8];
	bool tcp = r->tuple.proto == IPPROTO_TCP;

	out_row(out);
	out_str(out, "vport", vport);
	out_u64(out, "vni", r->tuple.vni);
	out_str(out, "proto", text_proto(r->tuple.proto, proto, sizeof(proto)));
	out_str(out, "local", text_addr(&r->tuple.local, text, sizeof(text)));
	out_u64(out, "local_port", rte_be_to_cpu_16(r->tuple.local_port));
	out_str(out, "remote", text_addr(&r->tuple.remote, text, sizeof(text)));
	out_u64(out, "remote_port", rte_be_to_cpu_16(r->tuple.remote_port));
	out_str(out, "state", session_state_name(r->state & SESSION_STATE_MASK));
	out_str(out, "opened_by", r->state & SESSION_FIRST_INGRESS ? "remote" : "local");
	out_u64(out, "id", r->birth_id);
	out_u64(out, "life_ms", r->life_ms);
	out_u64(out, "age_ms", r->age_ms);
	out_bool(out, "imported", r->imported);
	row_half(out, "out", &r->half[PKT_EGRESS], tcp);
	row_half(out, "in", &r->half[PKT_INGRESS], tcp);
	out_str(out, "outside", r->has_key2 ? text_tuple(&r->outside, tuple, sizeof(tuple)) : NULL);
	out_str(out, "verdict_by", r->verdict_by ? r->verdict_by : NULL);
}

void session_row_brief(struct out *out, const char *vport, const struct session_record *r)
{
	char tuple[TEXT_TUPLE_MAX];

	out_row(out);
	out_str(out, "vport", vport);
	out_str(out, "session", text_tuple(&r->tuple, tuple, sizeof(tuple)));
	out_str(out, "state", session_state_name(r->state & SESSION_STATE_MASK));
	out_u64(out, "life_s", (r->life_ms + 999) / 1000);
	out_u64(out, "out_packets", r->half[PKT_EGRESS].packets);
	out_u64(out, "in_packets", r->half[PKT_INGRESS].packets);
	out_str(out, "outside", r->has_key2 ? text_tuple(&r->outside, tuple, sizeof(tuple)) : NULL);
	out_str(out, "verdict_by", r->verdict_by ? r->verdict_by : NULL);
}
