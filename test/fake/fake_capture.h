/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_FAKE_CAPTURE_H
#define FERRY_FAKE_CAPTURE_H
/*
 * Captures of real traffic for tests. They are no part of the product: a test that wants one is
 * skipped where they are not there. Looked for in $FERRY_CAPTURES, then in ../shared/captures of
 * the checkout.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fake_frame {
	uint8_t *bytes;
	size_t len;
};

struct fake_capture {
	struct fake_frame *frame;
	size_t count;
};

/* All frames of an Ethernet capture. False when it is not there; asserts that it can be read. */
bool fake_capture_load(struct fake_capture *capture, const char *name);
void fake_capture_free(struct fake_capture *capture);

#endif
