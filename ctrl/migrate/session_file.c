/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/migrate/session_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOM_BYTES (FRAME_HEADER_BYTES + FRAME_PAYLOAD_MAX_BYTES)

static int file_fail(struct session_file *file, int rc, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int file_fail(struct session_file *file, int rc, const char *format, ...)
{
	int n = snprintf(file->error, sizeof(file->error), "%s: ", file->path);
	va_list args;

	va_start(args, format);
	vsnprintf(file->error + n, sizeof(file->error) - (size_t)n, format, args);
	va_end(args);
	return rc;
}

/* The daemon's working directory is nobody's business. */
static int file_begin(struct session_file *file, const char *path)
{
	memset(file, 0, sizeof(*file));
	file->fd = -1;
	snprintf(file->path, sizeof(file->path), "%s", path);
	if (path[0] != '/')
		return file_fail(file, -EINVAL, "not an absolute path");
	if (strlen(path) >= sizeof(file->path))
		return file_fail(file, -ENAMETOOLONG, "too long");
	file->payload = malloc(ROOM_BYTES);
	return file->payload ? 0 : -ENOMEM;
}

/* ---- writing ---- */

static int file_write(struct session_file *file, const void *bytes, size_t len_bytes)
{
	const uint8_t *at = bytes;

	while (len_bytes > 0) {
		ssize_t done = write(file->fd, at, len_bytes);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return file_fail(file, -errno, "%s", strerror(errno));
		at += done;
		len_bytes -= (size_t)done;
	}
	return 0;
}

static int file_frame(struct session_file *file, uint16_t type, uint16_t section, size_t len_bytes)
{
	struct frame_header header = {.kind = {.type = type, .section = section, .mandatory = true},
		.sequence = file->sequence++,
		.wire_bytes = (uint32_t)len_bytes,
		.raw_bytes = (uint32_t)len_bytes,
		.payload_crc = frame_crc32c(file->payload, len_bytes)};
	uint8_t bytes[FRAME_HEADER_BYTES];
	int rc;

	frame_header_put(bytes, &header);
	rc = file_write(file, bytes, sizeof(bytes));
	return rc == 0 ? file_write(file, file->payload, len_bytes) : rc;
}

int session_file_create(struct session_file *file, const char *path, const struct stream_file *head)
{
	struct wire_writer w;
	int rc = file_begin(file, path);

	if (rc != 0)
		return rc;
	snprintf(file->beside, sizeof(file->beside), "%s.%d.new", path, (int)getpid());
	unlink(file->beside);
	file->fd = open(file->beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (file->fd < 0)
		return file_fail(file, -errno, "%s", strerror(errno));
	file->writing = true;
	wire_writer_init(&w, file->payload, FRAME_PAYLOAD_MAX_BYTES);
	stream_put_file(&w, head);
	return file_frame(file, STREAM_FILE, STREAM_SECTION_MOVE, wire_writer_len(&w));
}

static int records_flush(struct session_file *file)
{
	size_t len_bytes = file->used_bytes;

	file->used_bytes = 0;
	return len_bytes ? file_frame(file, STREAM_RECORDS, STREAM_SECTION_SESSIONS, len_bytes) : 0;
}

int session_file_record(struct session_file *file, const struct session_record *record)
{
	uint64_t digest;
	int len, rc = 0;

	if (file->used_bytes + SESSION_RECORD_MAX > SESSION_FILE_FRAME_BYTES)
		rc = records_flush(file);
	if (rc != 0)
		return rc;
	len = session_record_pack(
		record, file->payload + file->used_bytes, SESSION_RECORD_MAX, &digest);
	if (len < 0)
		return file_fail(file, len, "a session that fits no record");
	file->used_bytes += (size_t)len;
	file->records++;
	file->digest += digest;
	return 0;
}

/* A name counts when its directory is on the disk too. */
static int directory_sync(struct session_file *file)
{
	char dir[sizeof(file->path)];
	size_t len = (size_t)(strrchr(file->path, '/') - file->path);
	int fd, rc = 0;

	snprintf(dir, sizeof(dir), "%.*s", len ? (int)len : 1, file->path);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) != 0)
		rc = file_fail(file, -errno, "directory %s: %s", dir, strerror(errno));
	if (fd >= 0)
		close(fd);
	return rc;
}

/* All of it on the disk before it has its name: after a crash the name is of all or of what it was
 * of before. */
int session_file_publish(struct session_file *file)
{
	if (fsync(file->fd) != 0)
		return file_fail(file, -errno, "%s", strerror(errno));
	if (rename(file->beside, file->path) != 0)
		return file_fail(file, -errno, "%s", strerror(errno));
	file->writing = false;
	return directory_sync(file);
}

