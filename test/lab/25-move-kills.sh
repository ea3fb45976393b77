#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# timeout: 300
#
# kill -9 of each process of a move, in each of its steps. What is expected stands in the table below
# before anything is run; after each strike the VM runs in that one place and no other, one host owns it,
# it is reached from outside, and its connections live. What died is started again,
# and the next strike meets the same hosts. Topology: two_hosts.sh.

# shellcheck disable=SC2317 # functions called through check and wait_for
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/two_hosts.sh"
lab_begin 25-move-kills

# Step:    sessions  D's QEMU waits, the sessions are on their way (D's ferryd stands still meanwhile)
#          copy      memory is on its way, slowly
#          final     the VM stands at S, the sessions are verified at D, its last memory is on its way
#          done      the VM runs at D
# Expected: kept     it stays at S, running
#          moved     it runs at D
#          either    QEMU at S may give the memory up when the switch goes from beneath it: whole, where the
#                    agent says
#          unknown   not played: QEMU 7.2 tells a switch that comes back after the load the features of before it, and
#                    the guest's headers have another length than the switch then believes
# A ferryd that died comes back, finds its roles in its store, and the move goes on (but a first connection is
# tried once). The sessions that ferryd S alone knew died with it: what D has, and pickup, let their connections
# live. An agent's move ends with it, unless the VM was given. Moments between these are in the unit tests, where
# every call of both agents fails in turn; QEMU's own death is in 20-vmagent-move.
expected='
sessions ferryd-S moved
sessions ferryd-D kept
sessions agent-S  kept
sessions agent-D  kept
copy     ferryd-S either
copy     ferryd-D moved
copy     agent-S  kept
copy     agent-D  kept
final    ferryd-S either
final    ferryd-D unknown
final    agent-S  kept
final    agent-D  kept
done     ferryd-S moved
done     ferryd-D moved
done     agent-S  moved
done     agent-D  moved'

hosts_net
hosts_certificates
HOST_ENGINE=", pickup: true" HOST_MIGRATE=", connect_ms: 1500, claim_ms: 1000" hosts_config
for x in a b; do
	echo "  bandwidth_mbit: 400" >>"$LAB_DIR/$x.yaml" # of vmagent, the last section
	host_start "$x" agent
done
S=a D=b

boot() {
	proc_alive "vm1$1" && guest_stop "vm1$1"
	vm_start "$1"
	proc_alive tcp && { proc_stop tcp || true; }
	tcp_start "$1" 20
}

step_is() {
	[[ $(agent "$S" vm show "$1" --json | json - '["step"]') =~ ^($2)$ ]]
}

# reach STEP ID: starts the move and goes on until it is there.
reach() {
	local limit_ms=300
	[[ $1 != final ]] || limit_ms=30000
	receiver "$D"
	[[ $1 != sessions ]] || proc_signal "$D" STOP
	guest_run "vm1$S" 'killall memstress 2>/dev/null' || true
	# Half a minute of downtime is allowed to a guest that writes faster than the cap: its last pass takes a while.
	[[ $1 != final ]] ||
		guest_run "vm1$S" 'memstress --mib 96 --rate-mib 400 --json /tmp/stress.json >/tmp/stress.log 2>&1 &'
	agent "$S" vm move vm1 "host-$D" "--id=$2" "--downtime-limit=$limit_ms" >/dev/null
	case $1 in
	final) until step_is "$2" 'gate|finish'; do ! vm_move_ended "$S" "$2" || return 1; done ;;
	"done") wait_for -t 60 vm_move_ended "$S" "$2" ;;
	*) wait_for -t 20 step_is "$2" "$1" ;;
	esac
}

# strike PROCESS STEP
strike() {
	local x=$S
	[[ $1 == *-S ]] || x=$D
	case $1 in
	ferryd-*) proc_kill "$x" ;;
	agent-*) proc_kill "agent-$x" ;;
	esac
	[[ $2 != sessions ]] || ! proc_alive "$D" || proc_signal "$D" CONT
	case $1 in
	ferryd-*) host_start "$x" ;;
	agent-*) agent_start "$x" ;;
	esac
}

