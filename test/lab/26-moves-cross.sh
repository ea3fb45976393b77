#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# timeout: 200
#
# Two moves cross: vm1 goes from host a to host b while vm2 goes from host b to host a, by the agents, and back again.
# Each has connections from outside, and vm1 has some with vm2, whose ends change places. Then an operator is
# impatient. Topology: two_hosts.sh, and vm2: 10.0.0.7.

# shellcheck disable=SC2317 # functions called through check and wait_for
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/two_hosts.sh"
lab_begin 26-moves-cross

hosts_net
hosts_certificates
second() {
	cat <<-END
	  - name: vm2
	    uuid: 6ba7b812-9dad-11d1-80b4-00c04fd430c8
	    vm: vm2
	    vpc: blue
	    mac: "02:00:00:00:00:07"
	    ips: [10.0.0.7]
	    port: {path: $LAB_DIR/vm2$1.sock}
	    groups: [web]
	END
}
HOST_RULES='{direction: ingress, protocol: icmp}, {direction: ingress, protocol: tcp, ports: 7000}, {direction: egress}'
HOST_VPORTS=$(second a) host_config a 192.0.2.1 b 192.0.2.2
HOST_VPORTS=$(second b) host_config b 192.0.2.2 a 192.0.2.1
for x in a b; do
	echo "  bandwidth_mbit: 400" >>"$LAB_DIR/$x.yaml" # of vmagent, the last section: both are under way at once
	host_start "$x" agent
done

vm2() {
	guest_start "vm2$1" "$1" --vhost-listen "$LAB_DIR/vm2$1.sock" --mac 02:00:00:00:00:07 --nic-options "$vm_nic" "${@:2}"
}

vm2_receiver() {
	proc_alive "vm2$1" && guest_stop "vm2$1"
	vm2 "$1" --paused --incoming defer
}

# cross FROM1 FROM2 ID: vm1 leaves FROM1, vm2 leaves FROM2, at the same time.
cross() {
	receiver "$2"
	vm2_receiver "$1"
	guest_undisturbed cross_now "$@"
}

cross_now() {
	agent "$1" vm move vm1 "host-$2" "--id=$3-1" >/dev/null
	agent "$2" vm move vm2 "host-$1" "--id=$3-2" >/dev/null
	wait_for -t 60 vm_move_ended "$1" "$3-1" >/dev/null
	wait_for -t 60 vm_move_ended "$2" "$3-2" >/dev/null
}

outcome() {
	agent "$1" vm show "$2" --json | json - '["outcome"]'
}

# number FILE FIELD OPERATOR NUMBER
number() {
	test "$(json "$LAB_DIR/$1.json" "[\"$2\"]")" "$3" "$4"
}

# More answers by N from here on, none broken so far.
client_lives() {
	local before
	before=$(json "$LAB_DIR/$1.json" '["answers"]')
	wait_for -t 30 number "$1" answers -ge $((before + $2)) && number "$1" broken -eq 0
}

# between HOST-OF-VM1: the same of vm1's own connections to vm2.
between_lives() {
	guest_run "vm1$1" 'cat /tmp/between.json' >"$LAB_DIR/between.json"
	local before
	before=$(json "$LAB_DIR/between.json" '["answers"]')
	wait_for -t 30 between_has "$1" $((before + 20)) && number between broken -eq 0
}

between_has() {
	guest_run "vm1$1" 'cat /tmp/between.json' >"$LAB_DIR/between.json" && number between answers -ge "$2"
}

all_live() {
	tcp_lives && client_lives tcp2 40 && between_lives "$1"
}

vm_start a
vm2 b
guest_run vm2b 'ip link set eth0 up; ip addr add 10.0.0.7/24 dev eth0
	tcpmany server 7000 --json /tmp/tcp.json >/tmp/tcp.log 2>&1 &'
tcp_start a 20
proc_start tcp2 -n p "$FERRY_BUILD/test/lab/guest/tcpmany" client 10.0.0.7 7000 --connections 20 --interval-ms 200 \
	--json "$LAB_DIR/tcp2.json"
# shellcheck disable=SC2016
guest_run vm1a 'tcpmany client 10.0.0.7 7000 --connections 10 --interval-ms 200 --json /tmp/between.json >/tmp/between.log 2>&1 &'
wait_for guest_run vm1a 'test -s /tmp/between.json'
check "20 connections to vm1 on host a, 20 to vm2 on host b, 10 from one to the other" all_live a

cross a b there
is "vm1 went to host b" "$(outcome a there-1)" moved
is "while vm2 went to host a" "$(outcome b there-2)" moved
check "host b owns vm1" role_is b owner
check "host a owns vm2" role_is a owner vm2
check "host a relays for vm1" role_is a moved
check "host b relays for vm2" role_is b moved vm2
check "every connection lives" all_live b

cross b a back
is "vm1 came back" "$(outcome b back-1)" moved
is "while vm2 did" "$(outcome a back-2)" moved
check "host a owns vm1" role_is a owner
check "host b owns vm2" role_is b owner vm2
check "every connection lives after that" all_live a

# ---- an operator who cannot wait ----
receiver b
agent a vm move vm1 host-b --id=impatient >/dev/null
check_not "a second move of vm1 at once is refused" agent a vm move vm1 host-b --id=again
check_not "so is one of the same name to another host" agent a vm move vm1 host-c --id=impatient
check_not "and one to a host that nobody knows" agent a vm move vm2 host-c
check "the first may be aborted" agent a vm abort impatient
check "and ends" wait_for -t 30 vm_move_ended a impatient
is "the VM stays" "$(outcome a impatient)" kept
check_not "late, an abort finds nothing to do" agent a vm abort impatient
receiver b
is "started again at once, it moves" "$(vm_move a b patient)" moved
check "every connection lives to the end" all_live b
lab_end
