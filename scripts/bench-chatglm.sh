#!/usr/bin/env bash
# A random ChatGLM-6B of the real size, in Bedside and in chatglm.cpp: docs/performance.md.
# Takes about half an hour and 24 GB of disk; the files stay in target/chatglm for the next time.
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.4.2
place=$PWD/target/chatglm
python=$PWD/target/test-python/bin/python
scripts/setup.sh test
scripts/setup-bench.sh
export PATH=$PWD/target/bench-python/bin:$PATH
cargo build --release --locked -p bedside
mkdir -p "$place"

if ! [ -f "$place/chatglm-6b.Q4_0.gguf" ]; then
  "$python" scripts/make-chatglm.py "$place/checkpoint" --ggml "$place/chatglm-6b.Q4_0.ggml"
  target/release/bedside model convert "$place/checkpoint" "$place/chatglm-6b.Q4_0.gguf" --to Q4_0
  rm -r "$place/checkpoint"
fi
source=$place/chatglm_cpp-$version
if ! [ -x "$source/build/bin/main" ]; then
  python -m pip install --quiet --disable-pip-version-check setuptools wheel
  python -m pip download --quiet --disable-pip-version-check --no-deps --no-build-isolation \
    --no-binary chatglm-cpp --dest "$place" "chatglm-cpp==$version"
  tar -xzf "$place/chatglm_cpp-$version.tar.gz" -C "$place"
  # The package leaves out a file that its build names, and was made for an older CMake.
  echo 'int main() {}' >"$source/tests/perplexity.cpp"
  cmake -S "$source" -B "$source/build" -DCMAKE_BUILD_TYPE=Release -DCMAKE_POLICY_VERSION_MINIMUM=3.5
  nice -n 5 cmake --build "$source/build" -j "$(nproc)" --target main
fi
"$python" scripts/bench_chatglm.py --models "$place" --theirs "$source/build/bin/main" "$@"
