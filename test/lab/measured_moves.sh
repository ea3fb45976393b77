#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Moves of a real guest, measured: run by scripts/bench migrate. A VM with 100 connections and a 1 kHz probe each way
# goes back and forth, idle, dirtying memory, reading its disk. Topology: two_hosts.sh.
#
# usage: measured_moves.sh LOAD MOVES DIRTY-MIB RATE-MIB-PER-S
#   LOAD: idle, memory or disk; a line of JSON each: {"load", "vm": the agents' report, "move": ferryd's, "probe", "broken"}

# shellcheck disable=SC2317 # functions called through check and wait_for
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/two_hosts.sh"
load=$1 moves=$2 dirty_mib=$3 rate_mib=$4
lab_begin measured_moves
programs=$FERRY_BUILD/test/lab/guest
vm_devices=(--disk 1024)

hosts_net
hosts_certificates
hosts_config
host_start a agent
host_start b agent
vm_start a
tcp_start a 100
S=a D=b

load_start() {
	case $1 in
	memory) guest_run "vm1$S" "memstress --mib $dirty_mib --rate-mib $rate_mib --json /tmp/stress.json >/tmp/stress.log 2>&1 &"
		wait_for guest_run "vm1$S" 'test -s /tmp/stress.json' ;;
	disk) guest_run "vm1$S" 'while :; do dd if=/dev/vda of=/dev/null bs=64k 2>/dev/null; done >/dev/null 2>&1 &' ;;
	esac
}

# The probe of one move, in both directions.
probe_start() {
	guest_run "vm1$S" 'rm -f /tmp/probe.json; probe server 7001 --json /tmp/probe.json >/tmp/probe.log 2>&1 &'
	wait_for guest_run "vm1$S" 'test -s /tmp/probe.json'
	proc_start probe -n p "$programs/probe" client 10.0.0.5 7001 --seconds 60 --json "$LAB_DIR/probe.json"
	wait_for test -s "$LAB_DIR/probe.json"
}

probe_stop() {
	proc_signal probe INT || true
	proc_wait probe 20 >/dev/null || true
	guest_run "vm1$S" 'cat /tmp/probe.json' >"$LAB_DIR/guest-probe.json"
}

measured() {
	local id=$load-$1 x
	receiver "$D"
	probe_start
	if [[ $(vm_move "$S" "$D" "$id") != moved ]]; then
		not_ok "$id: $(agent "$S" vm show "$id" --json)"
		return 1
	fi
	agent "$S" vm show "$id" --json >"$LAB_DIR/vm.json"
	ctl "$S" migrate report "$id" --json >"$LAB_DIR/move.json"
	x=$S S=$D D=$x
	wait_for -t 20 ns_run p ping -c 1 -W 1 10.0.0.5 >/dev/null
	probe_stop
	/usr/bin/python3 - "$LAB_DIR" "$load" <<-'PY'
		import json, sys
		load = lambda name: json.load(open(f"{sys.argv[1]}/{name}.json"))
		print(json.dumps({"load": sys.argv[2], "vm": load("vm"), "move": load("move"),
		                  "probe": [load("probe"), load("guest-probe")], "broken": load("tcp")["broken"]}))
	PY
}

load_start "$load"
for ((i = 0; i < moves; i++)); do
	measured "$i"
done
