#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# timeout: 150
#
# A plain Linux VXLAN device and a vport that is a namespace talk through one ferryd: IPv4, IPv6, full-size
# frames, fragments, TCP both ways.
#
#	 vm (namespace)               host                           peer (kernel VXLAN, VNI 100)
#	 10.0.0.5 fd00::5 --tap-- ferryd --veth-- 192.0.2.1 | 192.0.2.3 vx0 10.0.0.9 fd00::9
#
# The vm's port is a tap and no veth: DPDK's af_packet driver joins a fanout group that puts IPv4 fragments
# together before it sees them.

. "$(dirname "$0")/lib.sh"
lab_begin 10-kernel-peer
lab_need iperf3 ovs-appctl

ns_add vm host peer
veth_add host up0 peer un0 1600
addr_add peer un0 192.0.2.3/24
peer_add peer vx0 100 192.0.2.3 192.0.2.1
ip -n "$LAB_ID-peer" link set vx0 address 02:00:00:00:00:09
addr_add peer vx0 10.0.0.9/24 fd00::9/64

cat >"$LAB_DIR/a.yaml" <<YAML
host: {name: a, run_dir: $LAB_DIR/run-a, control: {socket: $LAB_DIR/a.ctl}}
dpdk: {no_huge: true, memory_mb: 256, file_prefix: $LAB_ID-a}
engine: {workers: 1, sessions: 20000, mbufs: 8192}
uplink: {interface: up0, ips: [192.0.2.1/24], mtu: 1600}
peers:
  - {name: p, vteps: [192.0.2.3]}
vpcs:
  - {name: blue, vni: 100, subnets: [10.0.0.0/24, "fd00::/64"], gateway_ips: [10.0.0.1, "fd00::1"], gateway_mac: "02:00:00:00:00:fe"}
groups:
  - name: open
    rules:
      - {direction: ingress, action: allow}
vports:
  - name: v
    vpc: blue
    mac: "02:00:00:00:00:05"
    ips: [10.0.0.5, "fd00::5"]
    port: {device: "net_tap0,iface=eth0"}
    groups: [open]
locations:
  - {vpc: blue, ip: 10.0.0.9, vtep: 192.0.2.3, mac: "02:00:00:00:00:09"}
  - {vpc: blue, ip: "fd00::9", vtep: 192.0.2.3, mac: "02:00:00:00:00:09"}
YAML
check "ferryd takes the config" "$FERRY_BUILD/ctrl/ferryd" --check --config "$LAB_DIR/a.yaml" \
	--plugin-dir "$FERRY_BUILD/plugins"
ferryd_start a host "$LAB_DIR/a.yaml" --plugin-dir "$FERRY_BUILD/plugins"
ip -n "$LAB_ID-host" link set eth0 netns "$LAB_ID-vm" address 02:00:00:00:00:05
link_plain vm eth0
ip -n "$LAB_ID-vm" link set eth0 up
addr_add vm eth0 10.0.0.5/24 fd00::5/64

check "ping from the vm over IPv4" ns_run vm ping -c 3 -i 0.2 -W 2 10.0.0.9
check "ping from the vm over IPv6" ns_run vm ping -c 3 -i 0.2 -W 2 fd00::9
check "ping from the peer over IPv4" ns_run peer ping -c 3 -i 0.2 -W 2 10.0.0.5
check "ping from the peer over IPv6" ns_run peer ping -c 3 -i 0.2 -W 2 fd00::5
check "full-size frames pass whole, from the vm" ns_run vm ping -c 2 -i 0.2 -W 2 -M 'do' -s 1472 10.0.0.9
check "and from the peer" ns_run peer ping -c 2 -i 0.2 -W 2 -M 'do' -s 1472 10.0.0.5
check "20 pings in fragments, from the vm" ns_run vm ping -c 20 -i 0.05 -W 2 -s 20000 10.0.0.9
check "and from the peer, over IPv6" ns_run peer ping -c 20 -i 0.05 -W 2 -s 20000 fd00::5

proc_start iperf-peer -n peer iperf3 -s -p 5201
proc_start iperf-vm -n vm iperf3 -s -p 5201
wait_for ns_run peer bash -c 'exec 3<>/dev/tcp/127.0.0.1/5201'
wait_for ns_run vm bash -c 'exec 3<>/dev/tcp/127.0.0.1/5201'
check "TCP from the vm" ns_run vm iperf3 -c 10.0.0.9 -t 2
check "TCP from the vm over IPv6" ns_run vm iperf3 -c fd00::9 -t 2
check "TCP from the peer" ns_run peer iperf3 -c 10.0.0.5 -t 2
check "UDP in fragments from the peer" ns_run peer iperf3 -c 10.0.0.5 -u -l 4000 -b 5M -t 1

# ---- asleep: what that costs, and how soon it is awake ----
cpu_ms() {
	awk '{print ($14 + $15) * 10}' "/proc/${lab_pid[a]}/stat"
}
spent=$(cpu_ms)
ns_run vm ping -c 30 -i 0.1 -W 2 10.0.0.1 >"$LAB_DIR/gateway"
spent=$(($(cpu_ms) - spent))
check_number "while 30 pings come in 3 s, ferryd takes less than 5 % of a core: ms" "$spent" -lt 150
# Of a ping to the gateway, which the worker answers, half is the ping's own waking up.
woken_us=$(sed -n 's|^rtt [^=]*= \([0-9]*\)\.\([0-9]*\)/.*|\1\2|p' "$LAB_DIR/gateway")
check_number "the worker wakes within 100 us: us to the gateway and back" "$((10#$woken_us))" -lt 200

check "sessions are there to be seen" appctl a session/dump v --proto=tcp
check "no packet was dropped for its window" \
	bash -c "! '$FERRY_BUILD/ctrl/client/ferryctl' --socket '$LAB_DIR/a.ctl' drop show | grep -E 'tcp-out-of-window|tcp-invalid'"
ctl a drop show | sed 's/^/# /'
check "ferryd ends when asked" ferryd_stop a
lab_end
