#!/usr/bin/env bash
# Takes docs/page.png from the page of the real binary.
set -euo pipefail
cargo build --release --locked -p bedside-tests --tests
scripts/stage-plugins.sh target/release hello triage knowledge
BEDSIDE_SCREENSHOT="$PWD/docs/page.png" cargo nextest run --release --locked -p bedside-tests --test page
echo "docs/page.png"
