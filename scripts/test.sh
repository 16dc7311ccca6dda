#!/usr/bin/env bash
# Everything `make test` runs, after its set-up.
set -euo pipefail
started=$SECONDS
cargo fmt --all --check
cargo build --release --locked --workspace --all-targets
scripts/stage-plugins.sh target/release hello triage knowledge
target/release/bedside model pull >/dev/null
cargo nextest run --release --locked --workspace
cargo test --release --locked --workspace --doc --quiet
cargo clippy --release --locked --workspace --all-targets --quiet -- -D warnings
echo "make test took $((SECONDS - started)) s"
