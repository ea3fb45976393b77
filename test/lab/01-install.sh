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

for program in "$root"/usr/local/{bin,sbin}/* "$root"/usr/{bin,sbin}/*; do
	[[ -x $program ]] || continue
	check "${program##*/} says its version" "$program" --version
done

units=("$root"/usr/local/lib/systemd/system/*.service)
is "two units are installed" "${#units[@]}" 2
check_not "with all their places filled in" grep -H '@' "${units[@]}"
missing=
while read -r program; do
	[[ -x $root$program ]] || missing+=" $program"
done < <(sed -n 's/^Exec[A-Za-z]*=\([^ ]*\).*/\1/p' "${units[@]}")
is "that start what is installed" "$missing" ""

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

# ---- what is installed runs by the example that came with it ----
programs=$root/usr/local/bin
ferryd=$root/usr/local/sbin/ferryd
examples=$root/usr/local/share/doc/ferry
plugins=$place # with the root before it
for example in "$examples"/*.yaml; do
	check "the example ${example##*/} is good as it is" \
		"$ferryd" --check --config "$example" --plugin-dir "$plugins"
done
place=${place#"$root"} # the root is nobody's to look into
if [[ ! -e $place ]]; then
	"$ferryd" --check --config "$examples/ferry.yaml" >"$LAB_DIR/elsewhere" 2>&1 || true
	check "plugins are looked for where they are installed" grep -q "plugin $place/" "$LAB_DIR/elsewhere"
fi

ns_add host peer
veth_add host eth1 peer un0 1650
addr_add host eth1 192.0.2.1/24
"$LAB_SOURCE/../../scripts/test-ca" "$LAB_DIR/ca" host-a >/dev/null
# Only what a machine of the lab does not have is said otherwise.
sed -e "s|/run/ferry|$LAB_DIR/run|; s|/etc/ferry/|$LAB_DIR/ca/|; s|target: syslog|target: stderr|" \
	-e "s|memory_mb: 2048.*|memory_mb: 256\n  no_huge: true\n  file_prefix: $LAB_ID-a|" \
	-e "s|workers: 2|workers: 1|; s|cores: \[2, 3\]|cores: [0]|" \
	-e "s|sessions: 4194304|sessions: 20000|; s|sessions: 500000|sessions: 5000|" \
	"$examples/ferry.yaml" >"$LAB_DIR/a.yaml"
installed_ctl() {
	"$programs/ferryctl" --socket "$LAB_DIR/run/ferryd.sock" "$@"
}
proc_start a -n host "$ferryd" --config "$LAB_DIR/a.yaml" --plugin-dir "$plugins"
check "ferryd starts by it" wait_for -t 20 installed_ctl version
is "with both vports" "$(installed_ctl --json vport show | json - '["vports"].__len__()')" 2
check "and all plugins" grep -q flowlog <(installed_ctl plugin show)
check "reloads" installed_ctl config reload
check "and ends when asked" proc_stop a 10
lab_end
