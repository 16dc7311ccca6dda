#!/usr/bin/env bash
# Builds llama.cpp, the yardstick of `make bench`, into target/llama.cpp/bin.
# Its sources are those inside the source package of llama-cpp-python.
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.3.36
place=$PWD/target/llama.cpp
wanted=(llama-bench llama-batched-bench llama-server llama-quantize)
[ "$(cat "$place/version" 2>/dev/null)" != "$version" ] || exit 0

command -v c++ >/dev/null || { echo "llama.cpp needs a C++ compiler: install g++" >&2; exit 1; }
scripts/setup-bench.sh
export PATH=$PWD/target/bench-python/bin:$PATH
mkdir -p "$place"
python -m pip download --quiet --disable-pip-version-check --no-deps --no-binary llama-cpp-python \
  --dest "$place" "llama-cpp-python==$version"
tar -xzf "$place/llama_cpp_python-$version.tar.gz" -C "$place"

cmake -S "$place/llama_cpp_python-$version/vendor/llama.cpp" -B "$place/build" -G Ninja \
  -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DGGML_NATIVE=ON -DGGML_CUDA=OFF -DLLAMA_OPENSSL=OFF \
  -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF \
  -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF
nice -n 5 cmake --build "$place/build" -j "$(nproc)" --target "${wanted[@]}"
mkdir -p "$place/bin"
cp "${wanted[@]/#/$place/build/bin/}" "$place/bin/"
echo "$version" >"$place/version"
