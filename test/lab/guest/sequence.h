/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a receiver knows about a numbered stream: which numbers 0, 1, 2 ... came, how often, in
 * which order, and how long nothing came. Single thread; the caller brings the time.
 */
#ifndef LAB_GUEST_SEQUENCE_H
#define LAB_GUEST_SEQUENCE_H

#include <stdbool.h>
#include <stdint.h>

#define SEQUENCE_MAX (UINT64_C(1) << 26) /* numbers from here on are refused: 8 MiB of bits */

struct sequence {
	uint64_t *seen; /* one bit per number */
	uint64_t capacity; /* bits in `seen` */
	uint64_t received; /* different numbers */
	uint64_t duplicated; /* further copies */
	uint64_t reordered; /* came after a higher one */
	uint64_t next; /* highest number + 1, 0: none yet */
	uint64_t last_ns; /* time of the last arrival */
	uint64_t longest_gap_ns,
		gap_start_ns; /* longest time between two arrivals, and its start */
	uint64_t gap_number; /* the number that ended it */
};

void sequence_init(struct sequence *s);
void sequence_free(struct sequence *s);

/* Number `number` arrived at now_ns. False when it is out of range or memory is short; then nothing
 * is counted. */
bool sequence_add(struct sequence *s, uint64_t number, uint64_t now_ns);

/* The stream ended at now_ns: silence since the last arrival counts as a gap too. */
void sequence_end(struct sequence *s, uint64_t now_ns);

/* How many of the `sent` numbers (0 .. sent - 1) never came. */
uint64_t sequence_lost(const struct sequence *s, uint64_t sent);

#endif
