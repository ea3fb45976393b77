/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a command shows, said once, rendered as text or as JSON.
 *
 * An output is an object of fields; a field is a value, a list, an object, or a table of rows.
 *
 *	out_table(out, "vports");
 *	for each vport {
 *		out_row(out);
 *		out_str(out, "name", vport->name);
 *		out_u64(out, "rx_packets", vport->rx_packets);
 *	}
 *	out_table_end(out);
 *
 * Text: NAME RX_PACKETS in aligned columns, numbers to the right; fields of an object as lines "key
 * value", nested ones indented. JSON: {"vports":[{"name":"vm1","rx_packets":7}]}, a row a line.
 *
 * The first row names the columns; later rows give their fields in the same order and may leave
 * some out. Lists and objects in a row become "a,b" and columns "object.field". Rows go out as they
 * come, so a table may have millions: text columns get their width from the first 256 rows (or
 * 64 KiB).
 *
 * Not thread-safe; belongs to whoever opened it. Memory that is not to be had ends in out_error.
 */
#ifndef CTRL_CMD_OUT_H
#define CTRL_CMD_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct out;

enum out_format {
	OUT_TEXT,
	OUT_JSON,
	OUT_LINE, /* text on one line, "key=value ..."; values of the outermost object only */
};

typedef void out_sink(void *ctx, const char *text, size_t len_bytes);

/* NULL without memory. out_close ends all that is open, sends the rest to the sink and frees. */
struct out *out_open(enum out_format format, out_sink *sink, void *ctx);
void out_close(struct out *out);

/* Frees and sends nothing. NULL allowed. */
void out_abandon(struct out *out);

/* 0 or -ENOMEM: the output is not whole. */
int out_error(const struct out *out);

/* A list holds values, each with key NULL; everything else needs a key. A row holds values, lists
 * and objects. Tables stand in objects. */
void out_object(struct out *out, const char *key);
void out_object_end(struct out *out);
void out_list(struct out *out, const char *key);
void out_list_end(struct out *out);
void out_table(struct out *out, const char *key);
void out_row(struct out *out);
void out_table_end(struct out *out);

void out_str(struct out *out, const char *key, const char *text); /* NULL: null, "-" in text */
void out_fmt(struct out *out, const char *key, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void out_u64(struct out *out, const char *key, uint64_t number);
void out_i64(struct out *out, const char *key, int64_t number);
void out_real(struct out *out, const char *key, double number, int decimals);
void out_bool(struct out *out, const char *key, bool yes); /* "yes", "no" in text */

/* A time. JSON: key and whole nanoseconds; text: key without its "_ns" and "12.3 ms". */
void out_ns(struct out *out, const char *key, uint64_t time_ns);

/* JSON: {"done":D,"total":T}; text: a bar and per cent. total 0: nothing to do, all done. */
void out_progress(struct out *out, const char *key, uint64_t done, uint64_t total);

/* A sentence for people: text only, not within tables. */
void out_note(struct out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
