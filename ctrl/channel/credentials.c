/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/err.h>

#include "ctrl/channel/credentials.h"

/* A peer's chain may be this long; a hello must not cost more. */
#define CHAIN_MAX_BYTES 16384
#define READ_BUFFER_BYTES (64 << 10)

enum credentials_file { FILE_CERTIFICATE, FILE_KEY, FILE_CA, FILE_COUNT };

static const char *const file_names[FILE_COUNT] = {"certificate", "key", "CA"};

/* Tells one content of a file from another without reading it. */
struct file_stamp {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec changed;
	struct timespec modified;
};

struct credentials {
	char *paths[FILE_COUNT];
	struct file_stamp stamps[FILE_COUNT]; /* of what is loaded */
	struct credentials_use now; /* context NULL: nothing loaded yet */
	uint64_t reloads;
	char problem[CHANNEL_ERROR_TEXT_BYTES];
};

int credentials_new(const char *certificate_path, const char *key_path, const char *ca_path,
	struct credentials **credentials)
{
	const char *paths[FILE_COUNT] = {certificate_path, key_path, ca_path};
	struct credentials *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return -ENOMEM;
	for (int i = 0; i < FILE_COUNT; i++) {
		c->paths[i] = strdup(paths[i]);
		if (c->paths[i] == NULL) {
			credentials_free(c);
			return -ENOMEM;
		}
	}
	*credentials = c;
	return 0;
}

void credentials_free(struct credentials *credentials)
{
	if (credentials == NULL)
		return;
	SSL_CTX_free(credentials->now.context);
	for (int i = 0; i < FILE_COUNT; i++)
		free(credentials->paths[i]);
	free(credentials);
}

static bool stamps_take(const struct credentials *c, struct file_stamp *stamps)
{
	struct stat st;

	/* Compared as bytes: the padding has to be the same too. */
	memset(stamps, 0, FILE_COUNT * sizeof(*stamps));
	for (int i = 0; i < FILE_COUNT; i++) {
		if (stat(c->paths[i], &st) < 0)
			return false;
		stamps[i].device = st.st_dev;
		stamps[i].inode = st.st_ino;
		stamps[i].size = st.st_size;
		stamps[i].changed = st.st_ctim;
		stamps[i].modified = st.st_mtim;
	}
	return true;
}

/* A key with a passphrase fails, instead of asking on some terminal. */
static int no_passphrase(char *buf, int size, int for_writing, void *ctx)
{
	return -1;
}

static SSL_CTX *context_new(void)
{
	SSL_CTX *context = SSL_CTX_new(TLS_method());

	if (context == NULL)
		return NULL;
	SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
	SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION);
	SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
					  "TLS_CHACHA20_POLY1305_SHA256");
	/* Every connection shows its certificate: nothing is resumed. */
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(context, 0);
	SSL_CTX_set_max_cert_list(context, CHAIN_MAX_BYTES);
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
					  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					  SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(context, 1);
	SSL_CTX_set_default_read_buffer_len(context, READ_BUFFER_BYTES);
	SSL_CTX_set_default_passwd_cb(context, no_passphrase);
	return context;
}

static void file_error(const struct credentials *c, enum credentials_file file, const char *what,
	struct channel_error *error)
{
	unsigned long code = ERR_peek_error();
	const char *text = ERR_reason_error_string(code);

	channel_error_set(error, CHANNEL_REASON_OWN_FILES, "our %s file %s %s: %s",
		file_names[file], c->paths[file], what,
		ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code))
		: text != NULL         ? text
				       : "no PEM data of that kind in it");
}

