/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TEST_ACL_FIXTURE_H
#define FERRY_TEST_ACL_FIXTURE_H
/* The acl plugin behind its descriptor, with vports and packets in words: "in tcp 10.0.0.9 80". */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/fake/fake_plugin_host.h"
#include "test/fake/fake_value.h"

#define ACL_FIXTURE_WORKERS 2

extern const struct plugin_descriptor ferry_plugin;

struct acl_fixture {
	struct fake_plugin_host host;
	const struct plugin_descriptor *plugin;
	void *instance;
	struct plugin_vport vport[FAKE_PLUGIN_VPORTS];
	void *data[FAKE_PLUGIN_VPORTS];
	char name[FAKE_PLUGIN_VPORTS][8], names[FAKE_PLUGIN_VPORTS][128];
	const char *group[FAKE_PLUGIN_VPORTS][8];
	struct in6_addr ip[FAKE_PLUGIN_VPORTS][4];
	bool present[FAKE_PLUGIN_VPORTS];
	/* of the next question */
	bool public_side, dry, recheck;
	uint16_t worker;
	struct plugin_answer answer; /* to the last one */
};

static inline struct in6_addr acl_fixture_addr(const char *text)
{
	struct in6_addr addr = {0};

	if (strchr(text, ':')) {
		inet_pton(AF_INET6, text, &addr);
	} else {
		addr.s6_addr[10] = addr.s6_addr[11] = 0xff;
		inet_pton(AF_INET, text, &addr.s6_addr[12]);
	}
	return addr;
}

static inline void acl_fixture_configure(struct acl_fixture *f, const char *config)
{
	struct plugin_value *value = fake_value(config);
	struct plugin_error error = {0};

	if (f->plugin->configure(f->instance, value, true, &error) != 0)
		fail_msg("%s", error.text);
	fake_value_free(value);
}

/* ips and groups: comma-separated. */
static inline void acl_fixture_vport(
	struct acl_fixture *f, uint16_t id, uint32_t vni, const char *ips, const char *groups)
{
	struct plugin_vport *v = &f->vport[id];
	struct plugin_error error = {0};
	char list[128], *save, *at;

	*v = (struct plugin_vport){.name = f->name[id],
		.id = id,
		.vni = vni,
		.ips = f->ip[id],
		.groups = f->group[id]};
	snprintf(f->name[id], sizeof(f->name[id]), "v%u", id);
	snprintf(f->names[id], sizeof(f->names[id]), "%s", groups);
	for (at = strtok_r(f->names[id], ",", &save); at; at = strtok_r(NULL, ",", &save))
		f->group[id][v->group_count++] = at;
	snprintf(list, sizeof(list), "%s", ips);
	for (at = strtok_r(list, ",", &save); at; at = strtok_r(NULL, ",", &save))
		f->ip[id][v->ip_count++] = acl_fixture_addr(at);
	if (f->plugin->vport_add(f->instance, v, NULL, &f->data[id], &error) != 0)
		fail_msg("%s", error.text);
	f->present[id] = true;
}

static inline void acl_fixture_vport_del(struct acl_fixture *f, uint16_t id)
{
	f->plugin->vport_del(f->instance, &f->vport[id], f->data[id]);
	f->present[id] = false;
}

static inline bool acl_fixture_asks(
	struct acl_fixture *f, uint16_t id, const struct plugin_tuple *tuple, enum plugin_dir dir)
{
	struct plugin_request request = {.vport = &f->vport[id],
		.tuple = *tuple,
		.dir = dir,
		.public_side = f->public_side,
		.dry = f->dry,
		.recheck = f->recheck,
		.worker = f->worker,
		.data = f->data[id]};

	memset(&f->answer, 0, sizeof(f->answer));
	return f->plugin->admit(f->instance, &request, &f->answer) == PLUGIN_ALLOW;
}

/* "in|out PROTOCOL REMOTE PORT", or "... REMOTE TYPE/CODE" for ICMP. */
static inline bool acl_fixture_allows(struct acl_fixture *f, uint16_t id, const char *packet)
{
	char dir[8], proto[8], remote[64];
	struct plugin_tuple tuple = {0};
	unsigned int port, code = 0;
	bool icmp;

	if (sscanf(packet, "%7s %7s %63s %u/%u", dir, proto, remote, &port, &code) < 4)
		fail_msg("not a packet: %s", packet);
	icmp = strncmp(proto, "icmp", 4) == 0;
	tuple.remote = acl_fixture_addr(remote);
	tuple.local = acl_fixture_addr(strchr(remote, ':') ? "fd00::5" : "10.0.0.5");
	tuple.vni = f->vport[id].vni;
	tuple.proto = (uint8_t)(strcmp(proto, "tcp") == 0      ? IPPROTO_TCP
				: strcmp(proto, "udp") == 0    ? IPPROTO_UDP
				: strcmp(proto, "icmp") == 0   ? IPPROTO_ICMP
				: strcmp(proto, "icmpv6") == 0 ? IPPROTO_ICMPV6
							       : atoi(proto));
	tuple.icmp_type = icmp ? (uint8_t)port : 0;
	tuple.icmp_code = (uint8_t)code;
	tuple.local_port = icmp ? 7 : dir[0] == 'i' ? (uint16_t)port : 40000;
	tuple.remote_port = icmp ? 7 : dir[0] == 'i' ? 40000 : (uint16_t)port;
	return acl_fixture_asks(f, id, &tuple, dir[0] == 'i' ? PLUGIN_INGRESS : PLUGIN_EGRESS);
}

static inline const char *acl_fixture_show(struct acl_fixture *f)
{
	f->plugin->show(f->instance, NULL, NULL, fake_plugin_sink(&f->host));
	return f->host.text;
}

static inline int acl_fixture_start(void **state)
{
	struct acl_fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	fake_plugin_host_init(&f->host, "test", ACL_FIXTURE_WORKERS);
	f->plugin = &ferry_plugin;
	*state = f;
	return f->plugin->create(&f->host.host, &f->instance);
}

static inline int acl_fixture_stop(void **state)
{
	struct acl_fixture *f = *state;

	for (uint16_t id = 0; id < FAKE_PLUGIN_VPORTS; id++)
		if (f->present[id])
			acl_fixture_vport_del(f, id);
	f->plugin->destroy(f->instance);
	free(f);
	return 0;
}

#endif
