#!/usr/bin/env bash
# Debian's prometheus, promtool and kubectl, unpacked into .tools: nothing is installed system-wide, so no package
# starts a service of its own and no root is needed.
#
#   .tools/bin      links to what is missing on PATH; mora finds it there (VictoriaMetrics, Alertmanager: for tests alone)
#   .tools/debian   what this Debian ships; its kubectl may be old, and outputs are checked with it
#   .tools/newer    the next Debian's kubectl, where this one's is old: outputs are checked with both
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

here=$PWD/.tools
log=$here/install.log # absolute: a download runs in a folder of its own
notes=()

# Lists and caches of our own: readable and writable without root, and the system's stay as they are. What is installed
# does not count: a program that came from elsewhere must not decide which version is asked for.
apt_private() {
  apt-get -qq -o APT::Sandbox::User=root -o Dir::State::status=/dev/null \
    -o Dir::State::lists="$here/apt/$suite/lists" -o Dir::Cache="$here/apt/$suite/cache" "${sources[@]}" "$@" </dev/null
}

# use_suite this|next: where apt_private looks, the system's own sources or the same ones a Debian release later.
use_suite() {
  suite=$1 sources=()
  mkdir -p "$here/apt/$suite/lists/partial" "$here/apt/$suite/cache/archives/partial"
  [ "$suite" = next ] || return 0
  local parts=$here/apt/next/parts list
  mkdir -p "$parts"
  for list in /etc/apt/sources.list /etc/apt/sources.list.d/*; do
    grep -q /debian "$list" 2>/dev/null || continue # other vendors' repositories have other names for their releases
    sed 's/bookworm/trixie/g' "$list" >"$parts/${list##*/}"
  done
  sources=(-o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$parts")
}

# download PACKAGE: into the working folder. A repository that does not answer is only a warning to apt; what counts is
# whether the package arrives.
download() {
  if [ "$suite" = this ] && quietly apt-get -qq -o APT::Sandbox::User=root download "$1"; then return; fi
  [ -e "$here/apt/$suite/updated" ] || quietly apt_private update || true
  : >"$here/apt/$suite/updated"
  quietly apt_private download "$1"
}

# fetch FOLDER PACKAGE PROGRAM...: programs of a Debian package into .tools/FOLDER; false where that fails.
fetch() {
  local folder=$here/$1 package=$2 program work
  shift 2
  are_there "$folder" "$@" && return
  has apt-get && has dpkg-deb || return 1
  $is_line_open || begin "[4/4] Fetching Debian packages into .tools"
  work=$(mktemp -d "$here/fetch.XXXXXX")
  if (cd "$work" && download "$package" && quietly dpkg-deb -x ./"$package"_*.deb .); then
    mkdir -p "$folder"
    for program in "$@"; do [ ! -x "$work/usr/bin/$program" ] || mv "$work/usr/bin/$program" "$folder/$program"; done
  fi
  rm -rf "$work"
  are_there "$folder" "$@" && printf ' %s' "$package" >&3
}

are_there() {
  local folder=$1 program
  shift
  for program in "$@"; do [ -x "$folder/$program" ] || return 1; done
}

# Up to Debian 12 kubectl is in kubernetes-client, from 13 on in kubectl.
fetch_kubectl() { fetch "$1" kubernetes-client kubectl || fetch "$1" kubectl kubectl; }

# The versions that carry a kustomize with today's fields are those that tell its version.
is_modern() { "$1" version --client -o json 2>/dev/null | grep -q kustomizeVersion; }

# link PROGRAM...: in .tools/bin, what PATH does not have.
link() {
  local program
  for program in "$@"; do
    has "$program" && continue
    mkdir -p "$here/bin"
    ln -sfn "../debian/$program" "$here/bin/$program"
  done
}

missing() {
  local what="$1 is not on PATH, and Debian's package $2 could not be fetched."
  local remedy="Install it (sudo apt-get install -y $2), or put $1 on PATH, then run this again."
  ! $is_line_open || stop_with_log "$what" "$remedy"
  stop "$what" "$remedy" # nothing was tried here, so the log has nothing to say
}

# What tests alone want is asked for once an hour at most.
was_tried() { [ -n "$(find "$here/tried/$1" -mmin -60 2>/dev/null)" ]; }
tried() { mkdir -p "$here/tried" && : >"$here/tried/$1"; }

mkdir -p "$here"
use_suite this
for program in prometheus promtool; do
  has "$program" || fetch debian prometheus prometheus promtool || missing "$program" prometheus
done
link prometheus promtool
if ! { has kubectl && was_tried kubectl; } && ! fetch_kubectl debian; then
  has kubectl || missing kubectl kubernetes-client
  tried kubectl
  notes+=("Debian's own kubectl could not be fetched. Tests check the outputs with $(command -v kubectl) alone.")
fi
link kubectl
if [ -x "$here/debian/kubectl" ] && ! is_modern "$here/debian/kubectl" && ! { has kubectl && is_modern kubectl; } &&
  ! are_there "$here/newer" kubectl && ! was_tried newer-kubectl; then
  use_suite next
  fetch_kubectl newer || notes+=("No newer kubectl could be fetched. Tests check the outputs with Debian's alone.")
  tried newer-kubectl
fi
if ! has victoria-metrics && ! are_there "$here/debian" victoria-metrics && ! was_tried victoria-metrics; then
  use_suite this
  fetch debian victoria-metrics victoria-metrics ||
    notes+=("Debian's victoria-metrics could not be fetched. The one test that reads from it is skipped.")
  tried victoria-metrics
fi
are_there "$here/debian" victoria-metrics && link victoria-metrics
# Debian's Alertmanager itself looks for its templates in /usr/share, so it runs where it is installed alone.
if ! has amtool && ! are_there "$here/debian" amtool && ! was_tried alertmanager; then
  use_suite this
  fetch debian prometheus-alertmanager amtool ||
    notes+=("Debian's prometheus-alertmanager could not be fetched. The tests that check its settings are skipped.")
  tried alertmanager
fi
are_there "$here/debian" amtool && link amtool
rm -rf "$here/apt"
! $is_line_open || finish
for note in ${notes[@]+"${notes[@]}"}; do say "mora: note: $note"; done
