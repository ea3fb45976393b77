/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From what OpenSSL says to what an operator needs to know: which side's certificate, whose, and
 * the date. The two tables are the whole knowledge; what is in neither keeps OpenSSL's own words.
 */
#include <errno.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <openssl/x509_vfy.h>

#include "ctrl/channel/link.h"

struct error_row {
	int code;
	enum channel_reason reason;
	const char *text;
};

/* Why we do not trust the peer's chain: X509_V_ERR_*. */
static const struct error_row verify_rows[] = {
	{X509_V_ERR_CERT_HAS_EXPIRED, CHANNEL_REASON_PEER_EXPIRED, "expired on"},
	{X509_V_ERR_CERT_NOT_YET_VALID, CHANNEL_REASON_PEER_NOT_YET, "is not valid before"},
	{X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, CHANNEL_REASON_UNKNOWN_CA, NULL},
	{X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, CHANNEL_REASON_UNKNOWN_CA, NULL},
	{X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, CHANNEL_REASON_UNKNOWN_CA, NULL},
	{X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, CHANNEL_REASON_UNKNOWN_CA, NULL},
	{X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, CHANNEL_REASON_UNKNOWN_CA, NULL},
	{X509_V_ERR_CERT_SIGNATURE_FAILURE, CHANNEL_REASON_UNKNOWN_CA, NULL},
};

/* What else ends a handshake, ours or told by an alert: SSL_R_*. */
static const struct error_row tls_rows[] = {
	{SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, CHANNEL_REASON_NO_CERTIFICATE,
		"the peer sent no certificate"},
	{SSL_R_UNSUPPORTED_PROTOCOL, CHANNEL_REASON_TLS_VERSION, "the peer offers no TLS 1.3"},
	{SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, CHANNEL_REASON_TLS_VERSION,
		"the peer does not take TLS 1.3"},
	{SSL_R_WRONG_SSL_VERSION, CHANNEL_REASON_TLS_VERSION, "the peer offers no TLS 1.3"},
	{SSL_R_BAD_SIGNATURE, CHANNEL_REASON_PEER_KEY,
		"the peer does not hold the key of its certificate"},
	{SSL_R_WRONG_VERSION_NUMBER, CHANNEL_REASON_NOT_TLS, "the peer does not speak TLS"},
	{SSL_R_HTTP_REQUEST, CHANNEL_REASON_NOT_TLS, "the peer speaks HTTP, not TLS"},
	{SSL_R_HTTPS_PROXY_REQUEST, CHANNEL_REASON_NOT_TLS, "the peer speaks HTTP, not TLS"},
	{SSL_R_RECORD_LENGTH_MISMATCH, CHANNEL_REASON_NOT_TLS, "the peer does not speak TLS"},
	{SSL_R_PACKET_LENGTH_TOO_LONG, CHANNEL_REASON_NOT_TLS, "the peer does not speak TLS"},
	{SSL_R_ENCRYPTED_LENGTH_TOO_LONG, CHANNEL_REASON_NOT_TLS, "the peer does not speak TLS"},
	{SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, CHANNEL_REASON_OWN_REFUSED, "as expired"},
	{SSL_R_TLSV1_ALERT_UNKNOWN_CA, CHANNEL_REASON_OWN_REFUSED, "as not signed by its CA"},
	{SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, CHANNEL_REASON_OWN_REFUSED, "as bad or not yet valid"},
	{SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, CHANNEL_REASON_OWN_REFUSED, "as not acceptable"},
	{SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED, CHANNEL_REASON_OWN_REFUSED, "as revoked"},
	{SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE, CHANNEL_REASON_OWN_REFUSED,
		"as of the wrong kind"},
	{SSL_R_TLSV1_ALERT_ACCESS_DENIED, CHANNEL_REASON_OWN_REFUSED, "and denied access"},
	{SSL_R_TLSV1_ALERT_DECRYPT_ERROR, CHANNEL_REASON_OWN_REFUSED, "as not ours (wrong key)"},
	{SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, CHANNEL_REASON_OWN_REFUSED, "because none came"},
};

static const struct error_row *row_find(const struct error_row *rows, size_t n, int code)
{
	for (size_t i = 0; i < n; i++) {
		if (rows[i].code == code)
			return &rows[i];
	}
	return NULL;
}

#define ROW_FIND(rows, code) row_find(rows, sizeof(rows) / sizeof((rows)[0]), code)

static int verify_error(const struct link_verify *verify, struct channel_error *error)
{
	const struct error_row *row = ROW_FIND(verify_rows, verify->code);
	const char *whose = verify->depth == 0 ? "the peer's certificate" : "the peer's CA";
	char date[CERTIFICATE_DATE_BYTES];

	if (row != NULL && row->text != NULL) {
		certificate_date(row->reason == CHANNEL_REASON_PEER_EXPIRED
					 ? verify->of.not_after_s
					 : verify->of.not_before_s,
			date);
		return channel_error_set(error, row->reason, "%s (%s) %s %s", whose,
			verify->of.subject, row->text, date);
	}
	if (row != NULL)
		return channel_error_set(error, row->reason,
			"the peer's certificate (%s) is not signed by a CA we trust",
			verify->of.subject);
	return channel_error_set(error, CHANNEL_REASON_PEER_CERTIFICATE, "%s (%s) is bad: %s",
		whose, verify->of.subject, X509_verify_cert_error_string(verify->code));
}

static int own_refused(const struct link *link, const char *why, struct channel_error *error)
{
	char from[CERTIFICATE_DATE_BYTES], until[CERTIFICATE_DATE_BYTES];

	certificate_date(link->own.not_before_s, from);
	certificate_date(link->own.not_after_s, until);
	return channel_error_set(error, CHANNEL_REASON_OWN_REFUSED,
		"the peer refused our certificate (%s, valid %s to %s) %s", link->own.subject, from,
		until, why);
}

int link_error(const struct link *link, unsigned long code, int ret, struct channel_error *error)
{
	const struct error_row *row = NULL;
	const char *text;

	if (link->verify.code != X509_V_OK)
		return verify_error(&link->verify, error);
	if (code != 0 && ERR_GET_LIB(code) == ERR_LIB_SSL)
		row = ROW_FIND(tls_rows, ERR_GET_REASON(code));
	if (row != NULL && row->reason == CHANNEL_REASON_OWN_REFUSED)
		return own_refused(link, row->text, error);
	if (row != NULL)
		return channel_error_set(error, row->reason, "%s", row->text);
	text = code == 0 ? NULL : ERR_reason_error_string(code);
	if (text != NULL && ERR_GET_REASON(code) != SSL_R_UNEXPECTED_EOF_WHILE_READING)
		return channel_error_set(error, CHANNEL_REASON_TLS, "TLS failed: %s", text);
	return channel_error_set(error, CHANNEL_REASON_RESET, "the peer closed the connection%s%s",
		ret == 0 ? "" : ": ", ret == 0 ? "" : strerror(-ret));
}
