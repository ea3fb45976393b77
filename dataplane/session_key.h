/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_SESSION_KEY_H
#define FERRY_SESSION_KEY_H
/*
 * What names a session: (VNI, protocol, local and remote address and port); "local" is the vport's
 * side, so both directions have the same key and two VMs on one host have one session each.
 *
 * `struct session_key` is the packed 16-byte form of the packet path. For IPv4 it is the whole key;
 * for IPv6 `addresses` is a hash of both addresses and the 32 bytes themselves are compared as well
 * (they stay in the packet and in the session). `struct session_tuple` is the readable form for
 * everything that is not per packet.
 *
 * Ports are in network order. ICMP echo: the identifier is the port of the side that asked, the
 * other port is 0, so a ping by the VM and a ping at the VM with the same identifier are two
 * sessions. Protocols without ports have 0 for both.
 */
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_byteorder.h>
#include <rte_hash_crc.h>

struct session_key {
	union {
		struct {
			uint32_t vni_proto; /* VNI << 8 | IP protocol, host order */
			rte_be16_t local_port;
			rte_be16_t remote_port;
			union {
				struct {
					rte_be32_t local;
					rte_be32_t remote;
				};
				uint64_t addresses; /* IPv6: hash of both addresses */
			};
		};
		uint64_t word[2];
	};
};

struct session_tuple {
	struct in6_addr local;
	struct in6_addr remote;
	rte_be16_t local_port;
	rte_be16_t remote_port;
	uint32_t vni; /* 24 bits */
	uint8_t proto;
};

/* Addresses of an IPv6 key, as they lie in the session. */
struct session_addresses6 {
	struct in6_addr local;
	struct in6_addr remote;
};

static inline uint32_t session_key_vni(const struct session_key *key)
{
	return key->vni_proto >> 8;
}

static inline uint8_t session_key_proto(const struct session_key *key)
{
	return (uint8_t)key->vni_proto;
}

static inline bool session_key_equal(const struct session_key *a, const struct session_key *b)
{
	return ((a->word[0] ^ b->word[0]) | (a->word[1] ^ b->word[1])) == 0;
}

/* rte_hash_crc_8byte() without its look at run time whether the machine can. */
#ifdef __SSE4_2__
static inline uint32_t session_crc(uint64_t word, uint32_t start)
{
	return (uint32_t)__builtin_ia32_crc32di(start, word);
}
#else
static inline uint32_t session_crc(uint64_t word, uint32_t start)
{
	return rte_hash_crc_8byte(word, start);
}
#endif

/* 32 bits, all of them good: two CRC32C passes with a final mix (multiply-shift). */
static inline uint32_t session_key_hash(const struct session_key *key)
{
	uint64_t a = session_crc(key->word[0], 0x9e3779b9);
	uint64_t b = session_crc(key->word[1], (uint32_t)a);

	return (uint32_t)(((a << 32 | b) * 0x9e3779b97f4a7c15ULL) >> 32);
}

/* IPv6: fold local and remote (in this order) into key->addresses. */
static inline uint64_t session_key_fold6(
	const struct in6_addr *local, const struct in6_addr *remote)
{
	uint64_t w[4];
	uint32_t a = 0x2545f491, b = 0x85ebca6b;

	__builtin_memcpy(&w[0], local, 16);
	__builtin_memcpy(&w[2], remote, 16);
	for (int i = 0; i < 4; i++) {
		a = session_crc(w[i], a);
		b = session_crc(w[i] ^ 0x5bd1e9955bd1e995ULL, b + a);
	}
	return (uint64_t)a << 32 | b;
}

/*
 * Pack a tuple. For IPv4 (both addresses v4-mapped) returns false and *a6 is untouched; for IPv6
 * returns true and fills *a6.
 */
bool session_key_pack(
	const struct session_tuple *tuple, struct session_key *key, struct session_addresses6 *a6);

/* The reverse; a6 is NULL for IPv4. */
void session_key_unpack(const struct session_key *key, const struct session_addresses6 *a6,
	struct session_tuple *tuple);

#endif
