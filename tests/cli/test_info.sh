#!/bin/sh
# limn info and limn hooks: what they show of the bundled model and of a folder, and -m MODEL.
. "$(dirname "$0")/lib.sh"

run 0 info
says "50 257"
says "7 655 552"
says "gelu_new"
says "BF16"
run 0 info --json
says '"n_layer": 6'
says '"n_parameters": 7655552'
says '"tokenizer": "byte-level BPE"'
run 0 info -m "$tiny" --json
says '"tokenizer": null'
says '"vocab_size": 512'
run 0 info -m "$LIMN_SOURCE_DIR/tests/data/gpt2-tiny/f32-odd" --json
says '"is_tied": false'

# ---- names
mkdir "$work/models"
ln -s "$tiny" "$work/models/small"
LIMN_MODELS=/nowhere:$work/models run 0 info -m small --json
says '"vocab_size": 512'
LIMN_MODELS=$work/models run 2 info -m smal
complains 'no model "smal", expected a folder or one of the names found (small, tales)'
run 2 info -m "$work/models"
complains "expected a folder with a config.json"
run 2 info -m ""
complains 'no model ""'
mkdir "$work/broken"
echo '{"model_type": "bert"}' >"$work/broken/config.json"
run 2 info -m "$work/broken"
complains "bert"

# ---- threads
run 0 info -t 5 --json
says '"n_threads": 5'
if command -v taskset >/dev/null; then
  first=$(taskset -cp $$ | sed 's/.*: *\([0-9]*\).*/\1/')
  taskset -c "$first" "$LIMN" info --json >"$work/out"
  last="limn info on one processor"
  says '"n_threads": 1'
fi

# ---- hooks
run 0 hooks
says "blocks.{i}.attn.hook_pattern"
says "softmax(hook_attn_scores) over key"
says "on request"
run 0 hooks --names
check "there is a line for each point" [ "$(wc -l <"$work/out")" = "$("$LIMN" hooks --json | grep -c '"formula"')" ]
run 0 hooks 'blocks.*.attn.hook_pattern' --names
check "a pattern for each of 6 layers" [ "$(wc -l <"$work/out")" = 6 ]
run 0 hooks 'pattern3'
says "blocks.3.attn.hook_pattern"
says "4, query, key"
run 0 hooks '*' --names
says_not hook_result
run 0 hooks '*hook_result' --names
says blocks.5.attn.hook_result
run 2 hooks blocks.0.attn.hook_patern
complains 'the nearest is "blocks.0.attn.hook_pattern"'
run 2 hooks blocks.9.attn.hook_pattern
complains "the model has layers 0 to 5"

finish
