#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# timeout: 300
#
# A VM goes to another host and back, memory and all, by two agents; then everything that can go
# wrong on the way does, one after the other, and the VM runs in one place each time.
#
#	host a                                    host b
#	QEMU vm1a --unix-- agent-a ==TLS 192.0.2.0/24== agent-b --unix-- QEMU vm1b
#
# No ferryd: the VM has no port. Each agent finds the VM at $LAB_DIR/{vm}[ab].agent.
. "$(dirname "$0")/lib.sh"
lab_begin vmagent-move
lab_need openssl
agent_program=$FERRY_BUILD/ctrl/vmagent/ferry-vmagent
lab_need "$agent_program"

ns_add a b
veth_add a up0 b up0
addr_add a up0 192.0.2.1/24
addr_add b up0 192.0.2.2/24

certificate() {
	local dir=$LAB_DIR
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=host-$1" \
		-keyout "$dir/$1.key" -out "$dir/$1.csr" 2>/dev/null
	openssl x509 -req -in "$dir/$1.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -days 2 \
		-CAcreateserial -extfile <(echo "subjectAltName=DNS:host-$1") -out "$dir/$1.pem" \
		2>/dev/null
}

# config ME MY-ADDRESS OTHER ITS-ADDRESS [line for the section vmagent]...
config() {
	cat >"$LAB_DIR/$1.yaml" <<-END
		host: {name: host-$1, run_dir: $LAB_DIR/run-$1}
		tls: {ca: $LAB_DIR/ca.pem, cert: $LAB_DIR/$1.pem, key: $LAB_DIR/$1.key}
		peers:
		  - {name: host-$3, vteps: [$4], vmagent: "$4:6791"}
		migrate: {connect_ms: 1000, pause_max_ms: 4000}
		log: {target: stderr}
		vmagent:
		  socket: $LAB_DIR/$1.ctl
		  listen: $2:6791
		  hook_ms: 4000
		  qmp: "$LAB_DIR/{vm}$1.agent"
	END
	printf '  %s\n' "${@:5}" >>"$LAB_DIR/$1.yaml"
}

agent_start() {
	vmagent_start "agent-$1" "$1" "$LAB_DIR/$1.yaml" --no-ferryd --state-dir "$LAB_DIR/state-$1"
	wait_for -t 10 ctl "$1" version
}

# A QEMU at host $1 that waits for the VM.
receiver() {
	proc_alive "vm1$1" && guest_stop "vm1$1"
	guest_start "vm1$1" "$1" --paused --incoming defer
}

field() {
	ctl "$1" vm show "$2" --json | json - "['$3']"
}

ended() {
	[[ $(field "$1" "$2" outcome) != "under way" ]]
}

# move FROM TO ID [option]...: starts it, waits for its end, prints the outcome.
move() {
	guest_undisturbed move_now "$@"
}

move_now() {
	ctl "$1" vm move vm1 "host-$2" "--id=$3" "${@:4}" >/dev/null
	wait_for -t 60 ended "$1" "$3" >/dev/null
	field "$1" "$3" outcome
}

reason_has() {
	[[ $(field "$1" "$2" reason) == *"$3"* ]]
}

in_step() {
	[[ $(field "$1" "$2" step) == "$3" ]]
}

vm_runs() {
	[[ $(guest_qmp "vm1$1" query-status | json - '["running"]') == true ]]
}

# The guest counts in memory; each number once, whatever happens.
counts_on() {
	local before
	before=$(guest_run "vm1$1" 'cat /tmp/count')
	wait_for -t 5 guest_run "vm1$1" "test \$(cat /tmp/count) -gt $before"
}

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=lab CA" \
	-keyout "$LAB_DIR/ca.key" -out "$LAB_DIR/ca.pem" 2>/dev/null
certificate a
certificate b
config a 192.0.2.1 b 192.0.2.2
# Host b's hook starts a QEMU like the one at host a, or fails when it is told to.
config b 192.0.2.2 a 192.0.2.1 "hook: [/usr/bin/env, bash, $LAB_DIR/hook, '{vm}', '{qmp}']"
cat >"$LAB_DIR/hook" <<-END
	[[ ! -e $LAB_DIR/hook-fails ]] || exit 3
	[[ \$1 == vm1 && \$2 == $LAB_DIR/vm1b.agent ]] || exit 4
	mapfile -d '' command <$LAB_DIR/vm1a.command-line
	exec "\${command[@]//vm1a/vm1b}" -S -incoming defer
