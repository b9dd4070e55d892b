#!/bin/sh
# The frame of the command: help, man pages, completions, options, colours, streams and signals.
. "$(dirname "$0")/lib.sh"

# ---- help, for every command there is
run 0 --help
says "limn COMMAND"
quiet
commands=$("$LIMN" help --list)
for command in $commands; do
  run 0 "$command" --help
  says "limn $(echo "$command" | tr - " ") - "
  says "--color auto|always|never"
  quiet
  cp "$work/out" "$work/long"
  run 0 help "$command"
  check "limn help $command is limn $command --help" cmp -s "$work/out" "$work/long"
  COLUMNS=80 "$LIMN" "$command" --help >"$work/out"
  check "limn $command --help fits into 80 columns" \
    sh -c '! awk "length > 84 && !/^  limn /" "$1" | grep -q .' sh "$work/out"
  run 0 help --man "$command"
  says ".TH \"LIMN-"
  if command -v man >/dev/null && command -v groff >/dev/null; then
    warnings=$(LC_ALL=C.UTF-8 man --warnings -E UTF-8 -l "$work/out" 2>&1 >/dev/null)
    check "the man page of $command has no warnings: $warnings" [ -z "$warnings" ]
  fi
done
run 0 --version
says "limn "
run 2
check "without a command: help on standard error" grep -q "limn COMMAND" "$work/err"

# ---- completions
for shell in bash zsh fish; do
  run 0 help --completion $shell
  says generate
  says temperature
  if command -v $shell >/dev/null; then check "$shell reads them" $shell -n "$work/out"; fi
done

if command -v bash >/dev/null; then
  "$LIMN" help --completion bash >"$work/limn.bash"
  cat >"$work/complete" <<'END'
. ./limn.bash
mkdir -p 'a folder' && touch 'a file'
complete_words() { # what the shell would offer for the last of these words
  COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
  _limn limn
  printf '%s|' "${COMPREPLY[@]}"
  echo
}
complete_words limn ex
complete_words limn explain --col
complete_words limn explain --overflow ''
complete_words limn explain --overflow = s
complete_words limn explain --overflow =
complete_words limn trace -m 'a '
complete_words limn tokenize --file 'a f'
complete_words limn help tok
complete_words limn tokenizer tr
complete_words limn tokenizer train --vo
END
  printf '%s\n' 'a file|a folder|' 'a file|a folder|' '--color|' 'error|slide|' 'error|slide|' \
    'explain|' 'slide|' 'tokenize|tokenizer|' 'train|' '--vocab-size|' | sort >"$work/wanted"
  (cd "$work" && bash ./complete 2>&1 | sed 's/a folder|a file|/a file|a folder|/' | sort >out)
  check "bash completes" cmp "$work/out" "$work/wanted"
fi

# ---- what is not there
run 2 explian
complains 'limn: no command "explian"'
run 2 generat
complains "the nearest is generate"
run 2 zzzzzzzzzzzz
complains "see limn --help"
run 2 trace --hoks x
complains "limn trace: no option --hoks, the nearest is --hooks"
run 2 trace -Z
complains "limn trace: no option -Z"
run 2 --nonsense
complains "limn: no option --nonsense before the command"
run 2 trace --ids
complains "option --ids has no value, expected 1,2,3"
run 2 trace --json=yes --ids 1
complains 'option --json has a value "yes", expected none'
run 2 info something
complains 'one argument too many, "something"'
run 2 trace a b
complains 'one argument too many, "b"'
run 2 info --color sometimes
complains 'option --color has "sometimes", expected auto|always|never'
run 2 info --threads 0
complains 'option --threads has "0", expected a whole number from 1 to 1024'
run 2 generate hi --temperature warm
complains 'option --temperature has "warm", expected a number of at least 0'
run 2 generate hi --max-tokens 1.5
complains 'option --max-tokens has "1.5", expected a whole number'
run 2 generate hi --top-p 1.01
complains 'expected a number from 0 to 1'
run 2 trace --o x --ids 1
complains "option --o may be --output or --overflow, spell it out"

