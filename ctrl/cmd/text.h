/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dataplane's values in the output of commands: addresses, MACs, tuples, counters, features.
 */
#ifndef CTRL_CMD_TEXT_H
#define CTRL_CMD_TEXT_H

#include <stddef.h>

#include <rte_ether.h>

#include "ctrl/cmd/out.h"
#include "dataplane/session_key.h"
#include "dataplane/stats.h"

#define TEXT_TUPLE_MAX 128

/* Each returns `text`. */
const char *text_addr(const struct in6_addr *addr, char *text, size_t size);
const char *text_prefix(const struct in6_addr *addr, unsigned int len, char *text, size_t size);
const char *text_mac(const struct rte_ether_addr *mac, char *text, size_t size);
const char *text_proto(uint8_t proto, char *text, size_t size);
/* "tcp 10.0.0.5:80 <-> 198.51.100.10:40000" */
const char *text_tuple(const struct session_tuple *tuple, char *text, size_t size);

/* Read; 0 or -EINVAL. Addresses come out v4-mapped. */
int text_parse_addr(const char *text, struct in6_addr *addr);
/* By name or number. */
int text_parse_proto(const char *text, uint8_t *proto);
int text_parse_mac(const char *text, struct rte_ether_addr *mac);

/* An object of counters with drops by name (those that are not 0). */
void text_port_stats(struct out *out, const char *key, const struct port_stats *stats);
/* Rows of a table, one per reason that is not 0. where: "from" or "towards" the port. */
void text_drop_rows(struct out *out, const char *port, const char *where, const uint64_t *drops);
/* A list of virtio feature names. */
void text_features(struct out *out, const char *key, uint64_t features);

#endif
