# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Real Linux guests under QEMU for the lab: a Debian cloud kernel and an initramfs with busybox and
# the programs of test/lab/guest/. Sourced by lib.sh.
#
#	guest_start vm1 host --vhost /run/x.sock --mac 02:00:00:00:00:05
#	guest_run vm1 'ip addr add 10.0.0.5/24 dev eth0; ip link set eth0 up'
#
# A guest is a process of the same name (proc_alive vm1, proc_kill vm1). Its files in LAB_DIR:
# NAME.console (kernel's words), NAME.command (socket of guest_run), NAME.qmp (for the tests) and
# NAME.agent (QMP again, for who manages the VM). The guest runs from memory, keeps nothing.

# guest_image: makes the image once per build and sets GUEST_KERNEL and GUEST_INITRD. A script that
# uses guests calls it through guest_start; call it first to keep the work out of a timed part.
guest_image() {
	local out
	[[ -n ${GUEST_KERNEL-} ]] && return
	lab_need qemu-system-x86_64 busybox cpio
	out=$("$LAB_SOURCE/guest/make_image.sh" "$FERRY_BUILD" "$FERRY_CACHE" \
		2>"$LAB_DIR/guest-image.log") ||
		lab_skip "no guest image: $(tail -1 "$LAB_DIR/guest-image.log")"
	read -r GUEST_KERNEL GUEST_INITRD <<<"$out"
}

# guest_start NAME NS [option...]: starts QEMU in namespace NS and waits until the guest answers.
#   --vhost SOCKET   vhost-user NIC; --vhost-listen SOCKET: QEMU listens, the switch connects
#   --tap DEV        NIC on a tap device of NS (made by QEMU)
#   --mac MAC        of the NIC before it; --queues N: queue pairs; --nic-options TEXT: to the device
#   --memory MIB (256)   --cpus N (1)   --disk MIB: a disk that reads as zeros
#   --incoming URI   waits for a migration (also "defer"); --paused: vCPUs stopped (-S)
#   --no-wait        returns at once (implied by --incoming and --paused)
#   -- ARG...        to QEMU
guest_start() {
	local name=$1 ns=$2 memory=256 cpus=1 wait=true nic=-1 extra=()
	local backends=() macs=() queues=() options=()
	shift 2
	while (($#)); do
		case $1 in
		--vhost) nic=$((nic + 1)) backends[nic]=vhost:$2 && shift ;;
		--vhost-listen) nic=$((nic + 1)) backends[nic]=listen:$2 && shift ;;
		--tap) nic=$((nic + 1)) backends[nic]=tap:$2 && shift ;;
		--mac) macs[nic]=$2 && shift ;;
		--queues) queues[nic]=$2 && shift ;;
		--nic-options) options[nic]=$2 && shift ;;
		--memory) memory=$2 && shift ;;
		--cpus) cpus=$2 && shift ;;
		--disk)
			extra+=(-blockdev "driver=null-co,node-name=disk0,size=$(($2 << 20)),read-zeroes=on"
				-device "virtio-blk-pci,drive=disk0,vectors=0")
			shift ;;
		--incoming) extra+=(-incoming "$2") && wait=false && shift ;;
		--paused) extra+=(-S) && wait=false ;;
		--no-wait) wait=false ;;
		--) shift && extra+=("$@") && break ;;
		*) echo "guest_start: unknown option $1" >&2 && return 2 ;;
		esac
		shift
	done
	guest_image
	local i nics=()
	for ((i = 0; i <= nic; i++)); do
		guest_nic "$i" "${backends[i]}" "${queues[i]:-1}" \
			"mac=${macs[i]:-02:00:00:00:00:0$i}${options[i]:+,${options[i]}}"
	done
	rm -f "$LAB_DIR/$name".{command,qmp,agent}
	proc_start "$name" -n "$ns" qemu-system-x86_64 -nodefaults -no-user-config -display none \
		-machine q35,accel=tcg,memory-backend=m -cpu max -smp "$cpus" -name "$name" \
		-object "memory-backend-memfd,id=m,size=${memory}M,share=on" -m "$memory" \
		-kernel "$GUEST_KERNEL" -initrd "$GUEST_INITRD" \
		-append "console=ttyS0 quiet net.ifnames=0 mitigations=off" \
		-chardev "file,id=console,path=$LAB_DIR/$name.console,append=on" -serial chardev:console \
		-chardev "socket,id=command,path=$LAB_DIR/$name.command,server=on,wait=off" \
		-serial chardev:command \
		-qmp "unix:$LAB_DIR/$name.qmp,server=on,wait=off" \
		-qmp "unix:$LAB_DIR/$name.agent,server=on,wait=off" "${nics[@]}" "${extra[@]}"
	wait_for -t 20 test -S "$LAB_DIR/$name.agent"
	guest_hurry "$name"
	$wait || return 0
	guest_ready "$name"
}

