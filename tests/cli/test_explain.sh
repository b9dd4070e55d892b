#!/bin/sh
# limn explain: every section on any text, JSON and folders whole, plain in a pipe, bad input.
. "$(dirname "$0")/lib.sh"
escape=$(printf '\033')

# whole FILE: brackets and quotes of a JSON text close, and nothing follows
whole() {
  awk '{ line = $0; gsub(/\\\\/, "", line); gsub(/\\"/, "", line); gsub(/"[^"]*"/, "", line)
         if (line ~ /"/) bad = 1
         if (NR > 1 && depth == 0) bad = 1
         depth += gsub(/[[{]/, "", line) - gsub(/[]}]/, "", line); if (depth < 0) bad = 1 }
       END { exit bad || depth != 0 || NR == 0 }' "$1"
}
value() { # value FILE KEY: the first number of that name
  sed -n "s/^.*\"$2\": \\([-+0-9.e]*\\).*/\\1/p" "$1" | head -1
}
widest() { # in bytes, of a plain ASCII text
  awk '{ if (length($0) > most) most = length($0) } END { print most + 0 }' "$1"
}

# ---- the main job
run 0 explain "The king said to his"
quiet
cp "$work/out" "$work/plain"
for section in Tokens "Next token" Attention "Logit lens" "Which parts said it"; do
  check "section $section" grep -qx "$section" "$work/out"
done
says '"The"       464  54 68 65'
says '" king"    5822  20 6b 69 6e 67'
says "entropy"
says "0.0 ."
says "5.3 ."
says "embeddings"
says "layer 5"
says "the sum is off by"
says "limn trace --hooks 'blocks.*.attn.hook_pattern'"
check "no escape sequences in a pipe" sh -c '! grep -q "$1" "$2"' sh "$escape" "$work/out"
check "plain ASCII" sh -c '! sed "s/…//g" "$1" | LC_ALL=C grep -q "[^ -~]"' sh "$work/out"
"$LIMN" explain "The king said to his" --color never >"$work/out"
check "--color never is the same" cmp -s "$work/out" "$work/plain"
CLICOLOR_FORCE=1 NO_COLOR=1 "$LIMN" explain "The king said to his" >"$work/out"
check "NO_COLOR too" cmp -s "$work/out" "$work/plain"
run 0 explain "The king said to his" --color always
check "256 colours where asked for" grep -q "$escape\\[38;5;" "$work/out"
COLORTERM=truecolor "$LIMN" explain "The king said to his" --color always >"$work/out"
check "24-bit colours where there are" grep -q "$escape\\[38;2;" "$work/out"
check "every line ends without colour" awk -v e="$escape" '{
    n = split($0, part, e); last = part[n]
    if (n > 1 && last !~ /^\[0?m/) bad = 1 } END { exit bad }' "$work/out"
printf 'The king said to his' >"$work/text"
run 0 explain --file "$work/text" -k 3
says "limn trace --hooks"
says "--file $work/text"
"$LIMN" explain -k 3 <"$work/text" >"$work/out"
check "standard input" grep -q "5822" "$work/out"
"$LIMN" explain "The king said to his" | head -1 >"$work/out"
check "a closed pipe is silent" [ "$(wc -l <"$work/out")" = 1 ]

# ---- the commands that it shows make the same numbers again
COLUMNS=60 "$LIMN" explain "The king said to his" >"$work/out"
for columns in 60 200; do
  COLUMNS=$columns "$LIMN" explain "The king said to his" |
    sed -n "/again  limn trace --hooks '\\*embed/,\$p" | sed 's/.*again  limn/"$LIMN"/' >"$work/again"
  check "a command in $columns columns" sh -c 'cd "$1" && LIMN=$2 sh ./again >out' sh "$work" "$LIMN"
  says "tensors, "
  check "makes its file" [ -s "$work/parts.safetensors" ]
  rm -f "$work/parts.safetensors"