int session_file_end(struct session_file *file)
{
	struct stream_final final = {.serial = 1, .count = file->records, .digest = file->digest};
	struct wire_writer w;
	int rc = records_flush(file);

	wire_writer_init(&w, file->payload, FRAME_PAYLOAD_MAX_BYTES);
	stream_put_final(&w, &final);
	if (rc == 0)
		rc = file_frame(file, STREAM_FINAL, STREAM_SECTION_SESSIONS, wire_writer_len(&w));
	return rc;
}

/* ---- reading ---- */

/* Up to len_bytes from the next frame on. */
static long file_read(struct session_file *file, size_t len_bytes)
{
	size_t have = 0;

	while (have < len_bytes) {
		ssize_t got = pread(
			file->fd, file->payload + have, len_bytes - have, (off_t)(file->at + have));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return file_fail(file, -errno, "%s", strerror(errno));
		if (got == 0)
			break;
		have += (size_t)got;
	}
	return (long)have;
}

/* Any frame. */
static int frame_read(struct session_file *file, struct frame *frame)
{
	size_t need = FRAME_HEADER_BYTES;

	for (;;) {
		long have = file_read(file, need);
		long used;

		if (have < 0)
			return (int)have;
		if ((size_t)have < need)
			return file_fail(file, -EBADMSG, "ends in the middle, at byte %llu",
				(unsigned long long)(file->at + (uint64_t)have));
		used = frame_parse(&file->parser, file->payload, (size_t)have, frame, &need);
		if (used < 0)
			return file_fail(file, -EBADMSG,
				"damaged, or no session file: %s at byte %llu",
				channel_reason_meaning(file->parser.reason),
				(unsigned long long)file->at);
		if (used > 0) {
			file->at += (uint64_t)used;
			return 0;
		}
	}
}

void session_file_rewind(struct session_file *file)
{
	file->at = file->records_at; /* of the head */
	file->parser.next_sequence = 1;
	file->records = file->digest = 0;
}

int session_file_open(struct session_file *file, const char *path, struct stream_file *head)
{
	struct frame frame;
	struct stat st;
	int rc = file_begin(file, path);

	if (rc != 0)
		return rc;
	frame_parser_init(&file->parser, FRAME_PAYLOAD_MAX_BYTES, stream_types, stream_types_count);
	/* A pipe would make the daemon wait. */
	file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (file->fd < 0 || fstat(file->fd, &st) != 0)
		return file_fail(file, -errno, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return file_fail(file, -EINVAL, "not a regular file");
	rc = frame_read(file, &frame);
	if (rc != 0)
		return rc;
	rc = frame.kind.type == STREAM_FILE ? stream_get_file(&frame, head) : -EBADMSG;
	if (rc == -EPROTONOSUPPORT)
		return file_fail(file, rc, "written by a newer version");
	if (rc != 0)
		return file_fail(file, rc, "no session file");
	file->records_at = file->at;
	return 0;
}

/* Counted, and each well-formed: nothing is decided before the whole file has been looked at. */
static int records_look(struct session_file *file, const struct frame *frame)
{
	const uint8_t *at = frame->payload, *end = at + frame->payload_bytes;

	while (at < end) {
		struct session_record record;
		uint64_t digest;
		int used = session_record_unpack(at, (size_t)(end - at), &record, &digest);

		if (used < 0)
			return file_fail(file, used, "a malformed session record before byte %llu",
				(unsigned long long)file->at);
		file->records++;
		file->digest += digest;
		at += used;
	}
	return 0;
}

int session_file_next(struct session_file *file, struct frame *frame)
{
	struct stream_final final;
	int rc;

	do {
		rc = frame_read(file, frame);
		if (rc != 0)
			return rc;
	} while (!frame->payload); /* optional, and unknown here */
	if (frame->kind.type == STREAM_RECORDS) {
		rc = records_look(file, frame);
		return rc == 0 ? 1 : rc;
	}
	if (frame->kind.type != STREAM_FINAL || stream_get_final(frame, &final) != 0)
		return file_fail(file, -EBADMSG, "a %s has no place in a session file",
			stream_type_name(frame->kind.type));
	if (final.count != file->records || final.digest != file->digest)
		return file_fail(file, -EBADMSG, "its sessions are not those that were saved");
	return 0;
}

void session_file_close(struct session_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	if (file->writing)
		unlink(file->beside);
	frame_parser_fini(&file->parser);
	free(file->payload);
	file->payload = NULL;
	file->fd = -1;
}
