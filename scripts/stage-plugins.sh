#!/usr/bin/env bash
# Puts built plugins where the bot looks for them: OUT/plugins/<id>/<version>/{plugin.toml, lib*.so, data}.
# By copy and rename: a library that is loaded must never be written into.
set -euo pipefail
out=${1:?target folder}; shift
for name in "$@"; do
  source=plugins/$name
  [ -d "$source" ] || source=tests/plugins/$name
  field() { sed -nE "/^\[plugin\]/,/^\[[^p]/s/^$1 *= *\"([^\"]+)\".*/\1/p" "$source/plugin.toml" | head -n 1; }
  id=$(field id) version=$(field version) library=$(field library)
  place=$out/plugins/$id/$version
  fresh=$out/plugins/.staging-$id-$$
  rm -rf "$fresh"; mkdir -p "$fresh"
  cp "$source/plugin.toml" "$fresh/"
  cp "$out/$library" "$fresh/"
  [ ! -d "$source/data" ] || cp -r "$source/data" "$fresh/data"
  mkdir -p "$(dirname "$place")"
  if [ -d "$place" ]; then mv "$place" "$fresh.old"; fi
  mv "$fresh" "$place"
  rm -rf "$fresh.old"
done
