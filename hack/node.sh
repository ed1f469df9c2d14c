#!/usr/bin/env bash
# One machine as a Kubernetes cluster, with kubelet and containerd: node.sh up | down | can | load [ARCHIVE...] | image FILE | exec COMMAND...
# All of it lives in namespaces of its own (processes, mounts, network), in one cgroup, one folder and one pair of interfaces:
# the machine's own mounts, firewall, routes and settings are never touched, and ending the first process ends everything.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
name=demarc-node
state=/var/lib/$name
# For benchmarks of networks, hence nobody's: the machine's end of the wire and the node's.
outside=198.18.44.1 inside=198.18.44.2

say() { echo "node: $*" >&2; }
fail() { echo "error: $*" >&2; exit 1; }

need_root() { [ "$(id -u)" = 0 ] || fail "a node mounts, makes network interfaces and starts containers: run this as root (sudo -E make node)"; }

need_packages() { "$here/packages.sh" runc=runc buildah=buildah ptp=containernetworking-plugins iptables=iptables ip=iproute2 pkill=procps openssl=openssl cc=gcc; }

# What a node's pods are counted and limited by.
controllers="cpuset cpu memory pids hugetlb io"
offers() { grep -qw "$2" "$1/cgroup.controllers"; }         # MOUNT CONTROLLER
hands_down() { grep -qw "$2" "$1/cgroup.subtree_control"; } # MOUNT CONTROLLER

# Why this machine cannot be a node, in one line; nothing when it can. It tries what a node does first, and leaves nothing.
why_not() {
  local top controller error
  [ "$(id -u)" = 0 ] || { echo "it needs root"; return; }
  need_packages || { echo "packages are missing"; return; }
  unshare --net --mount --pid --fork true 2>/dev/null || { echo "this machine lets nobody make namespaces for network, mounts and processes"; return; }
  unshare --net ip link add demarc-try type veth peer name demarc-yrt 2>/dev/null || { echo "this machine has no pairs of network interfaces (veth)"; return; }
  unshare --net iptables -t nat -L >/dev/null 2>&1 || { echo "this machine's kernel has no iptables for Services"; return; }
  [ -n "$(cgroups)" ] || { echo "no cgroups are mounted"; return; }
  for top in $(cgroups); do
    [ -d "$top" ] || { mkdir "$top" && rmdir "$top"; } 2>/dev/null || { echo "cgroups are mounted read-only: $(dirname "$top")"; return; }
  done
  for top in $(findmnt -rno TARGET -t cgroup2); do
    for controller in $controllers; do
      { offers "$top" "$controller" && ! hands_down "$top" "$controller"; } || continue
      # Of a container the root is a cgroup like any other to the kernel, and one that holds processes hands nothing down.
      error=$({ echo "+$controller" >"$top/cgroup.subtree_control"; } 2>&1) ||
        { echo "cgroup v2 hands no $controller down from $top (${error##*: }), as where the root of a container holds processes"; return; }
      echo "-$controller" 2>/dev/null >"$top/cgroup.subtree_control" || true # somebody has a use for it by now
    done
  done
}

binaries() {
  kubernetes=$("$here/controlplane.sh" kube-scheduler kube-proxy kubelet)
  local version package=github.com/containerd/containerd/v2
  version=$(awk -v module=$package '$1 == "require" {print $3; exit} $1 == module {print $2; exit}' "$here/node/go.mod")
  containerd=$("$here/pinned.sh" runtime "-X $package/version.Version=$version" \
    "containerd=node=$package/cmd/containerd=1 min" \
    "containerd-shim-runc-v2=node=$package/cmd/containerd-shim-runc-v2=1 min" \
    "ctr=node=$package/cmd/ctr=1 min")
}

# The image of every pod's sandbox; tests run it too. One static file in the format of `docker save`: nothing has to build it.
pod_image() {
  local work architecture digest
  work=$(mktemp -d)
  architecture=$(case $(uname -m) in aarch64) echo arm64 ;; *) echo amd64 ;; esac)
  cc -static -O2 -s -o "$work/pod" "$here/node/pod.c"
  tar -C "$work" --owner=0 --group=0 --numeric-owner -cf "$work/layer.tar" pod
  digest=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
  cat >"$work/config.json" <<EOF
{"architecture": "$architecture", "os": "linux", "config": {"User": "65532:65532", "Entrypoint": ["/pod"]}, "rootfs": {"type": "layers", "diff_ids": ["sha256:$digest"]}}
EOF
  echo '[{"Config": "config.json", "RepoTags": ["demarc.test/pod:1"], "Layers": ["layer.tar"]}]' >"$work/manifest.json"
  tar -C "$work" -cf "$1" manifest.json config.json layer.tar
  rm -rf "$work"
}

