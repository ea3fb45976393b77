/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names: a vdev's name is process-wide, and two engines of one process may both ask for
 * "net_tap0". Such a name gets a suffix until it is free; the driver sees the same arguments. A
 * NIC cannot be had twice: ethdev ownership decides.
 *
 * Descriptors to sleep on: tap hands its own out as Rx interrupts. af_packet keeps its sockets to
 * itself, but they are the packet sockets on that interface which appeared while it was probed;
 * poll() on them reports a filled frame of the mapped ring. ring, memif, pcap, null and NICs have
 * none here. The same sockets take the filter of an uplink and tell what overran their rings,
 * which the driver (22.11) does not.
 */
#include "dataplane/port_device.h"

#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include <rte_bus.h>
#include <rte_devargs.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

#include "dataplane/port_impl.h"

#define DEVICE_NAMES_MAX 1000 /* suffixes tried */
#define DEVICE_FDS_MAX 64

/*
 * rte_dev_probe() and rte_dev_remove() change a list without a lock, and engines have one mutex
 * each.
 */
static pthread_mutex_t device_lock = PTHREAD_MUTEX_INITIALIZER;

struct fd_list {
	int count;
	int fds[DEVICE_FDS_MAX];
};

static int packet_socket_ifindex(int fd)
{
	struct sockaddr_ll addr = {0};
	socklen_t len = sizeof(addr);

	if (getsockname(fd, (struct sockaddr *)&addr, &len) || addr.sll_family != AF_PACKET)
		return 0;
	return addr.sll_ifindex;
}

static int fd_compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Packet sockets of this process on one interface, in ascending order. */
static void packet_sockets(int ifindex, struct fd_list *list)
{
	DIR *dir = ifindex > 0 ? opendir("/proc/self/fd") : NULL;
	struct dirent *entry;

	list->count = 0;
	while (dir && (entry = readdir(dir)) && list->count < DEVICE_FDS_MAX) {
		int fd = entry->d_name[0] == '.' ? -1 : atoi(entry->d_name);

		if (fd >= 0 && packet_socket_ifindex(fd) == ifindex)
			list->fds[list->count++] = fd;
	}
	if (dir)
		closedir(dir);
	qsort(list->fds, list->count, sizeof(int), fd_compare);
}

static void device_new_sockets(
	struct port_device *device, const struct fd_list *before, const struct fd_list *after)
{
	for (int i = 0; i < after->count && device->fd_count < PORT_QUEUES_MAX; i++) {
		if (!bsearch(&after->fds[i], before->fds, before->count, sizeof(int), fd_compare))
			device->fds[device->fd_count++] = after->fds[i];
	}
}

/* Value of "key=" in comma-separated arguments. */
static void args_value(const char *args, const char *key, char *value, size_t len)
{
	const char *at = args ? strstr(args, key) : NULL;

	value[0] = '\0';
	if (at && (at == args || at[-1] == ','))
		snprintf(value, len, "%.*s", (int)strcspn(at + strlen(key), ","), at + strlen(key));
}

static struct rte_device *device_find(const char *name, uint16_t *id)
{
	struct rte_eth_dev_info info;
	uint16_t port;

	RTE_ETH_FOREACH_DEV (port) {
		if (!rte_eth_dev_info_get(port, &info) && info.device &&
			!strcmp(rte_dev_name(info.device), name)) {
			*id = port;
			return (struct rte_device *)(uintptr_t)info.device;
		}
	}
	return NULL;
}

/* A vdev's first free name: "net_tap0", else "net_tap0_1", ... */
static int device_probe_vdev(struct port_device *device, const struct rte_devargs *wanted)
{
	char args[512];
	int ret = -EEXIST;

	for (int i = 0; ret == -EEXIST && i < DEVICE_NAMES_MAX; i++) {
		int n = i ? snprintf(device->name, sizeof(device->name), "%s_%d", wanted->name, i)
			  : snprintf(device->name, sizeof(device->name), "%s", wanted->name);

		if (n >= (int)sizeof(device->name) || n >= RTE_ETH_NAME_MAX_LEN)
			return -ENAMETOOLONG;
		n = snprintf(args, sizeof(args), "vdev:%s,%s", device->name, wanted->args);
		if (n >= (int)sizeof(args))
			return -ENAMETOOLONG;
		if (rte_eth_dev_get_port_by_name(device->name, &device->id) == 0)
			continue;
		ret = rte_dev_probe(args);
	}
	device->made = ret == 0;
	return ret;
}

static int device_probe(
	struct port_device *device, const struct rte_devargs *wanted, const char *args)
{
	int ret = 0;

	if (!strcmp(rte_bus_name(wanted->bus), "vdev"))
		return device_probe_vdev(device, wanted);
	snprintf(device->name, sizeof(device->name), "%s", wanted->name);
	if (!device_find(device->name, &device->id)) {
		ret = rte_dev_probe(args);
		device->made = ret == 0;
	}
	return ret;
}

