/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TLS over the io ops. OpenSSL sees the pipe as a BIO of its own kind, so that the same code runs
 * over a socket and over a test's wire. All calls on the SSL are non-blocking and made under the
 * link's lock; OpenSSL's error queue is the calling thread's and is emptied before each of them.
 */
#include <errno.h>

#include <openssl/err.h>

#include "ctrl/channel/link.h"

/* AES-GCM wants a new key after about 2^24 records of 16 KiB; this is far before it. */
#define REKEY_BYTES (64ull << 30)

static int pipe_write(BIO *bio, const char *data, size_t len_bytes, size_t *done_bytes)
{
	struct link *link = BIO_get_data(bio);
	ssize_t n = link->io.ops->send(link->io.ctx, data, len_bytes);

	BIO_clear_retry_flags(bio);
	if (n == -EAGAIN)
		BIO_set_retry_write(bio);
	if (n < 0) {
		errno = (int)-n;
		return 0;
	}
	*done_bytes = (size_t)n;
	return 1;
}

static int pipe_read(BIO *bio, char *buf, size_t room_bytes, size_t *done_bytes)
{
	struct link *link = BIO_get_data(bio);
	ssize_t n = link->io.ops->recv(link->io.ctx, buf, room_bytes);

	BIO_clear_retry_flags(bio);
	if (n == -EAGAIN)
		BIO_set_retry_read(bio);
	if (n <= 0) {
		errno = (int)-n;
		return 0;
	}
	*done_bytes = (size_t)n;
	return 1;
}

static long pipe_ctrl(BIO *bio, int command, long number, void *pointer)
{
	return command == BIO_CTRL_FLUSH;
}

/* Methods are made once per link: OpenSSL has no static ones, and we have no globals. */
static BIO *pipe_new(struct link *link)
{
	BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "channel");
	BIO *bio = NULL;

	if (method == NULL)
		return NULL;
	BIO_meth_set_write_ex(method, pipe_write);
	BIO_meth_set_read_ex(method, pipe_read);
	BIO_meth_set_ctrl(method, pipe_ctrl);
	bio = BIO_new(method);
	if (bio == NULL) {
		BIO_meth_free(method);
		return NULL;
	}
	link->method = method;
	BIO_set_data(bio, link);
	BIO_set_init(bio, 1);
	return bio;
}

void link_init(struct link *link, const struct channel_io *io)
{
	*link = (struct link){.io = *io};
	pthread_mutex_init(&link->lock, NULL);
}

void link_fini(struct link *link)
{
	SSL_free(link->ssl);
	BIO_meth_free(link->method);
	pthread_mutex_destroy(&link->lock);
	if (link->io.ops != NULL)
		link->io.ops->close(link->io.ctx);
	link->io.ops = NULL;
}

/* OpenSSL asks for each certificate of the peer's chain; the first that fails is remembered. */
static int verify_certificate(int good, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct link *link = SSL_get_app_data(ssl);
	X509 *certificate = X509_STORE_CTX_get_current_cert(store);

	if (!good && link->verify.code == X509_V_OK) {
		link->verify.code = X509_STORE_CTX_get_error(store);
		link->verify.depth = X509_STORE_CTX_get_error_depth(store);
		if (certificate != NULL)
			certificate_info_get(certificate, &link->verify.of);
	}
	return good;
}

static int link_setup(struct link *link, const struct link_handshake *how)
{
	BIO *bio = NULL;

	link->own = how->credentials.own;
	link->ssl = SSL_new(how->credentials.context);
	if (link->ssl != NULL)
		bio = pipe_new(link);
	if (bio == NULL)
		return -ENOMEM;
	SSL_set_bio(link->ssl, bio, bio);
	SSL_set_app_data(link->ssl, link);
	SSL_set_verify(
		link->ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, verify_certificate);
	X509_VERIFY_PARAM_set_time(SSL_get0_param(link->ssl), (time_t)how->wall_s);
	if (how->is_client)
		SSL_set_connect_state(link->ssl);
	else
		SSL_set_accept_state(link->ssl);
	return 0;
}

/* One step of the handshake: 0 done, 1 go on after a wait for *want, -1 failed. */
static int handshake_step(struct link *link, unsigned *want)
{
	int ret;

	ERR_clear_error();
	errno = 0;
	ret = SSL_do_handshake(link->ssl);
	if (ret == 1)
		return 0;
	switch (SSL_get_error(link->ssl, ret)) {
	case SSL_ERROR_WANT_READ:
		*want = CHANNEL_IO_READ;
		return 1;
	case SSL_ERROR_WANT_WRITE:
		*want = CHANNEL_IO_WRITE;
		return 1;
	default:
		return -1;
	}
}

