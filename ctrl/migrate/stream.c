/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctrl/migrate/stream.h"

#include <errno.h>
#include <string.h>

#include "dataplane/addr.h"

const uint16_t stream_types[] = {
#define STREAM_TYPE_VALUE(name, value) value,
	STREAM_TYPES(STREAM_TYPE_VALUE)
#undef STREAM_TYPE_VALUE
};
const unsigned stream_types_count = sizeof(stream_types) / sizeof(stream_types[0]);

const char *stream_type_name(uint16_t type)
{
	switch (type) {
#define STREAM_TYPE_NAME(name, value) \
	case value: \
		return #name;
		STREAM_TYPES(STREAM_TYPE_NAME)
#undef STREAM_TYPE_NAME
	}
	return "unknown";
}

static struct wire_reader reader_of(const struct frame *frame)
{
	struct wire_reader r;

	wire_reader_init(&r, frame->payload, frame->payload_bytes);
	return r;
}

static void put_port(struct wire_writer *w, const struct stream_port *port)
{
	wire_put_string(w, port->name);
	wire_put_string(w, port->uuid);
	wire_put_bytes(w, port->mac, sizeof(port->mac));
	wire_put_u32(w, port->vni);
	wire_put_u64(w, port->epoch);
	wire_put_varint(w, port->sessions);
	wire_put_varint(w, port->hold_bytes);
	wire_put_u64(w, port->features);
	wire_put_u16(w, port->queues);
}

static void get_port(struct wire_reader *r, struct stream_port *port)
{
	wire_get_string(r, port->name, sizeof(port->name));
	wire_get_string(r, port->uuid, sizeof(port->uuid));
	wire_get_bytes(r, port->mac, sizeof(port->mac));
	port->vni = wire_get_u32(r);
	port->epoch = wire_get_u64(r);
	port->sessions = wire_get_varint(r);
	port->hold_bytes = wire_get_varint(r);
	port->features = wire_get_u64(r);
	port->queues = wire_get_u16(r);
	if (!port->name[0])
		wire_reader_fail(r);
}

static void put_section(struct wire_writer *w, const struct vswitch_section *section)
{
	wire_put_string(w, section->name);
	wire_put_u16(w, section->version);
	wire_put_u16(w, section->min_version);
	wire_put_u8(w, section->optional);
}

static void get_section(struct wire_reader *r, struct vswitch_section *section)
{
	wire_get_string(r, section->name, sizeof(section->name));
	section->version = wire_get_u16(r);
	section->min_version = wire_get_u16(r);
	section->optional = wire_get_u8(r) != 0;
}

/* A count that fits its array; else the reader fails and the count is 0. */
static uint32_t get_count(struct wire_reader *r, uint32_t max)
{
	uint64_t count = wire_get_varint(r);

	if (count <= max)
		return (uint32_t)count;
	wire_reader_fail(r);
	return 0;
}

void stream_put_offer(struct wire_writer *w, const struct stream_offer *offer)
{
	wire_put_u8(w, STREAM_VERSION);
	wire_put_bytes(w, offer->id, sizeof(offer->id));
	wire_put_string(w, offer->vm);
	wire_put_string(w, offer->caller_id);
	wire_put_u8(w, offer->mode);
	wire_put_u8(w, offer->flags);
	wire_put_varint(w, offer->n_ports);
	for (uint32_t i = 0; i < offer->n_ports; i++)
		put_port(w, &offer->port[i]);
	wire_put_varint(w, offer->n_sections);
	for (uint32_t i = 0; i < offer->n_sections; i++)
		put_section(w, &offer->section[i]);
}

void stream_put_file(struct wire_writer *w, const struct stream_file *file)
{
	wire_put_u8(w, STREAM_VERSION);
	wire_put_string(w, file->host);
	wire_put_string(w, file->vport);
	wire_put_string(w, file->uuid);
	wire_put_u32(w, file->vni);
	wire_put_u64(w, file->saved_s);
	wire_put_varint(w, file->n_sections);
	for (uint32_t i = 0; i < file->n_sections; i++)
		put_section(w, &file->section[i]);
}

