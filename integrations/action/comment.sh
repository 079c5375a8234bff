#!/usr/bin/env bash
# One comment of MOrA on a pull request: the one of an earlier run is replaced.
set -euo pipefail

mark='<!-- mora review -->'
comments="repos/$MORA_ACTION_REPOSITORY/issues/$MORA_ACTION_PULL_REQUEST/comments"
earlier=$(gh api --paginate "$comments" --jq ".[] | select(.body | startswith(\"$mark\")) | .id" | head -n 1)
if [ -n "$earlier" ]; then
  gh api --silent --method PATCH "repos/$MORA_ACTION_REPOSITORY/issues/comments/$earlier" --field "body=@$MORA_ACTION_COMMENT"
else
  gh api --silent --method POST "$comments" --field "body=@$MORA_ACTION_COMMENT"
fi
