#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# timeout: 240
#
# A VM behind a shared public address moves while it has connections with the outside in both directions: 60 that it
# opened (SNAT) and 30 that the outside opened to a forwarded port (DNAT). The outside is a plain Linux router that
# knows nothing of Ferry: it asks by ARP who has 203.0.113.7, host a (the anchor) answers, before and after.
#
#	 vm: br0 10.0.0.5 --tap ta-- host a: ferryd 192.0.2.1 (anchor) --+
#	        |                                                        +-- bridge -- out: vx900 203.0.113.1,
#	        +----------tap tb-- host b: ferryd 192.0.2.2 ------------+             VTEP 192.0.2.9; 198.51.100.10
#
# The VM is a namespace: its pause is a tap that leaves its bridge, and the explicit commands.

# shellcheck disable=SC2317 # functions called through check and wait_for
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/two_hosts.sh"
lab_begin 30-nat-move
lab_need ovs-appctl ss
programs=$FERRY_BUILD/test/lab/guest
anchor_mac=02:00:00:00:0a:01 router_mac=02:00:00:00:09:fe

ns_add net a b out vm
ip -n "$LAB_ID-net" link add br0 type bridge
ip -n "$LAB_ID-net" link set br0 mtu 1600 up
n=1
for x in a b out; do
	veth_add net "to-$x" "$x" up0 1600
	ip -n "$LAB_ID-net" link set "to-$x" master br0
	[[ $x == out ]] && n=9
	addr_add "$x" up0 "192.0.2.$n/24"
	n=$((n + 1))
done
ip -n "$LAB_ID-a" link set up0 address "$anchor_mac"
peer_add out vx900 900 192.0.2.9 192.0.2.1
ip -n "$LAB_ID-out" link set vx900 address "$router_mac"
ns_run out bridge fdb append 00:00:00:00:00:00 dev vx900 dst 192.0.2.2
addr_add out vx900 203.0.113.1/24
addr_add out lo 198.51.100.10/32

# The VM: a bridge with its MAC and address; the tap of the host that runs it is its cable.
ip -n "$LAB_ID-vm" link add br0 address 02:00:00:00:00:05 type bridge
ip -n "$LAB_ID-vm" link set br0 mtu 1500 up
addr_add vm br0 10.0.0.5/24
ip -n "$LAB_ID-vm" route add default via 10.0.0.1

# host_yaml ME ADDRESS OTHER ITS-ADDRESS
host_yaml() {
	cat >"$LAB_DIR/$1.yaml" <<-YAML
	host: {name: host-$1, run_dir: $LAB_DIR/run-$1, control: {socket: $LAB_DIR/$1.ctl}}
	dpdk: {no_huge: true, memory_mb: 256, file_prefix: $LAB_ID-$1}
	engine: {workers: 1, sessions: 20000, mbufs: 8192}
	uplink: {interface: up0, ips: [$2/24], mtu: 1600}
	tls: {ca: $LAB_DIR/tls/ca.pem, cert: $LAB_DIR/tls/host-$1.pem, key: $LAB_DIR/tls/host-$1.key}
	migrate: {listen: "$2:6790"}
	peers:
	  - {name: host-$3, vteps: [$4], address: "$4:6790"}
	  - {name: out, vteps: [192.0.2.9], vnis: [900]}
	vpcs:
	  - {name: blue, vni: 100, subnets: [10.0.0.0/24], gateway_ips: [10.0.0.1], gateway_mac: "02:00:00:00:00:fe"}
	external_networks:
	  - {name: internet, vni: 900, gateway_vtep: 192.0.2.9, gateway_mac: "$router_mac", anchor: host-a}
	plugins: [{name: nat}, {name: acl}]
	groups:
	  - {name: web, rules: [{direction: ingress, protocol: tcp, ports: 7000}, {direction: egress}]}
	YAML
}
host_yaml a 192.0.2.1 b 192.0.2.2
host_yaml b 192.0.2.2 a 192.0.2.1
cat >>"$LAB_DIR/a.yaml" <<YAML
vports:
  - {name: v, vm: vm1, uuid: 6ba7b810-9dad-11d1-80b4-00c04fd430c8, vpc: blue, mac: "02:00:00:00:00:05",
     ips: [10.0.0.5], port: {device: "net_tap0,iface=tap0"}, groups: [web]}
nat_leases:
  - {vport: v, network: internet, kind: snat, address: 203.0.113.7, ports: 20000-20099}
  - {vport: v, network: internet, kind: dnat, address: 203.0.113.7, ports: 8000, inside_port: 7000, protocol: tcp}
YAML

# The cable of the VM leads to host X.
plug() {
	ip -n "$LAB_ID-vm" link set "t$1" master br0
}
unplug() {
	ip -n "$LAB_ID-vm" link set "t$1" nomaster
}
tap_to_vm() {
	wait_for ip -n "$LAB_ID-$1" link show tap0
	ip -n "$LAB_ID-$1" link set tap0 netns "$LAB_ID-vm" name "t$1"
	link_plain vm "t$1"
	ip -n "$LAB_ID-vm" link set "t$1" up
}

hosts_certificates
host_start a
host_start b
tap_to_vm a
plug a

