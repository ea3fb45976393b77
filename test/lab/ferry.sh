# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Ferry's own programs in the lab. Sourced by lib.sh.