int link_handshake(struct link *link, const struct link_handshake *how, struct channel_error *error)
{
	unsigned want;
	int ret = link_setup(link, how);

	if (ret < 0)
		return channel_error_set(error, CHANNEL_REASON_MEMORY, "no memory for TLS");
	while ((ret = handshake_step(link, &want)) == 1) {
		/* A peer that trickles bytes must not get past the deadline. */
		ret = -ETIMEDOUT;
		if (channel_world_now_ns(how->world) < how->deadline_ns)
			ret = link->io.ops->wait(link->io.ctx, want, how->deadline_ns, how->cancel);
		if (ret == -ECANCELED)
			return channel_error_set(error, CHANNEL_REASON_CANCELLED,
				"cancelled during the TLS handshake");
		if (ret < 0)
			return channel_error_set(error, CHANNEL_REASON_HANDSHAKE_TIMEOUT,
				"TLS handshake not finished in time");
	}
	return ret == 0 ? 0 : link_error(link, ERR_peek_error(), -errno, error);
}

/* What a failed SSL_read or SSL_write comes to. */
static ssize_t tls_result(struct link *link, int ret)
{
	int saved = errno;

	switch (SSL_get_error(link->ssl, ret)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		return saved != 0 ? -saved : -ECONNRESET;
	default:
		/* Without the word that it ends, an end may be anybody's: a cut. */
		return -EPROTO;
	}
}

ssize_t link_recv(struct link *link, void *buf, size_t len_bytes)
{
	size_t done_bytes = 0;
	ssize_t n;
	int ret;

	if (link->ssl == NULL)
		return link->io.ops->recv(link->io.ctx, buf, len_bytes);
	pthread_mutex_lock(&link->lock);
	ERR_clear_error();
	errno = 0;
	ret = SSL_read_ex(link->ssl, buf, len_bytes, &done_bytes);
	n = ret == 1 ? (ssize_t)done_bytes : tls_result(link, ret);
	link->recv_wants_write = n == -EAGAIN && SSL_want_write(link->ssl);
	pthread_mutex_unlock(&link->lock);
	return n;
}

ssize_t link_send(struct link *link, const void *buf, size_t len_bytes)
{
	size_t done_bytes = 0;
	ssize_t n;
	int ret;

	if (link->ssl == NULL)
		return link->io.ops->send(link->io.ctx, buf, len_bytes);
	pthread_mutex_lock(&link->lock);
	ERR_clear_error();
	errno = 0;
	ret = SSL_write_ex(link->ssl, buf, len_bytes, &done_bytes);
	n = ret == 1 ? (ssize_t)done_bytes : tls_result(link, ret);
	if (n == 0)
		n = -EPIPE;
	link->keyed_bytes += done_bytes;
	if (n > 0 && link->keyed_bytes >= REKEY_BYTES &&
		SSL_key_update(link->ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1)
		link->keyed_bytes = 0;
	pthread_mutex_unlock(&link->lock);
	return n;
}

static int link_wait(
	struct link *link, unsigned want, uint64_t deadline_ns, const struct channel_cancel *cancel)
{
	int ret = link->io.ops->wait(link->io.ctx, want, deadline_ns, cancel);

	return ret < 0 ? ret : 0;
}

int link_wait_recv(struct link *link, uint64_t deadline_ns, const struct channel_cancel *cancel)
{
	unsigned want = link->recv_wants_write ? CHANNEL_IO_WRITE : CHANNEL_IO_READ;

	return link_wait(link, want, deadline_ns, cancel);
}

int link_wait_send(struct link *link, uint64_t deadline_ns, const struct channel_cancel *cancel)
{
	return link_wait(link, CHANNEL_IO_WRITE, deadline_ns, cancel);
}

void link_finish(struct link *link)
{
	if (link->ssl != NULL) {
		pthread_mutex_lock(&link->lock);
		ERR_clear_error();
		SSL_shutdown(link->ssl);
		pthread_mutex_unlock(&link->lock);
	}
	link->io.ops->finish(link->io.ctx);
}

X509 *link_peer_certificate(const struct link *link)
{
	return link->ssl == NULL ? NULL : SSL_get0_peer_certificate(link->ssl);
}
