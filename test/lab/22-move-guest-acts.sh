#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# timeout: 240
#
# What a guest, or who manages it, does while the sessions are ready and the memory is not: its rings go
# down and up, and none of that is a move. Then the ends of a copy: no downtime allowed, a final pass that
# stalls, a return path that is lost. Topology: two_hosts.sh.

# shellcheck disable=SC2317 # functions called through check and wait_for
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/two_hosts.sh"
lab_begin 22-move-guest-acts

hosts_net
hosts_certificates
HOST_MIGRATE=", pause_max_ms: 4000" hosts_config
host_start a agent
host_start b agent
vm_start a
tcp_start a 30
receiver b
check "the sessions follow a VM on host a" sessions_start a b acts

# ---- rings that go and come ----
guest_qmp vm1a stop >/dev/null
check "stopped, it is frozen" wait_for role_is a frozen
check "host b has all of it, and does not run it" wait_for move_is b acts verified
check "and is passive" role_is b passive
guest_qmp vm1a cont >/dev/null
check "continued, host a owns it again" wait_for role_is a owner
check "the move is ready again" wait_for move_is a acts ready
check "every connection lives" tcp_lives
guest_qmp vm1a set_link '{"name": "net0", "up": false}' >/dev/null
check "unplugged, it is frozen" wait_for role_is a frozen
guest_qmp vm1a set_link '{"name": "net0", "up": true}' >/dev/null
check "plugged in again, host a owns it" wait_for role_is a owner
check "the move is ready once more" wait_for move_is a acts ready
check "every connection lives after that" tcp_lives
check "QEMU moves it after all of this" qemu_migrate a b
check "the move is committed" wait_for move_is a acts committed
check "every connection lives on host b" tcp_lives
guest_stop vm1a

# ---- no downtime allowed ----
receiver a
is "an idle guest moves with a downtime limit of 0" "$(vm_move b a none --downtime-limit=0)" moved
check "every connection lives" tcp_lives
receiver b
is "and with one of 1 ms" "$(vm_move a b one --downtime-limit=1)" moved
check "every connection lives" tcp_lives

# ---- the final pass stalls; its return path is lost ----
# 96 MiB written over and over, and half a minute of downtime allowed: the final pass takes a while.
guest_run vm1b 'memstress --mib 96 --rate-mib 400 --json /tmp/stress.json >/tmp/stress.log 2>&1 &'
wait_for guest_run vm1b 'test -s /tmp/stress.json'
in_final_pass() {
	[[ $(agent b vm show "$1" --json | json - '["step"]') =~ ^(gate|finish)$ ]]
}
final_pass() {
	receiver a
	agent b vm move vm1 host-a "--id=$1" --downtime-limit=30000 >/dev/null
	until in_final_pass "$1"; do
		! vm_move_ended b "$1" || return 1
	done
}
check "a final pass begins" final_pass stall
proc_signal agent-a STOP
check "stalled, it ends" wait_for -t 30 vm_move_ended b stall
is "the VM stays" "$(agent b vm show stall --json | json - '["outcome"]')" kept
proc_signal agent-a CONT
check "it runs on host b" wait_for vm_runs b
check "every connection lives" tcp_lives
check "host b owns it" role_is b owner
check "host a runs nothing" wait_for -t 20 proc_gone vm1a

check "another final pass begins" final_pass lost
proc_kill agent-a
check "its way back is cut, it ends" wait_for -t 30 vm_move_ended b lost
is "the VM stays" "$(agent b vm show lost --json | json - '["outcome"]')" kept
vmagent_start agent-a a "$LAB_DIR/a.yaml" --state-dir "$LAB_DIR/state-a"
check "it runs on host b" wait_for vm_runs b
check "every connection lives" tcp_lives
check "host a runs nothing" wait_for -t 20 proc_gone vm1a

# ---- reboot ----
guest_run vm1b 'killall memstress' || true
wait_for guest_run vm1b 'grep -q wrong_pages...0 /tmp/stress.json'
receiver a
check "the sessions follow it again" sessions_start b a reboot
guest_qmp vm1b system_reset >/dev/null
check "while it boots, its rings are down and it is frozen" wait_for -t 30 role_is b frozen
check "it boots" guest_ready vm1b 90
guest_run vm1b "$vm_up"
check "and host b owns it again" wait_for -t 20 role_is b owner
check "it is reached" ping_answers
check "the move is ready" wait_for -t 20 move_is b reboot ready
check "and may be aborted" ctl b migrate abort reboot
check "host b owns it after that" role_is b owner
check "host a is as if nothing had been" wait_for role_is a moved
lab_end