done

# ---- what drives a terminal does not reach it
run 0 explain "$(printf 'one\033[31m\342\200\256two')"
check "no escape sequence of the text" sh -c '! grep -q "$1" "$2"' sh "$escape" "$work/out"
says "-o tokens.safetensors --ids 505,"

# ---- any width: tables keep to it, commands are the shell's to wrap
for columns in 60 80 120; do
  COLUMNS=$columns "$LIMN" explain "Once upon a time there was a king who had three sons and a horse" \
    >"$work/out"
  grep -v -e "again  limn" -e "^          " "$work/out" | sed "s/…/./g" >"$work/tables"
  check "fits into $columns columns ($(widest "$work/tables"))" [ "$(widest "$work/tables")" -le "$columns" ]
done
COLUMNS=40 "$LIMN" explain hello >"$work/out"
check "40 columns" [ $? = 0 ]

# ---- JSON
run 0 explain "The king said to his" --json
quiet
cp "$work/out" "$work/json"
check "whole JSON" whole "$work/json"
check "5 tokens" [ "$(grep -c '"log_probability"' "$work/json")" = 5 ]
check "39 parts" [ "$(grep -c '"part"' "$work/json")" = 39 ]
check "7 depths" [ "$(grep -c '"target_rank"' "$work/json")" = 7 ]
check "the parts sum to the logit" awk '/"attribution": \{/ { inside = 1 }
  inside && /^    "logit": / { gsub(/[^-+.0-9e]/, "", $2); logit = $2 }
  /"part":/ { sub(/.*"logit": /, ""); sub(/[,} ].*/, ""); sum += $0; n++ }
  END { d = sum - logit; exit !(n == 39 && d < 1e-4 && d > -1e-4 && logit != 0) }' "$work/json"
check "the error is small" awk -v x="$(value "$work/json" error)" 'BEGIN { exit !(x >= 0 && x < 1e-4) }'
check "24 patterns of 5 rows that sum to 1" awk '/"patterns"/ { inside = 1 } /"lens"/ { inside = 0 }
  inside && /^ *\[[-0-9.e, ]+\],?$/ { gsub(/[][]/, ""); m = split($0, x, ","); sum = 0
    for (i = 1; i <= 5; i++) sum += x[i]; rows++; if (sum < 0.9999 || sum > 1.0001) bad = 1 }
  END { exit bad || rows != 120 }' "$work/json"
check "the last depth has rank 1" [ "$(sed -n 's/.*"target_rank": \(.*\),/\1/p' "$work/json" | tail -1)" = 1 ]
run 0 explain "The king" --json --target " queen" -k 1
says '"text": " queen"'
check "whole JSON with a target" whole "$work/out"
run 0 explain "The king" --json --target "#464"
says '"id": 464'

# ---- position: what stands behind does not matter
run 0 explain "The king said to his wife and daughter" --position 4 --json
grep -v '"actual"' "$work/out" >"$work/early"
check "position 4 of more is the shorter text" cmp -s "$work/early" "$work/json"
run 0 explain "The king said to his wife and daughter" --position -4
says 'the text goes on with " wife"'

