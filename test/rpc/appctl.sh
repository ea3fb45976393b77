#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The control socket with the stock ovs-appctl, and who owns it (cases D03 and C10).
#
#	appctl.sh DAEMON
#
#	ovs-appctl --- unix socket --- rpc_daemon
set -u
daemon=$1
if ! command -v ovs-appctl >/dev/null; then
	echo "ok - the control socket with the stock client # SKIP no ovs-appctl here"
	exit 77
fi
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/kit.sh"

appctl()
{
	run ovs-appctl -t "$socket" "$@"
}

start_daemon

appctl list-commands
is "list-commands is headed as by OVS" "The available commands are:" "${out%%$'\n'*}"
has "list-commands shows names and arguments in columns" \
	$'\n  log/set                 [MODULE:]LEVEL...\n' "$out"
appctl version
has "version names program and version" "testd (Ferry) " "$out"
appctl help test/rows
has "help shows the usage of one command" "usage: test/rows N [--fail-at=ROW] [--json]" "$out"
appctl help test
has "help of a noun lists its commands" "test/hang" "$out"
appctl help nosuch
is "help of an unknown word fails" 2 "$code"

appctl test/args one 'two words' $'tab\tquote"back\\slash' 'ümläut' --note=x --json
is "arguments arrive as they were given" \
	'{"args":["one","two words","tab\tquote\"back\\slash","ümläut"],"note":"x"}' "$out"
appctl test/args -- --note=x
is "what stands behind -- is an argument" "args  --note=x" "${out%%$'\n'*}"
appctl test/fail 'no reason'
is "an error comes back as an error" "2: failed as asked: no reason" "$code: ${err%%$'\n'*}"
is "and nothing of it on stdout" "" "$out"
appctl test/row 3
has "an unknown command brings the likely one" 'did you mean "test/rows"?' "$err"
appctl test/rows
has "a missing argument brings the usage" "usage: test/rows N" "$err"
appctl test/rows 3 4
has "one too many brings the count" "takes at most 1 argument, 2 given" "$err"
appctl test/rows 3 --limit=4
has "an unknown option is an error" 'has no option "--limit=4"' "$err"
appctl test/rows 3x
has "a wrong number says what was expected" 'expected a whole number up to 100000000, found "3x"' \
	"$err"

appctl test/late 50
is "an answer from another thread arrives" "late, from another thread" "$out"
appctl test/rows 20000
is "a streamed table arrives whole" "20001" "$(wc -l <"$work/out")"
appctl test/rows 20000 --json
count='import json,sys; print(len(json.load(sys.stdin)["rows"]))'
is "and as JSON" 20000 "$(/usr/bin/python3 -c "$count" <"$work/out")"
appctl test/rows 20000 --fail-at=15000
is "a table that breaks off is an error" "2: lost the table at row 15000" \
	"$code: ${err%%$'\n'*}"
is "of which no part is taken for the whole" "" "$out"

# A hanging command and a full dump that nobody reads do not hold up others.
ovs-appctl -t "$socket" test/hang >/dev/null 2>&1 &
hanging=$!
before=$(now_ms)
appctl version
is "a hanging command holds up nobody" 1 $(($(now_ms) - before < 1000))
kill "$hanging"
wait "$hanging" 2>/dev/null

appctl log/show --json
has "log/show is JSON" '{"module":"rpc","level":"info"}' "$out"
appctl log/set rpc:debug
appctl log/show
has "log/set changes a module" "rpc     debug" "$out"
has "and no other" "test    info" "$out"
appctl log/set info rcp:debug
has "a wrong module brings the likely one" 'did you mean "rpc"?' "$err"

# G04: a thousand lines of one kind are one line and a count.
appctl test/flood
appctl log/show --json
has "G04: a flood is one line" '"suppressed":999,' "$out"
for _ in {1..150}; do
	grep -q 'more suppressed' "$work/log" && break
	sleep 0.02
done
is "G04: and the count of the others" 2 "$(grep -c 'frame larger than the MTU' "$work/log")"
has "G04: the count is right" "test: port0: frame larger than the MTU: 999 more suppressed" \
	"$(cat "$work/log")"
mv "$work/log" "$work/log.1"
appctl log/reopen
appctl test/flood
for _ in {1..150}; do
	[ ! -s "$work/log" ] || break
	sleep 0.02
done
is "log/reopen opens a new file" 1 "$([ -s "$work/log" ] && echo 1)"

# D03, C10: ownership.
run "$daemon" "$work/other.sock" "$work/lock" "$work/log2"
is "D03: a second one on the same run directory is refused" 3 "$code"
run "$daemon" "$socket" "$work/lock2" "$work/log2"
is "D03: a second one on the same socket is refused" 4 "$code"
has "D03: and told why" "another process listens there" "$err"
appctl version
is "D03: the first goes on" 0 "$code"

appctl exit
is "exit answers" 0 "$code"
wait "$daemon_pid"
is "and ends the daemon well" 0 $?
daemon_pid=
is "which takes its socket away" 1 "$([ -e "$socket" ] || echo 1)"

for content in "" garbage $$ 999999999; do
	printf %s "$content" >"$work/lock"
	start_daemon
	kill -KILL "$daemon_pid"
	wait "$daemon_pid" 2>/dev/null
	is "D03: a crash leaves its socket file" 1 "$([ -S "$socket" ] && echo 1)"
	start_daemon
	for _ in {1..100}; do
		appctl version
		[ "$code" != 0 ] || break
		sleep 0.02
	done
	is "D03: the next one starts with '$content' in the lock file" 0 "$code"
	stop_daemon
	rm -f "$socket"
done

mkdir "$work/dir"
long=$work/dir/$(printf '%0107d' 0)
long=${long:0:107}
run timeout 5 "$daemon" "${long}x" "$work/lock" "$work/log2"
is "C10: 108 bytes of path are refused" 4 "$code"
has "C10: and the limit is named" "a unix socket takes at most 107" "$err"
socket=$long start_daemon
socket=$long appctl version
is "C10: 107 bytes work" 0 "$code"
stop_daemon
echo precious >"$work/file"
run timeout 5 "$daemon" "$work/file" "$work/lock" "$work/log2"
is "C10: a regular file is refused" 4 "$code"
is "C10: and left alone" precious "$(cat "$work/file")"
group=$(id -gn)
start_daemon mode=0620 "group=$group"
is "C10: mode and group are set" "620 $group" "$(stat -c '%a %G' "$socket")"
stop_daemon
rm -f "$socket"
run timeout 5 "$daemon" "$socket" "$work/lock" "$work/log2" group=nosuchgroup
has "C10: an unknown group is named" 'no such group: "nosuchgroup"' "$err"
