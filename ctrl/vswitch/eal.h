/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DPDK's environment, once per process, before any engine. Main thread only.
 */
#ifndef CTRL_VSWITCH_EAL_H
#define CTRL_VSWITCH_EAL_H

#include <stddef.h>

struct config;

/* Start EAL as the config says; PCI devices are looked for only when one is named as a device.
 * `name` makes the default file prefix. -errno and one line in error. */
int eal_start(const struct config *config, const char *name, char *error, size_t error_len);
void eal_stop(void);

#endif
