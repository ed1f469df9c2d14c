#!/usr/bin/env bash
# What `make node-down` promises: the machine is as it was, after a whole run, after runs that were killed on the way, and after a node that died.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
node="$here/node.sh"
[ ! -e /var/lib/demarc-node ] || { echo "error: a node is up: make node-down first" >&2; exit 1; }
work=$(mktemp -d)
trap '"$node" down; rm -rf "$work"' EXIT

machine() {
  ip -brief link | awk '{print $1}'
  ip route
  # Whoever builds an image beside it mounts too.
  mount | grep -v /containers/storage/
  iptables-save 2>/dev/null | grep -v '^#' || true
  sysctl vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys net.ipv4.ip_forward net.netfilter.nf_conntrack_max 2>/dev/null || true
  find /sys/fs/cgroup -type d -path '*demarc-node*'
  grep -l demarc-node /proc/[0-9]*/cgroup 2>/dev/null || true
  # Where the parts of a node write by default.
  find /run /opt /etc /var/lib /var/log /usr/libexec -mindepth 1 -maxdepth 1 -regextype egrep \
    -regex '.*/[^/]*(cni|containerd|runc|kube|etcd|netns|xtables|nri|cdi|mount|pods|demarc)[^/]*' | sort
}
compare() {
  "$node" down
  machine >"$work/after"
  diff "$work/before" "$work/after" || { echo "error: $1: the machine is not as it was" >&2; exit 1; }
  echo "as before: $1"
}

# A container whose root of cgroup v2 holds processes: `can` says so in a sentence, and leaves what it found.
contained() {
  local top controller handed group said
  top=$(findmnt -rno TARGET -t cgroup2 | head -1)
  controller=$(for one in memory pids cpu hugetlb io; do ! grep -qw "$one" "$top/cgroup.controllers" 2>/dev/null || { echo "$one"; break; }; done)
  [ -n "$controller" ] || { echo "left out: no cgroup v2 with controllers here"; return; }
  handed=$(cat "$top/cgroup.subtree_control")
  group="$top/demarc-node-check"
  mkdir "$group"
  grep -qw "$controller" <<<"$handed" || echo "+$controller" >"$top/cgroup.subtree_control"
  said=$(
    echo "$BASHPID" >"$group/cgroup.procs"
    NODE=$node unshare --cgroup --mount bash <<'EOF'
umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup
"$NODE" can </dev/null
echo "exit $?, left: $(cat /sys/fs/cgroup/cgroup.subtree_control; find /sys/fs/cgroup -mindepth 1 -type d)"
EOF
  )
  for _ in $(seq 50); do rmdir "$group" 2>/dev/null && break; sleep 0.1; done
  grep -qw "$controller" <<<"$handed" || echo "-$controller" >"$top/cgroup.subtree_control"
  [[ $said == "cgroup v2 hands no "*"as where the root of a container holds processes"$'\n'"exit 1, left: " ]] ||
    { echo "error: in a container it says: $said" >&2; exit 1; }
  echo "told: ${said%%$'\n'*}"
}
contained

# So that nothing is built or installed meanwhile.
"$node" up >/dev/null
"$node" down
machine >"$work/before"
for seconds in 0.3 1 3 6; do
  # Killed, so that its own clearing up does not run.
  timeout --signal=KILL "$seconds" "$node" up >/dev/null 2>&1 || true
  compare "killed after $seconds s"
done
"$node" up >/dev/null
"$node" exec true
"$node" exec pkill -KILL -x kubelet
for _ in $(seq 100); do "$node" exec true 2>/dev/null || break; sleep 0.1; done
! "$node" exec true 2>/dev/null || { echo "error: the node goes on without kubelet" >&2; exit 1; }
compare "kubelet killed"
"$node" up >/dev/null
compare "up and down"