int stream_get_file(const struct frame *frame, struct stream_file *file)
{
	struct wire_reader r = reader_of(frame);

	memset(file, 0, sizeof(*file));
	if (wire_get_u8(&r) != STREAM_VERSION)
		return -EPROTONOSUPPORT;
	wire_get_string(&r, file->host, sizeof(file->host));
	wire_get_string(&r, file->vport, sizeof(file->vport));
	wire_get_string(&r, file->uuid, sizeof(file->uuid));
	file->vni = wire_get_u32(&r);
	file->saved_s = wire_get_u64(&r);
	file->n_sections = get_count(&r, VSWITCH_SECTIONS_MAX);
	for (uint32_t i = 0; i < file->n_sections; i++)
		get_section(&r, &file->section[i]);
	return wire_reader_ok(&r) ? 0 : -EBADMSG;
}

int stream_get_offer(const struct frame *frame, struct stream_offer *offer)
{
	struct wire_reader r = reader_of(frame);

	memset(offer, 0, sizeof(*offer));
	if (wire_get_u8(&r) != STREAM_VERSION)
		return -EPROTONOSUPPORT;
	wire_get_bytes(&r, offer->id, sizeof(offer->id));
	wire_get_string(&r, offer->vm, sizeof(offer->vm));
	wire_get_string(&r, offer->caller_id, sizeof(offer->caller_id));
	offer->mode = wire_get_u8(&r);
	offer->flags = wire_get_u8(&r);
	offer->n_ports = get_count(&r, STREAM_PORTS_MAX);
	for (uint32_t i = 0; i < offer->n_ports; i++)
		get_port(&r, &offer->port[i]);
	offer->n_sections = get_count(&r, VSWITCH_SECTIONS_MAX);
	for (uint32_t i = 0; i < offer->n_sections; i++)
		get_section(&r, &offer->section[i]);
	return wire_reader_ok(&r) && offer->n_ports > 0 ? 0 : -EBADMSG;
}

void stream_put_accept(struct wire_writer *w, const struct stream_accept *accept)
{
	wire_put_u8(w, STREAM_VERSION);
	wire_put_varint(w, accept->n_ports);
	for (uint32_t i = 0; i < accept->n_ports; i++) {
		wire_put_u8(w, accept->state[i]);
		wire_put_u64(w, accept->epoch[i]);
	}
	wire_put_varint(w, accept->n_sections);
	wire_put_bytes(w, accept->taken, accept->n_sections);
}

int stream_get_accept(const struct frame *frame, struct stream_accept *accept)
{
	struct wire_reader r = reader_of(frame);

	memset(accept, 0, sizeof(*accept));
	if (wire_get_u8(&r) != STREAM_VERSION)
		return -EPROTONOSUPPORT;
	accept->n_ports = get_count(&r, STREAM_PORTS_MAX);
	for (uint32_t i = 0; i < accept->n_ports; i++) {
		accept->state[i] = wire_get_u8(&r);
		accept->epoch[i] = wire_get_u64(&r);
	}
	accept->n_sections = get_count(&r, VSWITCH_SECTIONS_MAX);
	wire_get_bytes(&r, accept->taken, accept->n_sections);
	return wire_reader_ok(&r) ? 0 : -EBADMSG;
}

void stream_put_final(struct wire_writer *w, const struct stream_final *final)
{
	wire_put_varint(w, final->serial);
	wire_put_varint(w, final->count);
	wire_put_u64(w, final->digest);
	wire_put_u64(w, final->epoch);
}

int stream_get_final(const struct frame *frame, struct stream_final *final)
{
	struct wire_reader r = reader_of(frame);

	final->serial = wire_get_varint(&r);
	final->count = wire_get_varint(&r);
	final->digest = wire_get_u64(&r);
	final->epoch = wire_get_u64(&r);
	return wire_reader_ok(&r) ? 0 : -EBADMSG;
}

