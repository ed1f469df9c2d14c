#!/usr/bin/env bash
# Prints the folder that holds etcd, kube-apiserver, kube-controller-manager and kubectl, building once a user what is missing.
# Further commands of Kubernetes may be asked for by name: controlplane.sh kubelet kube-proxy
# KUBEBUILDER_ASSETS is honoured; the versions are pinned in controlplane/go.mod.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  for binary in etcd kube-apiserver kube-controller-manager kubectl "$@"; do
    if [ ! -x "$KUBEBUILDER_ASSETS/$binary" ]; then
      echo "error: KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS has no $binary: add it, or unset the variable and it is built here" >&2
      exit 1
    fi
  done
  echo "$KUBEBUILDER_ASSETS"
  exit 0
fi

version=$(awk '$1 == "k8s.io/kubernetes" && $2 ~ /^v/ {print $2; exit}' "$here/controlplane/go.mod")
minor=$(echo "$version" | cut -d. -f2)
# Without these `kubectl version` and discovery say v0.0.0.
stamp="-X k8s.io/component-base/version.gitVersion=$version -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=$minor"
kubernetes=controlplane=k8s.io/kubernetes/cmd
more=()
for binary in "$@"; do more+=("$binary=$kubernetes/$binary=1 min"); done
exec "$here/pinned.sh" controlplane "$stamp" \
  "etcd=controlplane=go.etcd.io/etcd/server/v3=1 min" \
  "kube-apiserver=$kubernetes/kube-apiserver=4 min" \
  "kube-controller-manager=$kubernetes/kube-controller-manager=1 min" \
  "kubectl=$kubernetes/kubectl=1 min" "${more[@]}"
