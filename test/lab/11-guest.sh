#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# timeout: 170
#
# A real Linux guest on vhost-user: the same traffic as a namespace, a reboot, a ferryd that is killed and started
# again, default deny and a policy that changes.
#
#	 guest vm1 (QEMU, TCG)             host                          peer (kernel VXLAN, VNI 100)
#	 10.0.0.5 fd00::5 --vhost-user-- ferryd --veth-- 192.0.2.1 | 192.0.2.3 vx0 10.0.0.9 fd00::9

# shellcheck disable=SC2317 # functions called through check and wait_for
. "$(dirname "$0")/lib.sh"
lab_begin 11-guest
lab_need iperf3 ovs-appctl

ns_add host peer
veth_add host up0 peer un0 1600
addr_add peer un0 192.0.2.3/24
peer_add peer vx0 100 192.0.2.3 192.0.2.1
ip -n "$LAB_ID-peer" link set vx0 address 02:00:00:00:00:09
addr_add peer vx0 10.0.0.9/24 fd00::9/64

# config RULES: the file with these ingress rules in group web
config() {
	cat >"$LAB_DIR/a.yaml" <<-YAML
	host: {name: a, run_dir: $LAB_DIR/run-a, control: {socket: $LAB_DIR/a.ctl}}
	dpdk: {no_huge: true, memory_mb: 256, file_prefix: $LAB_ID-a}
	engine: {workers: 1, sessions: 20000, mbufs: 8192, policy_change: cut}
	uplink: {interface: up0, ips: [192.0.2.1/24], mtu: 1600}
	peers:
	  - {name: p, vteps: [192.0.2.3]}
	vpcs:
	  - {name: blue, vni: 100, subnets: [10.0.0.0/24, "fd00::/64"], gateway_ips: [10.0.0.1, "fd00::1"], gateway_mac: "02:00:00:00:00:fe"}
	groups:
	  - {name: web, rules: [$1]}
	vports:
	  - name: vm1
	    vpc: blue
	    mac: "02:00:00:00:00:05"
	    ips: [10.0.0.5, "fd00::5"]
	    port: {path: $LAB_DIR/vm1.sock}
	    groups: [web]
	locations:
	  - {vpc: blue, ip: 10.0.0.9, vtep: 192.0.2.3, mac: "02:00:00:00:00:09"}
	  - {vpc: blue, ip: "fd00::9", vtep: 192.0.2.3, mac: "02:00:00:00:00:09"}
	YAML
}

ping='{direction: ingress, protocol: icmp, action: allow}, {direction: ingress, protocol: icmpv6, action: allow}'
port() {
	echo "{direction: ingress, protocol: tcp, ports: $1, action: allow}"
}

config "$ping, $(port 5201)"
ferryd_start a host "$LAB_DIR/a.yaml" --plugin-dir "$FERRY_BUILD/plugins"
guest_start vm1 host --vhost-listen "$LAB_DIR/vm1.sock" --mac 02:00:00:00:00:05
up='echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad; ip link set eth0 up
	ip addr add 10.0.0.5/24 dev eth0; ip addr add fd00::5/64 dev eth0'
check "the guest has its NIC" guest_run vm1 "$up"
check "the guest pings the peer" guest_run vm1 'ping -c 3 -i 0.2 -W 2 10.0.0.9'
check "and over IPv6" guest_run vm1 'ping -c 3 -i 0.2 -W 2 fd00::9'
check "the peer pings the guest" ns_run peer ping -c 3 -i 0.2 -W 2 10.0.0.5
check "with full-size frames" ns_run peer ping -c 2 -i 0.2 -W 2 -M 'do' -s 1472 10.0.0.5
check "in fragments" ns_run peer ping -c 5 -i 0.1 -W 2 -s 20000 10.0.0.5
check "in fragments over IPv6" ns_run peer ping -c 5 -i 0.1 -W 2 -s 20000 fd00::5

# ---- default deny ----
guest_run vm1 'tcpmany server 5201 --json /tmp/a.json >/tmp/a.log 2>&1 &
	tcpmany server 7000 --json /tmp/b.json >/tmp/b.log 2>&1 &'
wait_for guest_run vm1 'test -s /tmp/a.json -a -s /tmp/b.json'
open_tcp() {
	ns_run peer timeout 2 bash -c "exec 3<>/dev/tcp/10.0.0.5/$1"
}
check "an allowed port is open" open_tcp 5201
check_not "another is closed" open_tcp 7000
programs=$FERRY_BUILD/test/lab/guest
proc_start tcp -n peer "$programs/tcpmany" client 10.0.0.5 5201 --connections 50 --interval-ms 100 \
	--json "$LAB_DIR/tcp.json"
answered() {
	(($(json "$LAB_DIR/tcp.json" '["answers"]') >= $1))
}
check "50 connections carry answers" wait_for -t 20 answered 100

# ---- a policy change bites ----
config "$ping, $(port 7000)"
check "the config is reloaded" appctl a config/reload
check_not "the port that was open is closed" open_tcp 5201
check "the other is open" open_tcp 7000
broken() {
	(($(json "$LAB_DIR/tcp.json" '["broken"]') >= 50))
}
check "living connections are cut" wait_for -t 30 broken
proc_stop tcp || true

# ---- reboot, and a ferryd that dies ----
config "$ping, $(port 5201)"
check "and back again" appctl a config/reload
guest_run vm1 'reboot -f' || true
check "the guest comes back after a reboot" guest_ready vm1
guest_run vm1 "$up"
check "and pings" guest_run vm1 'ping -c 3 -i 0.2 -W 2 10.0.0.9'
proc_kill a
ferryd_start a host "$LAB_DIR/a.yaml" --plugin-dir "$FERRY_BUILD/plugins"
check "after ferryd was killed and started the guest pings again" \
	wait_for -t 30 ns_run peer ping -c 1 -W 1 10.0.0.5
ctl a vport show vm1 | sed 's/^/# /'
check "ferryd ends when asked" ferryd_stop a
lab_end
