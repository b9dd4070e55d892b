#!/bin/sh
# Too little memory, from hardly any to enough: the command ends with 1 and one line, never by a
# signal, and leaves no half file. (Every single allocation of the library fails in the unit tests.)
. "$(dirname "$0")/lib.sh"

if ! (ulimit -v 20000; "$LIMN" --version) >"$work/out" 2>&1; then
  echo "left out: the command does not start in 20 MB (a sanitizer needs more)"
  exit 0
fi

starved() { # starved ARGUMENT...: runs limn with less and less memory until it does not start
  enough=0 short=0
  for size in 400000 100000 80000 77000 70000 45000 30000; do
    status=0
    (ulimit -v $size; "$LIMN" "$@" >"$work/out" 2>"$work/err") || status=$?
    lines=$(wc -l <"$work/err")
    case $status.$lines in
      0.0) enough=$((enough + 1)) ;;
      1.1) short=$((short + 1)) ;;
      *) fail "limn $* in $size kB: status $status, $lines lines: $(head -c 200 "$work/err")" ;;
    esac
  done
  check "limn $*: enough $enough times, short of memory $short times" [ "$enough" -gt 0 ] &&
    check "both were met" [ "$short" -gt 0 ]
}

starved explain 'hello you' --out "$work/figures"
starved trace hello -o "$work/hello.safetensors"
rm -rf "$work/figures" "$work/hello.safetensors"
(ulimit -v 75000; "$LIMN" explain hello --out "$work/figures" >"$work/out" 2>&1)
check "no half file" sh -c '! ls -A "$1" | grep -q tmp' sh "$work/figures"
finish
