#!/usr/bin/env bash
# Builds the binary of the image: static, so that it needs nothing around it, and the same bytes from any folder. static.sh OUT
set -euo pipefail
cd "$(dirname "$0")/.."
out=$1
host=$(rustc -vV | awk '/^host:/ {print $2}')
target_dir="${CARGO_TARGET_DIR:-target}"
# glibc's static-pie, not musl, whose allocator costs throughput; paths of this machine stay out of the binary. Cargo names our own files
# from this folder, so they need no mapping, and with one every clone would compile all dependencies again.
export RUSTFLAGS="-C target-feature=+crt-static --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
# With --target the flags are not for build scripts and macros, which must stay dynamic.
# A binary that may lie anywhere has tens of thousands of places to fill in when it starts; written out they are a megabyte, packed they are none.
cargo rustc --release --locked --bin demarc --target "$host" -- -C link-arg=-Wl,-z,pack-relative-relocs
install -D -m 0755 "$target_dir/$host/release/demarc" "$out"
