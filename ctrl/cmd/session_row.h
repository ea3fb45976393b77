/* SPDX-License-Identifier: BSD-3-Clause */
/* A session as a row of a table: session/dump, ferry-replay. */
#ifndef CTRL_CMD_SESSION_ROW_H
#define CTRL_CMD_SESSION_ROW_H

#include "ctrl/cmd/out.h"
#include "dataplane/session_record.h"

/* All fields, for JSON. */
void session_row_full(struct out *out, const char *vport, const struct session_record *record);
/* What fits a line. */
void session_row_brief(struct out *out, const char *vport, const struct session_record *record);

#endif
