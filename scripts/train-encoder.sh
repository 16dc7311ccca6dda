#!/usr/bin/env bash
# Trains the encoder of patients' messages and of answers: scripts/train-encoder.py with all that it needs.
set -euo pipefail
cd "$(dirname "$0")/.."
bedside=${1:-target/release/bedside}

python=target/train-encoder
if [ ! -x "$python/bin/python" ]; then
    python3 -m venv "$python"
    "$python/bin/pip" install --quiet jax==0.10.2 optax==0.2.8 tokenizers==0.23.3
fi
"$bedside" model pull
model=$("$bedside" model list --json | python3 -c '
import json, sys
print(next(it["path"] for it in json.load(sys.stdin) if it["path"].endswith("e5-small-q4.bin")))')
texts=$(mktemp)
trap 'rm -f "$texts"' EXIT
cargo run --release --locked -q -p bedside-eval --example readers -- texts plugins/knowledge/data/conditions \
    core/triage/data/answer_sentences/*.jsonl > "$texts"
"$python/bin/python" scripts/train-encoder.py "$model" "$texts" \
    core/embeddings/data/encoder.bin core/triage/data/encoder_heads.json core/triage/data/answer_heads.json
