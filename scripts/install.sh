#!/usr/bin/env bash
# Makes this checkout ready: .venv with the packages of requirements.lock and MOrA itself, .tools with Prometheus and
# kubectl where the machine has none. Safe to run again: what is already there costs nothing and prints nothing.
# The screen gets one line a step; what pip, apt and the others print goes to .tools/install.log.
#
#   MORA_PYTHON   the Python to use (3.11 to 3.13); without it the first one on PATH that fits
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

# Settings of the machine that would send packages elsewhere or leave bytecode out; index addresses are kept.
unset PYTHONDONTWRITEBYTECODE PYTHONHOME PYTHONPATH VIRTUAL_ENV PIP_TARGET PIP_PREFIX PIP_ROOT PIP_CONSTRAINT PIP_NO_COMPILE
export PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

needed_kib=$((5 * 1024 * 1024)) # TensorFlow alone is 1.2 GB; everything with bytecode is 4.4 GB, and pip unpacks beside it

check_machine() {
  case "$(uname -s)/$(uname -m)" in
    Linux/x86_64 | Linux/aarch64) ;;
    *) stop "TensorFlow and Prophet have no packages for $(uname -s) on $(uname -m)." \
      "Use Linux on x86_64 or aarch64, for example in a container or a virtual machine." ;;
  esac
  local free_kib
  free_kib=$(df -Pk . | awk 'NR == 2 { print $4 }')
  [ "$free_kib" -ge "$needed_kib" ] ||
    stop "Only $((free_kib / 1024)) MiB are free here; the packages need $((needed_kib / 1024)) MiB." \
      "Free some disk space, then run this again."
}

fits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; }

find_python() {
  local candidate
  for candidate in ${MORA_PYTHON:+"$MORA_PYTHON"} python3 python3.13 python3.12 python3.11; do
    if fits "$candidate"; then
      echo "$candidate"
      return
    fi
    [ "$candidate" != "${MORA_PYTHON:-}" ] ||
      stop "MORA_PYTHON=$MORA_PYTHON is not a Python 3.11, 3.12 or 3.13." \
        "Give it the path of one, or unset it: then the first one on PATH is used."
  done
  return 1
}

make_venv() {
  local python
  if ! python=$(find_python); then
    [ -z "${MORA_PYTHON:-}" ] || exit 1
    has python3 && stop "MOrA runs on Python 3.11 to 3.13; this machine has $(python3 --version 2>&1)." \
      "Install one of them, or say where one is: MORA_PYTHON=/path/to/python3.11 make install"
    install_debian_packages "No Python is installed." python3 python3-venv
    python=$(find_python) || stop "MOrA runs on Python 3.11 to 3.13; this system installs $(python3 --version 2>&1)." \
      "Install one of them, then say where it is: MORA_PYTHON=/path/to/python3.11 make install"
  fi
  if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    # Debian keeps the venv module's pip in a package of its own, named after the Python that it belongs to.
    install_debian_packages "This Python cannot make virtual environments." \
      "python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
  fi
  begin "[1/4] Making .venv with $("$python" --version 2>&1)"
  rm -rf .venv
  quietly "$python" -m venv .venv ||
    stop_with_log "$python could not make .venv." "Remove .venv, or choose another Python with MORA_PYTHON."
  finish
}

install_lock() {
  begin "[2/4] Installing the packages of requirements.lock into .venv (4.4 GB, a few minutes)"
  # The lock is complete, so nothing is left to resolve; `pip check` says so afterwards.
  { has uv && quietly uv pip install --python .venv/bin/python --no-deps --compile-bytecode -r requirements.lock; } ||
    quietly .venv/bin/python -m pip install --progress-bar off --no-deps --compile -r requirements.lock ||
    stop_with_log "The packages of requirements.lock could not be installed." \
      "Can this machine reach a Python package index (pip config list)? Run this again: what was downloaded is kept."
  quietly .venv/bin/python -m pip check ||
    stop_with_log "The packages in .venv do not fit together." "Remove .venv and run this again."
  finish
}

# LightGBM is linked to the compiler's OpenMP library, which its wheel does not bring and a bare Debian does not have.
install_openmp() {
  ! .venv/bin/python -c 'import ctypes; ctypes.CDLL("libgomp.so.1")' >/dev/null 2>&1 || return 0
  if has apt-get && [ "$(id -u)" -eq 0 ]; then
    install_debian_packages "LightGBM's OpenMP library is not installed." libgomp1
  else
    say "mora: LightGBM needs libgomp.so.1 (Debian's package libgomp1); without it, its forecasts are left out."
  fi
}

install_mora() {
  begin "[3/4] Installing MOrA into .venv"
  quietly .venv/bin/python -m pip install --no-deps --no-build-isolation --editable . ||
    stop_with_log "MOrA itself could not be installed into .venv." "Remove .venv and run this again."
  quietly .venv/bin/python -m compileall -q mora || true # a file that does not compile is for the tests to report
  finish
}

# A stamp covers all that an install depends on, the folder included: scripts in a .venv contain its path.
stamp_of() { { pwd -P && cat "$@"; } | sha256sum | cut -d' ' -f1; }
is_stamped() { [ -x .venv/bin/python ] && [ "$(cat ".venv/$1.stamp" 2>/dev/null)" = "$2" ]; }

mkdir -p .tools
exec 9>.tools/install.lock
flock 9 # two `make` at once take turns

is_new=false
lock_stamp=$(stamp_of requirements.lock scripts/install.sh)
mora_stamp=$(stamp_of pyproject.toml)
if ! is_stamped lock "$lock_stamp"; then
  is_new=true
  : >"$log"
  check_machine
  { [ -f .venv/place.stamp ] && [ "$(cat .venv/place.stamp)" = "$(pwd -P)" ] && fits .venv/bin/python; } || make_venv
  pwd -P >.venv/place.stamp
  install_lock
  install_openmp
  echo "$lock_stamp" >.venv/lock.stamp
  rm -f .venv/mora.stamp
fi
if ! is_stamped mora "$mora_stamp"; then
  install_mora
  echo "$mora_stamp" >.venv/mora.stamp
fi

bash scripts/tools.sh
! $is_new || say "mora: Ready after $SECONDS s. The commands are in .venv/bin, the log is $log."
