#!/bin/sh
# limn eval against the loss computed by awk from the logits of limn trace.
. "$(dirname "$0")/lib.sh"

ids=3,1,4,1,5,9,2,6,5,3,5,8,9,7
value() { # value KEY: a number of the JSON in $work/out
  sed -n "s/^ *\"$1\": \([-0-9.e+]*\),*$/\1/p" "$work/out"
}
near() { # near A B
  awk "BEGIN { d = $1 - $2; exit !(d < 2e-6 && d > -2e-6) }" # float32 log-probabilities of size 6
}
# loss IDS FIRST: the summed loss of the targets behind position FIRST, from a trace's logits
loss() {
  "$LIMN" trace -m "$tiny" --ids "$1" --hooks hook_embed --json | awk -v ids="$1" -v first="$2" '
    /"logits"/ { inside = 1 }
    inside && /"data"/ { gsub(/.*\[|\].*/, ""); n = split($0, x, ", "); m = split(ids, id, ",")
      for (p = first; p < m; p++) { sum = 0
        for (i = 1; i <= 512; i++) sum += exp(x[(p - 1) * 512 + i])
        total += log(sum) - x[(p - 1) * 512 + id[p + 1] + 1] }
      printf "%.9g\n", total }'
}

run 0 eval -m "$tiny" --ids $ids --json
check "one window: the mean over 13 tokens" near "$(value loss)" "$(awk "BEGIN { printf \"%.9g\", $(loss $ids 1) / 13 }")"
check "the perplexity is e to it" awk "BEGIN { d = exp($(value loss)) / $(value perplexity) - 1; exit !(d < 1e-9 && d > -1e-9) }"

# Windows of 5: inputs 0-4, 5-9, 10-12; each predicts one token further.
run 0 eval -m "$tiny" --ids $ids --window 5 --json
a=$(loss 3,1,4,1,5,9 1) b=$(loss 9,2,6,5,3,5 1) c=$(loss 5,8,9,7 1)
check "windows of 5, each from an empty context" near "$(value loss)" "$(awk "BEGIN { printf \"%.9g\", ($a + $b + $c) / 13 }")"
check "three of them" [ "$(value n_windows)" = 3 ]

# Windows of 5, 3 apart: inputs 0-4, 3-7 (targets 6-8), 6-10 (9-11), 9-12 (12, 13).
run 0 eval -m "$tiny" --ids $ids --window 5 --stride 3 --json
b=$(loss 1,5,9,2,6,5 3) c=$(loss 2,6,5,3,5,8 3) d=$(loss 3,5,8,9,7 3)
check "windows of 5, 3 apart" near "$(value loss)" "$(awk "BEGIN { printf \"%.9g\", ($a + $b + $c + $d) / 13 }")"
check "four of them" [ "$(value n_windows)" = 4 ]

run 0 eval -m "$tiny" --ids $ids -l
check "a heading and a line for each token" [ "$(wc -l <"$work/out")" = 14 ]
run 0 eval -m "$tiny" --ids $ids -l --json
check "an object for each token" [ "$(grep -c '"position"' "$work/out")" = 13 ]
cp "$work/out" "$work/one"
run 0 eval -m "$tiny" --ids $ids -l --json --threads 3
check "threads change nothing" cmp -s "$work/out" "$work/one"

# ---- the bundled model on a text, and an edit that makes it worse
printf 'Once upon a time there was a king who had three daughters.' >"$work/text"
run 0 eval "$work/text"
says "perplexity"
says "per byte of text"
quiet
run 0 eval "$work/text" --json
plain=$(value loss)
check "a plain sentence is no surprise: $plain" awk "BEGIN { exit !($plain > 1 && $plain < 5) }"
run 0 eval "$work/text" --json -e 'blocks.*.hook_attn_out=0'
check "without attention it is one: $(value loss)" awk "BEGIN { exit !($(value loss) > $plain + 0.5) }"
run 0 eval "$work/text" --limit 5 --json
check "--limit" [ "$(value n_scored)" = 4 ]
"$LIMN" eval - --json <"$work/text" >"$work/out"
check "standard input" near "$(value loss)" "$plain"

