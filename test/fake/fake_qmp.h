/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A QMP server that follows a script, in a thread, on one end of a socket pair. It greets, answers
 * qmp_capabilities, then goes through the steps.
 */
#ifndef TEST_FAKE_QMP_H
#define TEST_FAKE_QMP_H

#include <stddef.h>

struct fake_qmp_step {
	const char *await; /* read until this command came; NULL: go on at once */
	const char *send; /* NULL: nothing; "$ID" becomes the id of the awaited command */
	size_t piece_bytes; /* sent in pieces of so many bytes, each its own segment; 0: in one */
	size_t filler_bytes; /* "$FILL" in `send` becomes so many letters */
};

struct fake_qmp;

/* The script (n steps) must outlive it. *client_fd is the caller's. After the last step the server
 * closes its end. */
struct fake_qmp *fake_qmp_start(const struct fake_qmp_step *steps, size_t n, int *client_fd);
/* Waits for the end of the script. */
void fake_qmp_join(struct fake_qmp *fake);

#endif
