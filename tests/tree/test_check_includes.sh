#!/bin/sh
# tools/check_includes finds what it is there to find: each line is a file and an include, and whether
# that may be. Environment: LIMN_SOURCE_DIR.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
n=0
while read -r expected file include; do
  mkdir -p "$folder/$(dirname "$file")"
  echo "#include $include" >"$folder/$file"
  found=yes
  sh "$LIMN_SOURCE_DIR/tools/check_includes" "$folder" >"$folder/log" || found=no
  if [ "$found" != "$expected" ]; then
    echo "$file with #include $include: found $found, expected $expected"
    cat "$folder/log"
    exit 1
  fi
  rm "$folder/$file"
  n=$((n + 1))
done <<'END'
yes src/base/a.c "base/memory.h"
yes src/base/a.c <limn/base.h>
yes src/base/a.c <stdio.h>
no src/base/a.c "tensor/tensor.h"
no src/base/a.c <limn/tensor.h>
no src/base/a.c <limn/limn.h>
no src/base/a.c <jansson.h>
no src/base/a.c "memory.h"
yes src/tensor/a.c "base/memory.h"
no src/tensor/a.c "nn/nn.h"
no src/formats/a.c "kernels/kernels.h"
yes src/formats/a.c <jansson.h>
no src/kernels/a.c "formats/json_file.h"
no src/kernels/a.c <limn/base.h>
no src/kernels/a.c "base/memory.h"
yes src/kernels/a.c "kernels/kernels.h"
yes src/kernels/a.c <immintrin.h>
yes src/nn/a.c "kernels/kernels.h"
no src/nn/a.c "formats/json_file.h"
yes src/models/a.c "nn/nn.h"
no src/models/a.c "session/session.h"
no src/models/a.c <limn/session.h>
yes src/session/a.c "models/model.h"
no src/session/a.c <limn/analysis.h>
yes src/analysis/a.c <limn/session.h>
no src/analysis/a.c <cairo.h>
yes src/plot/a.c <cairo.h>
yes src/plot/a.c <cairo-svg.h>
no src/plot/a.c <limn/model.h>
no src/unheard/a.c "base/memory.h"
yes cli/a.c "cli.h"
yes cli/a.c <limn/limn.h>
no cli/a.c "base/memory.h"
no lessons/a.c "nn/nn.h"
no include/limn/base.h <limn/tensor.h>
yes include/limn/tensor.h <limn/base.h>
no include/limn/tensor.h "base.h"
yes include/limn/limn.h <limn/session.h>
END
echo "ok: $n includes judged rightly"
