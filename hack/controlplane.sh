#!/usr/bin/env bash
# Prints the folder that holds etcd, kube-apiserver, kube-controller-manager and kubectl, building once a user what is missing.
# KUBEBUILDER_ASSETS is honoured; the versions are pinned in controlplane/go.mod.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
binaries=(etcd kube-apiserver kube-controller-manager kubectl)

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  for binary in "${binaries[@]}"; do
    if [ ! -x "$KUBEBUILDER_ASSETS/$binary" ]; then
      echo "error: KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS has no $binary: add it, or unset the variable and it is built here" >&2
      exit 1
    fi
  done
  echo "$KUBEBUILDER_ASSETS"
  exit 0
fi

module="$here/controlplane"
key=$(cat "$module/go.mod" "$module/go.sum" | sha256sum | cut -c1-12)
cache="${XDG_CACHE_HOME:-$HOME/.cache}/demarc/controlplane-$key"
missing() { for binary in "${binaries[@]}"; do [ -x "$cache/$binary" ] || echo "$binary"; done; }

if [ -n "$(missing)" ]; then
  if ! command -v go >/dev/null; then
    echo "error: Go is not installed, and a real API server is built with it: install Go 1.26 or newer, or set KUBEBUILDER_ASSETS to a folder with ${binaries[*]}" >&2
    exit 1
  fi
  mkdir -p "$cache"
  exec 9>"$cache/.lock"
  flock 9 # two builds at once would do the same work twice
  version=$(awk '$1 == "k8s.io/kubernetes" && $2 ~ /^v/ {print $2; exit}' "$module/go.mod")
  minor=$(echo "$version" | cut -d. -f2)
  stamp="-X k8s.io/component-base/version.gitVersion=$version -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=$minor"
  for binary in $(missing); do
    case $binary in
      etcd) package=go.etcd.io/etcd/server/v3 about="1 min" ;;
      kube-apiserver) package=k8s.io/kubernetes/cmd/$binary about="4 min" ;;
      *) package=k8s.io/kubernetes/cmd/$binary about="1 min" ;;
    esac
    echo "building $binary ($version's control plane, once; about $about on two cores) into $cache" >&2
    start=$SECONDS
    (cd "$module" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w $stamp" -o "$cache/.$binary" "$package" >&2)
    mv "$cache/.$binary" "$cache/$binary"
    echo "built $binary in $((SECONDS - start)) s" >&2
  done
fi
echo "$cache"
