/* SPDX-License-Identifier: BSD-3-Clause */
/* The noun vm; its ctx is the struct agent. In the loop's thread. */
#ifndef FERRY_VMAGENT_CMD_H
#define FERRY_VMAGENT_CMD_H

#include "ctrl/cmd/cmd.h"

extern const struct cmd_noun cmd_noun_vm;

#endif
