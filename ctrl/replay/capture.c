/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/replay/capture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pcap/pcap.h>

#include "ctrl/replay/capture_link.h"

#define SECOND_NS 1000000000ull

struct capture {
	pcap_t *pcap;
	uint32_t frames;
	int link;
	uint64_t offset;
	const char *format;
	uint8_t *made; /* a frame with a made Ethernet header; NULL: Ethernet as it is */
};

/* By content, never by name. NULL and a reason: no capture. */
static const char *format_of(FILE *file, char *error, size_t error_len)
{
	static const struct {
		uint8_t magic[4];
		const char *name;
	} formats[] = {
		{{0xa1, 0xb2, 0xc3, 0xd4}, "pcap"},
		{{0xd4, 0xc3, 0xb2, 0xa1}, "pcap"},
		{{0xa1, 0xb2, 0x3c, 0x4d}, "pcap-ns"},
		{{0x4d, 0x3c, 0xb2, 0xa1}, "pcap-ns"},
		{{0x0a, 0x0d, 0x0d, 0x0a}, "pcapng"},
	};
	uint8_t magic[4];
	size_t got = fread(magic, 1, sizeof(magic), file);

	if (ferror(file)) {
		snprintf(error, error_len, "%s", strerror(errno));
		return NULL;
	}
	if (got < sizeof(magic)) {
		snprintf(error, error_len, got == 0 ? "is empty" : "is no capture: only %zu bytes",
			got);
		return NULL;
	}
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (memcmp(magic, formats[i].magic, sizeof(magic)) == 0)
			return formats[i].name;
	if (magic[0] == 0x1f && magic[1] == 0x8b)
		snprintf(error, error_len, "is compressed (gzip): unpack it first");
	else
		snprintf(error, error_len,
			"is no pcap or pcapng file: it begins with %02x %02x %02x %02x", magic[0],
			magic[1], magic[2], magic[3]);
	return NULL;
}

static int capture_prepare(struct capture *c, char *error, size_t error_len)
{
	const char *name;

	c->link = pcap_datalink(c->pcap);
	if (link_supported(c->link) != 0) {
		name = pcap_datalink_val_to_name(c->link);
		snprintf(error, error_len, "link type %s (%d) cannot be replayed",
			name ? name : "unknown", c->link);
		return -EPROTONOSUPPORT;
	}
	if (c->link == DLT_EN10MB)
		return 0;
	c->made = malloc(LINK_ETHER_LEN + CAPTURE_FRAME_MAX);
	return c->made ? 0 : -ENOMEM;
}

int capture_open(const char *path, struct capture **out, char *error, size_t error_len)
{
	char why[PCAP_ERRBUF_SIZE];
	struct capture *c;
	FILE *file = fopen(path, "rbe");
	int rc;

	if (!file) {
		rc = -errno;
		snprintf(error, error_len, "%s", strerror(errno));
		return rc;
	}
	c = calloc(1, sizeof(*c));
	if (c)
		c->format = format_of(file, error, error_len);
	if (!c || !c->format) {
		fclose(file);
		free(c);
		return -EBADMSG;
	}
	rewind(file);
	c->pcap = pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, why);
	if (!c->pcap) {
		snprintf(error, error_len, "has a broken header: %.200s", why);
		fclose(file);
		free(c);
		return -EBADMSG;
	}
	rc = capture_prepare(c, error, error_len);
	if (rc != 0) {
		capture_close(c);
		return rc;
	}
	*out = c;
	return 0;
}

void capture_close(struct capture *c)
{
	if (!c)
		return;
	pcap_close(c->pcap);
	free(c->made);
	free(c);
}

const char *capture_format(const struct capture *c)
{
	return c->format;
}

const char *capture_link(const struct capture *c)
{
	const char *name = pcap_datalink_val_to_name(c->link);

	return name ? name : "?";
}

uint64_t capture_offset(const struct capture *c)
{
	return c->offset;
}

