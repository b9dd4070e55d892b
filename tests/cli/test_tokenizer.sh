#!/bin/sh
# limn tokenizer: learning an encoding, what it writes, and comparing two; bad input.
. "$(dirname "$0")/lib.sh"

# ---- subcommands
run 0 tokenizer --help
says "train       learn a byte-level encoding from text"
quiet
run 2 tokenizer
check "without a subcommand: help on standard error" grep -q "limn tokenizer COMMAND" "$work/err"
run 2 tokenizer trian
complains 'no subcommand "trian", the nearest is train'
run 2 tokenizer frobnicate
complains "see limn tokenizer --help"
run 0 help tokenizer train
says "limn tokenizer train - learn"
cp "$work/out" "$work/long"
run 0 tokenizer train --help
check "limn help tokenizer train is the same" cmp -s "$work/out" "$work/long"
run 2 help tokenizer nothing
complains 'no command "tokenizer nothing"'
run 0 help --man tokenizer
says 'limn\-tokenizer\-train\fR(1)'
run 0 help --man tokenizer train
says '.TH "LIMN-TOKENIZER-TRAIN"'

# ---- learning
text=$LIMN_SOURCE_DIR/docs/architecture.md
run 0 tokenizer train "$text" --vocab-size 500 -o "$work/mine"
says "500 tokens, 244 of them merges"
says "tokenizer.json, vocab.json and merges.txt are in $work/mine"
quiet
check "a line for each merge" [ "$(wc -l <"$work/mine/merges.txt")" = 245 ]
run 0 tokenizer train - --vocab-size 500 -o "$work/again" --threads 2 <"$text"
says "0 bytes of text"
"$LIMN" tokenizer train - --vocab-size 500 -o "$work/again" --threads 2 <"$text" >"$work/out"
for file in tokenizer.json vocab.json merges.txt; do
  check "standard input gives the same $file" cmp -s "$work/mine/$file" "$work/again/$file"
done
run 0 tokenizer train "$text" -n 300 -o "$work/special" -s '<|end|>' -s '<|pad|>' --json
says '"vocab_size": 300'
says '"pattern": "gpt2"'
run 0 tokenize -e "$work/special" --special allow --ids '<|pad|><|end|>'
check "special tokens have the first ids" [ "$(cat "$work/out")" = 1,0 ]
run 0 tokenizer train "$text" --vocab-size 100000 --min-frequency 50 -o "$work/short"
says "no other pair is frequent enough"
run 0 tokenizer train "$text" "$text" --by-line -p deepseek -n 400 -o "$work/deepseek"
says "400 tokens"
check "the pattern is in the file" grep -q 'A-Za-z' "$work/deepseek/tokenizer.json"
run 0 tokenizer train "$text" -n 400 --max-token-length 4 --nfc -o "$work/few"
says "400 tokens"
check "no token has four letters" \
  [ "$(grep -cE '^[a-z ]{5,}$' "$work/few/merges.txt")" = 0 ]
check "which others have" grep -qE '^[a-z ]{5,}$' "$work/mine/merges.txt"
check "the normal form is in the file" grep -q '"NFC"' "$work/few/tokenizer.json"
run 0 tokenizer train /dev/null -n 256 -o "$work/bytes"
says "256 tokens, 0 of them merges"
printf a >"$work/letter"
run 0 tokenizer train "$work/letter" -n 256 -o "$work/bytes"
says "1 byte of text: 1 piece, 1 different"
odd=$(printf 'o\033[31m\ndd')
run 0 tokenizer train "$work/letter" -n 256 -o "$work/$odd"
says "are in $work/o\\x1b[31m\\ndd"
run 0 tokenizer compare gpt2 "$work/$odd" 'a'
says "o\\x1b[31m\\ndd"
run 0 tokenizer train "$LIMN" -n 300 -o "$work/binary"
says "300 tokens"

# ---- what was learned reads back
head -c 20000 "$text" >"$work/text"
for name in mine special bytes binary; do
  "$LIMN" tokenize -e "$work/$name/tokenizer.json" --ids --file "$work/text" >"$work/ids"
  "$LIMN" tokenize -e "$work/$name" --decode <"$work/ids" >"$work/back"
  check "$name: the text comes back" cmp -s "$work/text" "$work/back"
done

