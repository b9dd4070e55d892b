#!/bin/sh
# limn generate: greedy and drawn, ends, log-probabilities, traces and edits of every step.
. "$(dirname "$0")/lib.sh"

prompt="Once upon a time"
run 0 generate "$prompt" -n 20
quiet
check "the prompt comes first" grep -q "^$prompt" "$work/out"
cp "$work/out" "$work/greedy"
run 0 generate "$prompt" -n 20 --only-new
printf '%s' "$prompt" | cat - "$work/out" >"$work/joined"
check "--only-new leaves it out" cmp -s "$work/joined" "$work/greedy"
run 0 generate "$prompt" -n 20 --temperature 0 --threads 3
check "threads change nothing" cmp -s "$work/out" "$work/greedy"
run 0 generate "$prompt" -n 20 --top-k 1
check "top-k 1 is greedy" cmp -s "$work/out" "$work/greedy"

# ---- greedy takes the largest logit: the next id from a trace's logits
ids=3,1,4,1,5
run 0 generate -m "$tiny" --ids $ids -n 1 --json
next=$(sed -n 's/.*"id": \([0-9]*\).*/\1/p' "$work/out")
log_probability=$(sed -n 's/.*"log_probability": \([-0-9.e]*\).*/\1/p' "$work/out")
"$LIMN" trace -m "$tiny" --ids $ids --hooks hook_embed --json | awk '/"logits"/ { inside = 1 }
  inside && /"data"/ { gsub(/.*\[|\].*/, ""); n = split($0, x, ", ");
    for (i = n - 511; i <= n; i++) { v = x[i] + 0; sum += exp(v); if (best == "" || v > best) { best = v; at = i } }
    printf "%d %.9g\n", at - (n - 511), best - log(sum) }' >"$work/expected"
read -r expected_id expected_log <"$work/expected"
check "the id is the largest logit's: $next, $expected_id" [ "$next" = "$expected_id" ]
check "the log-probability is its log softmax: $log_probability, $expected_log" \
  awk "BEGIN { d = $log_probability - $expected_log; exit !(d < 1e-5 && d > -1e-5) }"

# ---- drawing
run 0 generate "$prompt" -n 20 --temperature 0.9 --top-k 50 --top-p 0.95 --seed 11
cp "$work/out" "$work/drawn"
run 0 generate "$prompt" -n 20 --temperature 0.9 --top-k 50 --top-p 0.95 --seed 11
check "a seed repeats itself" cmp -s "$work/out" "$work/drawn"
run 0 generate "$prompt" -n 20 --temperature 0.9 --top-k 50 --top-p 0.95 --seed 12
check "another seed draws another text" sh -c '! cmp -s "$1" "$2"' sh "$work/out" "$work/drawn"
run 0 generate "$prompt" -n 12 --repetition-penalty 1e30 --json
check "a huge penalty repeats no token" [ "$(grep -o '"id": [0-9]*' "$work/out" | sort | uniq -d | wc -l)" = 0 ]

# ---- ends
run 0 generate "$prompt" -n 40 --stop "first thing" --json
says '"ended_by": "stop string"'
says '"stop_string": "first thing"'
says_not 'first thing he'
run 0 generate "$prompt" -n 40 --stop "first thing" --stop "zzz"
check "the stop string is not shown" sh -c '! grep -q "first thing" "$1"' sh "$work/out"
run 0 generate "$prompt" -n 3 --json
says '"ended_by": "length"'
run 0 generate -m "$tiny" --ids 1,2 -n 5 -l
check "a heading and a line for each token" [ "$(wc -l <"$work/out")" = 6 ]
run 0 generate "$prompt" -n 2 -l --alternatives 2
check "and for each alternative" [ "$(wc -l <"$work/out")" = 7 ]

# Any token of a list ends a text.
mkdir "$work/ends"
ln -s "$tiny/model.safetensors" "$work/ends/model.safetensors"
run 0 generate -m "$tiny" --ids 1,2,3 -n 20 --temperature 1.5 --seed 5 --ignore-end --json
last_id=$(sed -n 's/.*"id": \([0-9]*\).*/\1/p' "$work/out" | tail -1)
first_at=$(sed -n 's/.*"id": \([0-9]*\).*/\1/p' "$work/out" | grep -nx "$last_id" | head -1 | cut -d: -f1)
sed 's/"eos_token_id": 511/"eos_token_id": [509, '"$last_id"', 510]/' "$tiny/config.json" >"$work/ends/config.json"
run 0 generate -m "$work/ends" --ids 1,2,3 -n 20 --temperature 1.5 --seed 5 --json
says '"ended_by": "end of text"'
check "one of three tokens ends it" [ "$(grep -c '"log_probability"' "$work/out")" = "$first_at" ]
run 0 info -m "$work/ends" --json
says "\"ends\": [509, $last_id, 510]"

