/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <openssl/x509v3.h>

#include "ctrl/channel/certificate.h"

static int64_t asn1_seconds(const ASN1_TIME *when)
{
	struct tm tm = {};

	return ASN1_TIME_to_tm(when, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

/* Names come from the other side and go to logs and terminals. */
static void text_clean(char *text)
{
	for (; *text != '\0'; text++) {
		if (!isprint((unsigned char)*text))
			*text = '?';
	}
}

void certificate_info_get(X509 *certificate, struct certificate_info *info)
{
	BIO *bio = BIO_new(BIO_s_mem());
	int n = 0;

	if (bio != NULL) {
		X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
		n = BIO_read(bio, info->subject, sizeof(info->subject) - 1);
		BIO_free(bio);
	}
	info->subject[n > 0 ? n : 0] = '\0';
	text_clean(info->subject);
	info->not_before_s = asn1_seconds(X509_get0_notBefore(certificate));
	info->not_after_s = asn1_seconds(X509_get0_notAfter(certificate));
}

void certificate_date(int64_t seconds, char *out)
{
	time_t when = (time_t)seconds;
	struct tm tm = {};

	gmtime_r(&when, &tm);
	if (strftime(out, CERTIFICATE_DATE_BYTES, "%Y-%m-%d %H:%M:%SZ", &tm) == 0)
		out[0] = '\0';
}

static bool ip_is(const ASN1_OCTET_STRING *ip, const char *name)
{
	const unsigned char *data = ASN1_STRING_get0_data(ip);
	unsigned char parsed[16];

	switch (ASN1_STRING_length(ip)) {
	case 4:
		return inet_pton(AF_INET, name, parsed) == 1 && memcmp(data, parsed, 4) == 0;
	case 16:
		return inet_pton(AF_INET6, name, parsed) == 1 && memcmp(data, parsed, 16) == 0;
	default:
		return false;
	}
}

/* Length and bytes: a zero inside the certificate's string never ends it early. */
static bool text_is(const ASN1_STRING *text, const char *name, bool any_case)
{
	const char *data = (const char *)ASN1_STRING_get0_data(text);
	size_t len_bytes = (size_t)ASN1_STRING_length(text);

	if (len_bytes != strlen(name) || memchr(data, 0, len_bytes) != NULL)
		return false;
	return (any_case ? strncasecmp(data, name, len_bytes) : strncmp(data, name, len_bytes)) ==
	       0;
}

static bool general_name_is(const GENERAL_NAME *general, const char *name)
{
	switch (general->type) {
	case GEN_DNS:
		return text_is(general->d.dNSName, name, true);
	case GEN_URI:
		return text_is(general->d.uniformResourceIdentifier, name, false);
	case GEN_IPADD:
		return ip_is(general->d.iPAddress, name);
	default:
		return false;
	}
}

static bool general_name_counts(const GENERAL_NAME *general)
{
	return general->type == GEN_DNS || general->type == GEN_URI || general->type == GEN_IPADD;
}

/* The last one, which is the most specific; NULL if there is none. */
static const ASN1_STRING *common_name(X509 *certificate)
{
	X509_NAME *subject = X509_get_subject_name(certificate);
	int last = -1, at;

	while ((at = X509_NAME_get_index_by_NID(subject, NID_commonName, last)) >= 0)
		last = at;
	return last < 0 ? NULL : X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, last));
}

bool certificate_is_called(X509 *certificate, const char *name)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	const ASN1_STRING *cn = common_name(certificate);
	bool found = false, counts = false;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *general = sk_GENERAL_NAME_value(names, i);

		counts |= general_name_counts(general);
		found |= general_name_is(general, name);
	}
	GENERAL_NAMES_free(names);
	if (!counts && cn != NULL)
		found = text_is(cn, name, true);
	return found;
}

static void general_name_print(const GENERAL_NAME *general, char *out, size_t out_bytes)
{
	const ASN1_OCTET_STRING *ip = general->d.iPAddress;
	const ASN1_STRING *text = general->d.ia5;
	char address[INET6_ADDRSTRLEN] = "?";

	if (general->type == GEN_IPADD) {
		inet_ntop(ASN1_STRING_length(ip) == 4 ? AF_INET : AF_INET6,
			ASN1_STRING_length(ip) == 4 || ASN1_STRING_length(ip) == 16
				? ASN1_STRING_get0_data(ip)
				: in6addr_any.s6_addr,
			address, sizeof(address));
		snprintf(out, out_bytes, "IP:%s", address);
	} else {
		snprintf(out, out_bytes, "%s:%.*s", general->type == GEN_DNS ? "DNS" : "URI",
			ASN1_STRING_length(text), (const char *)ASN1_STRING_get0_data(text));
	}
}

void certificate_names(X509 *certificate, char *out, size_t out_bytes)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	const ASN1_STRING *cn = common_name(certificate);
	size_t used = 0;

	out[0] = '\0';
	for (int i = 0; i < sk_GENERAL_NAME_num(names) && used + 3 < out_bytes; i++) {
		const GENERAL_NAME *general = sk_GENERAL_NAME_value(names, i);

		if (!general_name_counts(general))
			continue;
		if (used > 0)
			used += (size_t)snprintf(out + used, out_bytes - used, ", ");
		general_name_print(general, out + used, out_bytes - used);
		used += strlen(out + used);
	}
	if (used == 0 && cn != NULL)
		snprintf(out, out_bytes, "CN:%.*s", ASN1_STRING_length(cn),
			(const char *)ASN1_STRING_get0_data(cn));
	GENERAL_NAMES_free(names);
	text_clean(out);
}