# guest_hurry NAME: its vCPUs are not interrupted by other programs, where that is allowed. For one
# thing a guest keeps up on a busy machine. For another QEMU's migration of an emulated guest loses
# writes when a vCPU's thread is interrupted while dirty pages are collected (guest_undisturbed).
guest_hurry() {
	local thread
	for thread in $(guest_qmp "$1" query-cpus-fast | json - '[:]' | grep -o '"thread-id": [0-9]*' |
		cut -d' ' -f2); do
		chrt --fifo --pid 1 "$thread" 2>/dev/null || true
	done
}

# guest_undisturbed COMMAND...: a command that moves guests. The system stops real-time threads for 50 ms
# of each second in which they want all of it, and a busy guest that moves does: of 11 moves by QEMU alone
# beside ten other programs 2 killed the guest that way, of 24 without the stops none. Put back by lab_end
# if the command does not come back, and by the next lab if nobody could (lab_sweep).
guest_throttle=/proc/sys/kernel/sched_rt_runtime_us
guest_undisturbed() {
	local rc=0
	if [[ ! -e $LAB_DIR/throttle && $(<"$guest_throttle") != -1 ]]; then
		cp "$guest_throttle" "$LAB_DIR/throttle"
		{ echo -1 >"$guest_throttle"; } 2>/dev/null || true
	fi
	"$@" || rc=$?
	guest_throttle_back "$LAB_DIR"
	return "$rc"
}

guest_throttle_back() {
	[[ -s $1/throttle ]] || return 0
	{ cat "$1/throttle" >"$guest_throttle"; } 2>/dev/null || true
	rm -f "$1/throttle"
}

# guest_hangs NAME: QEMU says that it runs, and it does not answer on its serial line, which is no switch's.
guest_hangs() {
	! guest_run "$1" -t 10 true 2>/dev/null || return 1
	lab_note "guest $1 hangs"
	touch "$LAB_DIR/hung"
}

# guests_broken: a guest's kernel says that its memory is not what it wrote, or says nothing any more: the
# emulation's doing.
guests_broken() {
	[[ -e $LAB_DIR/hung ]] || grep -qE 'Kernel panic|BUG:|general protection|is not a head|Oops' "$LAB_DIR"/*.console 2>/dev/null
}

# guest_nic INDEX BACKEND QUEUES OPTIONS: adds to `nics` of guest_start.
guest_nic() {
	local target=${2#*:} device="virtio-net-pci,netdev=net$1,vectors=0,romfile=,$4"
	case $2 in
	vhost:*) nics+=(-chardev "socket,id=char$1,path=$target,reconnect=1") ;;
	listen:*) nics+=(-chardev "socket,id=char$1,path=$target,server=on,wait=off") ;;
	esac
	case $2 in
	tap:*) nics+=(-netdev "tap,id=net$1,ifname=$target,script=no,downscript=no") ;;
	*) nics+=(-netdev "vhost-user,id=net$1,chardev=char$1,queues=$3") ;;
	esac
	(($3 == 1)) || device+=,mq=on
	nics+=(-device "$device")
}

# guest_ready NAME [SECONDS]: waits until the guest answers (60 s); fails early when QEMU ended.
guest_ready() {
	"$LAB_SOURCE/guest_run.py" --ready --timeout "${2:-60}" "$LAB_DIR/$1.command" && return
	lab_note "guest $1 does not answer:"
	tail -5 "$LAB_DIR/$1.log" "$LAB_DIR/$1.console" 2>/dev/null | sed 's/^/#   /'
	return 1
}

# guest_run NAME [-t SECONDS] 'COMMAND': runs it by the guest's shell; prints what it printed,
# returns its exit code; 124 when the guest does not answer in time (30 s). Commands meant to stay
# end in `&` and write to a file.
guest_run() {
	local name=$1 limit_s=30
	shift
	[[ $1 == -t ]] && limit_s=$2 && shift 2
	"$LAB_SOURCE/guest_run.py" --timeout "$limit_s" "$LAB_DIR/$name.command" "$1"
}

# guest_qmp NAME COMMAND ['{"argument": 1}']: one QMP command, prints what it returns.
guest_qmp() {
	"$LAB_SOURCE/qmp.py" "$LAB_DIR/$1.qmp" "${@:2}"
}

# guest_stop NAME: ends QEMU (the guest is not asked).
guest_stop() {
	proc_stop "$1" || true
}
