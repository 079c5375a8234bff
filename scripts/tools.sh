#!/usr/bin/env bash
# Debian's prometheus, promtool and kubectl, unpacked into .tools: nothing is installed system-wide, so no package
# starts a service of its own and no root is needed. .tools/debian holds what Debian ships (the tests check kubectl's
# outputs with that old version too); .tools/bin links what is missing on PATH, and mora finds it there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

here=$PWD/.tools

apt_private() {
  # Lists and caches of our own: readable and writable without root, and the system's stay as they are.
  apt-get -qq -o APT::Sandbox::User=root -o Dir::State::lists="$here/apt/lists" -o Dir::Cache="$here/apt/cache" "$@"
}

download() {
  apt-get -qq -o APT::Sandbox::User=root download "$1" 2>/dev/null && return
  mkdir -p "$here/apt/lists/partial" "$here/apt/cache/archives/partial"
  # A repository that does not answer is a warning to apt; what counts is whether the package arrives.
  apt_private update </dev/null >/dev/null 2>&1 || true
  apt_private download "$1" >&2
}

# fetch PACKAGE PROGRAM...: the programs of a Debian package into .tools/debian; false where it cannot be had.
fetch() {
  local package=$1 program work
  shift
  for program in "$@"; do [ -x "$here/debian/$program" ] || break; done
  [ ! -x "$here/debian/$program" ] || return 0
  has apt-get && has dpkg-deb || return 1
  say "mora: fetching Debian's $package into .tools ..."
  work=$(mktemp -d "$here/fetch.XXXXXX")
  if (cd "$work" && download "$package" && dpkg-deb -x ./"$package"_*.deb .) </dev/null; then
    mkdir -p "$here/debian"
    for program in "$@"; do mv "$work/usr/bin/$program" "$here/debian/$program"; done
  fi
  rm -rf "$work"
  for program in "$@"; do [ -x "$here/debian/$program" ] || return 1; done
}

# provide PACKAGE PROGRAM...: every program on PATH or linked in .tools/bin.
provide() {
  local package=$1 program
  shift
  for program in "$@"; do
    has "$program" && continue
    fetch "$package" "$@" ||
      stop "$program is not on PATH, and Debian's package $package could not be fetched." \
        "Install it by name (sudo apt-get install -y $package), or put $program on PATH, then run this again."
    mkdir -p "$here/bin"
    ln -sfn "../debian/$program" "$here/bin/$program"
  done
}

mkdir -p "$here"
provide prometheus prometheus promtool
provide kubernetes-client kubectl
# Outputs are checked with an old kubectl too; where it cannot be had, the tests say which one they ran.
fetch kubernetes-client kubectl || say "mora: Debian's own kubectl could not be fetched; outputs are checked with $(command -v kubectl) only."
rm -rf "$here/apt"
