#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The memory of a guest that stands still, carried by the agents and by QEMU's own TLS migration in turn: run by
# scripts/bench carry. There by the agents, back by QEMU. Hosts, addresses and certificates: two_hosts.sh; no ferryd.
#
# usage: measured_memory.sh ROUNDS MEMORY-MIB FILLED-MIB
#   a line of JSON each: {"by": "agents" or "qemu", "bytes", "ms", "multifd"}, by the word of the QEMU that sends

# shellcheck disable=SC2317 # functions called through check and wait_for
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/two_hosts.sh"
rounds=$1 memory_mib=$2 filled_mib=$3
lab_begin measured_memory

hosts_net
hosts_certificates
hosts_config
for x in a b; do
	vmagent_start "agent-$x" "$x" "$LAB_DIR/$x.yaml" --state-dir "$LAB_DIR/state-$x" --no-ferryd
	wait_for -t 10 agent "$x" version
	# Under the names that QEMU looks for.
	mkdir "$LAB_DIR/x509-$x"
	cp "$LAB_DIR/tls/ca.pem" "$LAB_DIR/x509-$x/ca-cert.pem"
	for end in client server; do
		cp "$LAB_DIR/tls/host-$x.pem" "$LAB_DIR/x509-$x/$end-cert.pem"
		cp "$LAB_DIR/tls/host-$x.key" "$LAB_DIR/x509-$x/$end-key.pem"
	done
done

# waiting X: a QEMU at host X that waits for the memory.
waiting() {
	proc_alive "vm1$1" && guest_stop "vm1$1"
	guest_start "vm1$1" "$1" --memory "$memory_mib" --paused --incoming defer
}

# said BY FROM: what the QEMU that sent says of it.
said() {
	guest_qmp "vm1$2" query-migrate | /usr/bin/python3 -c '
import json, sys
said = json.load(sys.stdin)
print(json.dumps({"by": sys.argv[1], "bytes": said["ram"]["transferred"], "ms": said["total-time"],
                  "status": said["status"]}))' "$1"
}

by_agents() {
	waiting b
	agent a vm move vm1 host-b "--id=$1" --leave >/dev/null
	wait_for -t 120 vm_move_ended a "$1"
	[[ $(agent a vm show "$1" --json | json - '["outcome"]') == moved ]] || return 1
	said agents a
}

tls_end() {
	guest_qmp "vm1$1" object-add "{\"qom-type\": \"tls-creds-x509\", \"id\": \"tls0\", \"dir\": \"$LAB_DIR/x509-$1\",
		\"endpoint\": \"$2\", \"verify-peer\": true}" >/dev/null
	guest_qmp "vm1$1" migrate-set-parameters "{\"tls-creds\": \"tls0\", \"tls-hostname\": \"$3\", \"max-bandwidth\": 0}" >/dev/null
	guest_qmp "vm1$1" migrate-set-capabilities \
		'{"capabilities": [{"capability": "return-path", "state": true}]}' >/dev/null
}

by_qemu() {
	waiting a
	tls_end a server ""
	tls_end b client host-a
	guest_qmp vm1a migrate-incoming '{"uri": "tcp:198.51.100.1:6800"}' >/dev/null
	guest_qmp vm1b migrate '{"uri": "tcp:198.51.100.1:6800"}' >/dev/null
	wait_for -t 120 qemu_completed b
	said qemu b
}

guest_start vm1a a --memory "$memory_mib"
# Random, so that no page is empty; each page of it unlike its neighbours.
guest_run vm1a -t 120 "dd if=/dev/urandom of=/tmp/fill bs=1M count=32 2>/dev/null
	i=32; while [ \$i -lt $filled_mib ]; do cat /tmp/fill >/tmp/fill.\$i; i=\$((i + 32)); done; md5sum /tmp/fill.32 >/tmp/sum; test -s /tmp/sum"
guest_qmp vm1a stop >/dev/null
for ((i = 0; i < rounds; i++)); do
	by_agents "memory-$i"
	by_qemu
done
guest_qmp vm1a cont >/dev/null
check "the guest's memory is whole after all of it" guest_run vm1a 'md5sum -c /tmp/sum'
