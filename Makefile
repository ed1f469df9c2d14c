# What a developer types. `make` alone lists it.
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "%-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
demo: ## a real API server, and the story played with kubectl; ARGS=--once plays it and ends
	@assets="$$(hack/controlplane.sh)" && echo "building demarc and its demo (2 to 4 min the first time) …" >&2 && cargo build --bin demarc --example demo && KUBEBUILDER_ASSETS="$$assets" cargo run --quiet --example demo -- $(ARGS)
test: ## every test, the ones on a real API server and with real Helm included
	@assets="$$(hack/controlplane.sh)" && tools="$$(hack/tools.sh)" && KUBEBUILDER_ASSETS="$$assets" DEMARC_TOOLS="$$tools" RUST_TEST_THREADS=4 cargo test # they wait more than they work
check: ## compile and lint, as fast as it goes
	cargo fmt --check && cargo clippy --all-targets -- -D warnings
chart: ## write crds/, what the chart takes from the code, and its README
	cargo run --quiet --example chart
	@tools="$$(hack/tools.sh)" && "$$tools/helm-docs" --chart-search-root charts --log-level warning
docs: ## write the page of each control
	cargo run --quiet --example docs
image: ## build the image with docker or buildah, and show its size; IMAGE=name:tag
	hack/image.sh $(IMAGE)
node: ## one-machine Kubernetes with kubelet and containerd; needs root, and prints what to export as KUBECONFIG
	@hack/node.sh up
node-down: ## the node and everything of it is gone, whatever state it was in
	@hack/node.sh down
e2e: ## the chart on a real node, or on kind with CLUSTER=kind: the image, real Helm, real pods; HELM=helm3 for the other one
	@hack/e2e.sh
fuzz: ## look for what no test thought of, with nightly and cargo-fuzz; TARGET=verdicts or expression, FOR=300 seconds
	@mkdir -p fuzz/corpus/$(or $(TARGET),verdicts)
	cargo +nightly fuzz run $(or $(TARGET),verdicts) fuzz/corpus/$(or $(TARGET),verdicts) tests/data/admission tests/data/cel -- -max_total_time=$(or $(FOR),300) -max_len=65536
bench: ## everything that is measured, each beside its bar, in one run: the webhook beside a fixed reply, then Demarc on a real API server; docs/benchmarks.md
	@assets="$$(hack/controlplane.sh)" && echo "building the release (some minutes the first time) …" >&2 && KUBEBUILDER_ASSETS="$$assets" cargo bench # about 10 minutes
.PHONY: help demo test check chart docs image node node-down e2e fuzz bench