# ---- many at once: what each gets alone, to the bit (where there are tiles, with --invariant)
printf 'Once upon a time there was a king.\n\nA\nThe queen said nothing, and went into the garden.\n' >"$work/lines"
run 0 eval "$work/lines" --lines --json -l --invariant
cp "$work/out" "$work/alone"
check "a loss for each line that is not empty" [ "$(grep -c '"line": .*"loss"' "$work/out")" = 3 ]
check "a line of one token has none" grep -q '"line": 3, "n_scored": 0, "loss": null' "$work/out"
of_line() { # of_line LINE FILE: the log-probabilities of a line
  grep '"position"' "$2" | grep "\"line\": $1," | sed 's/.*"log_probability": \([-0-9.e]*\).*/\1/'
}
for line in 1 4; do
  sed -n "${line}p" "$work/lines" | tr -d '\n' >"$work/text"
  run 0 eval "$work/text" --json -l --invariant
  grep '"position"' "$work/out" | sed 's/.*"log_probability": \([-0-9.e]*\).*/\1/' >"$work/own"
  of_line $line "$work/alone" >"$work/of_line"
  check "line $line has what it has as a file of its own" cmp -s "$work/own" "$work/of_line"
done
run 0 eval "$work/lines" --lines --json -l --invariant --batch 3 --threads 2
check "in one pass every line has what it has alone" cmp -s "$work/out" "$work/alone"
run 0 eval -m "$tiny" --ids $ids -l --invariant --json --window 5 --stride 3
cp "$work/out" "$work/alone"
for n in 2 3 100; do
  run 0 eval -m "$tiny" --ids $ids -l --invariant --json --window 5 --stride 3 --batch $n
  check "and $n windows at once change no number" cmp -s "$work/out" "$work/alone"
done
run 0 eval -m "$tiny" --ids $ids --window 5 --invariant --json -e 'blocks.0.hook_attn_out[4]=0'
cp "$work/out" "$work/alone"
run 0 eval -m "$tiny" --ids $ids --window 5 --invariant --json -e 'blocks.0.hook_attn_out[4]=0' --batch 3
check "nor with an edit that the last window does not reach" cmp -s "$work/out" "$work/alone"
run 2 eval -m "$tiny" --ids $ids --window 5 --invariant --json -e 'blocks.0.hook_attn_out[5]=0' --batch 3
complains "changed nothing"
run 0 eval "$work/lines" --lines --batch 2
says "perplexity"
says "windows in a pass"
run 0 eval "$work/lines" --lines --limit 4 --json
check "--limit is of all lines" [ "$(value n_scored)" = 3 ]

# ---- what is refused
run 2 eval --ids 1,2,3 --lines
complains "--lines and --ids are given"
printf 'A\n\nA\n' >"$work/short"
run 2 eval "$work/short" --lines
complains "no line of 2 has two tokens"
run 2 eval --ids 1,2,3 --batch 0
complains "batch"
run 2 eval
complains "no text is given, expected one of FILE and --ids"
run 2 eval --ids 1
complains "the text has 1 token, expected at least 2"
run 2 eval "$work/nothing"
complains "cannot open"
run 2 eval --ids 1,2 --window 300
complains "option --window has 300, the model's context window is 256"
run 2 eval --ids 1,2 --window 4 --stride 5
complains "option --stride has 5, expected at most the window's 4"
run 2 eval --ids 1,2 -e 'hook_embed=nan'
complains "no softmax"
run 2 eval -m "$tiny" "$work/text"
complains "has no tokenizer, expected --ids"

# ---- ways to store and compute
run 0 eval -m "$tiny" --ids $ids --json
loss=$(value loss)
run 0 eval -m "$tiny" --ids $ids --compare --json
check "eight ways" [ "$(grep -c '"weights"' "$work/out")" = 8 ]
of() { # of KEY: that number of each way, in a line
  sed -n "s/.*\"$1\": \([-0-9.e+]*\).*/\1/p" "$work/out" | tr '\n' ' '
}
cp "$work/out" "$work/alone"
run 0 eval -m "$tiny" --ids $ids --compare --json --invariant --batch 2 --window 7
cp "$work/out" "$work/two"
run 0 eval -m "$tiny" --ids $ids --compare --json --invariant --window 7
check "a comparison of two windows at once is that of one by one" cmp -s "$work/out" "$work/two"
cp "$work/alone" "$work/out"
check "float32 is what it is without" near "$(of loss | cut -d' ' -f1)" "$loss"
check "float32 loses nothing, fewer bits more and more" awk -v kl="$(of mean_kl)" 'BEGIN {
  split(kl, x, " "); exit !(x[1] == 0 && 0 < x[2] && x[2] < x[3] && x[3] < x[5] && x[5] < x[7]) }'
run 0 eval -m "$tiny" --ids $ids --compare --window 5 --stride 3
check "a heading and a line for each" [ "$(wc -l <"$work/out")" = 9 ]
run 2 eval -m "$tiny" --ids $ids --compare -l
complains "--compare and --log-probs"

finish
