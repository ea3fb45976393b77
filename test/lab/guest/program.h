/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the lab's guest programs share: clock, addresses, the wish to stop, reports.
 * Programs of one thread; IPv4 addresses are v4-mapped, one socket type serves both families.
 */
#ifndef LAB_GUEST_PROGRAM_H
#define LAB_GUEST_PROGRAM_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

/* CLOCK_MONOTONIC. In a guest it stands still while the VM is paused. */
uint64_t program_now_ns(void);

/* "10.0.0.1", "2001:db8::1" or "any". 0 or -EINVAL. */
int program_address(const char *text, uint16_t port, struct sockaddr_in6 *address);

/* A whole number from min to max; says what is wrong with `name` and ends the program otherwise. */
uint64_t program_number(const char *name, const char *text, uint64_t min, uint64_t max);

/* From now on INT and TERM only make program_stopped() true. */
void program_catch_stop(void);
bool program_stopped(void);

/* A report goes to a file, replaced whole by program_report_end so that a reader never sees half of
 * one, or to stdout when path is NULL. NULL with errno when it cannot be opened. */
FILE *program_report_begin(const char *path);
void program_report_end(FILE *report, const char *path);

#endif
