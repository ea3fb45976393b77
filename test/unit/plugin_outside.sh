#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A plugin outside the tree: what `meson install` leaves is enough to build one. A copy of the sample, the installed
# header by pkg-config, a C compiler; the tests of the sample then load that copy.
#
# usage: plugin_outside.sh BUILD SOURCE TEST_PROGRAM
set -euo pipefail
build=$1 source=$2 program=$(realpath "$3")

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

# The development files alone: the header and the .pc file.
if ! DESTDIR=$root meson install -C "$build" --no-rebuild --tags devel >"$root/log" 2>&1; then
	cat "$root/log"
	exit 1
fi
pc=$(find "$root" -name ferry-plugin.pc)
[[ -n $pc ]] || { echo "no ferry-plugin.pc was installed" && exit 1; }
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR=$root

mkdir "$root/outside"
cp "$source/plugins/sample/sample.c" "$root/outside/service.c"
cd "$root/outside"
read -ra cflags <<<"$(pkg-config --cflags ferry-plugin)"
cc -O2 -Wall -Wextra -Wno-unused-parameter -Werror -shared -fPIC -fvisibility=hidden \
	"${cflags[@]}" service.c -o service.so

plugindir=$(pkg-config --variable=plugindir ferry-plugin)
[[ $plugindir == *ferry/plugins ]] || { echo "plugindir is '$plugindir'" && exit 1; }

FERRY_SAMPLE=$root/outside/service.so "$program"
