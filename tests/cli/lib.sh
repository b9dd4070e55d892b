# lib.sh - what the scripts here share. LIMN is the path of the command.
#   run STATUS ARGUMENT...   runs limn: it must exit with STATUS; output in $work/out, $work/err
#   says TEXT                the last run printed TEXT (fixed string) on standard output
#   complains TEXT           the last run's standard error is one line, and it contains TEXT
#   quiet                    the last run wrote nothing on standard error
#   silent                   the last run wrote nothing on standard output
#   run_unprivileged ...     run as somebody without the rights of root; false where that cannot be
#   ok WHAT, fail WHAT       report; `finish` at the end of the script
: "${LIMN:?is not set}" "${LIMN_SOURCE_DIR:?is not set}"
[ -x "$LIMN" ] || { echo "$LIMN is no program"; exit 1; }
unset LIMN_MODELS NO_COLOR CLICOLOR_FORCE COLUMNS COLORTERM
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
tiny=$LIMN_SOURCE_DIR/tests/data/gpt2-tiny/f32

ok() {
  echo "ok: $1"
}

fail() {
  echo "NOT OK: $1"
  failures=$((failures + 1))
}

check() { # check WHAT CONDITION...
  what=$1
  shift
  if "$@"; then ok "$what"; else fail "$what"; fi
}

run() {
  wanted=$1
  shift
  last="limn $*"
  status=0
  "$LIMN" "$@" >"$work/out" 2>"$work/err" </dev/null || status=$?
  if [ "$status" != "$wanted" ]; then
    fail "$last: exit status $status, expected $wanted"
    head -5 "$work/err"
  fi
}

# Such a user must get to the command, and to $work, which others cannot read otherwise.
run_unprivileged() {
  if [ "$(id -u)" != 0 ]; then
    run "$@"
    return 0
  fi
  setpriv --reuid=65534 --regid=65534 --clear-groups "$LIMN" --version >/dev/null 2>&1 || return 1
  chmod go+rx "$work"
  privileged=$LIMN
  printf '#!/bin/sh\nexec setpriv --reuid=65534 --regid=65534 --clear-groups "%s" "$@"\n' \
    "$LIMN" >"$work/unprivileged"
  chmod +x "$work/unprivileged"
  LIMN=$work/unprivileged
  run "$@"
  LIMN=$privileged
}

says() {
  if grep -qF -- "$1" "$work/out"; then ok "$last: says \"$1\""; else
    fail "$last: does not say \"$1\""
    head -5 "$work/out"
  fi
}

says_not() {
  if grep -qF -- "$1" "$work/out"; then fail "$last: says \"$1\""; else ok "$last: no \"$1\""; fi
}

complains() {
  lines=$(wc -l <"$work/err")
  if [ "$lines" = 1 ] && grep -qF -- "$1" "$work/err"; then ok "$last: complains \"$1\""; else
    fail "$last: $lines lines, expected one with \"$1\""
    head -5 "$work/err"
  fi
}

quiet() {
  if [ -s "$work/err" ]; then
    fail "$last: writes on standard error"
    head -5 "$work/err"
  fi
}

silent() {
  if [ -s "$work/out" ]; then
    fail "$last: writes on standard output"
    head -5 "$work/out"
  fi
}

finish() {
  [ "$failures" = 0 ] || echo "$failures failed"
  [ "$failures" = 0 ]
  exit
}
