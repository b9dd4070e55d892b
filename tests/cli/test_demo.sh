#!/bin/sh
# What scripts/demo says to try next works as it stands there.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
sed -n 's|^  build/release/limn||p' "$LIMN_SOURCE_DIR/scripts/demo" | sed 's/   .*//' >commands
[ "$(wc -l <commands)" -ge 4 ] || { echo "scripts/demo says nothing to try"; exit 1; }
while read -r arguments; do
  eval "\"$LIMN\" $arguments" >output </dev/null || { echo "limn $arguments failed"; exit 1; }
  [ -s output ] || { echo "limn $arguments printed nothing"; exit 1; }
  echo "ok: limn $arguments"
done <commands
