#!/usr/bin/env bash
# MOrA from the checkout of this action, into a virtual environment of the runner, for the steps after this one.
set -euo pipefail

venv="$RUNNER_TEMP/mora-venv"
python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  --constraint "$GITHUB_ACTION_PATH/requirements.lock" "$GITHUB_ACTION_PATH"
echo "$venv/bin" >>"$GITHUB_PATH"
