#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# timeout: 180
#
# The main job: a Linux guest with 200 live TCP connections and a 1 kHz probe each way moves from host a to host b and
# back, behind default-deny security groups, while an outside machine that knows nothing of Ferry (a kernel
# VXLAN device) talks to it. Topology: two_hosts.sh.
#
# usage: demo_migrate.sh [--json FILE]
#   FILE gets {"moves": [report...], "tcp": {...}, "probe": {...}}
# Exit code 75: QEMU's emulation broke the guest, the run says nothing.

# shellcheck disable=SC2317 # functions called through check and wait_for
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/two_hosts.sh"
json_out=
[[ ${1-} == --json ]] && json_out=$2
connections=200
lab_begin demo_migrate
programs=$FERRY_BUILD/test/lab/guest

hosts_net
hosts_certificates
hosts_config
host_start a agent
host_start b agent
vm_start a
ok "a guest runs on host a, hosts a and b serve, a kernel VXLAN device is the world outside"

# ---- traffic ----
guest_run vm1a 'tcpmany server 7000 --json /tmp/tcp.json >/tmp/tcp.log 2>&1 &
	tcpmany server 7999 --json /tmp/denied.json >/tmp/denied.log 2>&1 &
	probe server 7001 --json /tmp/probe.json >/tmp/probe.log 2>&1 &'
wait_for guest_run vm1a 'test -s /tmp/tcp.json -a -s /tmp/probe.json'
proc_start tcp -n p "$programs/tcpmany" client 10.0.0.5 7000 --connections $connections \
	--interval-ms 300 --json "$LAB_DIR/tcp.json"
proc_start probe -n p "$programs/probe" client 10.0.0.5 7001 --seconds 120 --json "$LAB_DIR/probe.json"
tcp_is() {
	test "$(json "$LAB_DIR/tcp.json" "[\"$1\"]")" "$2" "$3"
}
check "$connections TCP connections are open and carry answers" wait_for -t 20 tcp_is answers -ge $((connections * 3))

denied_port_is_closed() {
	! ns_run p timeout 1 bash -c 'exec 3<>/dev/tcp/10.0.0.5/7999' 2>/dev/null
}
allowed_port_is_open() {
	ns_run p timeout 3 bash -c 'exec 3<>/dev/tcp/10.0.0.5/7000' 2>/dev/null
}
check "a new connection to a port that the groups deny is dropped" denied_port_is_closed

# ---- there and back ----
reports=()
outage() {
	json "$LAB_DIR/report-$id.json" "[\"ports\"][\"vm1\"][\"outage\"][\"$1\"]"
}
one_move() {
	local from=$1 to=$2 id=$3 before
	receiver "$to"
	is "the guest moves from host $from to host $to" "$(vm_move "$from" "$to" "$id")" moved
	before=$(json "$LAB_DIR/tcp.json" '["answers"]')
	check "its connections carry answers there" \
		wait_for -t 20 tcp_is answers -ge $((before + connections * 2))
	check "a port that the groups deny is closed there too" denied_port_is_closed
	check "an allowed one is open to new connections" allowed_port_is_open
	ctl "$from" migrate report "$id" | sed 's/^/  /'
	ctl "$from" migrate report "$id" --json >"$LAB_DIR/report-$id.json"
	agent "$from" vm show "$id" --json >"$LAB_DIR/vm-$id.json"
	lab_note "VM pause $(json "$LAB_DIR/vm-$id.json" '["pause_ms"]') ms by QEMU's word"
	lab_note "outage $(outage total_ms) ms by Ferry's, of which the VM's pause $(outage vm_pause_ms) ms, added $(outage added_ms) ms"
	reports+=("$LAB_DIR/report-$id.json")
}
one_move a b there
one_move b a back

# ---- the verdict ----
proc_signal probe INT || true
proc_wait probe 20 || true
proc_stop tcp || true
wait_for -t 10 guest_run vm1a 'grep -q "running.: false" /tmp/probe.json' >/dev/null || true
guest_run vm1a 'cat /tmp/probe.json' >"$LAB_DIR/guest-probe.json"
/usr/bin/python3 - "$LAB_DIR" "$json_out" "${reports[@]}" <<'PY' >"$LAB_DIR/verdict.txt"
import json, sys
lab, out, reports = sys.argv[1], sys.argv[2], sys.argv[3:]
load = lambda name: json.load(open(f"{lab}/{name}.json"))
tcp, here, there = load("tcp"), load("probe"), load("guest-probe")
both = lambda key: here.get(key, 0) + there.get(key, 0)
probe = {key: both(key) for key in ("sent", "lost", "duplicated", "reordered")}
probe["longest_gap_ms"] = max(here.get("longest_gap_ms", 0), there.get("longest_gap_ms", 0))
result = {"moves": [json.load(open(r)) for r in reports],
          "tcp": {"connections": tcp["opened"], "broken": tcp["broken"]}, "probe": probe}
if out:
    json.dump(result, open(out, "w"), indent=1)
print(f"connections {tcp['opened']}, broken {tcp['broken']}; probe sent {probe['sent']}, lost {probe['lost']}, "
      f"duplicated {probe['duplicated']}, reordered {probe['reordered']}, longest gap {probe['longest_gap_ms']:.1f} ms")
PY
cat "$LAB_DIR/verdict.txt"
if ! grep -q ' lost 0,' "$LAB_DIR/verdict.txt"; then
	hosts_counters vm1a
fi
is "connections broken" "$(json "$LAB_DIR/tcp.json" '["broken"]')" 0
is "probe packets lost" "$(sed 's/.*lost \([0-9]*\).*/\1/' "$LAB_DIR/verdict.txt")" 0
is "probe packets duplicated" "$(sed 's/.*duplicated \([0-9]*\).*/\1/' "$LAB_DIR/verdict.txt")" 0
ferryd_stop a || true
ferryd_stop b || true
lab_end