/* libpcap says no more: a short read is a cut file, anything else a broken one. */
static int capture_failed(const struct capture *c, char *error)
{
	if (feof(pcap_file(c->pcap))) {
		snprintf(error, CAPTURE_ERROR_MAX,
			"ends within the record that would be frame %u (begun at offset %llu)",
			c->frames + 1, (unsigned long long)c->offset);
		return -ENODATA;
	}
	snprintf(error, CAPTURE_ERROR_MAX, "frame %u, at offset %llu: %.160s", c->frames + 1,
		(unsigned long long)c->offset, pcap_geterr(c->pcap));
	return -EBADMSG;
}

static int frame_make(
	struct capture *c, const uint8_t *data, struct capture_frame *frame, char *error)
{
	int taken = link_to_ether(c->link, data, frame->len_bytes, c->made);

	if (taken < 0) {
		snprintf(error, CAPTURE_ERROR_MAX, "frame %u, at offset %llu: no %s frame",
			frame->number, (unsigned long long)c->offset, capture_link(c));
		return -EBADMSG;
	}
	frame->len_bytes -= (uint32_t)taken;
	memcpy(c->made + LINK_ETHER_LEN, data + taken, frame->len_bytes);
	frame->len_bytes += LINK_ETHER_LEN;
	frame->data = c->made;
	frame->made_link = true;
	return 1;
}

int capture_next(struct capture *c, struct capture_frame *frame, char *error)
{
	struct pcap_pkthdr *header;
	const uint8_t *data;
	uint64_t fraction_ns; /* in microseconds in the file or not: asked for so */
	long at = ftell(pcap_file(c->pcap));
	int rc;

	c->offset = at > 0 ? (uint64_t)at : 0;
	rc = pcap_next_ex(c->pcap, &header, &data);
	if (rc == PCAP_ERROR_BREAK)
		return 0;
	if (rc != 1)
		return capture_failed(c, error);
	c->frames++;
	fraction_ns = header->ts.tv_usec < 0 ? (uint32_t)header->ts.tv_usec
					     : (uint64_t)header->ts.tv_usec;
	*frame = (struct capture_frame){
		.time_ns = (uint64_t)(uint32_t)header->ts.tv_sec * SECOND_NS + fraction_ns,
		.number = c->frames,
		.len_bytes = header->caplen,
		.missing_bytes = header->len > header->caplen ? header->len - header->caplen : 0,
		.data = data,
		.odd_time = fraction_ns >= SECOND_NS};
	if (header->len > CAPTURE_FRAME_MAX) {
		snprintf(error, CAPTURE_ERROR_MAX,
			"frame %u, at offset %llu: says it is %u bytes long, more than %u",
			c->frames, (unsigned long long)c->offset, header->len, CAPTURE_FRAME_MAX);
		return -EBADMSG;
	}
	return c->made ? frame_make(c, data, frame, error) : 1;
}

static int scan_frames(struct capture *c, struct capture_summary *sum, char *error)
{
	struct capture_frame frame;
	int rc;

	while ((rc = capture_next(c, &frame, error)) == 1) {
		if (sum->frames++ == 0)
			sum->first_ns = frame.time_ns;
		sum->snapped += frame.missing_bytes > 0;
		sum->odd_times += frame.odd_time;
	}
	if (rc == -ENODATA) {
		sum->cut_offset = c->offset;
		snprintf(sum->cut, sizeof(sum->cut), "%s", error);
		rc = 0;
	}
	if (rc == 0 && sum->frames == 0) {
		snprintf(error, CAPTURE_ERROR_MAX, "holds no %sframe",
			sum->cut_offset ? "whole " : "");
		rc = sum->cut_offset ? -ENODATA : -EBADMSG;
	}
	return rc;
}

int capture_scan(const char *path, struct capture_summary *sum, char *error, size_t error_len)
{
	char why[CAPTURE_ERROR_MAX] = "";
	struct capture *c;
	int rc = capture_open(path, &c, error, error_len);

	if (rc != 0)
		return rc;
	memset(sum, 0, sizeof(*sum));
	snprintf(sum->format, sizeof(sum->format), "%s", c->format);
	snprintf(sum->link, sizeof(sum->link), "%s", capture_link(c));
	if (strcmp(c->format, "pcapng") == 0)
		rc = capture_blocks_check(path, why, sizeof(why));
	if (rc == 0)
		rc = scan_frames(c, sum, why);
	if (rc != 0)
		snprintf(error, error_len, "%s", why);
	capture_close(c);
	return rc;
}
