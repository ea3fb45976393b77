/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Why a connection was refused or ended. The list is data, written once: it gives the enum, the
 * short name (in status, reports and counters) and what it means. A struct channel_error carries
 * one of them with a full sentence that names side, subject, address or date, ready for an
 * operator.
 */
#ifndef CTRL_CHANNEL_REASON_H
#define CTRL_CHANNEL_REASON_H

#include <stdint.h>

/* name, short name, errno returned with it, meaning */
#define CHANNEL_REASONS(X) \
	X(NONE, "none", 0, "no error") \
	/* before a connection stands */ \
	X(UNKNOWN_PEER, "unknown-peer", ENOENT, "no such peer in the configuration") \
	X(CONNECT_REFUSED, "connect-refused", ECONNREFUSED, "nobody listens there") \
	X(CONNECT_TIMEOUT, "connect-timeout", ETIMEDOUT, "no answer to the connect") \
	X(UNREACHABLE, "unreachable", EHOSTUNREACH, "no route or other network error") \
	X(ADDRESS, "address-not-listed", EPERM, "source address is not in the peer list") \
	X(LIMIT_PENDING, "too-many-pending", EBUSY, "too many handshakes at once") \
	X(LIMIT_SOURCE, "too-many-from-source", EBUSY, "too many connections from one source") \
	X(INSECURE, "insecure-refused", EPERM, "plain transport is not allowed here") \
	/* TLS */ \
	X(HANDSHAKE_TIMEOUT, "handshake-timeout", ETIMEDOUT, "handshake or hello not finished") \
	X(NOT_TLS, "not-tls", EPROTO, "the peer does not speak TLS") \
	X(TLS_VERSION, "tls-version", EPROTO, "the peer does not offer TLS 1.3") \
	X(TLS, "tls", EPROTO, "another TLS failure") \
	X(NO_CERTIFICATE, "no-certificate", EACCES, "the peer sent no certificate") \
	X(UNKNOWN_CA, "unknown-ca", EACCES, "certificate is not signed by our CA") \
	X(PEER_EXPIRED, "peer-expired", EKEYEXPIRED, "the peer's certificate has expired") \
	X(PEER_NOT_YET, "peer-not-yet-valid", EACCES, "the peer's certificate is not valid yet") \
	X(PEER_CERTIFICATE, "peer-certificate", EACCES, "the peer's certificate is bad") \
	X(PEER_KEY, "peer-key", EACCES, "the peer does not hold its certificate's key") \
	X(PEER_NAME, "peer-name", EACCES, "no name of the certificate is allowed for this peer") \
	X(OWN_EXPIRED, "own-expired", EKEYEXPIRED, "our certificate has expired") \
	X(OWN_NOT_YET, "own-not-yet-valid", EACCES, "our certificate is not valid yet") \
	X(OWN_FILES, "own-files", EACCES, "our certificate, key or CA cannot be used") \
	X(OWN_REFUSED, "own-refused", EACCES, "the peer refused our certificate") \
	/* hello */ \
	X(HELLO, "bad-hello", EPROTO, "the first frame is not a valid hello") \
	X(PROTOCOL, "protocol-version", EPROTONOSUPPORT, "no protocol version in common") \
	X(PURPOSE, "purpose", EOPNOTSUPP, "the purpose is not served here") \
	X(HOST_NAME, "host-name", EACCES, "the name in the hello is not this peer's") \
	X(ADMISSION, "not-admitted", EACCES, "refused by the owner of the purpose") \
	X(PEER_REFUSED, "peer-refused", EACCES, "the peer refused, with its own reason") \
	/* frames */ \
	X(MAGIC, "bad-magic", EBADMSG, "not a frame") \
	X(FRAME_VERSION, "frame-version", EPROTONOSUPPORT, "frame of an unknown version") \
	X(FRAME_HEADER, "frame-header", EBADMSG, "frame header is damaged or uses unknown flags") \
	X(LENGTH, "frame-length", EMSGSIZE, "frame is longer than allowed") \
	X(CRC, "crc", EBADMSG, "payload checksum does not match") \
	X(SEQUENCE, "sequence", EILSEQ, "frame lost, repeated or replayed") \
	X(COMPRESSION, "compression", EBADMSG, "compressed payload is damaged") \
	X(UNKNOWN_TYPE, "unknown-type", EOPNOTSUPP, "mandatory frame of an unknown type") \
	/* a connection that stood */ \
	X(RESET, "reset", ECONNRESET, "connection lost") \
	X(CLOSED, "closed", ESHUTDOWN, "orderly end by the peer") \
	X(TIMEOUT, "timeout", ETIMEDOUT, "deadline passed") \
	X(CANCELLED, "cancelled", ECANCELED, "cancelled on this side") \
	X(MEMORY, "no-memory", ENOMEM, "out of memory")

enum channel_reason {
#define CHANNEL_REASON_ENUM(name, text, code, meaning) CHANNEL_REASON_##name,
	CHANNEL_REASONS(CHANNEL_REASON_ENUM)
#undef CHANNEL_REASON_ENUM
		CHANNEL_REASON_COUNT
};

#define CHANNEL_ERROR_TEXT_BYTES 384

/* Filled by the call that failed, owned by the caller. text is one line without a full stop. */
struct channel_error {
	enum channel_reason reason;
	char text[CHANNEL_ERROR_TEXT_BYTES];
};

/* Short name, as counted: "peer-expired". */
const char *channel_reason_name(enum channel_reason reason);

/* What it means, for help and documentation. */
const char *channel_reason_meaning(enum channel_reason reason);

/* The -errno that goes with it; 0 for NONE. */
int channel_reason_errno(enum channel_reason reason);

/* Fills *error (which may be NULL) and returns the -errno of the reason. */
int channel_error_set(struct channel_error *error, enum channel_reason reason, const char *format,
	...) __attribute__((format(printf, 3, 4)));

#endif