agent_start() {
	vmagent_start "agent-$1" "$1" "$LAB_DIR/$1.yaml" --state-dir "$LAB_DIR/state-$1"
	wait_for -t 10 agent "$1" version >/dev/null
}

# so WHAT COMMAND...: a part of the verdict.
so() {
	local what=$1
	shift
	"$@" && return
	echo "not so: $what"
	return 1
}

lab_not() {
	! "$@"
}

# The VM lives at $1, and nowhere else.
lives_at() {
	local other=a
	[[ $1 == b ]] || other=b
	so "it runs on host $1" wait_for -t 20 vm_runs "$1" &&
		so "it does not run on host $other" lab_not vm_runs "$other" &&
		so "host $1 owns it" wait_for -t 20 role_is "$1" owner &&
		so "host $other does not" lab_not role_is "$other" owner &&
		so "it is reached" ping_answers 20
}

# verdict EXPECTED ID
verdict() {
	local at=$S said=$1
	[[ $said != either ]] || said="moved|kept"
	so "the agent tells of its end" wait_for -t 40 vm_move_ended "$S" "$2" &&
		so "the agent says $said" outcome_is "$2" "$said" || return 1
	! outcome_is "$2" moved || at=$D
	lives_at "$at" && so "its connections live" tcp_lives
}

outcome_is() {
	[[ $(agent "$S" vm show "$1" --json | json - '["outcome"]') =~ ^($2)$ ]]
}

# Where the VM lives now is S of the next move.
sides() {
	local x=$S
	if vm_runs "$D"; then
		S=$D D=$x
	elif ! vm_runs "$S"; then
		boot "$S"
	fi
}

# One row of the table: STEP PROCESS EXPECTED
play() {
	local id=k$n began=$SECONDS failed=$lab_failed tries=0 x
	until reach "$1" "$id"; do
		if ((++tries == 4)); then
			not_ok "$2 in $1: the step was not reached"
			return
		fi
		[[ $1 != sessions ]] || proc_signal "$D" CONT
		lab_note "$2 in $1: the move was over before the step was seen"
		sides
		id=k${n}r$tries
	done
	strike "$2" "$1" 2>/dev/null
	check "$2 killed in $1: $3" verdict "$3" "$id"
	lab_note "$((SECONDS - began)) s; $(agent "$S" vm show "$id" --json | json - '["reason"]')"
	((lab_failed > failed)) || return 0
	for x in a b; do
		! vm_runs "$x" || guest_hangs "vm1$x" || true
		ctl "$x" drop show | sed "s/^/# host $x: /"
		ctl "$x" relay show | sed "s/^/# host $x: /"
	done
	ns_run p bridge fdb show dev vx0 | sed 's/^/# p: /'
	ns_run p ip neigh | sed 's/^/# p: /'
	for x in a b; do
		ctl "$x" vport show vm1 | grep -E '^role|features|rings|tx_|rx_' | sed "s/^/# host $x: /"
		! vm_runs "$x" || guest_run "vm1$x" -t 5 'cat /proc/net/dev | grep eth0; cat /proc/interrupts | grep virtio' |
			sed "s/^/# guest at $x: /" || true
	done
}

boot a
ok "a VM on host a with 20 connections"
n=0
while read -r step process want; do
	[[ -n $step ]] || continue
	[[ -z ${KILLS-} || "$step $process" =~ $KILLS ]] || continue
	if [[ $want == unknown ]]; then
		skip "$process killed in $step: QEMU tells the returning ferryd features that the guest does not have"
		continue
	fi
	n=$((n + 1))
	# A guest that died of its emulation since the last strike is no witness of the next one.
	if guest_hangs "vm1$S"; then
		rm -f "$LAB_DIR/hung"
		boot "$S"
	fi
	guest_undisturbed play "$step" "$process" "$want"
	sides
	tcp_number broken -eq 0 || boot "$S"
done <<<"$expected"
lab_end
