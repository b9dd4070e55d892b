#!/bin/sh
# tools/make_gguf.py: what the package gguf reads back is what the folder holds, in every format.
# PYTHON names another interpreter, such as one of a virtual environment.
set -eu
: "${LIMN_SOURCE_DIR:?is not set}"
python=${PYTHON:-python3}
if ! "$python" -c 'import gguf, numpy' 2>/dev/null; then
  echo "skipped: $python has not the packages gguf and numpy"
  exit 77
fi
exec "$python" -B "$LIMN_SOURCE_DIR/tests/tools/check_make_gguf.py"
