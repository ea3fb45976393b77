/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "test/fake/fake_vhost_rig.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RIG_WAIT_MS 2000

void vhost_rig_open(struct vhost_rig *rig, uint16_t pairs, bool server)
{
	static unsigned int serial;
	struct port_params params = {
		.name = "vm", .kind = PORT_VHOST, .server = server, .queues = pairs, .mtu = 1500};
	char error[128] = "";

	memset(rig, 0, sizeof(*rig));
	rig->server = server;
	rig->pairs = pairs;
	snprintf(rig->path, sizeof(rig->path), "/tmp/ferry-test-%d-%u", getpid(), serial++);
	rig->listener = server ? -1 : fake_front_listen(rig->path);
	fake_worker_init(&rig->worker);
	params.path = rig->path;
	params.pool = fake_port_pool();
	params.listener = fake_worker_listener(&rig->worker);
	if (port_open(&params, &rig->port, error, sizeof(error)))
		fail_msg("%s", error);
	fake_front_init(&rig->front);
}

void vhost_rig_connect(struct vhost_rig *rig)
{
	if (rig->server)
		assert_int_equal(fake_front_connect(&rig->front, rig->path, RIG_WAIT_MS), 0);
	else
		assert_int_equal(fake_front_accept(&rig->front, rig->listener, RIG_WAIT_MS), 0);
	assert_int_equal(fake_front_negotiate(&rig->front, rig->guest), 0);
}

void vhost_rig_start(struct vhost_rig *rig, uint16_t pairs)
{
	assert_int_equal(fake_front_start(&rig->front, rig->guest, pairs), 0);
	assert_true(fake_port_wait(rig->port, true, RIG_WAIT_MS));
}

void vhost_rig_boot(struct vhost_rig *rig, const struct fake_guest_params *params)
{
	rig->guest = fake_guest_new(params);
	assert_non_null(rig->guest);
	vhost_rig_connect(rig);
	vhost_rig_start(rig, params->pairs);
}

void vhost_rig_close(struct vhost_rig *rig)
{
	fake_worker_stop(&rig->worker);
	fake_front_close(&rig->front);
	port_close(rig->port);
	fake_worker_destroy(&rig->worker);
	fake_guest_free(rig->guest);
	if (rig->listener >= 0) {
		close(rig->listener);
		unlink(rig->path);
	}
	assert_int_equal(access(rig->path, F_OK), -1);
}

size_t fake_udp_frame(struct fake_udp_frame *f, uint16_t flow, uint32_t number, uint16_t payload)
{
	memset(f, 0, sizeof(*f));
	f->eth.ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
	f->ip.version_ihl = 0x45;
	f->ip.total_length = rte_cpu_to_be_16(sizeof(f->ip) + sizeof(f->udp) + payload);
	f->ip.time_to_live = 64;
	f->ip.next_proto_id = IPPROTO_UDP;
	f->ip.src_addr = rte_cpu_to_be_32(RTE_IPV4(10, 0, 0, 5));
	f->ip.dst_addr = rte_cpu_to_be_32(RTE_IPV4(10, 0, 0, 9));
	f->ip.hdr_checksum = rte_ipv4_cksum(&f->ip);
	f->udp.src_port = rte_cpu_to_be_16(1000 + flow);
	f->udp.dst_port = rte_cpu_to_be_16(53);
	f->udp.dgram_len = rte_cpu_to_be_16(sizeof(f->udp) + payload);
	f->number = number;
	return sizeof(f->eth) + sizeof(f->ip) + sizeof(f->udp) + payload;
}

void vhost_rig_ping(struct vhost_rig *rig, uint16_t flow)
{
	struct fake_udp_frame out, in;
	size_t len = fake_udp_frame(&out, flow, flow, 60);

	assert_int_equal(fake_guest_send(rig->guest, 0, &out, len, NULL), 0);
	assert_int_equal(fake_guest_receive_wait(rig->guest, 0, &in, sizeof(in), RIG_WAIT_MS), len);
	assert_memory_equal(&in, &out, len);
}