# ---- the trace of all steps is the trace of the whole text
run 0 generate -m "$tiny" --ids 1,2,3 -n 6 --ignore-end --trace "$work/steps.safetensors" --json
all=$(sed -n 's/.*"id": \([0-9]*\).*/\1/p' "$work/out" | head -5 | paste -sd, -)
run 0 trace -m "$tiny" --ids "1,2,3,$all" --hooks hook_embed --json
grep '"data"' "$work/out" | tail -1 | tr -d '],' | tr -s '[ ' '\n' | grep '^[-0-9]' >"$work/whole"
for hook in blocks.2.hook_resid_post blocks.2.attn.hook_pattern blocks.1.attn.hook_attn_scores blocks.0.attn.hook_k; do
  run 0 trace -m "$tiny" --ids "1,2,3,$all" --hooks hook_embed --json -e "$hook=@$work/steps.safetensors"
  grep '"data"' "$work/out" | tail -1 | tr -d '],' | tr -s '[ ' '\n' | grep '^[-0-9]' >"$work/patched"
  # float32 sums in another order, as for any split of a text
  paste "$work/whole" "$work/patched" | awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > most) most = d
    b = $1 < 0 ? -$1 : $1; if (b > scale) scale = b } END { exit !(NR == 8 * 512 && most <= 2e-6 * scale) }'
  check "$hook of all steps is that of the whole text" [ $? = 0 ]
done

# ---- edits hold in every step
run 0 generate "$prompt" -n 10 -e 'blocks.*.hook_mlp_out=0'
check "an edit changes the text" sh -c '! cmp -s "$1" "$2"' sh "$work/out" "$work/greedy"
run 0 generate "$prompt" -n 10 -e 'blocks.5.hook_resid_post[8]=0'
check "and at a position that is generated" sh -c '! cmp -s "$1" "$2"' sh "$work/out" "$work/greedy"
run 2 generate "$prompt" -n 4 -e 'blocks.5.hook_resid_post[30]=0'
complains "changed nothing"
run 2 generate "$prompt" -e 'hook_embed=nan'
complains "the logit of token 0 is nan"

# ---- the window
run 2 generate "$prompt" -n 500
complains "500 tokens after a prompt of 4 do not fit into the context window of 256"
run 0 generate -m "$tiny" --ids 1,2,3 -n 100 --overflow slide --ignore-end -l
check "a window that slides goes on" [ "$(wc -l <"$work/out")" = 101 ]
run 0 generate -m "$tiny" --ids 1,2,3 --ignore-end -l
check "without --max-tokens it fills the window: $(wc -l <"$work/out")" [ "$(wc -l <"$work/out")" = 63 ]
run 2 generate "$prompt" --overflow slide --trace "$work/x"
complains "a trace holds one window"
run 2 generate ""
complains "the text is empty"
run 2 generate "$prompt" --stop ""
complains 'option --stop has "", expected at least one character'
run 2 generate "$prompt" --trace /nowhere/at/all
complains "cannot write"

# ---- speculation: the same text, faster
hooks="blocks.4.*,blocks.2.attn.hook_attn_scores_raw,hook_embed,ln_final.hook_normalized"
tokens() { # the "tokens" of the JSON in $work/out
  sed -n '/"tokens"/,/^  \]/p' "$work/out"
}
for options in "" "--seed 3 --top-k 20" "--repetition-penalty 1.2" "--overflow slide -n 270"; do
  run 0 generate "$prompt" -n 60 --ignore-end --json $options
  tokens >"$work/plain"
  run 0 generate "$prompt" -n 60 --ignore-end --json $options --speculate lookup
  tokens >"$work/guessed"
  check "the same tokens with lookup $options" cmp -s "$work/plain" "$work/guessed"
  says '"speculation": {"n_passes": '
done
run 0 generate "$prompt" -n 40 --json
tokens >"$work/plain"
run 0 generate "$prompt" -n 40 --json --speculate tales:3
tokens >"$work/guessed"
check "the same with a model that guesses" cmp -s "$work/plain" "$work/guessed"
check "which is the same model, so that every guess is kept" \
  grep -qE '"n_guessed": ([0-9]+), "n_kept": \1}' "$work/out"
run 0 generate "$prompt" -n 30 --seed 5 --speculate tales
run 0 generate "$prompt" -n 40 --json --speculate tales:3 --draft-weights q4 --draft-compute int8
tokens >"$work/guessed"
check "the same with itself in 4 bits that guesses" cmp -s "$work/plain" "$work/guessed"
check "which is right now and then, and not always" \
  sh -c 'grep -qE "\"n_kept\": [1-9]" "$1" && ! grep -qE "\"n_guessed\": ([0-9]+), \"n_kept\": \1}" "$1"' sh "$work/out"
run 2 generate "$prompt" --speculate tales --draft-compute bf16 --draft-weights q8
complains "computing in bf16 with weights in q8"
# Of what was guessed and taken back a trace shows nothing: it is the file of decoding one by one.
for options in "-n 40" "-n 40 --seed 3 --top-k 20" "-n 40 --stop the" "-n 1" \
  "-n 30 -e blocks.2.hook_resid_post[9]=0"; do
  run 0 generate "$prompt" $options --ignore-end --invariant --trace "$work/x" --hooks "$hooks"
  for guess in lookup "tales:3 --draft-weights q4"; do
    case $options$guess in *seed*tales*) continue ;; esac # other tokens, the same distribution
    run 0 generate "$prompt" $options --ignore-end --speculate $guess \
      --trace "$work/y" --hooks "$hooks"
    check "the same trace with $options, guessed by $guess" cmp -s "$work/x" "$work/y"
  done
