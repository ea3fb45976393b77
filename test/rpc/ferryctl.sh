#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# ferryctl: words, socket, exit codes, watching, completion, and a daemon that stands still (D01).
#
#	ferryctl.sh DAEMON FERRYCTL
#
#	ferryctl --- unix socket --- rpc_daemon
# shellcheck disable=SC2119
set -u
daemon=$1
ferryctl=$2
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/kit.sh"
unset FERRY_SOCKET
export FERRY_RUN_DIR=$work

ctl()
{
	run "$ferryctl" "$@"
}

ctl version
is "without a daemon the exit code is 3" 3 "$code"
has "and the socket is named" "$socket: cannot connect" "$err"

start_daemon
ctl version
has "the socket is found by the run directory" "testd (Ferry)" "$out"
FERRY_RUN_DIR=/nonexistent FERRY_SOCKET=$socket ctl version
is "or by FERRY_SOCKET" 0 "$code"
FERRY_SOCKET=/nonexistent ctl --socket "$socket" version
is "or by --socket" 0 "$code"

ctl test args one two
is "blanks do for slashes" "args  one, two" "${out%%$'\n'*}"
ctl test/args one two
is "slashes work too" "args  one, two" "${out%%$'\n'*}"
ctl --json test args one
is "--json before the command" '{"args":["one"],"note":null}' "$out"
ctl test args one --json
is "--json behind the command" '{"args":["one"],"note":null}' "$out"
ctl test args -- --json
is "and behind -- it is an argument" "args  --json" "${out%%$'\n'*}"
ctl test fail why
is "the daemon's error is exit code 1" "1: ferryctl: test/fail: failed as asked: why" "$code: $err"
is "with nothing on stdout" "" "$out"
ctl tset args
is "an unknown command is exit code 2" 2 "$code"
has "with the likely one" 'no command "tset args"; did you mean "test args"?' "$err"
ctl test
is "a noun alone is exit code 2" 2 "$code"
has "with its commands" "  test rows N [--fail-at=ROW] [--json]" "$err"
ctl --nosuch version
is "an unknown option is exit code 2" 2 "$code"
ctl --timeout=soon version
is "a wrong timeout is exit code 2" 2 "$code"
ctl
is "no command is exit code 2" 2 "$code"
ctl --help
has "--help documents the exit codes" "4  the daemon did not answer in time" "$out"

ctl test rows 50000
is "a long table arrives whole" 50001 "$(wc -l <"$work/out")"
ctl test rows 50000 --fail-at=40000
is "one that breaks off is exit code 1" 1 "$code"
code=0
"$ferryctl" test rows 1000 >/dev/full 2>"$work/err" || code=$?
is "a full disk is exit code 6" 6 "$code"
is "a slow reader gets it all" 20001 "$("$ferryctl" test rows 20000 | (sleep 1; wc -l))"

run timeout 2 "$ferryctl" --watch=0.1 test progress
has "--watch shows progress" "[##------------------]  10% (1/10)" "$out"
has "to its end" "[####################] 100% (10/10)" "$out"
ctl --watch=0.1 test fail now
is "--watch ends with the command's failure" 1 "$code"

# shellcheck disable=SC1090
source <("$ferryctl" --completion bash)
complete_line()
{
	read -ra COMP_WORDS <<<"$1"
	[[ $1 != *" " ]] || COMP_WORDS+=("")
	COMP_WORDS[0]=$ferryctl
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
	COMPREPLY=()
	_ferryctl 2>/dev/null
	echo "${COMPREPLY[*]}"
}
is "completion offers nouns" "test" "$(complete_line "ferryctl te")"
is "and verbs" "rows" "$(complete_line "ferryctl test r")"
is "and all verbs" "reopen set show" "$(complete_line "ferryctl log ")"
is "and names with slashes" "log/reopen log/set log/show" "$(complete_line "ferryctl log/")"
is "and the options of a command" "--fail-at= --json" "$(complete_line "ferryctl test rows 3 --")"
is "and its own" "--timeout=" "$(complete_line "ferryctl --ti")"
is "and goes by --socket" "" "$(complete_line "ferryctl --socket = /nonexistent te")"

# D01: the daemon stands still.
kill -STOP "$daemon_pid"
before=$(now_ms)
ctl version
took=$(($(now_ms) - before))
is "D01: a stopped daemon is exit code 4" 4 "$code"
is "D01: within five seconds (took $took ms)" 1 $((took <= 5000))
is "D01: with nothing on stdout" "" "$out"
has "D01: and the reason on stderr" "no answer within 5 s" "$err"
ctl --timeout=0.2 test/args
is "D01: --timeout makes it shorter" 4 "$code"
kill -CONT "$daemon_pid"
ctl version
is "D01: and it goes on as if nothing was" 0 "$code"

# D01: a half message hurts its own connection only, and that after two seconds.
stop_daemon
rm -f "$socket"
start_daemon
exec 7> >(exec /usr/bin/python3 -c '
import socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b"{\"id\":0,\"method\":\"ver")
begin = time.time()
text = s.recv(4096)
print("%.0f %s" % (time.time() - begin, text.decode().strip()))
' "$socket" >"$work/half")
half=$!
before=$(now_ms)
ctl version
is "D01: a half message holds up nobody" 1 $(($(now_ms) - before < 1000))
exec 7>&-
wait "$half"
has "D01: and is ended after two seconds" "2 " "$(cat "$work/half")"
has "D01: with the reason" "message not finished in time" "$(cat "$work/half")"
