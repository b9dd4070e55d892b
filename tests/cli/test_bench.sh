#!/bin/sh
# limn bench: that it runs, what it shows, and that --weights and --compute reach it.
. "$(dirname "$0")/lib.sh"

quick="-m $tiny -p 20 -n 5 -r 3"
run 0 bench $quick
says prefill
says decode
says "of the logits against the scalar kernels"
run 0 bench $quick -t 2 --weights q4 --compute int8 --no-check --json
says '"threads": 2'
says '"weights": "q4"'
says '"compute": "int8"'
says '"error_against_scalar": null'
says '"repeats": 3'
run 0 bench $quick -p 100000 --json
check "the prompt is cut to the context" grep -q '"n_tokens": 64' "$work/out"
check "the scalar kernels agree to float32 rounding" awk '
  /error_against_scalar/ { gsub(/[",]/, ""); exit !($2 >= 0 && $2 < 2e-6) }' "$work/out"
check "the peak of memory and both shares are numbers" awk '
  /"peak_bytes": [1-9]/ { peak++ } /"share_of_ceiling(_by_processor_time)?": [0-9]/ { shares++ }
  END { exit !(peak == 1 && shares == 4) }' "$work/out"

run 0 bench -m $tiny -r 2 -t 2 --curve
says "positions"
check "a line for each point up to the context" test "$(grep -c '^  *\(16\|32\|64\) ' "$work/out")" = 3
run 0 bench -m $tiny -r 1 --curve --out "$work/curve" --json
check "the curve ends at the context" grep -q '"n_positions": 64' "$work/out"
check "what is printed is what the folder has" cmp -s "$work/out" "$work/curve/curve.json"
check "and it has a picture" grep -q "<svg" "$work/curve/curve.svg"
run 2 bench $quick --out "$work/none"
complains "--out is given, expected --curve with it"

LIMN_KERNELS=scalar run 0 bench $quick --json
says '"kernels": "scalar"'
says '"error_against_scalar": 0'
LIMN_KERNELS=mmx run 2 bench $quick
complains 'LIMN_KERNELS is "mmx", expected scalar'
run 2 bench $quick --weights f32 --compute bf16
complains "computing in bf16 with weights in f32, expected weights in bf16"
run 2 bench $quick -r 0
complains "repeat"
run 2 bench -m "$work/none"
complains "none"

run 0 eval -m "$tiny" --ids 3,1,4,1,5,9 --json
cp "$work/out" "$work/plain"
run 0 eval -m "$tiny" --ids 3,1,4,1,5,9 --weights f32 --json
check "f32 is what the file has" cmp -s "$work/out" "$work/plain"
run 0 eval -m "$tiny" --ids 3,1,4,1,5,9 --weights q8 --json
check "q8 is not" sh -c "! cmp -s '$work/out' '$work/plain'"
run 2 eval -m "$tiny" --ids 3,1,4 --weights q5
complains "q5"

finish
