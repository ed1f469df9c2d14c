#!/usr/bin/env bash
# Sees to it that programs are there: packages.sh PROGRAM=PACKAGE... Where one is missing, root has apt-get install it, and anybody else is told.
# The names are Debian's.
set -euo pipefail
# Debian keeps the CNI plugins beside the path, and sbin out of a user's.
PATH="$PATH:/usr/sbin:/sbin:/usr/lib/cni"
missing=()
for pair in "$@"; do
  command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "error: not installed: ${missing[*]} (Debian's names)" >&2
  exit 1
fi
echo "installing ${missing[*]} with apt-get (once; some seconds)" >&2
get() { DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >/dev/null; }
# A machine that has just been made has no lists yet, or old ones.
get 2>/dev/null || { apt-get update >/dev/null && get; } || { echo "error: apt-get could not install ${missing[*]}" >&2; exit 1; }
