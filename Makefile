# The one entry for people and CI. `make help` lists the targets.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
OUT := target/release
SECONDS_EACH ?= 300
LOAD ?=
PLUGINS := hello triage knowledge

.PHONY: help build run test check lint changelog fmt fuzz bench eval reader reader-encoder gate-reader load dist setup setup-build setup-test screenshot

help: ## What there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

build: setup-build ## Build the bot and its plugins: target/release/bedside and all it needs
	$(CARGO) build --release --locked
	@scripts/stage-plugins.sh $(OUT) $(PLUGINS)

run: build ## Fetch the default model once, start the bot, print the address
	$(OUT)/bedside model pull
	$(OUT)/bedside run

test: setup ## Set up what the tests need and run all of them
	scripts/test.sh

check: ## What to run before each commit: format, clippy, unit tests; needs no set-up
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --locked --workspace --all-targets --quiet -- -D warnings
	$(CARGO) test --release --locked --workspace --lib --bins --quiet

lint: setup-build ## Format, clippy, rustdoc, changelog; licences and bans where cargo-deny is installed
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --locked --workspace --no-deps --document-private-items --quiet
	scripts/changelog.sh --check
	@if command -v cargo-deny >/dev/null; then cargo deny check bans licenses sources; else echo "cargo-deny is not installed: licences and bans were not checked"; fi

changelog: ## Put CHANGELOG.md together from changelog.d
	scripts/changelog.sh

fuzz: setup-build ## Fuzz splitter, WeChat XML and decryption, files of models and adapters; SECONDS_EACH=300
	scripts/fuzz.sh $(SECONDS_EACH)

bench: build ## Figures of README.md and docs/performance.md: start, memory, tokens/s, beside llama.cpp
	scripts/bench.sh
	scripts/bench-engine.sh

eval: ## What patients are told: triage measured on every batch of messages, with the picture of docs/medical.md
	$(CARGO) run --release --locked -q -p bedside-eval -- --picture docs/triage-confusion.svg

reader: build ## Train the second reader from its messages: core/triage/data/second_reader.bin, in minutes
	$(OUT)/bedside second-reader train --out core/triage/data/second_reader.bin

reader-encoder: build ## Train the encoder, then both readers on top of it: an hour
	scripts/train-encoder.sh $(OUT)/bedside
	$(MAKE) reader gate-reader

gate-reader: ## Train the reader of answers from its sentences: core/triage/data/answer_reader.bin, in minutes
	$(CARGO) run --release --locked -q -p bedside-eval --example readers -- train-gate core/triage/data/answer_reader.bin core/triage/data/answer_words.txt plugins/knowledge/data/conditions core/triage/data/answer_sentences/*.jsonl

load: ## Patients who chat all at once with a running bot: LOAD="--patients 50 --duration 10m"
	$(CARGO) build --release --locked -p bedside-load
	$(OUT)/bedside-load $(LOAD)

screenshot: setup build ## Take docs/page.png from the real page
	scripts/screenshot.sh

dist: setup-build ## A tarball of the optimised build in target/dist
	scripts/dist.sh $(PLUGINS)

fmt: ## Format the code
	$(CARGO) fmt --all

setup: setup-build setup-test

setup-build:
	@scripts/setup.sh build

setup-test:
	@scripts/setup.sh test