static int device_own(struct port_device *device)
{
	struct rte_eth_dev_owner owner = {0};
	int ret;

	device->device = device_find(device->name, &device->id);
	if (!device->device)
		return -EBUSY; /* there, but owned; or it is no network device */
	ret = rte_eth_dev_owner_new(&owner.id);
	snprintf(owner.name, sizeof(owner.name), "ferry");
	return ret ? ret : rte_eth_dev_owner_set(device->id, &owner);
}

static int device_open_locked(
	struct port_device *device, struct rte_devargs *wanted, const char *args)
{
	struct fd_list before, after;
	int ifindex, ret;

	device->host_interface = !strncmp(wanted->name, "net_af_packet", 13);
	device->rx_interrupt = !strncmp(wanted->name, "net_tap", 7);
	device->equal_queues = device->rx_interrupt;
	args_value(wanted->args, "iface=", device->ifname, sizeof(device->ifname));
	ifindex = device->host_interface ? (int)if_nametoindex(device->ifname) : 0;
	packet_sockets(ifindex, &before);
	ret = device_probe(device, wanted, args);
	if (ret)
		return ret;
	packet_sockets(ifindex, &after);
	device_new_sockets(device, &before, &after);
	ret = device_own(device);
	if (ret && device->made)
		rte_eal_hotplug_remove(rte_bus_name(wanted->bus), device->name);
	return ret;
}

int port_device_open(struct port_device *device, const char *args, char *error, size_t len)
{
	struct rte_devargs wanted = {0};
	int ret = args ? rte_devargs_parse(&wanted, args) : -EINVAL;

	if (ret)
		return port_fail(error, len, EINVAL, "device \"%s\": no driver or bus of that name",
			args ? args : "");
	memset(device, 0, sizeof(*device));
	pthread_mutex_lock(&device_lock);
	ret = device_open_locked(device, &wanted, args);
	pthread_mutex_unlock(&device_lock);
	free(wanted.data);
	if (ret)
		return port_fail(error, len, -ret, "device \"%s\": %s", args, rte_strerror(-ret));
	return 0;
}

void port_device_close(struct port_device *device)
{
	pthread_mutex_lock(&device_lock);
	rte_eth_dev_close(device->id);
	/* A closed port comes back only by a new probe; a NIC's other ports keep the device. */
	if (rte_eth_find_next_of(0, device->device) >= RTE_MAX_ETHPORTS)
		rte_dev_remove(device->device);
	pthread_mutex_unlock(&device_lock);
}

int port_device_rx_fd(const struct port_device *device, uint16_t queue)
{
	if (device->rx_interrupt)
		return rte_eth_dev_rx_intr_ctl_q_get_fd(device->id, queue);
	return queue < device->fd_count ? device->fds[queue] : -1;
}

/* Frames begin with their Ethernet header here; the kernel has taken a VLAN tag off. */
#define AT_ETHERTYPE 12
#define AT_IPV4 14
#define AT_IPV4_FRAGMENT 20
#define AT_IPV4_PROTOCOL 23
#define AT_IPV6_NEXT 20
#define AT_IPV6_UDP_PORT 56

int port_device_only_udp(const struct port_device *device, uint16_t udp_port)
{
	/* Jumps count from the next line: to the last but one (drop) or the last (take). */
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, AT_ETHERTYPE),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_ARP, 17, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IPV6, 9, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 14),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, AT_IPV4_PROTOCOL),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ICMP, 13, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 11),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, AT_IPV4_FRAGMENT),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x1fff, 10, 0),
		BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, AT_IPV4),
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, AT_IPV4 + 2),
		BPF_JUMP(BPF_JMP | BPF_JA, 5, 0, 0),
		/* IPv6 */
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, AT_IPV6_NEXT),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ICMPV6, 5, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_FRAGMENT, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 2),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, AT_IPV6_UDP_PORT),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, udp_port, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	const struct sock_fprog program = {.len = RTE_DIM(code), .filter = code};

	for (int i = 0; i < device->fd_count; i++)
		if (setsockopt(device->fds[i], SOL_SOCKET, SO_ATTACH_FILTER, &program,
			    sizeof(program)))
			return -errno;
	return 0;
}

uint64_t port_device_missed(struct port_device *device)
{
	struct rte_eth_stats stats = {0};
	uint64_t missed = 0;

	for (int i = 0; i < device->fd_count; i++) {
		struct tpacket_stats told;
		socklen_t len = sizeof(told);

		if (!getsockopt(device->fds[i], SOL_PACKET, PACKET_STATISTICS, &told, &len))
			missed += told.tp_drops;
	}
	missed = __atomic_add_fetch(&device->missed, missed, __ATOMIC_RELAXED);
	if (rte_eth_stats_get(device->id, &stats))
		return missed;
	return missed + stats.imissed + stats.rx_nombuf;
}