cgroups() { findmnt -rno TARGET -t cgroup,cgroup2 | sed "s,\$,/$name,"; }
members() {
  local group
  for group in $(cgroups); do
    [ ! -d "$group" ] || find "$group" -name cgroup.procs -exec cat {} + 2>/dev/null
  done | sort -un
}
leftovers() { [ -e "$state" ] || [ -n "$(members)" ] || ip link show "$name" >/dev/null 2>&1; }

# Everything below the first process ends with it; what a cgroup still lists had not come that far. Works on any half of a node.
down() {
  local group pids top controller
  for _ in $(seq 200); do
    pids=$(members)
    [ -n "$pids" ] || break
    # shellcheck disable=SC2086 # one word a process
    kill -KILL $pids 2>/dev/null || true
    sleep 0.05
  done
  ip link delete "$name" 2>/dev/null || true
  for _ in $(seq 200); do
    for group in $(cgroups); do
      [ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
    done
    [ -n "$(for group in $(cgroups); do [ ! -d "$group" ] || echo "$group"; done)" ] || break
    sleep 0.05
  done
  if [ -e "$state/controllers" ]; then
    while read -r top controller; do echo "-$controller" >"$top/cgroup.subtree_control" || true; done 2>/dev/null <"$state/controllers"
  fi
  rm -rf --one-file-system "$state"
  ! leftovers || fail "something of the node is left: $(members | tr '\n' ' ')$(ls -d "$state" 2>/dev/null || true)"
}

pki() { # NAME SUBJECT [ALTERNATIVE-NAMES]
  local by=(-CA "$state/pki/ca.crt" -CAkey "$state/pki/ca.key") as=(-addext "basicConstraints=critical,CA:FALSE")
  [ "$1" != ca ] || { by=() as=(-addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,digitalSignature"); }
  [ -z "${3:-}" ] || as+=(-addext "subjectAltName=$3")
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 30 -subj "$2" "${by[@]}" "${as[@]}" \
    -config <(printf '[req]\ndistinguished_name=dn\n[dn]\n') -keyout "$state/pki/$1.key" -out "$state/pki/$1.crt" 2>/dev/null
}

kubeconfig() { # NAME SUBJECT FILE
  pki "$1" "$2"
  cat >"$3" <<EOF
apiVersion: v1
kind: Config
current-context: $name
clusters: [{name: $name, cluster: {server: 'https://$inside:6443', certificate-authority-data: $(base64 -w0 "$state/pki/ca.crt")}}]
users: [{name: $1, user: {client-certificate-data: $(base64 -w0 "$state/pki/$1.crt"), client-key-data: $(base64 -w0 "$state/pki/$1.key")}}]
contexts: [{name: $name, context: {cluster: $name, user: $1}}]
EOF
}

files() {
  mkdir -p "$state/pki" "$state/log" "$state/lib"
  chmod 0700 "$state/pki"
  pki ca /CN=demarc-node
  pki apiserver /CN=kube-apiserver "IP:$inside,IP:10.96.0.1,IP:127.0.0.1,DNS:localhost,DNS:kubernetes.default.svc"
  pki apiserver-kubelet /O=system:masters/CN=apiserver-kubelet
  openssl genrsa -out "$state/pki/accounts.key" 2048 2>/dev/null
  openssl rsa -in "$state/pki/accounts.key" -pubout -out "$state/pki/accounts.pub" 2>/dev/null
  kubeconfig admin /O=system:masters/CN=admin "$state/kubeconfig"
  kubeconfig kubelet /O=system:nodes/CN=system:node:demarc "$state/pki/kubelet.conf"
  for component in kube-controller-manager kube-scheduler kube-proxy; do
    kubeconfig $component "/CN=system:$component" "$state/pki/$component.conf"
  done
  chmod 0600 "$state/kubeconfig" "$state"/pki/*.conf
  cp "$here"/node/*.yaml "$here"/node/*.toml "$here"/node/*.conflist "$state"
}

await() { # SECONDS WHAT COMMAND...
  local start=$SECONDS what=$2 limit=$1
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ -e "/proc/$(cat "$state/pid")" ] || fail "the node ended while waiting for $what: $(tail -3 "$state/log/init.log")"
    [ $((SECONDS - start)) -lt "$limit" ] || fail "no $what within $limit s; the end of each log in $state/log: $(tail -n 3 "$state"/log/*.log)"
    sleep 0.2
  done
  say "$what after $((SECONDS - began)) s"
}

start() {
  local group track top controller
  for group in $(cgroups); do mkdir -p "$group"; done
  # cgroup v2 hands controllers down only when it is told to. What was not handed down before is taken back at the end.
  for top in $(findmnt -rno TARGET -t cgroup2); do
    for controller in $controllers; do
      offers "$top" "$controller" || continue
      hands_down "$top" "$controller" || echo "$top $controller" >>"$state/controllers"
      echo "+$controller" >"$top/cgroup.subtree_control"
      echo "+$controller" >"$top/$name/cgroup.subtree_control"
    done
  done
  # One hierarchy is enough to find every process again; in the others they stay where the caller is.
  track=$(findmnt -rno TARGET -t cgroup -O pids | head -1)
  track=${track:-$(findmnt -rno TARGET -t cgroup2 | head -1)}/$name/daemons
  mkdir -p "$track"
  (
    echo "$BASHPID" >"$track/cgroup.procs"
    exec setsid unshare --net --mount "$here/node/init.sh" namespaces "$state" "$kubernetes" "$containerd" "$name" "$outside" "$inside"
  ) </dev/null >"$state/log/init.log" 2>&1 8<&- &
  echo $! >"$state/pid"
}

kubectl() { NO_PROXY=$inside KUBECONFIG=$state/kubeconfig "$kubernetes/kubectl" --request-timeout=5s "$@"; }
is_ready() { kubectl get node demarc -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' | grep -q True; }
untainted() { [ -z "$(kubectl get node demarc -o 'jsonpath={.spec.taints}')" ]; }
inside_node() {
  local pid
  pid=$(cat "$state/pid" 2>/dev/null) || fail "no node is up: make node"
  nsenter --target "$pid" --mount --net "--pid=/proc/$pid/ns/pid_for_children" env PATH="/run/containerd.bin:/run/kubernetes.bin:$PATH" KUBECONFIG=/run/node/kubeconfig "$@"
}
load() {
  local archive said
  if [ $# = 0 ]; then
    "$here/image.sh" "" "$state/demarc.tar" >&2
    set -- "$state/demarc.tar"
  fi
  for archive in "$@"; do said=$(inside_node ctr -n k8s.io images import - <"$archive" 2>&1) || fail "$archive: $said"; done
}

# One at a time on this machine, by a lock that leaves no file. What a killed run had started is waited for too.
alone() {
  exec 8</var/lib
  flock --nonblock 8 || { say "waiting for another run of this"; flock 8; }
}

up() {
  binaries
  need_packages
  alone
  began=$SECONDS
  if [ -e "$state/pid" ] && is_ready 2>/dev/null; then
    say "it is up already"
  else
    ! leftovers || { say "clearing what an earlier run left"; down; }
    # Whatever goes wrong from here, the machine is as before.
    trap 'down' EXIT
    mkdir -m 0755 "$state"
    files
    pod_image "$state/pod.tar"
    say "starting etcd, the API server, containerd, kubelet and the others (logs: $state/log)"
    start
    await 60 "the API server" kubectl get --raw /readyz
    await 30 "containerd" inside_node ctr version
    load "$state/pod.tar"
    await 60 "a Ready node" is_ready
    await 30 "a node for pods" untainted
    await 30 "the default service account" kubectl get serviceaccount default
    trap - EXIT
  fi
  echo "export KUBECONFIG=$state/kubeconfig"
}

case ${1:-} in
  up) need_root; up ;;
  down) need_root; alone; down ;;
  # Says why not, for whoever would rather leave it out than fail.
  can) reason=$(why_not); [ -z "$reason" ] || { echo "$reason"; exit 1; } ;;
  load) need_root; shift; load "$@" ;;
  # For other clusters: they have a sandbox image, and run the same tests.
  image) pod_image "$2" ;;
  exec) need_root; shift; inside_node "$@" ;;
  *) fail "node.sh up | down | can | load [ARCHIVE...] | image FILE | exec COMMAND..." ;;
esac