# ---- any text
run 0 explain a
says '"a"'
for text in "مرحبا بالعالم" "日本語の文章です" "👩‍👩‍👧 🎉" "	tab
line" "<|endoftext|>" "'quoted' \$HOME \`x\`"; do
  run 0 explain "$text" -k 2
  quiet
  run 0 explain "$text" --json
  check "whole JSON of $text" whole "$work/out"
done
printf '\377\376\000\001\200binary\n' >"$work/binary"
run 0 explain --file "$work/binary"
says '\xff'
run 0 explain --file "$work/binary" --json
check "whole JSON of bytes" whole "$work/out"
awk 'BEGIN { for (i = 0; i < 300; i++) printf " word" }' >"$work/long"
run 2 explain --file "$work/long"
complains "300 tokens do not fit into the context window of 256; --overflow slide"
run 0 explain --file "$work/long" --overflow slide
says "reading 256 tokens (44 before them do not fit into its window)"
says "256 tokens in"
says "232 more"
run 0 explain --file "$work/long" --position 99
says "reading 100 tokens"

# ---- models without a tokenizer
run 0 explain -m "$tiny" --ids 1,2,3
says "#2"
says "--ids 1,2,3"
run 0 explain -m "$tiny" --ids 1,2,3 --json
check "whole JSON without texts" whole "$work/out"
says '"text": null'
run 0 explain -m "$tiny" --ids 1,2,3 --layer 1 --head 2
says "looks at"
says "1.2"
says_not "0.0 ."

# ---- edits
run 0 explain "The king said to his" -e 'blocks.3.attn.hook_z[:,1]=0' --json
check "an edited head adds nothing" grep -q '"part": "head 3.1", "layer": 3, "head": 1, "logit": -\{0,1\}0,' "$work/out"
run 0 explain "The king said to his" -e 'blocks.5.hook_resid_post*=2'
says "of the residual stream itself belong to no part"

# ---- the folder
run 0 explain "The king said to his" --out "$work/folder"
check "its JSON is the same" cmp -s "$work/folder/explain.json" "$work/json"
grep -q "limn trace --hooks 'blocks.\*.attn.hook_pattern' -o attention.safetensors 'The king said to his'" \
  "$work/folder/README.md"
check "its page names the commands" [ $? = 0 ]
check "the activations are there" [ -s "$work/folder/activations.safetensors" ]
run 0 trace "The king said to his" --hooks hook_embed --json \
  -e "blocks.5.hook_resid_post=@$work/folder/activations.safetensors"
check "and patch into another run" [ $? = 0 ]
for figure in next attention attention-layer-0 attention-layer-5 lens attribution; do
  check "$figure.png" sh -c 'head -c 4 "$1" | grep -q PNG' sh "$work/folder/$figure.png"
  check "$figure.svg" grep -q "</svg>" "$work/folder/$figure.svg"
done
check "the page shows them" [ "$(grep -c '^!\[' "$work/folder/README.md")" = 4 ]
run 0 explain --file "$work/binary" --out "$work/folder-binary"
run 0 explain -m "$tiny" --ids 1 --out "$work/folder-tiny"
run 0 explain "The king" --out "$work/folder" --json
check "with --json nothing else is printed" whole "$work/out"
run 2 explain a --out /proc/nothing/here
complains 'cannot make folder "/proc/nothing/here"'
: >"$work/file"
run 2 explain a --out "$work/file"
complains "cannot make folder"

# ---- what is refused
bad() { # bad MESSAGE ARGUMENT...
  message=$1
  shift
  run 2 explain "$@"
  complains "$message"
  check "and nothing is printed" [ ! -s "$work/out" ]
}
bad "the text is empty" ""
bad "a text and --ids are given" text --ids 1
bad "has no tokenizer, expected --ids" -m "$tiny" text
bad "token id 512" -m "$tiny" --ids 512
bad "option --position has 5, the text has 5 tokens (0 to 4)" "The king said to his" --position 5
bad "option --position has -6" "The king said to his" --position -6
bad "option --layer has 6, the model has 6 (0 to 5)" a --layer 6
bad "option --head has 4, the model has 4 (0 to 3)" a --head 4
bad 'no token is "attendants", expected " attendants" or an id as #464' a --target attendants
bad 'no token is "kingking"' a --target kingking
bad 'has "#50257", the vocabulary has #0 to #50256' a --target "#50257"
bad "no hook is named" a -e 'nothing=1'
bad "changed nothing" a -e 'hook_embed[7]=1'
bad "nan" a -e 'blocks.5.hook_resid_post=nan'
bad "no model" -m /nowhere a
run 2 explain --top 0 a

finish