void stream_put_verified(struct wire_writer *w, const struct stream_verified *verified)
{
	wire_put_varint(w, verified->serial);
	wire_put_u8(w, verified->ok);
	wire_put_varint(w, verified->count);
	wire_put_u64(w, verified->digest);
	wire_put_varint(w, verified->installed);
	wire_put_varint(w, verified->refused);
	wire_put_varint(w, verified->conflict);
}

int stream_get_verified(const struct frame *frame, struct stream_verified *verified)
{
	struct wire_reader r = reader_of(frame);

	verified->serial = wire_get_varint(&r);
	verified->ok = wire_get_u8(&r) != 0;
	verified->count = wire_get_varint(&r);
	verified->digest = wire_get_u64(&r);
	verified->installed = wire_get_varint(&r);
	verified->refused = wire_get_varint(&r);
	verified->conflict = wire_get_varint(&r);
	return wire_reader_ok(&r) ? 0 : -EBADMSG;
}

void stream_put_commit(struct wire_writer *w, const struct stream_commit *commit)
{
	wire_put_u64(w, commit->epoch);
	wire_put_u8(w, commit->degraded);
	wire_put_varint(w, commit->moments);
	for (uint32_t i = 0; i < commit->moments; i++)
		wire_put_varint(w, commit->moment_ns[i]);
}

int stream_get_commit(const struct frame *frame, struct stream_commit *commit)
{
	struct wire_reader r = reader_of(frame);
	uint64_t moments;

	memset(commit, 0, sizeof(*commit));
	commit->epoch = wire_get_u64(&r);
	commit->degraded = wire_get_u8(&r) != 0;
	if (!wire_reader_ok(&r))
		return -EBADMSG;
	if (wire_reader_left(&r) == 0)
		return 0;
	moments = wire_get_varint(&r);
	commit->moments = (uint32_t)(moments < STREAM_MOMENTS_MAX ? moments : STREAM_MOMENTS_MAX);
	for (uint32_t i = 0; i < commit->moments; i++)
		commit->moment_ns[i] = wire_get_varint(&r);
	return wire_reader_ok(&r) ? 0 : -EBADMSG;
}

void stream_put_death(struct wire_writer *w, const struct journal_tombstone *dead)
{
	const struct session_tuple *t = &dead->tuple;
	bool ipv6 = !addr_is_v4(&t->local) || !addr_is_v4(&t->remote);
	size_t skip = ipv6 ? 0 : 12;

	wire_put_varint(w, dead->birth_id);
	wire_put_u8(w, ipv6);
	wire_put_u8(w, t->proto);
	wire_put_u32(w, t->vni);
	wire_put_bytes(w, &t->local.s6_addr[skip], 16 - skip);
	wire_put_bytes(w, &t->remote.s6_addr[skip], 16 - skip);
	wire_put_bytes(w, &t->local_port, 2);
	wire_put_bytes(w, &t->remote_port, 2);
}

static void get_addr(struct wire_reader *r, struct in6_addr *addr, bool ipv6)
{
	*addr = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
	wire_get_bytes(r, &addr->s6_addr[ipv6 ? 0 : 12], ipv6 ? 16 : 4);
}

bool stream_get_death(struct wire_reader *r, struct journal_tombstone *dead)
{
	uint8_t ipv6;

	memset(dead, 0, sizeof(*dead));
	dead->birth_id = wire_get_varint(r);
	ipv6 = wire_get_u8(r);
	dead->tuple.proto = wire_get_u8(r);
	dead->tuple.vni = wire_get_u32(r);
	get_addr(r, &dead->tuple.local, ipv6);
	get_addr(r, &dead->tuple.remote, ipv6);
	wire_get_bytes(r, &dead->tuple.local_port, 2);
	wire_get_bytes(r, &dead->tuple.remote_port, 2);
	return wire_reader_ok(r) && ipv6 <= 1 && dead->birth_id != 0;
}
