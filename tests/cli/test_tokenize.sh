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

# ---- offsets in bytes and characters; a token that holds part of a character touches it
run 0 tokenize --offsets "naïve 🙂x"
says "       2        6         2        5    38776  Ã¯ve"
says "       6       11         5        7    32485"
run 0 tokenize --offsets --json "日"
says '"offset": 0, "end": 2, "first_character": 0, "end_character": 1'
says '"offset": 2, "end": 3, "first_character": 0, "end_character": 1'
run 0 tokenize --offsets "$(printf 'a\377\377b')"
says "4 tokens, 4 bytes"
run 0 tokenize --offsets --decode 15496,995
says "       5       11         5       11      995"
llama=$LIMN_SOURCE_DIR/fuzz/corpus/sentencepiece/llama # puts a space before the text
run 0 tokenize -e "$llama" --offsets "the the"
cp "$work/out" "$work/encoded"
run 0 tokenize -e "$llama" --offsets --decode 264,264
check "and where decoding takes away a space" cmp "$work/out" "$work/encoded"

# ---- many texts at once
printf 'Hello world\n\nHello\nworld' >"$work/lines"
run 0 tokenize --batch --file "$work/lines"
check "a line of ids for each" [ "$(tr '\n' ' ' <"$work/out")" = "15496,995  15496 6894 " ]
run 0 tokenize --batch --count --threads 3 --file "$work/lines"
check "or their number" [ "$(tr '\n' ' ' <"$work/out")" = "2 0 1 1 " ]
printf 'a\nb\0Hello' >"$work/nuls"
run 0 tokenize -b0 --json --file "$work/nuls"
says '{"n_tokens": 3, "ids": [64, 198, 65]}'
says '{"n_tokens": 1, "ids": [15496]}'
for threads in 1 3; do
  "$LIMN" tokenize -b -t $threads --file "$LIMN" >"$work/batch$threads"
done
check "threads change nothing" cmp -s "$work/batch1" "$work/batch3"
check "as many lines as texts" [ "$(wc -l <"$work/batch1")" = "$(awk 'END { print NR }' "$LIMN")" ]
run 0 tokenize --batch --file /dev/null
check "no texts, no lines" [ ! -s "$work/out" ]
printf 'a\nb<|endoftext|>\n' >"$work/lines"
run 2 tokenize --batch --special refuse --file "$work/lines"
complains 'text 2: special token "<|endoftext|>" at byte 1'
check "and the first is not printed" [ ! -s "$work/out" ]
run 2 tokenize --batch --json --special refuse --file "$work/lines"
check "nor half of a JSON" [ ! -s "$work/out" ]
run 0 tokenize --batch --special allow --file "$work/lines"
check "allowed it is a token" [ "$(tr '\n' ' ' <"$work/out")" = "64 65,50256 " ]
printf 'a\nb\n' >"$work/lines"
run 0 tokenize --batch --special refuse --file "$work/lines"
check "and without it nothing is refused" [ "$(tr '\n' ' ' <"$work/out")" = "64 65 " ]

# ---- statistics
run 0 tokenize --stats "the the the naïve"
says "4 tokens, 18 bytes, 17 characters"
says "4.50 bytes per token, 4.25 characters"
says "         2   50.00 %      262  Ġthe"
run 0 tokenize --stats --json "the the the naïve"
says '"n_distinct_tokens": 3'
says '{"id": 262, "count": 2, "text": " the"}'
run 0 tokenize --stats ""
says "0 tokens, 0 bytes, 0 characters"
run 0 tokenize --stats --file "$LIMN"
says "Longest"

# ---- merges, with the ranks of GPT-2's published list (its first line is rank 0)
run 0 tokenize --merges " the"
says "       0  Ġt h e"
says "       2  Ġt he"
says "       6  Ġthe"
says "Ġthe 262"
run 0 tokenize --merges "the cat" --json
says '"piece": " cat"'
run 0 tokenize --merges "a"
says "a 64"
for json in '' --json; do
  run 2 tokenize --merges "" $json
  complains "option --merges has an empty WORD, expected at least one byte"
  silent
done
run 0 tokenize --merges "$(printf 'na\303\257ve\377')"
says "Ã¯"
quiet
for json in '' --json; do
  run 0 tokenize -e "$llama" --merges "the" $json # a space would come first
  complains 'note: as a text "the" has other tokens'
done
COLUMNS=40 run 0 tokenize --merges "donaudampfschifffahrtsgesellschaftskapitaen"
says "…"
run 2 tokenize --merges "ok $(head -c 1000 /dev/zero | tr '\0' a)"
complains "a piece of 1001 bytes at byte 2, expected at most 1000"
silent

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
complains 'no tokenizer "nowhere"'

# ---- bad input
run 2 tokenize --decode 50257
complains "no token has the id 50257, the vocabulary has 50257"
run 2 tokenize --decode 1,x
complains 'token id 2 is "x", expected a whole number from 0 to 2147483647'
run 2 tokenize --decode 99999999999
complains 'token id 1 is "99999999999", expected a whole number from 0 to 2147483647'
printf '1,2\0003' >"$work/ids"
run 2 tokenize --decode --file "$work/ids"
complains "a NUL among the ids"
run 2 tokenize --ids --count x
complains "more than one of --ids, --count, --decode, --stats and --merges"
run 2 tokenize --batch --stats x
complains "--batch is given with"
run 2 tokenize --offsets --ids x
complains "--offsets is given with --batch, --ids, --count, --stats or --merges"
run 2 tokenize --null x
complains "--null is given without --batch"
run 2 tokenize -e gpt2 -m tales x
complains "--encoding and --model are given"
run 2 tokenize --merges x y
complains "a text is given with --merges"
run 2 tokenize --merges x --special allow
complains "--special is given with --merges"
run 2 tokenize -e nowhere x
complains 'no tokenizer "nowhere", expected gpt2, a file'
run 2 tokenize -e cl100k_base=/nowhere x
complains 'cannot open "/nowhere": No such file or directory'
mkdir "$work/folder"
for name in "$work/folder" "cl100k_base=$work/folder"; do
  run 2 tokenize -e "$name" x
  complains "no tokenizer in \"$work/folder\": neither tokenizer.json nor"
done
for name in /dev/null cl100k_base=/dev/null; do
  run 2 tokenize -e $name x
  complains '"/dev/null" is empty, expected JSON, ranks, a SentencePiece model or GGUF'
done
chmod 0 "$work/folder"
if run_unprivileged 2 tokenize -e "$work/folder" x; then
  complains "cannot open \"$work/folder\": Permission denied"
fi
run 2 tokenize --decode 1 --special allow
complains "--special is given with --decode"
run 2 tokenize a b
run 2 tokenize --special maybe x
run 2 tokenize --file "$work/nothing"
run 2 tokenize a --file "$work/ids"
complains "expected one of them"

# ---- ids from a file of Windows
printf '15496,\r\n995\r\n' >"$work/windows"
run 0 tokenize --decode --file "$work/windows"
check "line ends of two bytes" [ "$(cat "$work/out")" = "Hello world" ]

finish