static bool context_fill(const struct credentials *c, SSL_CTX *context, struct channel_error *error)
{
	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(context, c->paths[FILE_CERTIFICATE]) != 1) {
		file_error(c, FILE_CERTIFICATE, "cannot be used", error);
		return false;
	}
	if (SSL_CTX_use_PrivateKey_file(context, c->paths[FILE_KEY], SSL_FILETYPE_PEM) != 1) {
		file_error(c, FILE_KEY, "cannot be used, or is not the certificate's", error);
		return false;
	}
	if (SSL_CTX_load_verify_file(context, c->paths[FILE_CA]) != 1) {
		file_error(c, FILE_CA, "cannot be used", error);
		return false;
	}
	if (SSL_CTX_check_private_key(context) != 1) {
		file_error(c, FILE_KEY, "does not fit the certificate", error);
		return false;
	}
	return true;
}

static void context_ca_info(SSL_CTX *context, struct certificate_info *first_to_end)
{
	STACK_OF(X509) *all = X509_STORE_get1_all_certs(SSL_CTX_get_cert_store(context));
	struct certificate_info info;

	for (int i = 0; i < sk_X509_num(all); i++) {
		certificate_info_get(sk_X509_value(all, i), &info);
		if (i == 0 || info.not_after_s < first_to_end->not_after_s)
			*first_to_end = info;
	}
	sk_X509_pop_free(all, X509_free);
}

static int credentials_load(struct credentials *c, struct channel_error *error)
{
	struct credentials_use made = {.context = context_new()};

	if (made.context == NULL)
		return channel_error_set(error, CHANNEL_REASON_MEMORY, "no memory for TLS");
	if (!context_fill(c, made.context, error)) {
		SSL_CTX_free(made.context);
		return channel_reason_errno(error->reason);
	}
	certificate_info_get(SSL_CTX_get0_certificate(made.context), &made.own);
	context_ca_info(made.context, &made.ca);
	SSL_CTX_free(c->now.context);
	c->now = made;
	c->reloads++;
	return 0;
}

/* Loads what changed. With an older set at hand a failure is only a problem to be shown. */
static int credentials_refresh(struct credentials *c, struct channel_error *error)
{
	struct file_stamp stamps[FILE_COUNT];
	struct channel_error failure = {};
	bool there = stamps_take(c, stamps);
	int ret;

	if (there && c->now.context != NULL && memcmp(stamps, c->stamps, sizeof(stamps)) == 0) {
		c->problem[0] = '\0';
		return 0;
	}
	ret = credentials_load(c, &failure);
	if (ret == 0 && there)
		memcpy(c->stamps, stamps, sizeof(stamps));
	strcpy(c->problem, ret == 0 ? "" : failure.text);
	if (ret == 0 || c->now.context != NULL)
		return 0;
	if (error != NULL)
		*error = failure;
	return ret;
}

int credentials_get(
	struct credentials *credentials, struct credentials_use *use, struct channel_error *error)
{
	int ret = credentials_refresh(credentials, error);

	if (ret < 0)
		return ret;
	*use = credentials->now;
	strcpy(use->problem, credentials->problem);
	SSL_CTX_up_ref(use->context);
	return 0;
}

int credentials_check_dates(
	const struct credentials_use *use, int64_t wall_s, struct channel_error *error)
{
	const struct certificate_info *own = &use->own;
	const char *also = use->problem[0] == '\0' ? "" : "; and newer files are not usable: ";
	char date[CERTIFICATE_DATE_BYTES];

	if (wall_s > own->not_after_s) {
		certificate_date(own->not_after_s, date);
		return channel_error_set(error, CHANNEL_REASON_OWN_EXPIRED,
			"our own certificate (%s) expired on %s%s%s", own->subject, date, also,
			use->problem);
	}
	if (wall_s < own->not_before_s) {
		certificate_date(own->not_before_s, date);
		return channel_error_set(error, CHANNEL_REASON_OWN_NOT_YET,
			"our own certificate (%s) is not valid before %s%s%s", own->subject, date,
			also, use->problem);
	}
	return 0;
}

const char *credentials_problem(const struct credentials *credentials)
{
	return credentials->problem;
}

uint64_t credentials_reloads(const struct credentials *credentials)
{
	return credentials->reloads;
}
