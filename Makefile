# The few commands of the project. Everything they need beside Rust they install themselves.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
# one thing after the other, whatever -j says: they share the sandbox
.NOTPARALLEL:

include sandbox/versions.env
CLUSTER ?= sandbox
TARGET := $(or $(CARGO_TARGET_DIR),target)

help: ## show this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# says at once what a machine lacks for the sandbox, not after minutes of compiling
machine:
	@if [ "$(CLUSTER)" = sandbox ]; then sandbox/check --machine; fi

build: ## build the program
	cargo build --release --locked

demo: machine build ## sandbox, install, seed, status; it stays up (CLUSTER=current NAMESPACE=...: your own cluster)
	@scripts/demo "$(CLUSTER)" "$(TARGET)/release"

test: check unit e2e ## every check and every test

check: machine ## format, clippy, licences, shell scripts, documentation, workflows, the sandbox's own programs
	cargo fmt --check
	# e2e is only a target when it is named
	cargo clippy --locked --lib --bins --tests --benches --test e2e -- -D warnings
	command -v cargo-deny >/dev/null || cargo install --locked cargo-deny@$(CARGO_DENY_VERSION)
	cargo deny check bans licenses sources
	command -v shellcheck >/dev/null || { apt-get update -qq && apt-get install -y -qq shellcheck; }
	scripts/check-shell
	scripts/check-docs
	sandbox/check
	# last, since the sandbox may have to bring a Go
	scripts/check-workflows

unit: ## tests that need no cluster; helm renders the charts
	command -v helm >/dev/null || sandbox/up --build-only
	# most of them wait for an answer most of the time
	cargo test --locked -- --test-threads=$$(( 4 * $$(nproc) ))

e2e: machine ## tests on the sandbox, with helm 3 and helm 4, and in a browser
	command -v chromedriver >/dev/null && /usr/bin/python3 -c 'import selenium' 2>/dev/null || { apt-get update -qq && apt-get install -y -qq chromium chromium-driver python3-selenium; }
	# the tests bring the cluster up themselves
	sandbox/up --build-only
	# all at once: two of them work, one on the shared stack and one beside it, and the others wait for their turn
	cargo test --locked --test e2e -- --test-threads=64

docs: ## build the documentation as a site in target/book
	scripts/build-docs

bench: ## measure against the tutorial's pipeline, kubectl and helm; it begins with an empty sandbox
	# what a demo or the tests left there takes the room, and the time
	sandbox/up --build-only
	sandbox/reset
	variables=$$(sandbox/env)
	eval "$$variables"
	cargo bench --locked --bench generator
	cargo bench --locked --bench peers -- --context lastack-sandbox --helm "$${KUBECONFIG%/*}/helm4/helm" # itself, not what runs it in the sandbox's network

.PHONY: help machine build demo test check unit e2e docs bench
