# Two commands are the whole set-up: `make run` and `make test`.
.DEFAULT_GOAL := help
.PHONY: help run test lint bench fuzz proxies backup-test compose-test docs fmt advisories clean

CARGO ?= cargo
SECONDS ?= 20

help: ## Lists these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The development profile: it builds in a third of the time, and what is slow (hashing, SQLite) is optimised in it too.
run: ## Builds and serves on http://localhost:3000, data in ./data, no file to write first
	@scripts/setup build
	$(CARGO) run --quiet --package hallpass -- serve

test: ## Installs what is missing from packages, runs every test, leaves nothing behind
	@scripts/setup build browser servers schemathesis
	scripts/test

lint: ## Formatting, lints, dependency policy
	@scripts/setup build deny
	scripts/lint

bench: ## Measures the hot paths of a release build against the physical limits of this machine
	@scripts/setup build
	$(CARGO) build --release --quiet --package hallpass --package hallpass-bench
	target/release/hallpass-bench
	@scripts/setup servers
	FSYNC=on scripts/with-servers target/release/hallpass-bench postgres
	FSYNC=on scripts/with-servers target/release/hallpass-bench search

fuzz: ## Lets hostile bytes loose on every parser, SECONDS=20 each (needs a nightly compiler)
	@scripts/setup build
	scripts/fuzz $(SECONDS)

proxies: ## Runs the proxy configurations of deploy/proxies before a node, with nginx and Caddy
	@scripts/setup build proxies
	scripts/proxies

backup-test: ## Backs up and restores, embedded and on PostgreSQL, and looks whether everything still works
	@scripts/setup build servers
	scripts/backup-test

compose-test: ## Runs deploy/compose.yaml in Docker: a node dies, all are replaced, and no client notices (needs Docker)
	scripts/compose-test

docs: ## Regenerates docs/errors.md, docs/configuration.md and crates/server/openapi.json
	$(CARGO) run --quiet --package hallpass -- docs --out .

fmt: ## Formats the code
	$(CARGO) fmt --all

advisories: ## Checks dependencies against the advisory database (needs the network)
	@scripts/setup build deny
	scripts/deny check advisories

clean: ## Removes build output
	$(CARGO) clean
