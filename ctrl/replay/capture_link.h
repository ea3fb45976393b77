/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CTRL_REPLAY_CAPTURE_LINK_H
#define CTRL_REPLAY_CAPTURE_LINK_H

#include <stddef.h>
#include <stdint.h>

#define LINK_ETHER_LEN 14

/* Can frames of this link type (libpcap's DLT_) be replayed? Ethernet, cooked, and IP without link
 * layer. */
int link_supported(int type); /* 0 or -EPROTONOSUPPORT */

/*
 * The Ethernet header of a frame of another link type, into ether. Returns how many bytes of data
 * it stands for, or -EBADMSG. MACs that the frame does not tell are zero.
 */
int link_to_ether(int type, const uint8_t *data, size_t len, uint8_t *ether);

#endif
