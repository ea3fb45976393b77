#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Makes the lab guest: prints the paths of its kernel and its initramfs.
#
# usage: make_image.sh BUILD_DIR CACHE_DIR
# The kernel comes from Debian's linux-image-cloud-amd64 (the .deb is fetched with apt-get and
# unpacked, nothing is installed) and stays in CACHE_DIR; the initramfs holds busybox, the modules
# of a virtio NIC and disk, and the programs of this folder built in BUILD_DIR.
set -euo pipefail

source_dir=$(cd "$(dirname "$0")" && pwd)
build=$1
cache=$2
programs=$build/test/lab/guest
image=$programs/initramfs
# In loading order: with another one the NIC does not come up.
modules=(virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci failover
	net_failover virtio_net virtio_blk)

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9

kernel_package() {
	apt-cache depends linux-image-cloud-amd64 2>/dev/null |
		sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -1
}

# $cache/linux-image-.../{vmlinuz,*.ko}; the directory appears only when it is complete.
fetch_kernel() {
	local package=$1 work
	work=$(mktemp -d "$cache/fetch.XXXXXX")
	# shellcheck disable=SC2064 # the value of now
	trap "rm -rf '$work'" EXIT
	echo "fetching $package" >&2
	(cd "$work" && apt-get -q -o APT::Sandbox::User=root download "$package" >&2) ||
		{ apt-get -q update >&2 && (cd "$work" && apt-get -q -o APT::Sandbox::User=root \
			download "$package" >&2); }
	dpkg-deb -x "$work"/*.deb "$work/root"
	mkdir "$work/done"
	cp "$work/root/boot"/vmlinuz-* "$work/done/vmlinuz"
	for module in "${modules[@]}"; do
		find "$work/root/lib/modules" -name "$module.ko" -exec cp -t "$work/done" {} +
		[[ -f $work/done/$module.ko ]] || { echo "no module $module in $package" >&2; return 1; }
	done
	mv "$work/done" "$cache/$package"
}

package=$(kernel_package)
if [[ -z $package ]]; then
	apt-get -q update >&2 || true
	package=$(kernel_package)
fi
if [[ -n $package && ! -d $cache/$package ]]; then
	(fetch_kernel "$package") || true
fi
if [[ -z $package || ! -d $cache/$package ]]; then
	# Not to be had now; one fetched earlier serves as well.
	newest=$(find "$cache" -maxdepth 1 -name 'linux-image-*' | sort -V | tail -1)
	[[ -n $newest ]] || { echo "linux-image-cloud-amd64 cannot be fetched" >&2; exit 1; }
	package=${newest##*/}
fi
kernel=$cache/$package

root=$(mktemp -d "$programs/root.XXXXXX")
trap 'rm -rf "$root"' EXIT
mkdir -p "$root"/{bin,dev,proc,sys,tmp,modules}
cp "$(command -v busybox)" "$root/bin/busybox"
cp "$source_dir/init" "$root/init"
for program in probe tcpmany memstress; do
	cp "$programs/$program" "$root/bin/"
done
for module in "${modules[@]}"; do
	cp "$kernel/$module.ko" "$root/modules/"
	echo "$module" >>"$root/modules/order"
done
(cd "$root" && find . | cpio -o -H newc --quiet) >"$image.new"
mv "$image.new" "$image"
echo "$kernel/vmlinuz $image"
