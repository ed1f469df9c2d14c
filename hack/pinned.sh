#!/usr/bin/env bash
# Prints a folder of pinned Go tools, building once a user what is missing: pinned.sh NAME LDFLAGS BINARY=MODULE=PACKAGE=ABOUT...
# MODULE is a folder here whose go.mod pins PACKAGE, or has it; the cache is keyed by those files, so a new pin is a new folder.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
name=$1 ldflags=$2
shift 2

modules=$(printf '%s\n' "$@" | cut -d= -f2 | sort -u)
shopt -s nullglob
key=$(for module in $modules; do cat "$here/$module/go.mod" "$here/$module/go.sum" "$here/$module"/*.go; done | sha256sum | cut -c1-12)
cache="${XDG_CACHE_HOME:-$HOME/.cache}/demarc/$name-$key"
missing() { for row in "$@"; do [ -x "$cache/${row%%=*}" ] || echo "$row"; done; }

if [ -n "$(missing "$@")" ]; then
  if ! command -v go >/dev/null; then
    echo "error: Go is not installed, and ${name} is built with it: install Go 1.26 or newer" >&2
    exit 1
  fi
  mkdir -p "$cache"
  exec 9>"$cache/.lock"
  flock 9 # two builds at once would do the same work twice
  while IFS='=' read -r binary module package about <&3; do
    [ -n "$binary" ] || continue
    echo "building $binary for $name (once; about $about on two cores) into $cache" >&2
    start=$SECONDS
    (cd "$here/$module" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w $ldflags" -o "$cache/.$binary" "$package" >&2)
    mv "$cache/.$binary" "$cache/$binary"
    echo "built $binary in $((SECONDS - start)) s" >&2
  done 3<<<"$(missing "$@")"
fi
echo "$cache"
