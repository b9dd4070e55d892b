#!/bin/sh
# limn quantize: packed models in every storage, taken by the other commands as MODEL, with the same
# results to the bit; what is refused, and that nothing half-written stays.
. "$(dirname "$0")/lib.sh"

# ---- every storage: the same text as when it is packed at opening
for weights in f32 f16 bf16 q8 q4; do
  run 0 quantize -m "$tiny" --weights $weights -o "$work/$weights"
  says "$work/$weights: $weights, "
  quiet
  run 0 trace -m "$tiny" --weights $weights --ids 1,2,3,4 --hooks hook_embed,ln_final.hook_scale --json
  sed '/"model"/d' "$work/out" >"$work/loaded"
  run 0 trace -m "$work/$weights" --ids 1,2,3,4 --hooks hook_embed,ln_final.hook_scale --json
  sed '/"model"/d' "$work/out" >"$work/mapped"
  check "$weights: the same numbers" cmp -s "$work/loaded" "$work/mapped"
done
run 0 quantize -m "$tiny" -o "$work/preset" --json
says '"weights": "q8"'
says '"bits": 8.5'
sum=$(sha256sum "$tiny/model.safetensors" | cut -d' ' -f1)
says "\"source_sha256\": \"$sum\""
check "twice the same file" cmp -s "$work/preset/model.safetensors" "$work/q8/model.safetensors"
check "the configuration is the model's" cmp -s "$work/q8/config.json" "$tiny/config.json"

# ---- with its tokenizer, and every command
run 0 quantize -w q4 -o "$work/tales"
check "the tokenizer comes along" sh -c 'ls "$1" | tr "\n" " " | grep -qx "config.json merges.txt model.safetensors vocab.json "' sh "$work/tales"
run 0 info -m "$work/tales"
says "packed in the file"
says '"tales"'
run 0 info -m "$work/tales" --json
says '"layout_version": 1'
says '"bits": 4.5'
says '"copied_bytes": 13312'
run 0 generate -m "$work/tales" 'Once upon' -n 8 --json
grep -v '"model"' "$work/out" >"$work/mapped"
run 0 generate --weights q4 'Once upon' -n 8 --json
grep -v '"model"' "$work/out" >"$work/loaded"
check "the same text" cmp -s "$work/loaded" "$work/mapped"
for command in explain "eval --ids 1,2,3,4" heads hooks sweep; do
  case $command in
    explain) text='Once upon a time' ;;
    sweep) text='Once upon' ;;
    *) text= ;;
  esac
  run 0 $command -m "$work/tales" ${text:+"$text"}
  quiet
done
run 0 generate -m "$work/tales" --compute int8 'Once' -n 2
run 0 bench -m "$work/tales" -p 4 -n 2 -r 1 --json
says '"weights": "q4"'
printf 'A text that is long enough to be predicted.' >"$work/text"
run 0 eval -m "$work/tales" "$work/text" --compare --json
check "only what the file can do is compared" [ "$(grep -c '"weights"' "$work/out")" = 2 ]

# ---- as one file
run 0 quantize -m "$tiny" --weights bf16 -o "$work/one.safetensors"
run 0 trace -m "$work/one.safetensors" --ids 1,2,3,4 --hooks hook_embed,ln_final.hook_scale --json
sed '/"model"/d' "$work/out" >"$work/mapped"
run 0 trace -m "$work/bf16" --ids 1,2,3,4 --hooks hook_embed,ln_final.hook_scale --json
sed '/"model"/d' "$work/out" | cmp -s - "$work/mapped"
check "a file is the folder's model" [ $? = 0 ]
run 0 generate -m "$work/tales/model.safetensors" 'Once upon' -n 8 --json
grep -v '"model"' "$work/out" | cmp -s - "$work/loaded"
check "a folder's file takes the tokenizer beside it" [ $? = 0 ]

# ---- half the size where the embedding may be rounded too
run 0 quantize -m "$tiny" --compact -o "$work/compact"
check "compact is smaller by the embedding" [ "$(($(wc -c <"$work/q8/model.safetensors") - $(wc -c <"$work/compact/model.safetensors")))" -ge 61440 ]
run 0 generate -m "$work/compact" --ids 1,2,3 -n 3

