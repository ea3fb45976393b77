#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# timeout: 200
#
# A VM comes up without a move: its host asks the last known owner. Nobody known: it serves at once. The
# owner's rings are down: it hands the sessions over. They are up: refused, alarm on both. It does not
# answer: served after claim_ms. And a host that offers less than the guest has agreed to gets no VM.
# Topology: two_hosts.sh.

# shellcheck disable=SC2317 # functions called through check and wait_for
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/two_hosts.sh"
lab_begin 24-claims

hosts_net
hosts_certificates
HOST_MIGRATE=", claim_ms: 1500" hosts_config
host_start a agent
host_start b agent

log_has() {
	grep -qE "$2" "$LAB_DIR/$1.log"
}

# ---- nobody known ----
vm_start a
check "first boot: host a serves at once" wait_for -t 5 role_is a owner
check "after a claim" log_has a 'vm1: owner after claim'
check "it is reached" ping_answers

# ---- the owner's rings are down ----
ns_run p ping -c 3 -i 0.2 10.0.0.5 >/dev/null
guest_stop vm1a
check "its VM is down, host a owns it still" role_is a owner
vm_start b
check "it appears on host b, which serves it" wait_for -t 10 role_is b owner
check "host a gave it" wait_for role_is a moved
check "with its sessions" test "$(ctl b vport show vm1 --json | json - '["sessions"]')" -ge 1
check "it is reached on host b" ping_answers

# ---- up ----
guest_start vm1a a --vhost-listen "$LAB_DIR/vm1a.sock" --mac 02:00:00:00:00:05 --nic-options "$vm_nic"
guest_run vm1a "$vm_up"
check "a second copy comes up on host a: not served" wait_for -t 10 role_is a fenced
check "host b goes on" role_is b owner
check "alarm on host a" wait_for log_has a ' err  .*vm1: fenced'
check "alarm on host b" wait_for log_has b ' err  .*vm1'
check "the VM on host b is reached" ping_answers
guest_stop vm1a
check "the copy is gone, host b owns it" role_is b owner

# ---- no answer ----
proc_kill b
proc_kill agent-b
guest_stop vm1b
vm_start a
began=${EPOCHREALTIME/./}
check "host b is dead: host a serves its VM" wait_for -t 15 role_is a owner
lab_note "after $(((${EPOCHREALTIME/./} - began) / 1000)) ms"
check "and says so" log_has a '(warn|err ) .*vm1'
check "it is reached on host a" ping_answers

# ---- C07: features ----
# Without MRG_RXBUF (bit 15).
HOST_PORT=", features: 0xd7c66000b" HOST_MIGRATE=", claim_ms: 1500" host_config b 192.0.2.2 a 192.0.2.1
rm -rf "$LAB_DIR/run-b"
host_start b agent
receiver b
is "C07 a host without a feature that the guest uses gets no VM" "$(vm_move a b features)" kept
check "C07 the reason names it" agent_reason_has a features mrg-rxbuf
check "C07 the VM runs on" vm_runs a
check "C07 and is reached" ping_answers
is "C07 it was refused before any session was sent" \
	"$(ctl a migrate report features --json | json - '["ports"]["vm1"]["sessions"]["bulk"]')" 0
lab_end
