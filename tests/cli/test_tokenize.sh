#!/bin/sh
# limn tokenize: tables, ids and JSON, and back; special tokens; where tokenizers lie; bad input.
. "$(dirname "$0")/lib.sh"

# ---- forms of output; the ids are those that OpenAI's tokenizer gives
run 0 tokenize "Hello world"
says "15496  Hello                 48 65 6c 6c 6f"
says "995  Ġworld                20 77 6f 72 6c 64"
says "2 tokens, 11 bytes, 5.50 bytes per token"
quiet
run 0 tokenize --ids "Hello world"
check "ids alone" [ "$(cat "$work/out")" = 15496,995 ]
run 0 tokenize --count "Hello world"
check "the count alone" [ "$(cat "$work/out")" = 2 ]
run 0 tokenize --json "Hello world"
says '{"id": 995, "offset": 5, "text": " world", "printable": "Ġworld", "is_special": false, "bytes": [32, 119, 111, 114, 108, 100]}'
run 0 tokenize --json --ids "Hello world"
says '"ids": [15496, 995]'
run 0 tokenize --json --count "Hello world"
says '"n_tokens": 2'
says_not '"tokens"'
run 0 tokenize --decode 15496,995
check "the text again" [ "$(cat "$work/out")" = "Hello world" ]
run 0 tokenize --decode "15496 995" --json
says '"text": "Hello world"'
says '"offset": 5'
run 0 tokenize "I'll naïve"
says "Ã¯"

# ---- nothing, everything, and standard input
run 0 tokenize ""
says "0 tokens, 0 bytes"
run 0 tokenize --ids ""
check "no ids are an empty line" [ "$(wc -c <"$work/out")" = 1 ]
run 0 tokenize --decode ""
check "and decode to nothing" [ ! -s "$work/out" ]
run 0 tokenize --json ""
says '"n_tokens": 0'
run 0 tokenize "$(printf 'a\377b')"
says "ff"
for file in "$LIMN" "$LIMN_SOURCE_DIR/models/tales/README.md" /dev/null; do
  head -c 200000 "$file" >"$work/text"
  "$LIMN" tokenize --ids --file "$work/text" >"$work/ids"
  "$LIMN" tokenize --decode <"$work/ids" >"$work/again"
  check "$file comes back byte for byte" cmp -s "$work/text" "$work/again"
  "$LIMN" tokenize --ids <"$work/text" >"$work/out"
  check "standard input gives the same" cmp -s "$work/out" "$work/ids"
  "$LIMN" tokenize --decode --file "$work/ids" >"$work/again"
  check "--file with --decode" cmp -s "$work/text" "$work/again"
done

# ---- special tokens
run 0 tokenize --ids "a<|endoftext|>"
check "ordinary text by default" [ "$(cat "$work/out")" = 64,27,91,437,1659,5239,91,29 ]
run 0 tokenize --special allow --ids "a<|endoftext|>"
check "the token where allowed" [ "$(cat "$work/out")" = 64,50256 ]
run 0 tokenize --special allow --json "a<|endoftext|>"
says '"is_special": true'
run 2 tokenize --special refuse "a<|endoftext|>"
complains 'special token "<|endoftext|>" at byte 1 of the text, where none is allowed'
run 0 tokenize --special refuse --count "a<|endoftext"

# ---- where tokenizers lie
tales=$LIMN_SOURCE_DIR/models/tales
run 0 tokenize -m "$tales" --ids "Hello world"
says 15496,995
mkdir "$work/pair" "$work/gpt2" "$work/half"
cp "$tales/vocab.json" "$tales/merges.txt" "$work/pair"
run 0 tokenize -m "$work/pair" --ids "Hello world"
says 15496,995
sed '$d' "$tales/merges.txt" >"$work/pair/merges.txt" # read, not recognised
run 0 tokenize -m "$work/pair" --ids "Hello world"
says 15496,995
cp "$tales/config.json" "$tales/model.safetensors" "$work/gpt2"
run 0 tokenize -m "$work/gpt2" --ids "Hello world"
says 15496,995
cp "$tales/config.json" "$tales/model.safetensors" "$tales/vocab.json" "$work/half"
run 2 tokenize -m "$work/half" "Hello world"
complains 'has "vocab.json" but no "merges.txt"'
run 2 tokenize -m "$tiny" x
complains "neither tokenizer.json nor vocab.json and merges.txt"
run 2 tokenize -m nowhere x
complains 'no model "nowhere"'

# ---- bad input
run 2 tokenize --decode 50257
complains "no token has the id 50257, the vocabulary has 50257"
run 2 tokenize --decode 1,x
complains 'token id 2 is "x"'
printf '1,2\0003' >"$work/ids"
run 2 tokenize --decode --file "$work/ids"
complains "a NUL among the ids"
run 2 tokenize --ids --count x
complains "more than one of --ids, --count and --decode"
run 2 tokenize --decode 1 --special allow
complains "--special is given with --decode"
run 2 tokenize a b
run 2 tokenize --special maybe x
run 2 tokenize --file "$work/nothing"
run 2 tokenize a --file "$work/ids"
complains "expected one of them"

finish
