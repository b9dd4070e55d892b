#!/bin/sh
# limn sweep: cells against limn trace with the same edit, pictures, files, and what is refused.
. "$(dirname "$0")/lib.sh"

ids=5,17,300,42,9,17,5,88
other=5,17,301,42,9,17,6,88

# row FILE LAYER: the numbers of a layer, one a line
row() {
  sed -n '/"values"/,$p' "$1" | grep -E '^ *\[' | sed -n "$(($2 + 1))p" | tr -d '[] ' | tr ',' '\n' |
    grep .
}
cell() { # cell FILE LAYER COLUMN
  row "$1" "$2" | sed -n "$(($3 + 1))p"
}
logit() { # logit EDIT: of token 3 after the last of the ids, by limn generate
  "$LIMN" generate -m "$tiny" --ids $ids -n 1 --json --alternatives 1 ${1:+-e "$1"} |
    sed -n 's/.*"logit": \([^,]*\),.*/\1/p' | head -1
}

# ---- each cell is the run alone: the logit of the likeliest token, with an edit that keeps it there
run 0 sweep -m "$tiny" --ids $ids --json --metric logit
quiet
cp "$work/out" "$work/heads"
check "4 heads in a layer" [ "$(row "$work/heads" 0 | wc -l)" = 4 ]
target=$(sed -n 's/.*"target": {"id": \([0-9]*\),.*/\1/p' "$work/heads")
same=0
for place in 0.0 1.2 2.3; do
  layer=${place%.*} head=${place#*.}
  "$LIMN" eval -m "$tiny" --ids "$ids,$target" -l -e "blocks.$layer.attn.hook_z[:,$head]=0" --json \
    >"$work/eval"
  run 0 sweep -m "$tiny" --ids $ids --json --target "#$target"
  alone=$(sed -n "s/.*\"position\": 8, .*\"log_probability\": \([^}]*\)}.*/\1/p" "$work/eval")
  found=$(cell "$work/out" "$layer" "$head")
  check "head $place: $found, alone $alone" awk -v a="$alone" -v b="$found" \
    'BEGIN { d = a - b; exit !(a != "" && d < 1e-6 && d > -1e-6) }'
done
clean=$(sed -n 's/.*"clean": \([^,]*\),/\1/p' "$work/heads")
check "without a change $clean is the likeliest's logit" awk -v a="$clean" -v b="$(logit)" \
  'BEGIN { d = a - b; exit !(d < 1e-6 && d > -1e-6) }'

# ---- patching: what stands in front of the first other token changes nothing
run 0 sweep -m "$tiny" --ids $ids --from-ids $other --over positions --json --metric logit
cp "$work/out" "$work/patch"
clean=$(sed -n 's/.*"clean": \([^,]*\),/\1/p' "$work/patch")
check "position 0 is the same" [ "$(cell "$work/patch" 2 0)" = "$clean" ]
check "position 2 is not" [ "$(cell "$work/patch" 0 2)" != "$clean" ]
source=$(sed -n 's/.*"source": \([^,]*\),/\1/p' "$work/patch")
run 0 sweep -m "$tiny" --ids $other --json --metric logit --target "#$(
  sed -n 's/.*"target": {"id": \([0-9]*\),.*/\1/p' "$work/patch")"
says "\"clean\": $source"
run 0 sweep -m "$tiny" --ids $ids --over positions -k mlp_out --mean --metric kl --json
says '"target": null'
run 0 sweep -m "$tiny" --ids $ids -t 3 --json --metric logit
check "threads change nothing" cmp -s "$work/out" "$work/heads"

# ---- pictures
run 0 sweep 'The king said to his' --top 3
says 'log-probability of " wife": -1.7427'
says "head 2.0"
check "three bars" [ "$(grep -cE '^  head [0-9]' "$work/out")" = 3 ]
check "plain ASCII" sh -c '! LC_ALL=C grep -q "[^ -~]" "$1"' sh "$work/out"
run 0 sweep 'The king said to his' --from 'The girl said to his' --over positions \
  --metric difference --target ' wife' --against ' mother'
says 'logit of " wife" less that of " mother"'
says '1 " king"'
run 0 sweep 'The king' --color always
check "colour where it is asked for" grep -q "$(printf '\033')" "$work/out"
for columns in 40 80 120; do
  COLUMNS=$columns "$LIMN" sweep 'The king said' --over positions >"$work/out"
  check "fits into $columns columns" awk -v most=$((columns < 60 ? 60 : columns)) \
    'length($0) > most { bad = 1 } END { exit bad }' "$work/out"
done

# ---- files
run 0 sweep -m "$tiny" --ids $ids --out "$work/dir" --json
check "the same JSON in the folder" cmp -s "$work/out" "$work/dir/sweep.json"
check "and a heat map" [ -s "$work/dir/sweep.png" ] && [ -s "$work/dir/sweep.svg" ]

# ---- what is refused
run 2 sweep -m "$tiny" --ids $ids --from-ids 1,2
complains "the text to patch from has 2 tokens, expected 8 as in the text"
run 2 sweep -m "$tiny" --ids $ids --from-ids $other --mean
complains "more than one of --from, --from-ids and --mean"
run 2 sweep -m "$tiny" --ids $ids --from text
complains "has no tokenizer, expected --from-ids"
run 2 sweep -m "$tiny" --ids $ids -k attn.hook_pattern
complains "attn.hook_pattern has the axes n_head, query, key, expected position, n_head first"
run 2 sweep -m "$tiny" --ids $ids -k hook_mlp
complains 'blocks.0.hook_mlp"'
run 2 sweep -m "$tiny" --ids $ids --target '#512'
complains 'option --target has "#512"'
run 2 sweep -m "$tiny" --ids 1,600
complains "token id 600"
run 2 sweep -m "$tiny"
complains "has no tokenizer, expected --ids"
run 2 sweep 'a' --from ''
complains "the text to patch from has 0 tokens"
run 2 sweep 'a' --out /proc/nothing/here
complains "/proc/nothing/here"

run 2 sweep -m "$tiny" --ids $ids --against '#3'
complains "--against is given without --metric difference"
run 2 sweep -m "$tiny" --ids $ids --metric difference --against '#3' --target '#3'
complains "--target and --against are the same token, expected two"

finish
