/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What we want to know of an X.509 certificate: whose it is, when it is valid, what it may be
 * called. Pure; nothing here decides whether a certificate is trusted.
 */
#ifndef CTRL_CHANNEL_CERTIFICATE_H
#define CTRL_CHANNEL_CERTIFICATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

#define CERTIFICATE_SUBJECT_BYTES 160
#define CERTIFICATE_DATE_BYTES 24

struct certificate_info {
	char subject[CERTIFICATE_SUBJECT_BYTES]; /* "CN=host-b,O=Example" */
	int64_t not_before_s;
	int64_t not_after_s;
};

void certificate_info_get(X509 *certificate, struct certificate_info *info);

/* "2026-03-01 12:00:00Z" */
void certificate_date(int64_t seconds, char *out);

/* Exact match with one of its subject alternative names (DNS without regard to case, URI, IP
 * address), or with its common name if it has none of these. A wild card stands for itself only. */
bool certificate_is_called(X509 *certificate, const char *name);

/* All it is called, for an error text: "DNS:host-b, IP:192.0.2.7". Cut where out ends. */
void certificate_names(X509 *certificate, char *out, size_t out_bytes);

#endif