done
# Edits of single positions apply to guesses as to tokens that are made one by one.
for edit in 'blocks.5.attn.hook_z[:,1]=0' 'blocks.*.hook_mlp_out[...]*=0.5' \
  'blocks.2.hook_resid_post[12:30:2]+=0.25' 'blocks.1.attn.hook_k[3]*=2'; do
  run 0 generate "$prompt" -n 40 --ignore-end --json -e "$edit"
  tokens >"$work/plain"
  for guess in lookup tales:4; do
    run 0 generate "$prompt" -n 40 --ignore-end --json -e "$edit" --speculate $guess
    tokens >"$work/guessed"
    check "the same tokens with $edit, guessed by $guess" cmp -s "$work/plain" "$work/guessed"
  done
done
"$LIMN" trace "$prompt" --hooks 'blocks.2.hook_resid_pre' -o "$work/other.safetensors" >"$work/out"
for edit in 'blocks.4.attn.hook_z[:,1]=mean' 'blocks.2.hook_resid_pre[-1]=0' \
  'blocks.2.hook_resid_pre[::-2]=0' 'blocks.0.attn.hook_pattern[1,:,0]=0' \
  "blocks.2.hook_resid_pre[-3:]=0" "blocks.2.hook_resid_pre=@$work/other.safetensors"; do
  run 2 generate "$prompt" --speculate lookup -e "$edit"
  complains "expected an edit of single positions"
done
run 2 generate "$prompt" --speculate /nowhere
complains "/nowhere"
run 2 generate "$prompt" --speculate "$tiny"
complains "the draft model has 512 tokens, expected 50257"

# ---- the lines of a file: each as alone
awk 'BEGIN { for (i = 0; i < 19; i++) { s = ""; for (k = 0; k <= i % 5; k++) s = s " the king " i * k;
  print "Once" s; if (i == 3) print "" } printf "and the last line" }' >"$work/lines"
for options in "-n 7" "-n 9 --seed 3 --top-k 9" "-n 12 --stop e --only-new"; do
  grep . "$work/lines" | while IFS= read -r line; do
    "$LIMN" generate "$line" $options </dev/null
  done >"$work/alone"
  run 0 generate --prompts "$work/lines" $options
  check "20 lines as each alone, $options" cmp -s "$work/alone" "$work/out"
done
run 0 generate -p "$work/lines" -n 3 --json
check "20 objects" [ "$(grep -c '"ended_by": "length"' "$work/out")" = 20 ]
tail -n 2 "$work/lines" >"$work/two"
run 0 generate -p "$work/two" -n 270 --overflow slide --ignore-end --only-new
run 0 generate -p "$work/lines" -n 3 -e 'blocks.0.attn.hook_z[:,1]=0'
quiet
run 2 generate -p "$work/lines" "a prompt"
complains "--prompts and a prompt are given"
run 2 generate -p "$work/lines" --speculate lookup
complains "--prompts and --speculate are given"
: >"$work/none"
run 2 generate -p "$work/none"
complains "has no line, expected a prompt on each"
run 2 generate -p /nowhere
complains 'cannot open "/nowhere"'
run 2 generate -p "$work/lines" -m "$tiny"
complains "has no tokenizer"

printf 'one\n\n\000two\nthree\000\n' >"$work/zero"
run 0 generate -p "$work/zero" -n 2 --only-new
cp "$work/out" "$work/several"
for line in 'one' '\000two' 'three\000'; do
  printf "$line" >"$work/line"
  run 0 generate --file "$work/line" -n 2 --only-new
  cat "$work/out" >>"$work/alone_zero"
done
check "a NUL is a byte like any other" cmp -s "$work/several" "$work/alone_zero"
awk 'BEGIN { print "short"; print ""; for (i = 0; i < 300; i++) printf "the "; print "" }' >"$work/long"
run 2 generate -p "$work/long" -n 2
complains "line 3: 2 tokens after a prompt of 301 do not fit"

# ---- options that need another one
run 2 generate "$prompt" --draft-weights q4
complains "--draft-weights is given without --speculate"
run 2 generate "$prompt" --hooks hook_embed
complains "--hooks is given without --trace"
run 2 generate "$prompt" --alternatives 2
complains "--alternatives is given without --log-probs or --json"
for n in 0 257 -1 99999999999; do
  run 2 generate "$prompt" --speculate lookup:$n
  complains "option --speculate has \"lookup:$n\", expected from 1 to 256 guesses"
done

run 0 generate "Tschüß, 世界" -n 2
check "UTF-8 stays whole" sh -c 'iconv -f UTF-8 -t UTF-8 "$1" >/dev/null' sh "$work/out"

finish
