/* SPDX-License-Identifier: BSD-3-Clause */
/* The inside of the two hosts, for fake_hosts*.c only. */
#ifndef TEST_FAKE_HOSTS_IMPL_H
#define TEST_FAKE_HOSTS_IMPL_H

#include <ucontext.h>

#include "test/fake/fake_hosts.h"

#define MS 1000000ull
#define STACK_BYTES (256u << 10)
#define EVENTS_MAX 256
#define INPUTS_MAX 64
#define PEER_MS 1000
#define LAST_MS 20000

enum event_kind {
	EVENT_INPUT, /* reaches a live agent */
	EVENT_WORD, /* reaches an agent, or is answered from the record */
	EVENT_RESTART,
	EVENT_CONNECT,
	EVENT_PEER_LOST,
	EVENT_DISK_WORKS,
	EVENT_QEMU_STOP, /* vCPUs of S stop for the switch */
	EVENT_QEMU_GATE,
	EVENT_QEMU_LOADED,
	EVENT_QEMU_DONE,
	EVENT_USER_STOP,
	EVENT_OPERATOR,
};

struct event {
	uint64_t at_ns;
	unsigned int serial;
	enum event_kind kind;
	enum handover_side side;
	struct handover_input input;
	unsigned int link; /* connection it travels on; another one now: it is lost */
};

struct host {
	struct hosts *hosts;
	enum handover_side side;
	struct handover handover;
	ucontext_t context;
	char *stack;
	bool exists, live, ended;
	struct handover_input inputs[INPUTS_MAX];
	unsigned int n_inputs;
	uint64_t deadline_ns;
	unsigned int calls;
	enum handover_mark record;
	bool disk_broken;
	bool held; /* QEMU, by a low max-bandwidth */
	/* QEMU */
	bool qemu, vcpus, incoming;
	enum qmp_status status;
};

struct hosts {
	const struct hosts_plan *plan;
	struct hosts_result *result;
	struct host host[2];
	ucontext_t scheduler;
	uint64_t now_ns;
	struct event events[EVENTS_MAX];
	unsigned int n_events, serial;
	unsigned int link; /* number of the present connection */
	bool link_up, stream_whole, fault_done;
	size_t phases_len;
};

/* The world that hosts give their agents (fake_hosts_world.c). */
extern const struct handover_world hosts_world;

/* What happens to hosts, at once (fake_hosts_world.c). */
struct host *hosts_other(struct host *host);
void hosts_schedule(struct host *host, uint64_t in_ns, enum event_kind kind,
	const struct handover_input *input);
void hosts_give(struct host *host, const struct handover_input *input);
void hosts_give_status(struct host *host, enum qmp_status status, bool event);
void hosts_set_vcpus(struct host *host, bool run);
void hosts_qemu_dies(struct host *host);

#endif
