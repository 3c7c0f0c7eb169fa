# Every command that people and CI run. `make` alone lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup run test quick lint unit deny bench flood profile instructions chaos fuzz mutants schemathesis e2e render pictures
MAKEFLAGS += --no-print-directory

TARGET := $(or $(CARGO_TARGET_DIR),target)
# Not -p: with the whole workspace's features, builds of different parts share all that they compile.
SERVICES := --workspace --bin user-api --bin email-worker --bin mail-api
# Every package with a test that is named fuzz_..
FUZZED = $(addprefix -p ,$(shell grep -rlE --include="*.rs" "^ *fn fuzz_" crates services | cut -d/ -f2 | sort -u))

help: ## Lists the commands
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Shows one registration and one POST /v1/mails becoming mails, with real parts; Ctrl-C ends it
	@scripts/setup servers inbox
	@cargo build --locked $(SERVICES) --bin demo
	@exec "$(TARGET)/debug/demo"

test: ## Runs every check: format, lints, all tests, licences and advisories of dependencies
	@scripts/setup servers clients browser lint charts deny
	$(MAKE) lint
	$(MAKE) unit
	$(MAKE) deny
	@echo "make test: everything passed"

# Clippy looks at tests in `make lint`. Simulated fleets, and the orders of events that models go through, are for `make unit`.
quick: ## Checks format, clippy and the tests that need no server: for the inner loop
	cargo fmt --all --check
	cargo clippy --locked --workspace -- -D warnings
	cargo test --locked --quiet --workspace --lib -- --skip simulation --skip interleavings

lint: ## Checks format, clippy without warnings, scripts, charts, what they render, the Dockerfile, workflows, alerts, pages
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	@for check in scripts/lint-*; do "$$check"; done

# The services are built first: tests start them as processes. One PostgreSQL and one RabbitMQ serve all test programs.
# Tests wait most of their time, for servers and for each other's moments: three for each core. What needs a cluster is `make e2e`.
unit: export RUST_TEST_THREADS ?= $(shell echo $$((3 * $$(nproc))))
unit: ## Runs unit, integration and doc tests (PostgreSQL and RabbitMQ are started privately)
	cargo build --locked --workspace --bins
	"$(TARGET)/debug/with-servers" cargo test --locked --workspace

# SLUICE_E2E_CONTEXT names the cluster; SUBJECTS chooses some of the tests.
e2e: ## Builds the images, and tries the charts on a cluster that you name (kind and KEDA will do)
	@scripts/setup charts browser
	@scripts/e2e $(SUBJECTS)

render: ## Prints plain manifests of the charts, for people without Helm (ENV=dev or prod)
	@scripts/render

deny: ## Checks licences, sources and advisories of dependencies
	@scripts/deny

# ONLY chooses some of it: make bench ONLY=worker (or registration, mail-log, events, mail-types, relay, console, size).
# BEFORE=path/to/email-worker compares a worker of another build, in turns, in mail-types.
bench: ## Measures speed and size; a table, and target/bench/results.json
	@scripts/setup servers
	@cargo build --locked --release $(SERVICES) --bin bench
	@exec "$(TARGET)/release/bench" $(if $(BEFORE),--before "$(BEFORE)") $(ONLY)

# ONLY chooses some of it: make flood ONLY=dam. The peer needs Go, and is left out without it.
# QUICK=1 takes debug builds and a tenth of everything: it shows that it runs, and what it promises, but no figures.
flood: ## Shows what Sluice claims, as figures and pictures: the dam, overload, growth, a plain peer (in target/flood)
	@scripts/setup servers
	@cargo build --locked $(if $(QUICK),,--release) $(SERVICES) --bin flood
	@exec "$(TARGET)/$(if $(QUICK),debug,release)/flood" $(if $(QUICK),--quick) $(ONLY)

profile: ## Watches both services at full rate: flame graphs, and shares of their time (in target/profile; needs perf)
	@scripts/setup servers perf
	@cargo build --locked --release $(SERVICES) --bin profile
	@exec "$(TARGET)/release/profile"

# SEED=3 repeats a run, SEEDS=1..10 runs several, two beside each other; TIME=60s instead of ten minutes.
chaos: ## Breaks everything by a seeded schedule under steady load, then looks for every task by its id (SEED=n)
	@scripts/setup servers
	@cargo build --locked $(SERVICES) --bin chaos
	@SEED="$(SEED)" SEEDS="$(SEEDS)" TIME="$(TIME)" exec "$(TARGET)/debug/chaos"

# GUIDED=1 counts branches, and mutates further what came to a new one: all targets that need no program of ours beside them.
PLAIN_FUZZ = cargo test --locked $(FUZZED) fuzz -- --nocapture --test-threads=2
GUIDED_FUZZ = export RUSTC_WORKSPACE_WRAPPER="$(CURDIR)/scripts/instrument"; \
	for tests in "-p contract --test fuzz" "$(subst -p contract,,$(FUZZED)) --lib"; do \
		cargo test --locked $$tests fuzz -- --nocapture --test-threads=1; done
# TIME=10s is spent on each parser, SEED=n repeats a run. The same targets run in `make test`, for a fraction of a second each.
fuzz: ## Throws mutated bytes at every parser that strangers reach (TIME=60s for each; what fails is kept in target/fuzz)
	@scripts/setup servers
	@FUZZ_TIME="$(or $(TIME),60s)" FUZZ_SEED="$(SEED)"; export FUZZ_TIME FUZZ_SEED; $(if $(GUIDED),$(GUIDED_FUZZ),$(PLAIN_FUZZ))

# Hours for all of it: ONLY=file or glob chooses some of it, SHARD=0/8 an eighth. docs/mutants.md has what is left, and why.
mutants: ## Changes contract and the worker's decisions in one place after the other: does a test fail? (ONLY=file SHARD=k/n)
	@scripts/setup mutants
	@ONLY="$(ONLY)" SHARD="$(SHARD)" exec scripts/mutants

# SEED=n repeats a run, EXAMPLES=n makes a longer one, ONLY=mail-api or ONLY=console chooses one.
schemathesis: ## Holds user-api, mail-api and the console to their OpenAPI documents: every check of schemathesis
	@scripts/setup servers schemathesis
	@cargo build --locked $(SERVICES) --bin schemathesis
	@. scripts/tools && SEED="$(SEED)" EXAMPLES="$(EXAMPLES)" ONLY="$(ONLY)" exec "$(TARGET)/debug/schemathesis"

pictures: ## Takes pictures of the console in Chromium, with a real worker behind it (in docs/pictures)
	@scripts/setup servers browser
	@cargo build --locked $(SERVICES) --bin pictures --bin with-servers
	@"$(TARGET)/debug/with-servers" "$(TARGET)/debug/pictures" docs/pictures

instructions: ## Counts the instructions of a mail and of a registration, by callgrind, in the release builds
	@scripts/setup servers
	@cargo build --locked --release -p user-api -p email-worker
	@cargo build --locked --workspace --bin costs --bin with-servers
	@exec "$(TARGET)/debug/with-servers" "$(TARGET)/debug/costs" instructions --services "$(TARGET)/release"

setup: ## Installs what the commands above need and this machine lacks
	@scripts/setup servers clients browser inbox lint charts deny schemathesis
