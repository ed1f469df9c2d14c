#!/usr/bin/env bash
# Builds the static binary and the image around it, with docker where one answers and with buildah otherwise: image.sh [NAME:TAG] [ARCHIVE]
# The image needs no base image, so no registry either. ARCHIVE is written as an OCI archive, with buildah.
set -euo pipefail
cd "$(dirname "$0")/.."
version=$(awk -F'"' '/^version = / {print $2; exit}' Cargo.toml)
name=${1:-ghcr.io/demarc/demarc:$version}
archive=${2:-}
limit=$((25 * 1000 * 1000))
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/demarc/target}"

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
echo "building the static binary (about 4 min on two cores the first time)" >&2
hack/static.sh "$context/demarc"
# When the commit was made, not when the image is: the same commit gives the same image. Not before: what is written in C would be compiled anew
# for each commit.
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}"

flags=(--target prebuilt --build-arg BINARY=demarc --build-arg VERSION="$version" --build-arg REVISION="$revision" -t "$name" -f Dockerfile)
# One image, and no note beside it of how it was made: that would make it a list, and another one each time.
export BUILDX_NO_DEFAULT_ATTESTATIONS=1
if [ -z "$archive" ] && docker info >/dev/null 2>&1; then
  docker build "${flags[@]}" "$context" >&2
else
  hack/packages.sh buildah=buildah || { echo "error: neither docker nor buildah answers" >&2; exit 1; }
  # Without a daemon, also in a container: no RUN, so the isolation is never used.
  buildah bud --isolation chroot --timestamp "$SOURCE_DATE_EPOCH" "${flags[@]}" "$context" >&2
  if [ -n "$archive" ]; then
    buildah push -q "$name" "oci-archive:$archive:$name"
  fi
fi
# One file is all that is in it.
size=$(stat -c %s "$context/demarc")
echo "$name: $size bytes"
if [ "$size" -gt "$limit" ]; then
  echo "error: the image is larger than $limit bytes" >&2
  exit 1
fi
