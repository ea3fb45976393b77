# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034,SC2154
# What the scripts of this folder share; they set $daemon before. A check is a command and what it
# must bring; the script ends at the first that does not.

work=$(mktemp -d)
daemon_pid=
trap 'stop_daemon; rm -rf "$work"' EXIT
socket=$work/ferryd.sock

fail()
{
	echo "not ok - $*"
	[ ! -s "$work/log" ] || sed 's/^/# log: /' "$work/log"
	exit 1
}

# start_daemon [SETTING]...: on $socket
start_daemon()
{
	"$daemon" "$socket" "$work/lock" "$work/log" "$@" &
	daemon_pid=$!
	for _ in {1..100}; do
		[ ! -S "$socket" ] || return 0
		sleep 0.02
	done
	fail "the daemon did not come up"
}

stop_daemon()
{
	[ -n "$daemon_pid" ] || return 0
	kill -CONT "$daemon_pid" 2>/dev/null
	kill "$daemon_pid" 2>/dev/null
	wait "$daemon_pid" 2>/dev/null
	daemon_pid=
}

# run COMMAND...: leaves its $code, $out and $err
run()
{
	code=0
	"$@" >"$work/out" 2>"$work/err" || code=$?
	out=$(cat "$work/out")
	err=$(cat "$work/err")
}

# is WHAT WANTED FOUND
is()
{
	[ "$2" == "$3" ] || fail "$1 # wanted '$2', found '$3' (exit $code, stderr '$err')"
	echo "ok - $1"
}

# has WHAT PIECE TEXT
has()
{
	[[ $3 == *"$2"* ]] || fail "$1 # no '$2' in '$3' (exit $code, stderr '$err')"
	echo "ok - $1"
}

now_ms()
{
	date +%s%3N
}
