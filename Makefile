# The commands of the project. They install everything they need except Rust.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
# one target at a time, even with -j: they share the sandbox
.NOTPARALLEL:

include sandbox/versions.env
CLUSTER ?= sandbox
TARGET := $(or $(CARGO_TARGET_DIR),target)

help: ## show this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# reports what the machine lacks for the sandbox before minutes of compiling
machine:
	@if [ "$(CLUSTER)" = sandbox ]; then sandbox/check --machine; fi

build: ## build the program
	cargo build --release --locked

demo: machine build ## sandbox, install, seed, trace, status; the cluster keeps running (CLUSTER=current NAMESPACE=...: your own cluster)
	@scripts/demo "$(CLUSTER)" "$(TARGET)/release"

test: check unit routes e2e ## all checks and tests

check: machine ## format, clippy, licences, shell scripts, documentation, workflows, the sandbox's own programs
	cargo fmt --check
	# e2e is a target only when it is named
	cargo clippy --locked --lib --bins --tests --benches --test e2e -- -D warnings
	cargo test --locked --test layers
	command -v cargo-deny >/dev/null || cargo install --locked cargo-deny@$(CARGO_DENY_VERSION)
	cargo deny check bans licenses sources
	command -v shellcheck >/dev/null || { apt-get update -qq && apt-get install -y -qq shellcheck; }
	scripts/check-shell
	scripts/check-docs
	sandbox/check
	# last, because it needs Go, which the sandbox can install
	scripts/check-workflows

unit: ## tests that need no cluster; helm renders the charts
	command -v helm >/dev/null || sandbox/up --build-only
	# most tests wait most of the time
	cargo test --locked -- --test-threads=$$(( 4 * $$(nproc) ))

# set here, so that no variable of the environment chooses the cluster
CONTEXT := lastack-sandbox
IMAGE_REGISTRY :=
PLUGIN :=

e2e: ## tests on the sandbox, with helm 3 and helm 4, and in a browser (CONTEXT=name IMAGE_REGISTRY=... PLUGIN=zip: another cluster)
	if [ "$(CONTEXT)" = lastack-sandbox ]; then
	  sandbox/check --machine
	  command -v chromedriver >/dev/null && /usr/bin/python3 -c 'import selenium' 2>/dev/null || { apt-get update -qq && apt-get install -y -qq chromium chromium-driver python3-selenium; }
	  # the tests start the cluster themselves
	  sandbox/up --build-only
	fi
	export LASTACK_E2E_CONTEXT="$(CONTEXT)"
	if [ -n "$(IMAGE_REGISTRY)" ]; then export LASTACK_E2E_IMAGE_REGISTRY="$(IMAGE_REGISTRY)"; fi
	if [ -n "$(PLUGIN)" ]; then export LASTACK_PLUGIN="$(PLUGIN)"; fi
	# all at once: one test works on the shared stack and one beside it, and the others wait for their turn
	cargo test --locked --test e2e -- --test-threads=64

outdated: ## compare the pinned versions with the newest releases in scripts/releases.txt
	@scripts/outdated

torture: ## 200 kills at random moments, on the sandbox (LASTACK_TORTURE_SEED=... repeats the moments of a run)
	LASTACK_TORTURE_KILLS=200 cargo test --locked --test e2e -- torture:: --nocapture

# the bytes differ from those of a release in their optimisation only
routes: ## build the files of a release without optimisation, and install them as users do
	sandbox/up --build-only
	command -v gpg >/dev/null || { apt-get update -qq && apt-get install -y -qq gpg; }
	export PROFILE=dev
	rm -rf "$(TARGET)/routes"
	scripts/dist $(VERSION) "$(TARGET)/routes"
	scripts/dist-test $(VERSION) "$(TARGET)/routes"

msrv: ## compile the program with the oldest Rust that it supports
	version=$$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
	rustup toolchain install --profile minimal "$$version"
	cargo "+$$version" check --locked

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
ALL_PLATFORMS := linux-amd64 linux-arm64 windows-amd64 windows-arm64 darwin-amd64 darwin-arm64
PLATFORMS := $(if $(ALL),$(ALL_PLATFORMS),linux-amd64)
DIST := $(TARGET)/release-files

dist: ## build the files of a release in target/release-files (ALL=1: of all platforms; PLATFORMS="linux-arm64 windows-amd64": of these)
	scripts/dist $(VERSION) $(DIST) $(PLATFORMS)

dist-test: ## install the files of `make dist` as users do (ALL=1: the crate, the packages and Windows, too)
	sandbox/up --build-only
	command -v gpg >/dev/null || { apt-get update -qq && apt-get install -y -qq gpg; }
	ALL=$(ALL) scripts/dist-test $(VERSION) $(DIST)

docs: ## build the documentation as a site in target/book
	scripts/build-docs

bench: ## measure against the workshop's pipeline, kubectl and helm; empties the sandbox first
	# a stack of the demo or of the tests would take memory and time
	sandbox/up --build-only
	sandbox/reset
	variables=$$(sandbox/env)
	eval "$$variables"
	cargo bench --locked --bench generator
	# builds the program as it is published, and measures that
	cargo bench --locked --bench peers -- --context lastack-sandbox --helm "$${KUBECONFIG%/*}/helm4/helm" # helm itself, not its wrapper in the sandbox

.PHONY: help machine build demo test check unit e2e routes msrv outdated torture dist dist-test docs bench
