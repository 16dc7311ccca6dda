#!/usr/bin/env bash
# Puts CHANGELOG.md together from changelog.d; with --check it only says whether the file is current.
set -euo pipefail
cd "$(dirname "$0")/.."

assemble() {
  printf '# Changelog\n\nPut together from `changelog.d` by `make changelog`; do not edit.\n\n## Unreleased\n'
  local kind title file
  for kind in breaking:'Breaking changes' security:Security feature:Features fix:Fixes; do
    title=${kind#*:} kind=${kind%%:*}
    compgen -G "changelog.d/*.$kind.md" >/dev/null || continue
    printf '\n### %s\n' "$title"
    for file in changelog.d/*."$kind".md; do
      printf '\n'
      sed '1s/^/- /; 2,$s/^\(.\)/  \1/' "$file"
    done
  done
}

case ${1:-} in
  --check) diff -u CHANGELOG.md <(assemble) || { echo "CHANGELOG.md is old: run make changelog" >&2; exit 1; } ;;
  *) assemble > CHANGELOG.md ;;
esac