# ---- a packed model is replaced, nothing else
echo stale >"$work/q4/vocab.json"
run 0 quantize -m "$tiny" --weights f16 -o "$work/q4"
run 0 info -m "$work/q4" --json
says '"weights": "f16"'
check "what the earlier model had is gone" [ ! -e "$work/q4/vocab.json" ]
cp -r "$tiny" "$work/original"
run 2 quantize -m "$work/original" -o "$work/original"
complains "\"$work/original\" is the model itself, expected another place"
run 2 quantize -m "$work/original" -o "$work/original/../original/"
complains "is the model itself"
run 2 quantize -o "$work/original"
complains "holds something else, expected a new or empty folder, or one with a packed model"
run 2 quantize -m "$tiny" -o "$work/original/model.safetensors"
complains "holds something else, expected a new file, or one with a packed model"
check "the original is intact" cmp -s "$tiny/model.safetensors" "$work/original/model.safetensors"
run 2 quantize -m "$tiny" -o "$work/text"
complains "is no folder"
mkdir "$work/dir.safetensors"
run 2 quantize -m "$tiny" -o "$work/dir.safetensors"
complains "is a folder, expected a file"
run 2 quantize -m "$work/q8" -o "$work/again"
complains "is packed already, in q8: expected the model that it was made from"
check "and no folder was made" [ ! -e "$work/again" ]

# ---- what is not given, not there, or does not fit
run 2 quantize -m "$tiny"
complains "no -o OUT given"
run 2 quantize -m "$tiny" -o ""
complains '"" is no place'
run 2 quantize -m "$work/nothing" -o "$work/again"
complains "no model in"
run 2 quantize -m "$tiny" -o "$work/no/such/place"
complains "cannot make folder"
run 2 quantize -m "$tiny" --weights q5 -o "$work/again"
complains "q5"
run 2 generate -m "$work/q8" --weights q4 --ids 1
complains "holds weights packed in q8, they cannot be had in q4"
run 2 generate -m "$work/q8" --compute bf16 --ids 1
complains "computing in bf16 with weights in q8"
mkdir "$work/broken"
cp "$tiny/config.json" "$work/broken"
head -c 5000 "$tiny/model.safetensors" >"$work/broken/model.safetensors"
run 2 quantize -m "$work/broken" -o "$work/again"
check "nothing of a broken model stays" [ ! -e "$work/again" ]
(ulimit -f 40; "$LIMN" quantize -m "$tiny" -o "$work/again" >"$work/out" 2>"$work/err"; echo $? >"$work/status")
check "a full disk is an error" [ "$(cat "$work/status")" = 2 ]
last="limn quantize on a full disk"
complains "File too large"
check "and leaves nothing" [ ! -e "$work/again" ]

# ---- a signal while the tokenizer is copied: it is a pipe that nobody writes to
mkdir "$work/slow" "$work/was_there"
cp "$tiny/config.json" "$tiny/model.safetensors" "$work/slow"
mkfifo "$work/slow/tokenizer.json"
for out in again was_there; do
  "$LIMN" quantize -m "$work/slow" -o "$work/$out" >"$work/out" 2>"$work/err" &
  pid=$!
  for i in 1 2 3 4 5 6 7 8 9 10; do
    [ -e "$work/$out/model.safetensors" ] || sleep 0.2
  done
  check "the weights are there: $out" [ -e "$work/$out/model.safetensors" ]
  kill -TERM $pid
  wait $pid
  check "and go with the signal: $out" [ ! -e "$work/$out/model.safetensors" ]
done
check "so does the folder that was made" [ ! -e "$work/again" ]
check "and one that was there stays" [ -d "$work/was_there" ]

# ---- nor does any other command leave a folder that is empty
(ulimit -f 0; "$LIMN" explain "Once" --out "$work/again" 2>&1 >/dev/null | cat >/dev/null)
check "explain on a full disk" [ ! -e "$work/again" ]

finish
