# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Ferry's own programs in the lab. Sourced by lib.sh.
#
# A host named "a" has its control socket at $LAB_DIR/a.ctl; its config (which the script writes, for
# instance to $LAB_DIR/a.yaml) has to say so. EAL's file prefix in it begins with $LAB_ID.

# ferryd_start NAME NS CONFIG [ARG...]: starts ferryd in NS, waits until its socket answers.
ferryd_start() {
	proc_start "$1" -n "$2" "$FERRY_BUILD/ctrl/ferryd" --config "$3" "${@:4}"
	wait_for -t 20 ferryd_settled "$1" && ferryd_answers "$1" && return
	lab_note "ferryd $1 does not answer:"
	tail -20 "$LAB_DIR/$1.log" | sed 's/^/#   /'
	return 1
}

ferryd_answers() {
	ovs-appctl -t "$LAB_DIR/$1.ctl" version
}

# It answers, or it is over and waiting longer is no use.
ferryd_settled() {
	proc_gone "$1" || ferryd_answers "$1"
}

# ferryd_stop NAME: asked to end; not clean is a failure. proc_kill NAME is the kill -9.
ferryd_stop() {
	proc_stop "$1" 10
}

# vmagent_start NAME NS CONFIG [ARG...]
vmagent_start() {
	proc_start "$1" -n "$2" "$FERRY_BUILD/ctrl/vmagent/ferry-vmagent" --config "$3" "${@:4}"
}

# ctl NAME WORD...: ferryctl to that host.
ctl() {
	"$FERRY_BUILD/ctrl/client/ferryctl" --socket "$LAB_DIR/$1.ctl" "${@:2}"
}

# appctl NAME COMMAND [ARG...]: the same by the stock ovs-appctl.
appctl() {
	ovs-appctl -t "$LAB_DIR/$1.ctl" "${@:2}"
}
