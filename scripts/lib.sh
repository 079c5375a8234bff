# shellcheck shell=bash
# What the install scripts share: words for the person, a log for everything else. Sourced, not run.

log=.tools/install.log
exec 3>&2 # the person's screen, also while a step's output goes to the log

is_line_open=false

say() {
  ! $is_line_open || printf '\n' >&3
  is_line_open=false
  printf '%s\n' "$*" >&3
}

# stop WHAT HAPPENED [WHAT TO DO]
stop() {
  say "mora: $1"
  [ $# -lt 2 ] || say "      $2"
  exit 1
}

# stop_with_log WHAT HAPPENED [WHAT TO DO]: with the end of the log, which says why.
stop_with_log() {
  local line
  say "mora: $1"
  say "      ${log#"$PWD"/} ends with:"
  # Of the step that failed, without what pip prints where nothing is wrong: a folder of its configuration that is not
  # there (once a package), a package that is for another platform.
  awk '/^--- / { n = 0; next } !/^WARNING: Location|^Ignoring .*: markers/ { line[n++] = $0 }
    END { for (i = n > 10 ? n - 10 : 0; i < n; i++) print line[i] }' "$log" |
    while IFS= read -r line; do say "        $line"; done
  [ $# -lt 2 ] || say "      $2"
  exit 1
}

# begin WORDS: opens the one line of a step. finish: closes it with the time that the step took.
begin() {
  step_began=$SECONDS
  printf 'mora: %s ...' "$1" >&3
  is_line_open=true
  printf -- '--- %s\n' "$1" >>"$log"
}

finish() {
  printf ' %d s\n' "$((SECONDS - step_began))" >&3
  is_line_open=false
}

# quietly COMMAND...: its output goes to the log. A terminal shows a dot every five seconds meanwhile.
quietly() {
  local ticker='' status=0
  if [ -t 3 ]; then
    # A background job outlives Ctrl-C: it looks whether this script is still there.
    while sleep 5 && kill -0 $$; do printf . >&3; done >/dev/null 2>&1 9>&- &
    ticker=$!
  fi
  "$@" >>"$log" 2>&1 </dev/null || status=$?
  [ -z "$ticker" ] || kill "$ticker" 2>/dev/null || true
  return "$status"
}

has() { command -v "$1" >/dev/null 2>&1; }

# install_debian_packages WHY PACKAGE...: by apt as root; otherwise an error that names the packages.
install_debian_packages() {
  local why=$1
  shift
  has apt-get || stop "$why" "Install these with your package manager (the names are Debian's): $*"
  [ "$(id -u)" -eq 0 ] || stop "$why" "Install what is missing, then run this again: sudo apt-get install -y $*"
  mkdir -p .tools
  begin "$why Installing $*"
  # Package lists that are missing or out of date are the usual reason why a first try fails.
  quietly apt_install "$@" || { quietly apt-get update -qq && quietly apt_install "$@"; } ||
    stop_with_log "apt-get could not install $*." "Install what is missing yourself, then run this again."
  finish
}

apt_install() {
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}
