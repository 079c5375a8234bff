# shellcheck shell=bash
# What the install scripts share. Sourced, not run.

say() { printf '%s\n' "$*" >&2; }

# stop WHAT HAPPENED [WHAT TO DO]
stop() {
  say "mora: $1"
  [ $# -lt 2 ] || say "      $2"
  exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# install_debian_packages WHY PACKAGE...: by apt as root, else words that name the packages.
install_debian_packages() {
  local why=$1
  shift
  has apt-get || stop "$why" "Install with this system's package manager what Debian calls: $*"
  [ "$(id -u)" -eq 0 ] || stop "$why" "Install it first: sudo apt-get install -y $*"
  say "mora: $why Installing $* ..."
  local log
  log=$(mktemp)
  # Lists that are missing or too old are the usual reason for a first try to fail.
  apt_install "$@" >"$log" 2>&1 || { apt-get update -qq && apt_install "$@"; } >"$log" 2>&1 || {
    cat "$log" >&2
    stop "apt-get could not install $*." "Install it by hand, then run this again."
  }
  rm -f "$log"
}

apt_install() {
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" </dev/null
}
