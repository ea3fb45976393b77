/* SPDX-License-Identifier: BSD-3-Clause */
#include "test/lab/guest/tcpmany.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define TCPMANY_MAGIC 0x66797463u

static unsigned char pattern_byte(uint32_t connection, uint32_t number, size_t i)
{
	return (unsigned char)(connection * 31 + number * 7 + i);
}

size_t tcpmany_message_make(void *buffer, uint32_t connection, uint64_t number, uint32_t size)
{
	uint32_t header[4] = {htobe32(TCPMANY_MAGIC), htobe32(connection),
		htobe32((uint32_t)number), htobe32(size)};
	unsigned char *pattern = (unsigned char *)buffer + sizeof(header);
	size_t i;

	memcpy(buffer, header, sizeof(header));
	for (i = 0; i < size; i++)
		pattern[i] = pattern_byte(connection, (uint32_t)number, i);
	return sizeof(header) + size;
}

enum tcpmany_verdict tcpmany_message_read(
	const void *buffer, size_t length_bytes, struct tcpmany_message *message)
{
	const unsigned char *pattern = (const unsigned char *)buffer + TCPMANY_HEADER_BYTES;
	uint32_t header[4], connection, number, size;
	size_t i;

	if (length_bytes < sizeof(header))
		return TCPMANY_MORE;
	memcpy(header, buffer, sizeof(header));
	connection = be32toh(header[1]);
	number = be32toh(header[2]);
	size = be32toh(header[3]);
	if (be32toh(header[0]) != TCPMANY_MAGIC || size > TCPMANY_PATTERN_MAX)
		return TCPMANY_WRONG;
	if (length_bytes < sizeof(header) + size)
		return TCPMANY_MORE;
	for (i = 0; i < size; i++)
		if (pattern[i] != pattern_byte(connection, number, i))
			return TCPMANY_WRONG;
	*message = (struct tcpmany_message){connection, number, sizeof(header) + size};
	return TCPMANY_WHOLE;
}

int tcpmany_input_fill(struct tcpmany_input *input, int fd)
{
	ssize_t n = recv(fd, input->bytes + input->length_bytes,
		sizeof(input->bytes) - input->length_bytes, MSG_DONTWAIT);

	if (n < 0)
		return -errno;
	input->length_bytes += (size_t)n;
	return (int)n;
}

void tcpmany_input_take(struct tcpmany_input *input, size_t length_bytes)
{
	input->length_bytes -= length_bytes;
	memmove(input->bytes, input->bytes + length_bytes, input->length_bytes);
}
