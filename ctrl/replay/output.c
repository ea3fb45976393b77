/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/replay/output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pcap/pcap.h>

#include "ctrl/replay/capture.h"

#define SECOND_NS 1000000000ull

struct output {
	pcap_t *pcap;
	pcap_dumper_t *dumper;
	uint64_t frames;
	uint8_t room[CAPTURE_FRAME_MAX];
};

int output_open(
	const char *dir, const char *name, struct output **out, char *error, size_t error_len)
{
	struct output *o = calloc(1, sizeof(*o));
	char path[4096];

	if (!o)
		return -ENOMEM;
	snprintf(path, sizeof(path), "%s/%s.pcap", dir, name);
	o->pcap = pcap_open_dead_with_tstamp_precision(
		DLT_EN10MB, CAPTURE_FRAME_MAX, PCAP_TSTAMP_PRECISION_NANO);
	if (o->pcap)
		o->dumper = pcap_dump_open(o->pcap, path);
	if (!o->dumper) {
		snprintf(error, error_len, "%s", o->pcap ? pcap_geterr(o->pcap) : "no memory");
		output_close(o);
		return -EIO;
	}
	*out = o;
	return 0;
}

int output_write(struct output *o, uint64_t time_ns, const struct rte_mbuf *m)
{
	uint32_t len = RTE_MIN(rte_pktmbuf_pkt_len(m), (uint32_t)sizeof(o->room));
	struct pcap_pkthdr header = {.ts = {.tv_sec = (time_t)(time_ns / SECOND_NS),
					     .tv_usec = (suseconds_t)(time_ns % SECOND_NS)},
		.caplen = len,
		.len = len};

	pcap_dump((u_char *)o->dumper, &header, rte_pktmbuf_read(m, 0, len, o->room));
	o->frames++;
	return ferror(pcap_dump_file(o->dumper)) ? -EIO : 0;
}

uint64_t output_frames(const struct output *o)
{
	return o->frames;
}

int output_close(struct output *o)
{
	int rc = 0;

	if (!o)
		return 0;
	if (o->dumper) {
		if (pcap_dump_flush(o->dumper) != 0 || ferror(pcap_dump_file(o->dumper)))
			rc = errno ? -errno : -EIO;
		pcap_dump_close(o->dumper);
	}
	if (o->pcap)
		pcap_close(o->pcap);
	free(o);
	return rc;
}
