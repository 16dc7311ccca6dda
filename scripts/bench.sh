#!/usr/bin/env bash
# The figures of README.md, measured on this machine with the real binary and the default model.
set -euo pipefail
bin=$PWD/target/release/bedside
data=$(mktemp -d); trap 'rm -rf "$data"' EXIT
model=$("$bin" model pull)
port=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])')
export BEDSIDE_DATA_DIR=$data BEDSIDE_WEB__LISTEN=127.0.0.1:$port

measure() { # name, model source
  local begun; begun=$(date +%s.%N)
  BEDSIDE_MODEL__SOURCE=$2 "$bin" run >/dev/null 2>&1 & local pid=$!
  python3 - "$1" "$port" "$pid" "$3" "$begun" <<'PY'
import sys, time, urllib.request
begun = float(sys.argv[5])
name, port, pid, wait_for_model = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4] == "model"
def ok(path):
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=1).status == 200
    except OSError:
        return False
def until(path):
    while not ok(path):
        if time.time() - begun > 60: sys.exit(f"{path} never answered")
        time.sleep(0.01)
    return time.time() - begun
start = until("/healthz")
ready = until("/readyz") if wait_for_model else 0
time.sleep(1)
rss = next(int(l.split()[1]) for l in open(f"/proc/{pid}/status") if l.startswith("RssAnon")) / 1024
total = next(int(l.split()[1]) for l in open(f"/proc/{pid}/status") if l.startswith("VmRSS")) / 1024
line = f"{name}: answers /healthz after {start:.2f} s"
if wait_for_model: line += f", model ready after {ready:.2f} s"
print(f"{line}; memory {total:.0f} MB resident, {rss:.0f} MB of it anonymous")
PY
  kill -TERM "$pid"; wait "$pid" || true
}
measure "bot without a model" "file:$data/none.gguf" none
measure "bot with the default model" "file:$model" model

figures=$(mktemp); cat >"$figures" <<'PY'
import json, sys
t = json.load(sys.stdin)["timings"]
rate = lambda tokens, ms: f"{tokens / max(ms, 1) * 1000:.0f} tokens/s"
if "prompt_tokens" in t:
    print(f"question: {t['prompt_tokens']} prompt tokens in {t['prompt_ms']:.0f} ms ({rate(t['prompt_tokens'], t['prompt_ms'])}), "
          f"{t['generated_tokens']} generated at {rate(t['generated_tokens'], t['generate_ms'])}, {t['total_ms']:.0f} ms in all with start and load")
else:
    print(f"emergency: {t['total_ms']:.1f} ms")
PY
for _ in 1 2 3; do
  BEDSIDE_MODEL__SOURCE=file:$model "$bin" ask --json "what helps against a common cold?" | python3 "$figures"
done
"$bin" ask --json "My chest feels crushed and my left arm is numb" | python3 "$figures"
rm -f "$figures"
