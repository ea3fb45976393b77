/* SPDX-License-Identifier: BSD-3-Clause */
/* "Did you mean": the known word nearest to a wrong one. Pure. */
#ifndef CTRL_CMD_SUGGEST_H
#define CTRL_CMD_SUGGEST_H

#include <stddef.h>

/* The i-th known word, NULL past the last. */
typedef const char *suggest_words(void *ctx, size_t i);

/* The nearest by typing errors (wrong, missing, added, swapped letters), at most a third of the
 * word, or the only one that begins like it. NULL: none is near. */
const char *suggest(const char *wrong, suggest_words *words, void *ctx);

#endif
