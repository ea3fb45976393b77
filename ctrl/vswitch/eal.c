/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/vswitch/eal.h"

#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>

#include "config/config.h"
#include "dataplane/vhost_library.h"

#define ARGS_MAX 128
#define ARG_BYTES 256

struct arguments {
	char *argv[ARGS_MAX];
	int argc;
	char text[16][ARG_BYTES];
	int texts;
};

static void argument(struct arguments *a, const char *value)
{
	if (a->argc < ARGS_MAX - 1)
		a->argv[a->argc++] = (char *)(size_t)value;
}

static void argument_pair(
	struct arguments *a, const char *name, const char *format, const char *value)
{
	char *text = a->text[a->texts++];

	snprintf(text, ARG_BYTES, format, value);
	argument(a, name);
	argument(a, text);
}

/* The main core: the first this process may run on; workers pin themselves. */
static void argument_core(struct arguments *a)
{
	char core[16];
	cpu_set_t cpus;
	int i = 0;

	CPU_ZERO(&cpus);
	sched_getaffinity(0, sizeof(cpus), &cpus);
	while (i < CPU_SETSIZE - 1 && !CPU_ISSET(i, &cpus))
		i++;
	snprintf(core, sizeof(core), "0@%d", i);
	argument_pair(a, "--lcores", "%s", core);
}

/* "0000:01:00.0,..." or "01:00.0" */
static bool device_is_pci(const char *device)
{
	unsigned int a, b, c, d;

	return device && (sscanf(device, "%4x:%2x:%2x.%1x", &a, &b, &c, &d) == 4 ||
				 sscanf(device, "%2x:%2x.%1x", &a, &b, &c) == 3);
}

static bool config_uses_pci(const struct config *config)
{
	for (uint32_t i = 0; i < config->n_vports; i++)
		if (device_is_pci(config->vports[i].port.device))
			return true;
	return device_is_pci(config->uplink.device);
}

/* "128 MiB in pages of 2048 kB on node 0, ...": what is free now; "none" at all. */
static void huge_free(char *text, size_t len)
{
	static const char pattern[] = "/sys/devices/system/node/node*/hugepages/hugepages-*kB";
	unsigned int node, page_kb;
	unsigned long pages;
	char path[PATH_MAX];
	size_t at = 0;
	glob_t found;
	FILE *file;

	snprintf(text, len, "none");
	if (glob(pattern, 0, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < found.gl_pathc && at < len; i++) {
		if (sscanf(found.gl_pathv[i],
			    "/sys/devices/system/node/node%u/hugepages/hugepages-%ukB", &node,
			    &page_kb) != 2)
			continue;
		snprintf(path, sizeof(path), "%s/free_hugepages", found.gl_pathv[i]);
		file = fopen(path, "r");
		if (file && fscanf(file, "%lu", &pages) == 1)
			at += (size_t)snprintf(text + at, len - at,
				"%s%lu MiB in pages of %u kB on node %u", at ? ", " : "",
				pages * page_kb / 1024, page_kb, node);
		if (file)
			fclose(file);
	}
	globfree(&found);
}

/* Why EAL did not start, as far as it says. */
static void eal_failure(const struct config_dpdk *dpdk, char *error, size_t error_len)
{
	char available[256];
	int n = snprintf(error, error_len, "DPDK does not start: %s", rte_strerror(rte_errno));

	if (dpdk->no_huge || n < 0 || (size_t)n >= error_len)
		return;
	huge_free(available, sizeof(available));
	snprintf(error + n, error_len - (size_t)n,
		" (needs %u MiB of huge pages; free: %s; or set dpdk.no_huge)", dpdk->memory_mb,
		available);
}

int eal_start(const struct config *config, const char *name, char *error, size_t error_len)
{
	const struct config_dpdk *dpdk = &config->dpdk;
	struct arguments a = {0};
	char memory[16];
	cpu_set_t cpus;

	argument(&a, "ferry");
	if (dpdk->no_huge)
		argument(&a, "--no-huge");
	/* Without huge pages nothing of memory is in files anyhow, and EAL refuses the pair. */
	if (dpdk->in_memory)
		argument(&a, dpdk->no_huge ? "--no-shconf" : "--in-memory");
	if (dpdk->no_pci || !config_uses_pci(config))
		argument(&a, "--no-pci");
	argument(&a, "--no-telemetry");
	snprintf(memory, sizeof(memory), "%u", dpdk->memory_mb);
	if (dpdk->memory_mb)
		argument_pair(&a, "-m", "%s", memory);
	if (dpdk->file_prefix)
		argument_pair(&a, "--file-prefix", "%s", dpdk->file_prefix);
	else
		argument_pair(&a, "--file-prefix", "ferry-%s", name);
	if (dpdk->lcores)
		argument_pair(&a, "-l", "%s", dpdk->lcores);
	else
		argument_core(&a);
	for (uint32_t i = 0; i < dpdk->n_args; i++)
		argument(&a, dpdk->args[i]);
	rte_log_set_global_level(RTE_LOG_WARNING);
	CPU_ZERO(&cpus);
	sched_getaffinity(0, sizeof(cpus), &cpus);
	if (rte_eal_init(a.argc, a.argv) < 0) {
		eal_failure(dpdk, error, error_len);
		return rte_errno ? -rte_errno : -EIO;
	}
	/* EAL pins the main thread, and threads made later would inherit that. */
	sched_setaffinity(0, sizeof(cpus), &cpus);
	return 0;
}

/* EAL leaves its runtime directory behind; without files in it, it serves nobody. */
void eal_stop(void)
{
	char dir[PATH_MAX];

	snprintf(dir, sizeof(dir), "%s", rte_eal_get_runtime_dir());
	vhost_library_close();
	rte_eal_cleanup();
	rmdir(dir);
}
