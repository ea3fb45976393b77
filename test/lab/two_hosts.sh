# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The stage of every move in the lab: hosts a and b, each with ferryd (and, asked for, ferry-vmagent), and a plain
# kernel VXLAN device p, on one underlay. Sourced after lib.sh and lab_begin.
#
#	 host a: ferryd 192.0.2.1 ---+
#	 host b: ferryd 192.0.2.2 ---+--- bridge (namespace net) --- p: vx0 10.0.0.9 fd00::9, VTEP 192.0.2.3
#
#	 host a: mg0 198.51.100.1 ------ mg0 198.51.100.2 :host b
#
# up0 carries the VMs' traffic; moves, sessions and memory, go over the management network mg0.
# VM vm1 is 10.0.0.5 and fd00::5, its vhost-user socket at host x is $LAB_DIR/vm1x.sock.

# Rings of 1024: a guest under emulation on a busy machine may not run for some hundred milliseconds.
vm_nic=rx_queue_size=1024,tx_queue_size=1024
vm_devices=() # more options of guest_start, for the VM wherever it is
vm_up='echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad; ip link set eth0 up
	ip addr add 10.0.0.5/24 dev eth0; ip addr add fd00::5/64 dev eth0'

hosts_net() {
	ns_add net a b p
	ip -n "$LAB_ID-net" link add br0 type bridge
	ip -n "$LAB_ID-net" link set br0 mtu 1600 up
	local x n=1
	for x in a b p; do
		veth_add net "to-$x" "$x" up0 1600
		ip -n "$LAB_ID-net" link set "to-$x" master br0
		addr_add "$x" up0 "192.0.2.$n/24"
		n=$((n + 1))
	done
	# Large segments and all: the kernel's own traffic.
	ip link add mg0 netns "$LAB_ID-a" type veth peer name mg0 netns "$LAB_ID-b"
	for x in a b; do
		ip -n "$LAB_ID-$x" link set mg0 up
	done
	addr_add a mg0 198.51.100.1/24
	addr_add b mg0 198.51.100.2/24
	peer_add p vx0 100 192.0.2.3 192.0.2.1
	ip -n "$LAB_ID-p" link set vx0 address 02:00:00:00:00:09
	addr_add p vx0 10.0.0.9/24 fd00::9/64
	# Where unknown and broadcast frames go: both hosts.
	ns_run p bridge fdb append 00:00:00:00:00:00 dev vx0 dst 192.0.2.2
}

hosts_certificates() {
	local x
	"$LAB_SOURCE/../../scripts/test-ca" "$LAB_DIR/tls" host-a host-b >"$LAB_DIR/ca.log" 2>&1 ||
		{ cat "$LAB_DIR/ca.log"; return 1; }
}

