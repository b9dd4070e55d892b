#!/bin/sh
# limn intro: the sections together and alone, the lessons as programs, JSON, the folder, bad input.
. "$(dirname "$0")/lib.sh"
lessons=$LIMN_SOURCE_DIR/lessons

# ---- all of it
run 0 intro
quiet
cp "$work/out" "$work/all"
for title in "0. What computes here" "1. What is a language model?" "2. From words to tokens" \
  "3. Attention and feed-forward" "4. Where a token stands" "5. One transformer layer" \
  "6. Back to tokens"; do
  check "section $title" grep -qxF "$title" "$work/all"
done
says "limn $("$LIMN" --version | sed 's/[^0-9.]//g') on a processor with"
# Where the line breaks depends on the processor.
check "says how many threads" sh -c \
  'tr -s "\n " " " <"$1" | grep -q "Threads to compute with: [1-9]"' sh "$work/out"
for kernels in scalar "$("$LIMN" bench -m "$tiny" -p 1 -n 1 -r 1 --no-check | awk '$1 == "kernels" { print $2 }')"; do
  LIMN_KERNELS=$kernels run 0 intro --section 0
  check "says what computes: $kernels" sh -c \
    'tr -s "\n " " " <"$1" | grep -qF " Kernels: $2. "' sh "$work/out" "$kernels"
done
LIMN_KERNELS=mmx run 2 intro --section 0
complains 'LIMN_KERNELS is "mmx", expected scalar'
cp "$work/all" "$work/out"
says "Transform (41762), ers (364)"
says "1.probs  [3]"
says "0.6285    0.2312    0.1402"
says "3.mha.weights  [1,4,4]"
says "3.mha.weights_per_head  [1,2,4,4]"
says "id 50256 at position 0, expected 0 to 49999"
says "All 1000 of the first position sum to 1.000000"
says "nan       nan       nan"
check "80 columns at most" awk 'length($0) > 80 { bad = 1 } END { exit bad }' "$work/all"
check "no escape sequences in a pipe" sh -c '! grep -q "$(printf "\033")" "$1"' sh "$work/all"
"$LIMN" intro | head -1 >"$work/out"
check "a closed pipe is silent" [ "$(wc -l <"$work/out")" = 1 ]

# ---- a section alone gives what it gives among the others, and so does the lesson as a program
: >"$work/joined"
for n in 0 1 2 3 4 5 6; do
  run 0 intro --section $n
  [ $n = 0 ] || printf '\n\n' >>"$work/joined"
  sed '$d' "$work/out" | sed '$d' >"$work/alone"
  cat "$work/alone" >>"$work/joined"
  program=$(ls "$(dirname "$LIMN")"/lesson_${n}_* | head -1)
  (cd "$work" && "$program") | grep -v '\.png: ' | grep . >"$work/lesson"
  grep . "$work/alone" >"$work/out"
  check "$(basename "$program") prints section $n" cmp -s "$work/lesson" "$work/out"
done
sed '$d' "$work/all" | sed '$d' >"$work/out"
check "the sections alone are the whole" cmp -s "$work/joined" "$work/out"
for n in 1 3 4 5; do
  check "lesson $n draws" [ -n "$(ls "$work"/$n-*.png)" ]
done
program=$(ls "$(dirname "$LIMN")"/lesson_1_*)
check "a lesson takes a seed" sh -c 'cd "$1" && "$2" 7 >out' sh "$work" "$program"
status=0
"$program" seven >"$work/out" 2>"$work/err" || status=$?
last="lesson_1 seven"
check "and nothing else" [ $status = 2 ]
complains "usage: "

# ---- JSON
members() { # members FILE: a line for each tensor
  grep '^  "' "$1" | sed 's/,$//'
}
run 0 intro --json
quiet
cp "$work/out" "$work/json"
check "60 tensors" [ "$(members "$work/json" | wc -l)" = 60 ]
check "a scalar has no axes" grep -q '"6.row_sum_999": {"shape": \[\], "data": \[0.99[0-9]*\]}' "$work/json"
: >"$work/joined"
for n in 0 1 2 3 4 5 6; do
  run 0 intro --json --section $n
  members "$work/out" >>"$work/joined"
