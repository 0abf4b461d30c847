# Everything a developer types. All of it works as root and as a user, and again.

DATA := .flexgate
TOOLS := $(DATA)/tools

.PHONY: help run test peers check bench servers python tools

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 18

run: servers ## FlexGate with a demo backend; Ctrl-C stops everything
	cargo run -- up --config config/proxy.yml --demo

test: servers python ## every test, against real servers
	cargo test --workspace

peers: ## nginx, redis-server, varnishtest and slowhttptest, for the tests that need them
	@.ci/peers

check: tools ## format, lints, licences, banned crates, sources, scripts
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	CARGO=.ci/cargo-for-deny $(TOOLS)/cargo-deny check --config .deny.toml bans licenses sources
	test -z "$$(cargo tree --target all --invert ring 2>/dev/null)" # one crypto provider: a second makes rustls panic
	test ! -x $(TOOLS)/shellcheck || $(TOOLS)/shellcheck .ci/fetch .ci/peers .ci/run

bench: servers ## a request's cost beside nginx's, as production builds it
	cargo bench --profile dist --bench load

servers: ## fetches NATS, PostgreSQL and Valkey, for development only
	@.ci/fetch .ci/servers.txt $(DATA)/bin

python:
	@.ci/fetch .ci/python.txt $(DATA)/python

tools:
	@.ci/fetch .ci/tools.txt $(TOOLS)
