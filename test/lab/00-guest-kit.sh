#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# timeout: 240
#
# The lab's own tools, before anything of Ferry leans on them: a real guest boots, is told what to
# do, speaks to a peer through vhost-user, reboots and moves to another QEMU.
#
#	 guest vm1 --vhost-user-- testpmd (io) --af_packet-- sw0 | sw1     namespaces: host | peer
#	 10.0.0.5                                                | 10.0.0.9
#	 fd00::5                                                 | fd00::9

. "$(dirname "$0")/lib.sh"
lab_begin 00-guest-kit
lab_need dpdk-testpmd iperf3

ns_add host peer
veth_add host sw0 peer sw1
addr_add peer sw1 10.0.0.9/24 fd00::9/64

proc_start testpmd -n host dpdk-testpmd --no-huge --no-shconf -m 256 --no-pci --no-telemetry \
	--file-prefix="$LAB_ID" -l 0,1 --vdev "net_vhost0,iface=$LAB_DIR/vm1.sock,queues=1" \
	--vdev net_af_packet0,iface=sw0 -- --forward-mode=io --auto-start --total-num-mbufs=8192 \
	--stats-period=3600
wait_for -t 20 test -S "$LAB_DIR/vm1.sock"

# testpmd finishes no checksums: the NIC offers none.
nic=csum=off,guest_csum=off,gso=off,guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off
start_us=${EPOCHREALTIME/./}
guest_start vm1 host --vhost "$LAB_DIR/vm1.sock" --mac 02:00:00:00:00:05 --nic-options "$nic"
ok "a guest boots to the answer of its first command"
lab_note "boot took $(((${EPOCHREALTIME/./} - start_us) / 1000)) ms"

# ---- commands in the guest ----
is "output comes back as it was" "$(guest_run vm1 'printf "a b\n\tc\n"')" $'a b\n\tc'
rc=0 && guest_run vm1 'exit 7' || rc=$?
is "so does the exit code" "$rc" 7
is "errors are part of the output" "$(guest_run vm1 'ls /none' || true)" \
	"ls: /none: No such file or directory"
is "a large answer comes whole" "$(guest_run vm1 'seq 20000' | md5sum)" "$(seq 20000 | md5sum)"
is "a large command arrives whole" "$(guest_run vm1 "echo $(seq -s, 3000) | wc -c")" \
	"$(seq -s, 3000 | wc -c)"
rc=0 && guest_run vm1 -t 2 'sleep 60' 2>/dev/null || rc=$?
is "a command that hangs is given up" "$rc" 124
is "and the guest serves the next one" "$(guest_run vm1 'echo alive')" alive

# ---- traffic ----
up='echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad; ip link set eth0 up
	ip addr add 10.0.0.5/24 dev eth0; ip addr add fd00::5/64 dev eth0'
check "the NIC is there" guest_run vm1 "$up"
check "ping over IPv4" ns_run peer ping -c 3 -i 0.2 -W 2 10.0.0.5
check "ping over IPv6" ns_run peer ping -c 3 -i 0.2 -W 2 fd00::5

guest_run vm1 'tcpmany server 7000 --json /tmp/tcp.json >/tmp/tcp.log 2>&1 &
	probe server 7001 --json /tmp/probe.json >/tmp/probe.log 2>&1 &'
wait_for guest_run vm1 'test -s /tmp/tcp.json -a -s /tmp/probe.json'
programs=$FERRY_BUILD/test/lab/guest
proc_start tcp -n peer "$programs/tcpmany" client 10.0.0.5 7000 --connections 50 \
	--interval-ms 200 --json "$LAB_DIR/tcp.json"
proc_start probe -n peer "$programs/probe" client fd00::5 7001 --seconds 3 \
	--json "$LAB_DIR/probe.json"
check "the probe comes to its end" proc_wait probe 20
check "the connections end" proc_stop tcp
is "50 connections opened" "$(json "$LAB_DIR/tcp.json" '["opened"]')" 50
is "none broke" "$(json "$LAB_DIR/tcp.json" '["broken"]')" 0
check_number "each carried answers" "$(json "$LAB_DIR/tcp.json" '["answers"]')" -ge 250
check_number "the guest's probe was sent at its rate" "$(json "$LAB_DIR/probe.json" '["sent"]')" -ge 2500
is "the probe lost nothing towards the peer" "$(json "$LAB_DIR/probe.json" '["lost"]')" 0
wait_for guest_run vm1 'grep -q "running.: false" /tmp/probe.json'
guest_run vm1 'cat /tmp/probe.json' >"$LAB_DIR/guest-probe.json"
is "nor towards the guest" "$(json "$LAB_DIR/guest-probe.json" '["lost"]')" 0
check_number "the peer's was sent at its rate" "$(json "$LAB_DIR/guest-probe.json" '["sent"]')" -ge 2900
lab_note "$(cat "$LAB_DIR/probe.json")"

check "memstress dirties what it was told to" guest_run vm1 \
	'memstress --mib 32 --rate-mib 16 --seconds 2 --json /tmp/m.json && cat /tmp/m.json >&2 &&
	grep -Eq "dirtied_mib.: (2[89]|3[0-4])," /tmp/m.json'

# ---- reboot ----
guest_run vm1 'echo mark >/tmp/mark; (sleep 0.2; reboot -f) >/dev/null 2>&1 &'
rebooted() {
	guest_run vm1 -t 5 'test ! -e /tmp/mark'
}
check "the guest reboots" wait_for -t 30 rebooted
guest_run vm1 "$up"
check "and is reached again" ns_run peer ping -c 3 -i 0.2 -W 2 10.0.0.5

# ---- to another QEMU and on ----
guest_run vm1 'echo moved >/tmp/mark'
guest_start vm2 host --tap tap0 --mac 02:00:00:00:00:05 --nic-options "$nic" \
	--incoming "unix:$LAB_DIR/move.sock"
wait_for test -S "$LAB_DIR/move.sock"
guest_qmp vm1 migrate "{\"uri\": \"unix:$LAB_DIR/move.sock\"}" >/dev/null
completed() {
	[[ $(guest_qmp vm1 query-migrate | json - '["status"]') == completed ]]
}
check "a guest moves to another QEMU" wait_for -t 30 completed
check "it answers there" wait_for -t 60 guest_run vm2 -t 10 true
is "its memory came with it" "$(guest_run vm2 'cat /tmp/mark')" moved
guest_stop vm1
check "killing a guest is clean" proc_kill vm2
