#!/usr/bin/env bash
# Bedside's engine beside llama.cpp on this machine: docs/performance.md. Arguments go to bench_engine.py.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup-bench.sh
scripts/llama-cpp.sh
cargo build --release --locked -p bedside-load
base=$(target/release/bedside model pull)
python=target/bench-python/bin/python
export PYTHONDONTWRITEBYTECODE=1
"$python" scripts/make-models.py --base "$base"
"$python" scripts/bench_engine.py --base "$base" "$@"
"$python" scripts/plot-bench.py
