#!/bin/sh
# tools/train_tales.py makes a tiny model; where PyTorch is not installed this is skipped.
# PYTHON names another interpreter, such as one of a virtual environment.
set -eu
: "${LIMN:?is not set}" "${LIMN_SOURCE_DIR:?is not set}"
python=${PYTHON:-python3}
library=$(dirname "$LIMN")/liblimn.so
if ! "$python" -c 'import numpy, safetensors, torch' 2>/dev/null; then
  echo "skipped: $python has not the packages torch, numpy and safetensors"
  exit 77
fi
if ! "$python" -c 'import ctypes, sys; ctypes.CDLL(sys.argv[1])' "$library" 2>/dev/null; then
  echo "skipped: $python cannot load $library (a build with a sanitizer?)"
  exit 77
fi
LIMN_LIB=$library exec "$python" "$LIMN_SOURCE_DIR/tests/tools/check_train_tales.py"
