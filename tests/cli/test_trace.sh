#!/bin/sh
# limn trace, and edits and patches through it.
. "$(dirname "$0")/lib.sh"

# numbers FILE NAME: the data of a tensor in JSON, one number a line
numbers() {
  awk -v name="\"$2\":" 'index($1, name) == 1 { inside = 1 }
    inside && /"data"/ { gsub(/.*\[|\].*/, ""); n = split($0, x, ", "); for (i = 1; i <= n; i++) print x[i]; exit }' "$1"
}
run 0 trace "The cat sat" --hooks '*.hook_pattern,hook_embed'
says "blocks.5.attn.hook_pattern"
says "[4,3,3]"
says "logits"
says "[3,50257]"
quiet
run 0 trace -m "$tiny" --ids 1,2,3 --hooks 'blocks.0.attn.hook_attn_scores' --json
says '"blocks.0.attn.hook_attn_scores": {'
says '"-inf"'
says '"shape": [4, 3, 3]'
run 0 trace -m "$tiny" --ids "1 2 3" --hooks blocks.1.attn.hook_result --stop-at-layer 2 --json
says '"blocks.1.attn.hook_result": {'
says_not logits
run 0 trace -m "$tiny" --ids 1 --stop-at-layer 0 --hooks '*' --json
says hook_embed
says_not blocks.0

# ---- text from the three places
run 0 trace "Hi there" --hooks hook_tokens --json
cp "$work/out" "$work/argument"
printf 'Hi there' >"$work/text"
run 0 trace --file "$work/text" --hooks hook_tokens --json
check "a file gives the same" cmp -s "$work/out" "$work/argument"
"$LIMN" trace --hooks hook_tokens --json <"$work/text" >"$work/out"
check "standard input gives the same" cmp -s "$work/out" "$work/argument"

# ---- patching: run B with A's residual stream at the end is run A
run 0 trace -m "$tiny" --ids 5,6,7,8 -o "$work/a.safetensors"
says "tensors"
run 0 trace -m "$tiny" --ids 5,6,7,8 --hooks hook_embed --json
numbers "$work/out" logits >"$work/a"
run 0 trace -m "$tiny" --ids 100,200,300,400 --hooks hook_embed --json
numbers "$work/out" logits >"$work/b"
check "the two runs differ" sh -c '! cmp -s "$1" "$2"' sh "$work/a" "$work/b"
run 0 trace -m "$tiny" --ids 100,200,300,400 --hooks hook_embed --json \
  -e "blocks.2.hook_resid_post=@$work/a.safetensors"
numbers "$work/out" logits >"$work/b"
check "patched, they agree bit for bit" cmp -s "$work/a" "$work/b"
run 0 trace -m "$tiny" --ids 100,200,300,400 --hooks hook_embed --json \
  -e "blocks.2.hook_resid_post[:]=@$work/a.safetensors:blocks.2.hook_resid_post" -e 'hook_embed*=1'
numbers "$work/out" logits >"$work/b"
check "and by name" cmp -s "$work/a" "$work/b"
run 0 trace -m "$tiny" --ids 5,6,7 --hooks blocks.1.attn.hook_z --json -e 'blocks.1.attn.hook_z[:,2]=0'
numbers "$work/out" blocks.1.attn.hook_z | awk 'int((NR - 1) / 8) % 4 == 2 && $1 != 0 { bad = 1 }
  int((NR - 1) / 8) % 4 != 2 && $1 == 0 { bad = 1 } END { exit bad }'
check "head 2 is zero, the others are not" [ $? = 0 ]

# ---- the edits that docs/command.md shows
run 0 trace "The dog ran" -o "$work/other.safetensors"
run 0 trace "The cat sat" --hooks hook_embed
cp "$work/out" "$work/plain"
sed -n 's/^| `\([^`]*=[^`]*\)` .*/\1/p' "$LIMN_SOURCE_DIR/docs/command.md" |
  sed "s|@other|@$work/other|" | grep -v '@dir' >"$work/edits"
check "there are some" [ "$(wc -l <"$work/edits")" -ge 4 ]
while IFS= read -r edit; do
  run 0 trace "The cat sat" --hooks hook_embed -e "$edit"
  check "$edit changes the logits" sh -c '! cmp -s "$1" "$2"' sh "$work/out" "$work/plain"