# ---- before ----
check "the VM reaches the outside" wait_for -t 20 ns_run vm ping -c 1 -W 1 198.51.100.10
check "an answer in fragments, too" ns_run vm ping -c 3 -i 0.2 -W 2 -s 4000 198.51.100.10
proc_start out-server -n out "$programs/tcpmany" server 7000 --json "$LAB_DIR/out-server.json"
proc_start vm-server -n vm "$programs/tcpmany" server 7000 --json "$LAB_DIR/vm-server.json"
wait_for test -s "$LAB_DIR/out-server.json" -a -s "$LAB_DIR/vm-server.json"
proc_start snat -n vm "$programs/tcpmany" client 198.51.100.10 7000 --connections 60 --interval-ms 200 \
	--json "$LAB_DIR/snat.json"
proc_start dnat -n out "$programs/tcpmany" client 203.0.113.7 8000 --connections 30 --interval-ms 200 \
	--json "$LAB_DIR/dnat.json"
tcp_is() {
	test "$(json "$LAB_DIR/$1.json" "[\"$2\"]")" "$3" "$4"
}
check "60 connections that the VM opened carry answers" wait_for -t 30 tcp_is snat answers -ge 180
check "30 that the outside opened do, too" wait_for -t 30 tcp_is dnat answers -ge 90

router_knows() {
	ip -n "$LAB_ID-out" neigh show 203.0.113.7 dev vx900 | sed 's/.*lladdr \([^ ]*\).*/\1/'
}
# What the outside sees: its end, and the VM's public one.
public_ends() {
	ns_run out ss -Htn state established | awk '$3 ~ /:7000$/ || $4 ~ /:8000$/ {print $3, $4}' | sort
}
is "the anchor answers for the shared address" "$(router_knows)" "$anchor_mac"
public_ends >"$LAB_DIR/ends-before.txt"
is "the outside sees 90 connections" "$(wc -l <"$LAB_DIR/ends-before.txt")" 90
is "all of them of the shared address" "$(grep -cE "203\.0\.113\.7(\])?:(20[0-9]{3}|8000)$" "$LAB_DIR/ends-before.txt")" 90

# ---- the move ----
phase_is() {
	[[ $(ctl "$1" migrate show "$2" --json | json - '["phase"]') == "$3" ]]
}
one_move() {
	local from=$1 to=$2 id=$3
	ctl "$from" migrate start v "host-$to" "--id=$id" >/dev/null
	wait_for -t 30 phase_is "$from" "$id" ready
	ip -n "$LAB_ID-$to" link show tap0 >/dev/null 2>&1 && tap_to_vm "$to"
	unplug "$from"
	ctl "$from" vport pause v
	wait_for -t 10 phase_is "$from" "$id" verified
	plug "$to"
	ctl "$to" vport resume v
	wait_for -t 20 phase_is "$from" "$id" committed
}
# carries SENTENCE: both kinds of connections answer again, all of them.
carries() {
	local s d
	s=$(json "$LAB_DIR/snat.json" '["answers"]') d=$(json "$LAB_DIR/dnat.json" '["answers"]')
	check "the VM's connections carry answers $1" wait_for -t 30 tcp_is snat answers -ge $((s + 180))
	check "the outside's do, too" wait_for -t 30 tcp_is dnat answers -ge $((d + 90))
	public_ends >"$LAB_DIR/ends-after.txt"
	check "each at the ends it had" diff "$LAB_DIR/ends-before.txt" "$LAB_DIR/ends-after.txt"
}
check "the VM moves to host b" one_move a b there
carries "at host b"
is "the anchor answers for the shared address still" "$(router_knows)" "$anchor_mac"
check "a new connection of the VM finds the outside" \
	ns_run vm timeout 5 bash -c 'exec 3<>/dev/tcp/198.51.100.10/7000'
check "and one of the outside finds the VM" ns_run out timeout 5 bash -c 'exec 3<>/dev/tcp/203.0.113.7/8000'
check "answers in fragments pass the anchor" ns_run vm ping -c 3 -i 0.2 -W 2 -s 4000 198.51.100.10
check "an ICMP error about a packet of the VM passes the anchor" ns_run vm /usr/bin/python3 -c '
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("198.51.100.10", 9)); s.settimeout(3); s.send(b"anybody there?")
try:
    s.recv(1); sys.exit("an answer?")
except ConnectionRefusedError:
    pass'
ns_run out ip neigh flush dev vx900
check "asked again, the anchor answers" wait_for -t 10 ns_run vm ping -c 1 -W 1 198.51.100.10
is "with the same MAC" "$(router_knows)" "$anchor_mac"

check "the VM moves back" one_move b a back
carries "at host a again"

proc_stop snat || true
proc_stop dnat || true
is "connections of the VM broken" "$(json "$LAB_DIR/snat.json" '["broken"]')" 0
is "connections of the outside broken" "$(json "$LAB_DIR/dnat.json" '["broken"]')" 0
for x in a b; do
	ctl $x drop show | sed "s/^/# $x: /"
done
check "ferryd a ends when asked" ferryd_stop a
check "ferryd b ends when asked" ferryd_stop b
lab_end
