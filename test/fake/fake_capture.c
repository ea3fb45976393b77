/* SPDX-License-Identifier: BSD-3-Clause */
#include "test/fake/fake_capture.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pcap/pcap.h>

static bool find_path(const char *name, char *path, size_t size)
{
	/* Tests run in the build folder or in the checkout. */
	const char *folders[] = {
		getenv("FERRY_CAPTURES"), "../shared/captures", "../../shared/captures"};

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		if (folders[i] == NULL)
			continue;
		snprintf(path, size, "%s/%s", folders[i], name);
		if (access(path, R_OK) == 0)
			return true;
	}
	return false;
}

bool fake_capture_load(struct fake_capture *capture, const char *name)
{
	char path[512], error[PCAP_ERRBUF_SIZE];
	struct pcap_pkthdr *header;
	const uint8_t *bytes;
	pcap_t *pcap;

	*capture = (struct fake_capture){0};
	if (!find_path(name, path, sizeof(path))) {
		fprintf(stderr, "no capture %s: set FERRY_CAPTURES\n", name);
		return false;
	}
	pcap = pcap_open_offline(path, error);
	assert(pcap != NULL);
	while (pcap_next_ex(pcap, &header, &bytes) == 1) {
		struct fake_frame *f;

		capture->frame =
			realloc(capture->frame, (capture->count + 1) * sizeof(*capture->frame));
		assert(capture->frame != NULL);
		f = &capture->frame[capture->count++];
		f->len = header->caplen;
		f->bytes = malloc(f->len);
		assert(f->bytes != NULL);
		memcpy(f->bytes, bytes, f->len);
	}
	pcap_close(pcap);
	return true;
}

void fake_capture_free(struct fake_capture *capture)
{
	for (size_t i = 0; i < capture->count; i++)
		free(capture->frame[i].bytes);
	free(capture->frame);
	*capture = (struct fake_capture){0};
}
