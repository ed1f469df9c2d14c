# What a developer types. `make` alone lists it.
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "%-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
demo: ## a real API server, and the story played with kubectl; ARGS=--once plays it and ends
	@assets="$$(hack/controlplane.sh)" && cargo build --quiet && KUBEBUILDER_ASSETS="$$assets" cargo run --quiet --example demo -- $(ARGS)
test: ## every test, the ones on a real API server included
	@assets="$$(hack/controlplane.sh)" && KUBEBUILDER_ASSETS="$$assets" cargo test
check: ## compile and lint, as fast as it goes
	cargo fmt --check && cargo clippy --all-targets -- -D warnings
crds: ## write the generated custom resource definitions
	cargo run --quiet -- crds > crds/demarc.dev_ownerships.yaml
node: ## one-machine Kubernetes with kubelet and containerd; needs root, and prints what to export as KUBECONFIG
	@hack/node.sh up
node-down: ## the node and everything of it is gone, whatever state it was in
	@hack/node.sh down
bench: ## the webhook's whole HTTP path beside a fixed reply, in one run
	cargo bench
.PHONY: help demo test check crds node node-down bench
