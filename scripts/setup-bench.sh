#!/usr/bin/env bash
# Python packages of the benchmark, in target/bench-python.
set -euo pipefail
cd "$(dirname "$0")/.."
python=target/bench-python wanted=tests/python/bench-requirements.txt
[ "$python/ready" -nt "$wanted" ] && exit 0
echo "setup: setting up Python packages in $python" >&2
python3 -m venv "$python"
"$python/bin/python" -m pip install --quiet --disable-pip-version-check -r "$wanted"
touch "$python/ready"
