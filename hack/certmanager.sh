#!/usr/bin/env bash
# Prints the folder that holds cert-manager's controllers as one command, and its definitions in crds/, building once a user what is missing.
# The version is pinned in certmanager/go.mod.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=$("$here/pinned.sh" certmanager "" "cert-manager=certmanager=.=3 min")
if [ ! -d "$cache/crds" ]; then
  module=$(cd "$here/certmanager" && go list -m -f '{{.Dir}}' github.com/cert-manager/cert-manager)
  copy=$(mktemp -d "$cache/.crds.XXXXXX")
  cp "$module"/deploy/crds/*.yaml "$copy"
  chmod -R u+w,go+r "$copy" && mv -T "$copy" "$cache/crds" 2>/dev/null || rm -rf "$copy" # somebody else was first
fi
echo "$cache"
