#!/usr/bin/env bash
# The node's first process: called by node.sh, in a network and a mount namespace that are new.
set -euo pipefail
stage=$1
shift

namespaces() { # STATE KUBERNETES CONTAINERD NAME OUTSIDE INSIDE
  # Whoever mounts in here (kubelet, containerd) mounts for the node and its pods only.
  # Without a note of it in the machine's /run.
  mount --no-mtab --make-rprivate /
  mount --no-mtab --make-rshared /
  ip link set lo up
  # The other end is the caller's: the machine's network.
  ip link add eth0 type veth peer name "$4" netns "$PPID"
  ip address add "$6/30" dev eth0
  ip link set eth0 up
  # There is no way out, but a packet to a Service needs a route before kube-proxy's rules give it another address.
  ip route add 10.96.0.0/16 dev eth0
  nsenter --net="/proc/$PPID/ns/net" sh -c "ip address add '$5/30' dev '$4' && ip link set '$4' up"
  echo 1 >/proc/sys/net/ipv4/ip_forward
  exec unshare --pid --fork --kill-child --mount-proc "$0" first "$1" "$2" "$3" "$6"
}

first() { # STATE KUBERNETES CONTAINERD INSIDE
  local state=$1 inside=$4
  # The usual places, but the node's own: daemons keep their defaults, and nothing of the machine's is seen or written.
  mount --no-mtab -t tmpfs tmpfs /run
  mkdir -p /run/node /run/kubernetes.bin /run/containerd.bin /run/sysctl
  mount --bind "$state" /run/node
  mount --bind "$2" /run/kubernetes.bin
  mount --bind "$3" /run/containerd.bin
  mount --bind /run/node/lib /var/lib
  mount --bind /run/node/log /var/log
  # Settings of the whole kernel that kubelet insists on: it finds them as it wants them, and the machine keeps its own.
  while read -r setting value; do
    echo "$value" >"/run/sysctl/${setting//\//.}"
    mount --bind "/run/sysctl/${setting//\//.}" "/proc/sys/$setting"
  done <<'EOF'
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
EOF
  : >/run/node/resolv.conf
  export PATH="/run/containerd.bin:/run/kubernetes.bin:$PATH" HOME=/run/node
  unset HTTP_PROXY HTTPS_PROXY ALL_PROXY http_proxy https_proxy all_proxy
  cd /run/node

  declare -A names
  run() { # NAME COMMAND...
    local name=$1
    shift
    "$@" >>"log/$name.log" 2>&1 &
    names[$!]=$name
  }
  run etcd etcd --data-dir=/var/lib/etcd --unsafe-no-fsync
  run kube-apiserver kube-apiserver --etcd-servers=http://127.0.0.1:2379 --advertise-address="$inside" --secure-port=6443 \
    --tls-cert-file=pki/apiserver.crt --tls-private-key-file=pki/apiserver.key --client-ca-file=pki/ca.crt \
    --kubelet-client-certificate=pki/apiserver-kubelet.crt --kubelet-client-key=pki/apiserver-kubelet.key \
    --kubelet-preferred-address-types=InternalIP --service-cluster-ip-range=10.96.0.0/16 \
    --service-account-key-file=pki/accounts.pub --service-account-signing-key-file=pki/accounts.key \
    --service-account-issuer=https://kubernetes.default.svc --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
    --allow-privileged=true --audit-policy-file=audit.yaml --audit-log-path=/var/log/audit.json
  run containerd containerd --config containerd.toml
  # The others would end without an API server.
  until kubectl --kubeconfig kubeconfig get --raw /readyz >/dev/null 2>&1; do
    for pid in "${!names[@]}"; do kill -0 "$pid" || ended "${names[$pid]}"; done
    sleep 0.2
  done
  run kube-controller-manager kube-controller-manager --kubeconfig=pki/kube-controller-manager.conf --root-ca-file=pki/ca.crt \
    --service-account-private-key-file=pki/accounts.key --use-service-account-credentials --leader-elect=false
  run kube-scheduler kube-scheduler --kubeconfig=pki/kube-scheduler.conf --leader-elect=false
  run kube-proxy kube-proxy --config=kube-proxy.yaml
  run kubelet kubelet --config=kubelet.yaml --kubeconfig=pki/kubelet.conf --hostname-override=demarc --node-ip="$inside"
  # A node without one of them is no node: all of it ends.
  wait -n -p pid || true
  ended "${names[$pid]}"
}

ended() { echo "$1 ended: $(tail -n 5 "/run/node/log/$1.log")"; exit 1; }

"$stage" "$@"