# ---- refused
run 2 tokenizer train "$text"
complains "no folder to write to, expected -o DIR"
run 2 tokenizer train -o "$work/x"
complains "0 arguments given, expected"
run 2 tokenizer train "$text" "$work/nothing" -o "$work/x"
complains "cannot read \"$work/nothing\""
check "and nothing is written" [ ! -e "$work/x" ]
run 2 tokenizer train "$work" -o "$work/x"
complains "cannot read \"$work\""
run 2 tokenizer train "$text" -n 256 -s a -o "$work/x"
complains "a vocabulary of 256 tokens is asked for, expected 257"
run 2 tokenizer train "$text" -n 255 -o "$work/x"
run 2 tokenizer train "$text" -p gpt9 -o "$work/x"
run 2 tokenizer train "$text" -s '' -o "$work/x"
complains 'special token "" is empty'
run 2 tokenizer train "$text" -n 300 -o "$work/no/such"
complains "cannot make folder"
run 2 tokenizer train "$text" -n 300 -o "$text"
complains "it is a file"

# ---- comparing
run 0 tokenizer compare gpt2 tales "Hello world"
says "2 tokens are cut alike; 0 places with 0 of 11 bytes are cut otherwise"
run 1 tokenizer compare gpt2 "$work/bytes" "Hello worlds."
says "A         3 tokens,  4.33 bytes per token, vocabulary 50 257  gpt2"
says "       0  Hello"
says "H|e|l|l|o"
says "1 token is cut alike; 2 places"
quiet
run 1 tokenizer compare gpt2 "$work/special" "!"
says "1 token is cut alike, 1 of them with another id; 0 places"
run 1 tokenizer compare "$work/bytes" gpt2 "Hello world again" --most 1
says "... and 2 more"
run 1 tokenizer compare gpt2 "$work/bytes" --json "Hi there"
says '"n_differing_places": 2'
says '{"offset": 0, "n_bytes": 2, "text": "Hi", "a": [{"id": 17250, "offset": 0}], "b": [{"id": 39, "offset": 0}, {"id": 72, "offset": 1}]}'
run 0 tokenizer compare gpt2 gpt2 ""
says "0 tokens are cut alike"
run 0 tokenizer compare gpt2 tales --file "$LIMN"
says "0 places"
COLUMNS=40 "$LIMN" tokenizer compare gpt2 "$work/bytes" --file "$text" --most 50 >"$work/out"
check "rows fit a narrow terminal" sh -c '! grep -a "^ *[0-9]*  [^ ]" "$1" | awk "length > 60" | grep -q .' sh "$work/out"
llama=$LIMN_SOURCE_DIR/fuzz/corpus/sentencepiece/llama # leaves out spaces at the ends
run 1 tokenizer compare gpt2 "$llama" ' '
says "0 tokens are cut alike; 1 place with 1 of 1 bytes is cut otherwise"
run 1 tokenizer compare "$llama" gpt2 --json '   '
says '{"offset": 0, "n_bytes": 3, "text": "   ", "a": [], "b": [{"id": 220, "offset": 0}, {"id": 220, "offset": 1}, {"id": 220, "offset": 2}]}'
run 0 tokenizer compare "$llama" "$llama" ' '
says "0 tokens are cut alike; 0 places with 0 of 1 bytes"
run 2 tokenizer compare gpt2 "$work/no" x
complains 'no tokenizer'
run 2 tokenizer compare gpt2
complains "1 argument given, expected"
run 2 tokenizer compare gpt2 gpt2 text --file "$text"
complains "expected one of them"

# ---- a place that cannot be written is told before a long training
echo kept >"$work/file"
for out in "$work/file" /nowhere/at/all; do
  last="limn tokenizer train - -o $out"
  yes 'no end of it' | "$LIMN" tokenizer train - -o "$out" >"$work/out" 2>"$work/err"
  complains "cannot make folder \"$out\""
done
mkdir -m 555 "$work/locked"
if run_unprivileged 2 tokenizer train "$text" -o "$work/locked"; then
  complains "cannot write in folder \"$work/locked\": Permission denied"
fi
# ---- and so is a text that cannot be read
last="limn tokenizer train - FOLDER"
yes 'no end of it' | timeout 20 "$LIMN" tokenizer train - "$work" -o "$work/none" 2>"$work/err"
complains "cannot read \"$work\": Is a directory"
run 2 tokenizer train "$work/file" "$work/missing" -o "$work/none"
check "no folder is made where a text is missing" [ ! -e "$work/none" ]

# ---- a disk that gets full leaves nothing, or what was there
for size in 0 8 12 16; do
  (ulimit -f $size; "$LIMN" tokenizer train "$text" -n 500 -o "$work/full" 2>&1) | cat >"$work/err"
  last="limn tokenizer train with $size blocks left"
  complains "File too large"
  check "$last: no folder is left" [ ! -e "$work/full" ]
done

finish
