#!/usr/bin/env bash
# A tarball that runs on any x86-64 Linux with the build machine's glibc or newer.
set -euo pipefail
cargo build --profile dist --locked
scripts/stage-plugins.sh target/dist "$@"
version=$(target/dist/bedside --version | awk '{print $2}')
name=bedside-$version-$(uname -m)-linux
rm -rf "target/dist/$name"; mkdir -p "target/dist/$name"
cp target/dist/bedside target/dist/bedside-plugin-runner README.md LICENSE configs/bedside.toml "target/dist/$name/"
cp -r target/dist/plugins "target/dist/$name/plugins"
tar -C target/dist -czf "target/dist/$name.tar.gz" "$name"
echo "target/dist/$name.tar.gz"
