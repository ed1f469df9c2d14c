#!/usr/bin/env bash
# Prints the folder that holds helm3, helm4, helm-docs and promtool, building once a user what is missing; the versions are pinned in tools/*/go.mod.
# DEMARC_TOOLS is honoured.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

if [ -n "${DEMARC_TOOLS:-}" ]; then
  for binary in helm3 helm4 helm-docs promtool; do
    if [ ! -x "$DEMARC_TOOLS/$binary" ]; then
      echo "error: DEMARC_TOOLS=$DEMARC_TOOLS has no $binary: add it, or unset the variable and it is built here" >&2
      exit 1
    fi
  done
  echo "$DEMARC_TOOLS"
  exit 0
fi

version() { awk -v module="$1" '$1 == module && $2 ~ /^v/ {print $2; exit}' "$here/tools/$2/go.mod"; }
minor=$(version k8s.io/client-go helm3 | cut -d. -f2)
# Without these Helm 3 says v3.22, and takes every cluster that it is not connected to for Kubernetes 1.20: older than the chart allows.
stamp="-X helm.sh/helm/v3/internal/version.version=$(version helm.sh/helm/v3 helm3) -X helm.sh/helm/v4/internal/version.version=$(version helm.sh/helm/v4 helm4)"
stamp="$stamp -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=$minor -X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor=$minor"
# promtool could also find targets in every cloud, by each one's own library.
export GOFLAGS="${GOFLAGS:-} -tags=remove_all_sd"
exec "$here/pinned.sh" tools "$stamp" \
  "helm4=tools/helm4=helm.sh/helm/v4/cmd/helm=2 min" \
  "helm3=tools/helm3=helm.sh/helm/v3/cmd/helm=1 min" \
  "helm-docs=tools/helm-docs=github.com/norwoodj/helm-docs/cmd/helm-docs=1 min" \
  "promtool=tools/promtool=github.com/prometheus/prometheus/cmd/promtool=2 min"
