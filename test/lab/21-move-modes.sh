#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# timeout: 240
#
# One VM, every way to move it: by the agents, by QEMU alone with the sessions following its rings (as
# under libvirt), again when nobody waited for the sessions, there and back and there; a port without a
# VMM by explicit commands; a VM in firmware, which has no rings, by the agents. Topology: two_hosts.sh,
# and vport box, a tap of the host: 10.0.0.6.

# shellcheck disable=SC2317 # functions called through check and wait_for
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/two_hosts.sh"
lab_begin 21-move-modes

hosts_net
hosts_certificates
box() {
	cat <<-END
	  - name: box
	    uuid: 6ba7b811-9dad-11d1-80b4-00c04fd430c8
	    vm: box
	    vpc: blue
	    mac: "02:00:00:00:00:06"
	    ips: [10.0.0.6]
	    port: {device: "net_tap0,iface=box0,mac=02:00:00:00:00:06", paused: $1}
	    groups: [web]
	END
}
HOST_VPORTS=$(box false) host_config a 192.0.2.1 b 192.0.2.2
HOST_VPORTS=$(box true) host_config b 192.0.2.2 a 192.0.2.1
host_start a agent
host_start b agent
for x in a b; do
	addr_add "$x" box0 10.0.0.6/24
	link_plain "$x" box0
	ip -n "$LAB_ID-$x" link set box0 up
done
vm_start a
tcp_start a 50
ok "50 connections to a VM on host a"

# ---- by the agents ----
receiver b
is "the agents move it to host b" "$(vm_move a b by-agents)" moved
check "every connection lives" tcp_lives
check "host b owns it" role_is b owner
check "host a relays" role_is a moved

# ---- followed by its rings ----
receiver a
check "host b follows its rings" sessions_start b a by-rings
check "QEMU moves it back" qemu_migrate b a
check "the move is committed" wait_for move_is b by-rings committed
check "every connection lives after that" tcp_lives
check "host a owns it" role_is a owner
guest_stop vm1b

receiver b
check "sessions and memory start at once" \
	ctl a migrate start vm1 host-b --id=unready --mode=rings
check "QEMU waits for nobody" qemu_migrate a b
check "the move is committed all the same" wait_for move_is a unready committed
check "every connection lives after that too" tcp_lives
guest_stop vm1a

# ---- back and there once more ----
receiver a
is "the agents move it back" "$(vm_move b a back)" moved
check "every connection lives on host a" tcp_lives
receiver b
is "and there again" "$(vm_move a b again)" moved
check "every connection lives on host b" tcp_lives
check_number "none was ever broken" "$(json "$LAB_DIR/tcp.json" '["broken"]')" -eq 0
proc_stop tcp || true
guest_stop vm1b

# ---- by commands ----
check "the box on host a answers" wait_for -t 15 ns_run p ping -c 1 -W 1 10.0.0.6
ctl a migrate start box host-b --id=by-hand --mode=explicit >/dev/null
check "its sessions are ready on host b" wait_for -t 20 move_is a by-hand ready
ctl a vport pause box
check "paused on host a it is frozen there" role_is a frozen box
check "host b has all of it" wait_for -t 10 move_is b by-hand verified
ctl b vport resume box
check "host a heard that it runs on host b" wait_for -t 10 move_is a by-hand committed
check "host b owns it" role_is b owner box
check "host a relays for it" role_is a moved box
check "it answers from host b" wait_for -t 15 ns_run p ping -c 1 -W 1 10.0.0.6

# ---- in firmware ----
guest_start vm1b b --vhost-listen "$LAB_DIR/vm1b.sock" --mac 02:00:00:00:00:05 --nic-options "$vm_nic" \
	--no-wait -- -boot menu=on,splash-time=12000
wait_for vm_runs b
receiver a
is "a VM that is still in its firmware moves" "$(vm_move b a firmware)" moved
check "host a owns it, without any ring" wait_for role_is a owner
check "it boots there" guest_ready vm1a 90
guest_run vm1a "$vm_up"
check "and is reached there" ping_answers 20
check "ferryd a ends when asked" ferryd_stop a
check "ferryd b ends when asked" ferryd_stop b
lab_end
