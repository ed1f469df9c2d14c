#!/usr/bin/env bash
# Runs tests/node: the image and the chart on a cluster with a real kubelet. The one of node.sh by default, or CLUSTER=kind.
# A cluster that was there before stays; one that is made here goes, whatever happens; KEEP=1 keeps it.
# IMAGE_ARCHIVE=file: the image, when it is built already (node only).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.."
cluster=${CLUSTER:-node}
helm=${HELM:-helm4}
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/demarc/target}"
work=$(mktemp -d)
made=
end() {
  if [ -n "$made" ] && [ -z "${KEEP:-}" ]; then
    case $cluster in
      node) "$here/node.sh" down ;;
      kind) kind delete cluster --name demarc-e2e >&2 ;;
    esac
  fi
  rm -rf "$work"
}
trap end EXIT

case $cluster in
  node)
    [ "$(id -u)" = 0 ] || { echo "error: a node needs root (sudo -E make e2e), or take CLUSTER=kind where Docker is" >&2; exit 1; }
    # First, for it may have to build: then nothing is up while it does.
    kubernetes=$("$here/controlplane.sh" kube-scheduler kube-proxy kubelet)
    ;;
  kind)
    for program in kind docker kubectl; do
      command -v "$program" >/dev/null || { echo "error: CLUSTER=kind needs $program, which is not installed" >&2; exit 1; }
    done
    ;;
  *) echo "error: CLUSTER=$cluster is neither node nor kind" >&2; exit 1 ;;
esac
tools=$("$here/tools.sh")
certmanager=$("$here/certmanager.sh")
cargo test --quiet --test node --no-run

case $cluster in
  node)
    [ -e /var/lib/demarc-node/pid ] || made=yes
    "$here/node.sh" up >/dev/null
    "$here/node.sh" load ${IMAGE_ARCHIVE:+"$IMAGE_ARCHIVE"}
    kubeconfig=/var/lib/demarc-node/kubeconfig
    kubectl="$kubernetes/kubectl"
    on_node="$here/node.sh exec"
    ;;
  kind)
    "$here/image.sh" >&2
    "$here/node.sh" image "$work/pod.tar"
    made=yes
    kind create cluster --name demarc-e2e --kubeconfig "$work/kubeconfig" --wait 2m ${KIND_IMAGE:+--image "$KIND_IMAGE"} >&2
    version=$(awk -F'"' '/^version = / {print $2; exit}' Cargo.toml)
    kind load docker-image "ghcr.io/demarc/demarc:$version" --name demarc-e2e >&2
    kind load image-archive "$work/pod.tar" --name demarc-e2e >&2
    kubeconfig="$work/kubeconfig"
    kubectl=kubectl
    on_node="docker exec demarc-e2e-control-plane"
    ;;
esac
# The node's address is nobody's proxy to reach.
[ "$cluster" != node ] || export NO_PROXY="${NO_PROXY:+$NO_PROXY,}198.18.44.2" no_proxy="${no_proxy:+$no_proxy,}198.18.44.2"
# One after another: there is one cluster, and one release in it.
DEMARC_E2E_KUBECONFIG="$kubeconfig" DEMARC_E2E_KUBECTL="$kubectl" DEMARC_E2E_HELM="$tools/$helm" DEMARC_E2E_ON_NODE="$on_node" DEMARC_E2E_CERT_MANAGER="$certmanager" \
  cargo test --test node -- --ignored --test-threads=1 --nocapture
