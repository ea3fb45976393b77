#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# `meson install` gives a system to work with: what it installs is there and runs, and a plugin
# outside the tree builds with nothing but the installed header and its pkg-config file.

. "$(dirname "$0")/lib.sh"
lab_begin 01-install
lab_need gcc pkg-config

root=$LAB_DIR/root
check "it installs" meson install -C "$FERRY_BUILD" --no-rebuild --destdir "$root"

installed() {
	meson introspect "$FERRY_BUILD" --installed | /usr/bin/python3 -c '
import json, sys
print("\n".join(sorted(set(json.load(sys.stdin).values()))))'
}
missing=
while read -r path; do
	[[ -e $root$path ]] || missing+=" $path"
done < <(installed)
is "everything that should be there is" "$missing" ""

for program in "$root"/usr/local/bin/* "$root"/usr/bin/*; do
	[[ -x $program ]] || continue
	check "${program##*/} says its version" "$program" --version
done

units=("$root"/usr/local/lib/systemd/system/*.service)
is "two units are installed" "${#units[@]}" 2
check_not "with all their places filled in" grep -H '@' "${units[@]}"

# ---- a plugin of somebody else ----
pc=$(dirname "$(find "$root" -name ferry-plugin.pc)")
package() {
	PKG_CONFIG_PATH=$pc PKG_CONFIG_SYSROOT_DIR=$root pkg-config "$@" ferry-plugin
}
cat >"$LAB_DIR/mine.c" <<'END'
#include "dataplane/plugin.h"

extern const struct plugin_descriptor ferry_plugin;
const unsigned int mine_abi = PLUGIN_ABI_VERSION + 0 * sizeof(ferry_plugin);
END
read -ra flags <<<"$(package --cflags)"
check "the installed header stands on its own" gcc -std=gnu11 -Wall -Wextra -Werror -shared -fPIC \
	"${flags[@]}" "$LAB_DIR/mine.c" -o "$LAB_DIR/mine.so"
place=$(package --variable=plugindir)
is "its place is known" "${place#"${place%/ferry/plugins}"}" /ferry/plugins
