#!/usr/bin/env bash
# Runs each fuzz target so many seconds: scripts/fuzz.sh [seconds] [target …]. See docs/fuzzing.md.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-300}
[[ $seconds =~ ^[1-9][0-9]*$ ]] || { echo "usage: scripts/fuzz.sh [seconds] [target …]" >&2; exit 2; }
dir=tests/fuzz

if ! cargo fuzz --version >/dev/null 2>&1; then
  echo "installing cargo-fuzz (once)"
  cargo install --locked cargo-fuzz
fi
# Coverage counters and sanitizers are unstable flags of the stable compiler.
export RUSTC_BOOTSTRAP=1
targets=("${@:2}")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(cargo fuzz list --fuzz-dir "$dir")

log=$(mktemp); trap 'rm -f "$log"' EXIT
failed=()
for target in "${targets[@]}"; do
  nice cargo fuzz build --fuzz-dir "$dir" "$target"
  corpus=$dir/corpus/$target
  mkdir -p "$corpus"
  # A single input may take 5 s at most: what is slower than linear is found like a panic.
  limits=(-max_total_time="$seconds" -timeout=5 -print_final_stats=1)
  # The splitter is called with answers, the parsers with all that WeChat's 64 KiB limit lets through.
  case $target in
    splitter) limits+=(-max_len=8192) ;;
    *) limits+=(-max_len=65536 -len_control=20) ;;
  esac
  if nice cargo fuzz run --fuzz-dir "$dir" "$target" "$corpus" "$dir/corpus-seeds/$target" \
    -- "${limits[@]}" >"$log" 2>&1; then
    result=passed
  else
    result=FAILED
    failed+=("$target")
    tail -n 60 "$log" >&2
  fi
  stat() { awk -v name="stat::$1:" '$1 == name { print $2 }' "$log"; }
  rate=$(stat average_exec_per_sec)
  runs=$(stat number_of_executed_units)
  echo "$target: $result, ${runs:-?} executions, ${rate:-?}/s, corpus of $(find "$corpus" -type f | wc -l) files"
done
if [ ${#failed[@]} -gt 0 ]; then
  echo "found by: ${failed[*]}; the inputs are in $dir/artifacts" >&2
  exit 1
fi