# Settings for host_config: HOST_RULES, rules of group web; HOST_PORT, more of vm1's port (", features: ..."); HOST_VPORTS, more
# vports; HOST_MIGRATE and HOST_ENGINE, more of those sections (", claim_ms: 500").
#
# host_config ME ADDRESS OTHER ITS-ADDRESS [more yaml]: $LAB_DIR/ME.yaml
host_config() {
	local mine=198.51.100.${2##*.} theirs=198.51.100.${4##*.}
	local rules=${HOST_RULES:-'{direction: ingress, protocol: icmp, action: allow}, {direction: ingress, protocol: tcp, ports: 7000, action: allow}, {direction: ingress, protocol: udp, ports: 7001, action: allow}'}
	cat >"$LAB_DIR/$1.yaml" <<-YAML
	host: {name: host-$1, run_dir: $LAB_DIR/run-$1, control: {socket: $LAB_DIR/$1.ctl}}
	dpdk: {no_huge: true, memory_mb: 256, file_prefix: $LAB_ID-$1}
	engine: {workers: 1, sessions: 20000, mbufs: 8192${HOST_ENGINE-}}
	uplink: {interface: up0, ips: [$2/24], mtu: 1600}
	tls: {ca: $LAB_DIR/tls/ca.pem, cert: $LAB_DIR/tls/host-$1.pem, key: $LAB_DIR/tls/host-$1.key}
	migrate: {listen: "$mine:6790"${HOST_MIGRATE-}}
	peers:
	  - {name: host-$3, vteps: [$4], address: "$theirs:6790", vmagent: "$theirs:6791"}
	  - {name: p, vteps: [192.0.2.3]}
	vpcs:
	  - {name: blue, vni: 100, subnets: [10.0.0.0/24, "fd00::/64"], gateway_ips: [10.0.0.1, "fd00::1"], gateway_mac: "02:00:00:00:00:fe"}
	groups:
	  - {name: web, rules: [$rules]}
	vports:
	  - name: vm1
	    uuid: 6ba7b810-9dad-11d1-80b4-00c04fd430c8
	    vm: vm1
	    vpc: blue
	    mac: "02:00:00:00:00:05"
	    ips: [10.0.0.5, "fd00::5"]
	    port: {path: $LAB_DIR/vm1$1.sock${HOST_PORT-}}
	    groups: [web]
	${HOST_VPORTS-}
	locations:
	  - {vpc: blue, ip: 10.0.0.9, vtep: 192.0.2.3, mac: "02:00:00:00:00:09"}
	  - {vpc: blue, ip: "fd00::9", vtep: 192.0.2.3, mac: "02:00:00:00:00:09"}
	vmagent:
	  socket: $LAB_DIR/$1.agent-ctl
	  listen: "$mine:6791"
	  qmp: "$LAB_DIR/{vm}$1.agent"
	YAML
	printf '%s\n' "${@:5}" >>"$LAB_DIR/$1.yaml"
}

hosts_config() {
	host_config a 192.0.2.1 b 192.0.2.2
	host_config b 192.0.2.2 a 192.0.2.1
}

# host_start X [agent]: ferryd, and with "agent" ferry-vmagent
host_start() {
	ferryd_start "$1" "$1" "$LAB_DIR/$1.yaml" --plugin-dir "$FERRY_BUILD/plugins" >/dev/null || return 1
	[[ ${2-} != agent ]] && return
	vmagent_start "agent-$1" "$1" "$LAB_DIR/$1.yaml" --state-dir "$LAB_DIR/state-$1"
	wait_for -t 10 agent "$1" version >/dev/null
}

# agent X WORD...: ferryctl to the agent of host X
agent() {
	"$FERRY_BUILD/ctrl/client/ferryctl" --socket "$LAB_DIR/$1.agent-ctl" "${@:2}"
}

# A QEMU at host X that waits for the VM.
receiver() {
	proc_alive "vm1$1" && guest_stop "vm1$1"
	guest_start "vm1$1" "$1" --vhost-listen "$LAB_DIR/vm1$1.sock" --mac 02:00:00:00:00:05 --nic-options "$vm_nic" \
		"${vm_devices[@]}" --paused --incoming defer
}

# The VM at host X, up and addressed.
vm_start() {
	guest_start "vm1$1" "$1" --vhost-listen "$LAB_DIR/vm1$1.sock" --mac 02:00:00:00:00:05 --nic-options "$vm_nic" \
		"${vm_devices[@]}"
	guest_run "vm1$1" "$vm_up"
}

# vm_move FROM TO ID [option...]: by the agents; prints the outcome.
vm_move() {
	guest_undisturbed vm_move_now "$@"
}

vm_move_now() {
	agent "$1" vm move vm1 "host-$2" "--id=$3" "${@:4}" >/dev/null || return 1
	wait_for -t 60 vm_move_ended "$1" "$3" >/dev/null
	agent "$1" vm show "$3" --json | json - '["outcome"]'
}

vm_move_ended() {
	[[ $(agent "$1" vm show "$2" --json | json - '["outcome"]') != "under way" ]]
}

# hosts_counters VM: where packets may have been lost on their way, hop by hop, as notes.
hosts_counters() {
	local x
	for x in net a b p; do
		# shellcheck disable=SC2016 # awk's
		ns_run "$x" awk -v ns="$x" 'NR > 2 && ($5 || $13 || $4 || $12) {
			print "# " ns " " $1 " rx dropped " $5 ", tx dropped " $13 }' /proc/net/dev
	done
	for x in a b; do
		ctl "$x" stats | awk -v host="$x" '/^ *(uplink|local|vm[0-9]*):/ { port = $1 }
			/missed|dropped|parked/ && $2 { print "# host " host " " port " " $1 " " $2 }'
		ctl "$x" drop show | sed "s/^/# host $x: /"
	done
	guest_run "$1" 'cat /proc/net/dev | grep eth0; grep ^Udp: /proc/net/snmp; cat /proc/net/softnet_stat' |
		sed 's/^/# guest: /'
}

