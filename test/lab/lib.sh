# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The lab kit: network namespaces, veth pairs, kernel VXLAN peers, processes, waiting and results
# for the scripts test/lab/NN-name.sh. A script tells one story, draws its topology on top, sources
# this file and calls lab_begin:
#
#	#!/usr/bin/env bash
#	. "$(dirname "$0")/lib.sh"
#	lab_begin ping
#	ns_add host peer
#	veth_add host up0 peer up0 1600
#	addr_add host up0 192.0.2.1/24
#	addr_add peer up0 192.0.2.9/24
#	check "the peer answers" ns_run host ping -c 1 -W 1 192.0.2.9
#
# Life cycle: lab_begin makes LAB_DIR and sets the traps; everything made through the kit is undone
# when the script ends, however it ends: processes by their ids (all of them die with the script,
# even by kill -9), namespaces with all that is in them, LAB_DIR. After a failure the logs stay in
# $FERRY_BUILD/test-logs/NAME.files/. FERRY_LAB_KEEP=1 keeps LAB_DIR always.
#
# Names are the script's own (ns "host", process "ferryd-a"); in the system they carry LAB_ID, so
# that runs side by side do not meet. `set -eE` is on: a command that fails ends the story with one
# "not ok"; `check` reports and goes on.

set -Eeuo pipefail

LAB_SOURCE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
FERRY_BUILD=${FERRY_BUILD:-$(realpath -m "$LAB_SOURCE/../../build")}
FERRY_CACHE=${FERRY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ferry}
LAB_ID=fy$$
# In memory, as /run is: what ferryd stores before a role takes effect is part of a cutover.
lab_tmp=${TMPDIR:-/dev/shm}
[[ -w $lab_tmp ]] || lab_tmp=/tmp
LAB_DIR=
LAB_NAME=
lab_failed=0
lab_failure=1 # exit code of a failed story; 75 when a guest was broken by its emulation
lab_stopped_at=
declare -A lab_pid=() # process name -> process id, also its session and group
lab_namespaces=()

# shellcheck source=test/lab/guest.sh
. "$LAB_SOURCE/guest.sh"
# shellcheck source=test/lab/ferry.sh
. "$LAB_SOURCE/ferry.sh"

# ---- the story: beginning, results, end ----

# lab_begin NAME: call once, first. Skips the whole script where namespaces cannot be made.
lab_begin() {
	LAB_NAME=$1
	if ((EUID)) || ! unshare -n true 2>/dev/null; then
		echo "skip - $LAB_NAME: needs root and network namespaces"
		exit 0
	fi
	lab_sweep
	trap 'lab_stopped_at="line $LINENO: $BASH_COMMAND"' ERR
	trap lab_end EXIT
	trap 'lab_stopped_at="a signal"; exit 143' INT TERM HUP
	LAB_DIR=$lab_tmp/$LAB_ID.$(printf '%06x' $((RANDOM << 8 ^ RANDOM)))
	mkdir -m 700 "$LAB_DIR"
}