# ---- ways to write options: all of these mean the same
run 0 trace -m "$tiny" --ids 1,2,3 --hooks hook_embed
cp "$work/out" "$work/same"
for arguments in "--ids=1,2,3 --hooks=hook_embed --model=$tiny" "-khook_embed -m$tiny --ids 1,2,3" \
  "-k hook_embed --mod $tiny --id 1,2,3" "--ids 9 -t1 -m $tiny --ids 1,2,3 -k embed"; do
  # shellcheck disable=SC2086
  run 0 trace $arguments
  check "$last: the same" cmp -s "$work/out" "$work/same"
done
run 0 generate -n 1 --only-new -- --help
quiet

# ---- colour
esc=$(printf '\033')
run 0 hooks
says_not "$esc"
run 0 hooks --color always
says "$esc"
run 0 --color=always hooks
says "$esc"
CLICOLOR_FORCE=1 run 0 hooks
says "$esc"
NO_COLOR=1 CLICOLOR_FORCE=1 run 0 hooks
says_not "$esc"
NO_COLOR=1 run 0 hooks --color always
says "$esc"

# ---- streams
if [ -w /dev/full ]; then
  "$LIMN" hooks >/dev/full 2>"$work/err"
  check "a full disk: exit status 2" [ $? = 2 ]
  last="limn hooks >/dev/full"
  complains "cannot write standard output: No space left on device"
  "$LIMN" trace -m "$tiny" --ids 1,2 --json >/dev/full 2>"$work/err"
  check "a full disk with JSON: exit status 2" [ $? = 2 ]
  complains "No space left on device"
  run 2 trace -m "$tiny" --ids 1,2 -o /dev/full
  complains "No space left on device"
fi
for way in "hooks" "tokenizer train $tiny/config.json -n 300 -o $work/learned" \
  "trace -m $tiny --ids 1,2 -o $work/closed"; do
  "$LIMN" $way >&- 2>"$work/err"
  check "a closed standard output: exit status 2" [ $? = 2 ]
  last="limn $way >&-"
  complains "cannot write standard output: Bad file descriptor"
done
run 0 trace -m "$tiny" --ids 1,2 -o "$work/open"
check "and what is printed is in no other file" cmp "$work/open" "$work/closed"
last="limn tokenize <&-"
"$LIMN" tokenize <&- >"$work/out" 2>"$work/err"
complains 'cannot read "standard input": Bad file descriptor'
{ "$LIMN" trace -m "$tiny" --ids 1,2,3,4,5,6,7,8,9 --json 2>"$work/err"; echo $? >"$work/rc"; } |
  head -1 >/dev/null
last="limn trace | head -1"
quiet
check "a reader that goes away ends it like SIGPIPE: $(cat "$work/rc")" [ "$(cat "$work/rc")" = 141 ]

# ---- signals: no half file is left. Background jobs of sh ignore SIGINT; env gives it back. What the
# second one prints goes into a pipe that nobody reads, so that it cannot be done before the signal.
mkdir "$work/folder"
mkfifo "$work/pipe"
exec 9<>"$work/pipe"
for signal in TERM INT; do
  default=
  if [ $signal = INT ]; then
    env --default-signal=INT true 2>/dev/null || continue
    default="env --default-signal=INT"
  fi
  $default "$LIMN" generate "Once upon a time" --ignore-end -n 10000 --overflow slide \
    >"$work/folder/text" 2>"$work/err" &
  long=$!
  $default "$LIMN" generate "Once upon a time" --ignore-end -n 240 --trace "$work/folder/trace" \
    --json --alternatives 20 >"$work/pipe" 2>"$work/err" 9<&- &
  pid=$!
  sleep 0.5
  kill -$signal $pid $long
  kill -$signal $pid $long 2>/dev/null # once more, as timeout does: the first is to do its work
  wait $pid
  rc=$?
  wait $long
  rm -f "$work/folder/text"
  [ $signal = INT ] && wanted=130 || wanted=143
  check "SIG$signal: exit status $rc, expected $wanted" [ $rc = $wanted ]
  check "SIG$signal: no file is left: $(ls "$work/folder")" [ -z "$(ls "$work/folder")" ]
done
exec 9<&-

finish