done <"$work/edits"

# ---- what is refused
bad() { # bad MESSAGE ARGUMENT...
  message=$1
  shift
  run 2 trace -m "$tiny" "$@"
  complains "$message"
  silent
}
bad 'token id 3 is "x", expected a whole number' --ids 1,2,x
bad 'token id 2 is "", expected a whole number' --ids 1,,2
bad 'token id 2 is ""' --ids 1,
bad 'token id 1 is "-1"' --ids=-1
bad 'token id 512 at position 1 is outside the vocabulary of 512 tokens' --ids 1,512
bad 'a text and --ids are given, expected one of them' --ids 1 text
bad 'has no tokenizer, expected --ids' text
bad 'no hook is named "hook_embd"; the nearest is "hook_embed"' --ids 1 --hooks hook_embd
bad 'no hook matches "*nothing*"' --ids 1 --hooks '*nothing*'
bad 'an empty name' --ids 1 --hooks 'hook_embed,'
bad 'hooks "blocks.1.*" are not reached before layer 1, where the run stops' --ids 1 \
  --stop-at-layer 1 --hooks 'blocks.1.*'
bad 'stop at layer 9, the model has layers 0 to 2' --ids 1 --stop-at-layer 9
bad 'index 4 is outside axis 1 (n_head, size 4)' --ids 1 -e 'z0[:,4]=1'
bad 'edit "hook_embed[3]=1" changed nothing' --ids 1 -e 'hook_embed[3]=1'
bad 'edit "hook_embed[3]=1" changed nothing' --ids 1 -e 'hook_embed[3]=1' --json
bad 'expected HOOK=VALUE' --ids 1 -e 'hook_embed'
bad 'cannot open' --ids 1 -e 'hook_embed=@/nowhere.safetensors'
bad 'the file has 4 positions of hook_embed, this run has 5' --ids 1,2,3,4,5 -e "hook_embed=@$work/a.safetensors"
bad 'axis 1 of the tensor has size 32, the selected entries of blocks.0.attn.hook_z have 8 there' \
  --ids 1 -e "z0=@$work/a.safetensors:hook_embed"
bad 'the tensor has shape [4,128], but hook_embed has [4,32] (position, d_model)' \
  --ids 1 -e "hook_embed=@$work/a.safetensors:blocks.0.mlp.hook_pre"
bad 'cannot write' --ids 1 -o /nowhere/at/all
bad '--output and --json are given' --ids 1 -o x --json
ids=$(awk 'BEGIN { for (i = 0; i < 65; i++) printf "%s%d", i ? "," : "", i }')
bad '65 tokens after 0 do not fit into the context window of 64' --ids "$ids"
run 0 trace -m "$tiny" --ids "$ids" --overflow slide --hooks hook_tokens
says "[64"

# ---- with an edit nothing is printed before it has met its entries
run 0 trace -m "$tiny" --ids 5,6 --hooks '*' --json
cp "$work/out" "$work/plain"
run 0 trace -m "$tiny" --ids 5,6 --hooks '*' --json -e 'hook_embed*=1'
check "what was held back is what is printed at once" cmp -s "$work/out" "$work/plain"
run 0 trace -m "$tiny" --ids 5,6 --hooks '*'
cp "$work/out" "$work/plain"
run 0 trace -m "$tiny" --ids 5,6 --hooks '*' -e 'hook_embed*=1'
check "the table too" cmp -s "$work/out" "$work/plain"
for json in '' --json; do
  last="limn trace $json without room for a temporary file"
  (ulimit -f 0; "$LIMN" trace -m "$tiny" --ids 5,6 -e 'hook_embed*=1' $json 2>&1) |
    cat >"$work/err"
  complains "cannot write a temporary file: File too large"
done
run 2 trace --file /nowhere
complains 'cannot open "/nowhere"'
run 2 trace ""
complains "the text is empty, expected at least one token"
echo old >"$work/kept"
bad 'outside the vocabulary' --ids 999 -o "$work/kept"
check "after a failure the file holds what it held" grep -q old "$work/kept"
check "and nothing lies beside it" [ "$(ls "$work" | grep -c kept)" = 1 ]

finish