# What a run killed by force could not undo: its processes died with it, its names are here still.
lab_sweep() {
	local path id
	for path in /run/netns/fy[0-9]*-* "$lab_tmp"/fy[0-9]*.?????? /var/run/dpdk/fy[0-9]*; do
		id=${path##*/fy}
		id=${id%%[!0-9]*}
		[[ -e $path && -n $id && ! -e /proc/$id ]] || continue
		case $path in
		/run/netns/*) ip netns delete "${path##*/}" || true ;;
		"$lab_tmp"/*) guest_throttle_back "$path" && rm -rf "$path" ;;
		*) rm -rf "$path" ;;
		esac
	done
}

# lab_need PROGRAM...: skips the whole script when one is not installed.
lab_need() {
	local program
	for program; do
		command -v "$program" >/dev/null || [[ -e $program ]] || lab_skip "needs $program"
	done
}

# lab_skip REASON: the rest of the script is skipped, visibly.
lab_skip() {
	echo "skip - $LAB_NAME: $1"
	exit 0
}

ok() {
	echo "ok - $LAB_NAME: $1"
}

not_ok() {
	lab_failed=$((lab_failed + 1))
	echo "not ok - $LAB_NAME: $1"
}

skip() {
	echo "skip - $LAB_NAME: $1"
}

# check SENTENCE COMMAND...: ok when the command succeeds, else not ok and what it said.
check() {
	local sentence=$1
	shift
	if "$@" >"$LAB_DIR/check.out" 2>&1 </dev/null; then
		ok "$sentence"
	else
		not_ok "$sentence"
		lab_note "$*"
		tail -30 "$LAB_DIR/check.out" | sed 's/^/#   /'
	fi
}

# check_not SENTENCE COMMAND...: ok when the command fails.
check_not() {
	local sentence=$1
	shift
	check "$sentence" lab_fails "$@"
}

# is SENTENCE GOT WANT: ok when both are the same text.
is() {
	if [[ $2 == "$3" ]]; then
		ok "$1"
	else
		not_ok "$1"
		lab_note "got '$2', want '$3'"
	fi
}

# check_number SENTENCE NUMBER OPERATOR LIMIT: check_number "short outage" "$gap" -le 500
check_number() {
	if [[ $2 =~ ^-?[0-9]+(\.[0-9]+)?$ ]] && test "${2%.*}" "$3" "$4"; then
		ok "$1 ($2)"
	else
		not_ok "$1"
		lab_note "got '$2', want $3 $4"
	fi
}

lab_note() {
	echo "# $*"
}

lab_fails() {
	! "$@"
}

lab_end() {
	local rc=$? name
	trap - ERR EXIT
	trap '' INT TERM HUP
	set +e
	if ((rc)) && ((lab_failed == 0)); then
		not_ok "the story stops at ${lab_stopped_at:-exit code $rc}"
	fi
	guest_throttle_back "$LAB_DIR"
	if ((lab_failed)) && guests_broken; then
		lab_note "a guest's kernel died of its emulation (guest.sh): this run says nothing"
		lab_failure=75
	fi
	for name in "${!lab_pid[@]}"; do
		kill -TERM -- "-${lab_pid[$name]}" 2>/dev/null
	done
	for name in "${!lab_pid[@]}"; do
		proc_end "$name" 3
	done
	for name in "${lab_namespaces[@]}"; do
		ns_delete "$name"
	done
	rm -rf "/var/run/dpdk/$LAB_ID"* # what EAL leaves of --file-prefix=$LAB_ID...
	lab_keep_files
	exit $((lab_failed > 0 ? lab_failure : 0))
}

lab_keep_files() {
	local kept=$FERRY_BUILD/test-logs/$LAB_NAME.files
	rm -rf "$kept"
	if ((lab_failed)); then
		mkdir -p "$kept"
		find "$LAB_DIR" -maxdepth 2 -type f -size -4M \( -name '*.log' -o -name '*.yaml' -o \
			-name '*.json' -o -name '*.console' -o -name '*.pcap' \) -exec cp -t "$kept" {} +
		lab_note "logs are kept in ${kept#"$PWD"/}"
	fi
	if [[ ${FERRY_LAB_KEEP-} == 1 ]]; then
		lab_note "files are kept in $LAB_DIR"
	else
		rm -rf "$LAB_DIR"
	fi
}

# ---- waiting ----

# wait_for [-t SECONDS] COMMAND...: polls until the command succeeds; fails at the deadline (10 s).
wait_for() {
	local limit_s=10 deadline_us
	[[ $1 == -t ]] && limit_s=$2 && shift 2
	deadline_us=$((${EPOCHREALTIME/./} + limit_s * 1000000))
	until "$@" >"$LAB_DIR/wait.out" 2>&1 </dev/null; do
		if ((${EPOCHREALTIME/./} > deadline_us)); then
			lab_note "waited $limit_s s for: $*"
			tail -5 "$LAB_DIR/wait.out" | sed 's/^/#   /'
			return 1
		fi
		sleep 0.05
	done
}

# ---- namespaces and links ----

# ns_add NAME...: network namespaces with loopback up; IPv6 addresses usable at once.
ns_add() {
	local name
	for name; do
		ip netns add "$LAB_ID-$name"
		lab_namespaces+=("$name")
		ns_run "$name" sysctl -qw net.ipv6.conf.all.accept_dad=0 \
			net.ipv6.conf.default.accept_dad=0
		ip -n "$LAB_ID-$name" link set lo up
	done
}

ns_delete() {
	local pids
	# Whatever still lives in a namespace of ours was started by us.
	pids=$(ip netns pids "$LAB_ID-$1" 2>/dev/null)
	# shellcheck disable=SC2086 # a list of ids
	[[ -n $pids ]] && kill -KILL $pids 2>/dev/null
	ip netns delete "$LAB_ID-$1" 2>/dev/null
}

ns_run() {
	local ns=$1
	shift
	ip netns exec "$LAB_ID-$ns" "$@"
}

# veth_add NS_A DEV_A NS_B DEV_B [MTU]: a cable between two namespaces, both ends up, no offloads:
# frames on it are whole, with their checksums, none larger than the MTU.
veth_add() {
	local mtu=${5:-1600}
	ip link add "$2" netns "$LAB_ID-$1" mtu "$mtu" type veth \
		peer name "$4" netns "$LAB_ID-$3" mtu "$mtu"
	link_plain "$1" "$2"
	link_plain "$3" "$4"
	ip -n "$LAB_ID-$1" link set "$2" up
	ip -n "$LAB_ID-$3" link set "$4" up
}

link_plain() {
	ns_run "$1" ethtool -K "$2" tx off tso off gso off gro off sg off >/dev/null 2>&1
}

# addr_add NS DEV ADDRESS/LEN...
addr_add() {
	local ns=$1 dev=$2 address
	shift 2
	for address; do
		ip -n "$LAB_ID-$ns" addr add "$address" dev "$dev"
	done
}

# mac_of NS DEV
mac_of() {
	ns_run "$1" cat "/sys/class/net/$2/address"
}

# peer_add NS DEV VNI LOCAL REMOTE [ip-link words...]: a kernel VXLAN device with MTU 1500 in NS,
# from VTEP LOCAL (an address of NS) to REMOTE; IPv4 or IPv6. It learns unless "nolearning" is given.
peer_add() {
	local ns=$1 dev=$2 vni=$3 local=$4 remote=$5
	shift 5
	ip -n "$LAB_ID-$ns" link add "$dev" type vxlan id "$vni" local "$local" remote "$remote" \
		dstport 4789 "$@"
	ip -n "$LAB_ID-$ns" link set "$dev" mtu 1500
	link_plain "$ns" "$dev"
	ip -n "$LAB_ID-$ns" link set "$dev" up
}

# ---- processes ----

# proc_start NAME [-n NS] COMMAND...: in the background, output to $LAB_DIR/NAME.log, killed when
# this script dies. Not from a subshell: it would die with that.
proc_start() {
	local name=$1 within=()
	shift
	[[ $1 == -n ]] && within=(ip netns exec "$LAB_ID-$2") && shift 2
	setpriv --pdeathsig KILL setsid "${within[@]}" "$@" >>"$LAB_DIR/$name.log" 2>&1 </dev/null &
	lab_pid[$name]=$!
}

proc_alive() {
	[[ -n ${lab_pid[$1]-} ]] && kill -0 "${lab_pid[$1]}" 2>/dev/null
}

# proc_gone NAME: it has ended (as a condition for wait_for).
proc_gone() {
	! proc_alive "$1"
}

# proc_signal NAME SIGNAL
proc_signal() {
	kill -s "$2" "${lab_pid[$1]}"
}

# proc_stop NAME [SECONDS]: TERM, KILL at the deadline (10 s). Returns its exit code.
proc_stop() {
	kill -TERM "${lab_pid[$1]}" 2>/dev/null || true
	proc_end "$1" "${2:-10}"
}

# proc_kill NAME: kill -9, waits until it is gone.
proc_kill() {
	kill -KILL "${lab_pid[$1]}" 2>/dev/null || true
	proc_end "$1" 5 || true
}

# proc_wait NAME [SECONDS]: waits until it ends by itself (60 s). Returns its exit code.
proc_wait() {
	wait_for -t "${2:-60}" proc_gone "$1" || return 124
	proc_end "$1" 1
}

proc_end() {
	local pid=${lab_pid[$1]-} tries=$(($2 * 50)) rc=0
	[[ -n $pid ]] || return 0
	while kill -0 "$pid" 2>/dev/null && ((tries-- > 0)); do
		sleep 0.02
	done
	kill -KILL -- "-$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || rc=$?
	unset "lab_pid[$1]"
	return "$rc"
}

# json FILE EXPRESSION: a value from a JSON file or from text on stdin ("-"): json r.json '["lost"]'
json() {
	/usr/bin/python3 -c '
import json, sys
data = json.load(sys.stdin if sys.argv[1] == "-" else open(sys.argv[1]))
value = eval("data" + sys.argv[2], {"data": data, "len": len})
print(value if isinstance(value, str) else json.dumps(value))' "$1" "$2"
}
