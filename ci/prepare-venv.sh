#!/usr/bin/env bash
# prepare-venv.sh VENV EXTRA: make the virtual environment if there is none, and install the project with an extra.
# As root on Debian it installs python3-venv when that is missing; elsewhere it says what is needed.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$1
extra=$2
python=${PYTHON:-python3}

fail() {
  printf '%s\n  fix: %s\n' "$1" "$2" >&2
  exit 1
}

usable() { "$python" -c 'import ensurepip, venv' 2>/dev/null; }

if ! usable && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  timeout 300 apt-get update -qq
  timeout 300 apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=120 python3 python3-venv
fi
usable || fail "$python can not make virtual environments." "On Debian: apt-get install python3 python3-venv"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  fail "$("$python" --version) is too old." "Install Python 3.11 or newer, and name it: make PYTHON=python3.11 ..."

[ -x "$venv/bin/python" ] || "$python" -m venv --clear "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".[$extra]"
