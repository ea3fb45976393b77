/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One change of session/apply as JSON: what it says, and a record with it said. Pure.
 *
 *	{"op": "add", "proto": "tcp", "local": "10.0.0.5", "local_port": 80, "remote": "10.0.0.9",
 *	 "remote_port": 40000, "state": "tcp-established", "opened_by": "remote",
 *	 "life_ms": 60000, "age_ms": 0, "out": {"packets": 3, "bytes": 1500, "seq_end": 1,
 *	 "seq_limit": 2, "window_max": 65535, "scale": 7}, "in": {...}}
 *	{"op": "update", "id": 17, "proto": ..., the tuple, "life_ms": 1000}
 *	{"op": "delete", "proto": ..., the tuple}
 *	{"op": "add", "record": "00 06 ..."}
 *
 * Fields are those of session/dump --json, so a row of it with an "op" is a change. What an update
 * leaves out stays. Numbers of TCP that an addition leaves out are not known: that side is believed
 * until it is heard. "record" is the session's record in hex (session/dump --record), with all that
 * a plugin keeps: a translated session is added so, and only so.
 */
#ifndef CTRL_MIGRATE_SESSION_CHANGE_H
#define CTRL_MIGRATE_SESSION_CHANGE_H

#include <jansson.h>

#include "ctrl/vswitch/vswitch.h"

enum session_op { SESSION_OP_ADD, SESSION_OP_UPDATE, SESSION_OP_DELETE };
const char *session_op_name(enum session_op op);

struct session_change {
	enum session_op op;
	struct session_tuple tuple;
	uint64_t id; /* 0: whichever lives */
	const json_t *fields; /* borrowed */
	bool whole; /* record is all of it */
	struct session_record record;
};

/* -EINVAL and why. "vport" and "vni" in the JSON must be those of *port. */
int session_change_read(const json_t *json, const struct vswitch_port_info *port,
	struct session_change *change, char *why, size_t why_len);
/* What the change says over what *record holds: for an addition zeroes, else the living session.
 * Identity (birth id, version) is the caller's. */
int session_change_fill(const struct session_change *change, struct session_record *record,
	char *why, size_t why_len);

#endif
