/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/loader.h"

/* What the scanner may swallow before it shows a value: a scalar or comment without end shows up
 * here, before it has cost memory. */
#define UNSEEN_BYTES_MAX (4 * CONFIG_SCALAR_BYTES_MAX)

int config_source_open(struct config_loader *loader, const char *path, struct config_source *source)
{
	struct stat status;
	int fd;

	*source = (struct config_source){.fd = -1};
	/* Not to be held up by a FIFO without a writer. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return config_fail_at(
			loader, -errno, 0, 0, "cannot open the file: %s", strerror(errno));
	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
		bool directory = S_ISDIR(status.st_mode);

		close(fd);
		return config_fail_at(loader, directory ? -EISDIR : -EINVAL, 0, 0,
			"expected a regular file, found %s",
			directory ? "a directory" : "something else (pipe, socket or device)");
	}
	if (status.st_size > (off_t)CONFIG_FILE_BYTES_MAX) {
		close(fd);
		return config_fail_at(loader, -EFBIG, 0, 0,
			"expected a file of at most %u bytes, found %jd", CONFIG_FILE_BYTES_MAX,
			(intmax_t)status.st_size);
	}
	source->fd = fd;
	return 0;
}

static long source_bytes(struct config_source *source, unsigned char *buffer, size_t size_bytes)
{
	size_t left = source->len_bytes - source->offset;
	ssize_t count;

	if (source->fd < 0) {
		count = left < size_bytes ? left : size_bytes;
		if (count > 0)
			memcpy(buffer, source->text + source->offset, count);
		source->offset += count;
		return count;
	}
	do
		count = read(source->fd, buffer, size_bytes);
	while (count < 0 && errno == EINTR);
	return count;
}

long config_source_read(struct config_source *source, unsigned char *buffer, size_t size_bytes)
{
	long count = source_bytes(source, buffer, size_bytes);

	if (count < 0)
		source->error = -errno;
	else if (source->read_bytes + count > CONFIG_FILE_BYTES_MAX)
		source->error = -EFBIG; /* it grew while we read, or a text */
	else if (source->since_event_bytes + count > UNSEEN_BYTES_MAX)
		source->error = -E2BIG;
	if (source->error != 0)
		return -1;
	source->read_bytes += count;
	source->since_event_bytes += count;
	return count;
}

void config_source_find(struct config_source *source, struct config_place *place)
{
	size_t byte = 0, character = 0;
	unsigned char buffer[4096];
	long count;

	place->line = place->column = 1;
	place->value = -1;
	source->offset = 0;
	if (source->fd >= 0 && lseek(source->fd, 0, SEEK_SET) < 0)
		return;
	while ((count = source_bytes(source, buffer, sizeof(buffer))) > 0)
		for (long i = 0; i < count; i++, byte++) {
			bool starts = (buffer[i] & 0xc0) != 0x80; /* no UTF-8 continuation */

			if (byte == place->byte || (starts && character == place->character)) {
				place->value = buffer[i];
				return;
			}
			character += starts;
			place->column += starts;
			if (buffer[i] == '\n') {
				place->line++;
				place->column = 1;
			}
		}
}
