#!/usr/bin/env bash
# Runs `mora review`, and leaves its text in the job's summary and in a file whose name is the output `comment`.
set -euo pipefail

comment="$RUNNER_TEMP/mora-review.md"
arguments=(--repo "$MORA_ACTION_FOLDER" --base "$MORA_ACTION_BASE")
[ -z "$MORA_ACTION_PROMETHEUS" ] || arguments+=(--prometheus "$MORA_ACTION_PROMETHEUS")
[ "$MORA_ACTION_FAIL_ON_LACK" != true ] || arguments+=(--fail-on-lack)
read -r -a options <<<"$MORA_ACTION_OPTIONS"

# MOrA takes every MORA_ variable for a setting.
unset MORA_ACTION_PROMETHEUS MORA_ACTION_BASE MORA_ACTION_FOLDER MORA_ACTION_OPTIONS MORA_ACTION_FAIL_ON_LACK
status=0
mora --quiet review "${arguments[@]}" ${options[@]+"${options[@]}"} >"$comment" || status=$?
if [ -s "$comment" ]; then
  cat "$comment" >>"$GITHUB_STEP_SUMMARY"
  echo "comment=$comment" >>"$GITHUB_OUTPUT"
fi
exit "$status"
