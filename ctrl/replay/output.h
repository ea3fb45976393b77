/* SPDX-License-Identifier: BSD-3-Clause */
/* What left a port, as DIR/NAME.pcap: pcap with nanoseconds, Ethernet. One thread. */
#ifndef CTRL_REPLAY_OUTPUT_H
#define CTRL_REPLAY_OUTPUT_H

#include <stddef.h>
#include <stdint.h>

#include <rte_mbuf.h>

struct output;

/* Made anew, and an older one of that name with it. 0 or -errno with one line. */
int output_open(
	const char *dir, const char *name, struct output **out, char *error, size_t error_len);
/* The mbuf stays the caller's. 0 or -errno. */
int output_write(struct output *output, uint64_t time_ns, const struct rte_mbuf *m);
uint64_t output_frames(const struct output *output);
/* What did not get to the disk: -errno. NULL allowed. */
int output_close(struct output *output);

#endif