END
guest_image
agent_start a
agent_start b
guest_start vm1a a
cp "/proc/${lab_pid[vm1a]}/cmdline" "$LAB_DIR/vm1a.command-line"
# shellcheck disable=SC2016 # the guest's shell expands it
guest_run vm1a 'mkdir -p /tmp; dd if=/dev/urandom of=/tmp/fill bs=1M count=32 2>/dev/null
	md5sum /tmp/fill >/tmp/sum
	(i=0; while :; do i=$((i + 1)); echo $i >/tmp/count.new; mv /tmp/count.new /tmp/count
	usleep 20000; done) >/dev/null 2>&1 &'

# ---- there and back, in each way ----
is "the VM moves to host b, where the hook starts a QEMU for it" "$(move a b there)" moved
check "its memory is whole" guest_run vm1b 'md5sum -c /tmp/sum'
check "its program goes on" counts_on b
check "QEMU at host a has ended" wait_for proc_gone vm1a
is "both agents say so" "$(field b there outcome)" moved
is "a repeated start is the same move" "$(move a b there)" moved
lab_note "pause $(field a there pause_ms) ms, $(field a there memory_bytes) bytes"

receiver a
is "it moves back over four multifd channels" "$(move b a multifd --multifd=4)" moved
check "its memory is whole after that" guest_run vm1a 'md5sum -c /tmp/sum'
receiver b
is "and there again, packed" "$(move a b packed --zstd=1 --multifd=2)" moved
check "its memory is whole after that" guest_run vm1b 'md5sum -c /tmp/sum'
check "fewer bytes went over the wire than came from QEMU" \
	test "$(field a packed wire_bytes)" -lt "$(field a packed memory_bytes)"
receiver a
is "an idle guest moves with a downtime limit of 0" "$(move b a idle --downtime-limit=0)" moved
check "its program goes on" counts_on a

# ---- a VM that stands still ----
guest_qmp vm1a stop >/dev/null
receiver b
is "a stopped VM moves" "$(move a b stopped)" moved
check_not "and is not set going" vm_runs b
guest_qmp vm1b cont >/dev/null
receiver a
is "going again, it moves back" "$(move b a going)" moved

# ---- what goes wrong keeps the VM at host a ----
touch "$LAB_DIR/hook-fails"
is "a host without a receiving QEMU: the VM stays" "$(move a b nobody)" kept
check "the reason names the hook" reason_has a nobody "start hook ended with status 3"
check "it runs" vm_runs a
guest_start vm1b b --incoming defer
is "a receiving QEMU without -S is refused" "$(move a b running)" kept
check "the reason says so" reason_has a running "not started with -S"
proc_kill vm1b

# slow enough to strike in the middle
proc_stop agent-a || true
config a 192.0.2.1 b 192.0.2.2 "bandwidth_mbit: 160"
agent_start a
is "a restarted agent still knows the moves" "$(field a going side)" destination

strike() {
	receiver b
	ctl a vm move vm1 host-b "--id=$1" >/dev/null
	wait_for -t 20 in_step a "$1" copy
	sleep 0.5
}

strike abort
check "an abort is taken" ctl a vm abort vm1 enough
wait_for -t 20 ended a abort
is "the aborted move keeps the VM" "$(field a abort outcome)" kept
check "it runs" counts_on a
check "the receiving QEMU is ended" wait_for proc_gone vm1b

strike killed-qemu-b
proc_kill vm1b
wait_for -t 20 ended a killed-qemu-b
is "QEMU b killed: the VM stays" "$(field a killed-qemu-b outcome)" kept
check "it runs" counts_on a

strike killed-agent-b
proc_kill agent-b
wait_for -t 20 ended a killed-agent-b
is "agent b killed: the VM stays" "$(field a killed-agent-b outcome)" kept
check "it runs" counts_on a
agent_start b
check "the new agent b ends the half-filled QEMU" wait_for -t 10 proc_gone vm1b

strike killed-agent-a
proc_kill agent-a
agent_start a
wait_for -t 20 ended a killed-agent-a
is "agent a killed: its successor keeps the VM" "$(field a killed-agent-a outcome)" kept
check "it runs" counts_on a

strike cut-link
ns_run a ip link set up0 down
wait_for -t 30 ended a cut-link
is "the link cut: the VM stays" "$(field a cut-link outcome)" kept
check "it runs" counts_on a
ns_run a ip link set up0 up
addr_add a up0 192.0.2.1/24 2>/dev/null || true

# ---- after all of that ----
receiver b
is "the VM still moves" "$(move a b last)" moved
check "its memory is whole" guest_run vm1b 'md5sum -c /tmp/sum'
check "its program goes on" counts_on b
check_number "in the time of the cap: 160 Mbit/s for what was carried" \
	"$(ctl a vm show last --json | json - '["memory_bytes"] * 8 / 1000 / [s for s in data["steps"] if s["step"] == "copy"][0]["took_ms"]')" -le 190