# ---- moves by others than the agents ----

# sessions_start FROM TO ID [MODE]: the sessions follow the VM's rings (or commands); waits until ready.
sessions_start() {
	ctl "$1" migrate start vm1 "host-$2" "--id=$3" "--mode=${4:-rings}" >/dev/null
	wait_for -t 20 move_is "$1" "$3" ready
}

# move_is X ID PHASE: what ferryd at X says.
move_is() {
	[[ $(ctl "$1" migrate show "$2" --json | json - '["phase"]') == "$3" ]]
}

# qemu_migrate FROM TO: QEMU moves the VM as libvirt has it done: D waits stopped, `cont` follows S's "completed".
qemu_migrate() {
	guest_undisturbed qemu_migrate_now "$@"
}

qemu_migrate_now() {
	local path=$LAB_DIR/migrate-$1$2
	rm -f "$path"
	guest_qmp "vm1$2" migrate-incoming "{\"uri\": \"unix:$path\"}" >/dev/null
	guest_qmp "vm1$1" migrate-set-capabilities '{"capabilities": [{"capability": "return-path", "state": true}]}' >/dev/null
	guest_qmp "vm1$1" migrate "{\"uri\": \"unix:$path\"}" >/dev/null
	wait_for -t 60 qemu_completed "$1"
	guest_qmp "vm1$2" cont >/dev/null
}

qemu_completed() {
	[[ $(guest_qmp "vm1$1" query-migrate | json - '["status"]') == completed ]]
}

# role_is X ROLE [VPORT]
role_is() {
	[[ $(ctl "$1" vport show "${3:-vm1}" --json | json - '["role"]') == "$2" ]]
}

# vm_runs X: QEMU at X runs the VM.
vm_runs() {
	proc_alive "vm1$1" && [[ $(guest_qmp "vm1$1" query-status | json - '["running"]') == true ]]
}

# ---- connections through all of it ----

# tcp_start X N: N connections from p to port 7000 of the VM at host X.
tcp_start() {
	# shellcheck disable=SC2016
	guest_run "vm1$1" 'tcpmany server 7000 --json /tmp/tcp.json >/tmp/tcp.log 2>&1 &'
	wait_for guest_run "vm1$1" 'test -s /tmp/tcp.json'
	proc_start tcp -n p "$FERRY_BUILD/test/lab/guest/tcpmany" client 10.0.0.5 7000 \
		--connections "$2" --interval-ms 200 --json "$LAB_DIR/tcp.json"
	wait_for -t 30 tcp_number answers -ge "$2"
}

# tcp_number FIELD OPERATOR NUMBER: of the client's report.
tcp_number() {
	test "$(json "$LAB_DIR/tcp.json" "[\"$1\"]")" "$2" "$3"
}

# tcp_lives: every connection carries answers from here on, none has been lost so far.
tcp_lives() {
	local n before
	n=$(json "$LAB_DIR/tcp.json" '["opened"]')
	before=$(json "$LAB_DIR/tcp.json" '["answers"]')
	wait_for -t 30 tcp_number answers -ge $((before + n * 2)) && tcp_number broken -eq 0
}

# ping_answers: the VM is reached from outside, wherever it is.
ping_answers() {
	wait_for -t "${1:-15}" ns_run p ping -c 1 -W 1 10.0.0.5
}

# agent_reason_has X ID TEXT
agent_reason_has() {
	[[ $(agent "$1" vm show "$2" --json | json - '["reason"]') == *"$3"* ]]
}