done
members "$work/json" >"$work/out"
check "the sections' tensors are the whole" cmp -s "$work/joined" "$work/out"
run 0 intro --json --seed 0
check "seed 0 is the default" cmp -s "$work/out" "$work/json"
run 0 intro --json --seed 5
cp "$work/out" "$work/five"
check "another seed, other numbers" sh -c '! cmp -s "$1" "$2"' sh "$work/five" "$work/json"
run 0 intro --json --seed 4294967301
check "of a seed the lower 32 bits count, as in PyTorch" cmp -s "$work/out" "$work/five"

# ---- the folder
run 0 intro --out "$work/folder"
quiet
says "The page is $work/folder/intro.html."
check "its JSON is the same" cmp -s "$work/folder/intro.json" "$work/json"
for figure in 1-softmax 3-attention 3-activations 4-positions-notebook 4-positions-paper \
  4-positions-difference 5-attention-mean 5-attention-head-0 5-attention-head-1; do
  check "$figure.png" sh -c 'head -c 4 "$1" | grep -q PNG && tail -c 8 "$1" | grep -q IEND' sh \
    "$work/folder/$figure.png"
  check "$figure.svg" sh -c 'head -c 5 "$1" | grep -q "<?xml" && tail -1 "$1" | grep -qx "</svg>"' sh \
    "$work/folder/$figure.svg"
done
check "nothing else" [ "$(ls -A "$work/folder" | wc -l)" = 20 ]
page=$work/folder/intro.html
check "the page holds 9 pictures" [ "$(grep -c 'src="data:image/svg+xml;base64,' "$page")" = 9 ]
check "and asks for nothing" sh -c '! grep -qE "https?://|<script|<link|@import|url\(" "$1"' sh "$page"
sed -n 's/.*base64,\([^"]*\)">.*/\1/p' "$page" | head -1 | base64 -d >"$work/picture.svg"
check "the first is the figure" cmp -s "$work/picture.svg" "$work/folder/1-softmax.svg"
sed 's/<[^>]*>//g; s/&lt;/</g; s/&gt;/>/g; s/&quot;/"/g; s/&amp;/\&/g' "$page" >"$work/text"
for lesson in "$lessons"/[0-9]*.c; do
  grep -v -e '^ *\*' -e '^ */\*' -e '^$' -e '^#include' -e '^LESSON' "$lesson" >"$work/code"
  check "the C of $(basename "$lesson") ($(wc -l <"$work/code") lines)" awk -v text="$work/text" '
    BEGIN { while ((getline line < text) > 0) seen[line] = 1 } !seen[$0] { bad = 1; print }
    END { exit bad || NR < 20 }' "$work/code"
done
check "five surprises" [ "$(grep -c 'class="surprise"' "$page")" -ge 5 ]
for tag in section table figure pre div ul; do
  opened=$(grep -o "<$tag[ >]" "$page" | wc -l) closed=$(grep -o "</$tag>" "$page" | wc -l)
  check "each of $opened <$tag> closes" [ "$opened" = "$closed" ]
done
run 0 intro --section 4 --out "$work/four" --json
check "with --json nothing else is printed" [ "$(members "$work/out" | wc -l)" = 3 ]
check "the figures of one section" [ "$(ls "$work/four" | wc -l)" = 8 ]
check "the page of one section" [ "$(grep -c '<section' "$work/four/intro.html")" = 1 ]

# ---- what is refused
bad() { # bad MESSAGE ARGUMENT...
  message=$1
  shift
  run 2 intro "$@"
  complains "$message"
  check "and nothing printed" [ ! -s "$work/out" ]
}
bad 'option --seed has "x", expected a whole number of at least 0' --seed x
bad 'option --seed has "-1"' --seed -1
bad 'option --section has "7", expected a whole number from 0 to 6' --section 7
bad 'option --section has "one"' --section one
bad "no option --sections" --sections 1
bad "one argument too many" text
bad 'cannot make folder "/proc/nothing/here"' --out /proc/nothing/here
: >"$work/file"
bad "cannot make folder" --out "$work/file"
mkdir -p "$work/blocked/intro.html" "$work/blocked2/4-positions-paper.svg"
bad "intro.html" --section 1 --out "$work/blocked"
bad "4-positions-paper.svg" --out "$work/blocked2"
check "no half files" [ -z "$(ls -A "$work/blocked" "$work/blocked2" | grep -v -e '^[1-6]-' -e '^intro' -e ':$' -e '^$')" ]

finish
