/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_VHOST_GUARD_H
#define FERRY_VHOST_GUARD_H
/*
 * Looks at each vhost-user message before the library acts on it, and refuses what would let a front end hurt
 * others: see the table in vhost_guard.c. One per connection, used on the library's events thread only.
 */
#include <stdint.h>

#include <rte_vhost.h>

struct vhost_guard {
	int fd; /* the connection */
	uint16_t rings; /* rings offered */
	uint32_t addressed; /* rings whose addresses were checked against their size */
	uint32_t based; /* rings that got a base since they last stopped */
	uint16_t base[32]; /* of SET_VRING_BASE, rings offered at most */
};

/* As rte_vhost_msg_handle says; `msg` is the library's context. */
enum rte_vhost_msg_result vhost_guard_check(struct vhost_guard *guard, void *msg);

/*
 * Device up: rings that go on elsewhere than the front end said, because their used index says otherwise. The
 * library then takes frames in flight once more.
 */
unsigned int vhost_guard_resyncs(const struct vhost_guard *guard, int vid);

#endif
