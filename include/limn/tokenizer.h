/*
 * limn/tokenizer.h - bytes to tokens and back: byte-level byte-pair encoding, as GPT-2 does it.
 *
 * A text is cut into pieces (words with their leading space, runs of digits, of punctuation, of
 * white space), and each piece's bytes are merged pair by pair in the order that training found.
 * Any bytes can be encoded, and decoding gives them back. docs/tokenizer.md has the rules.
 *
 * A tokenizer is immutable once open and may be shared between threads. It stands on
 * limn/base.h alone and can be used without the rest of the library.
 */
#ifndef LIMN_TOKENIZER_H
#define LIMN_TOKENIZER_H

#include <limn/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct limn_tokenizer limn_tokenizer;

/* ---- opening ------------------------------------------------------------------------------------
 */

/* GPT-2's tokenizer from the table inside the library. MEMORY. */
LIMN_API limn_status limn_tokenizer_gpt2(limn_tokenizer **out, limn_error *err);

/*
 * Opens a tokenizer of the byte-pair encoding kind. `path` is a folder with tokenizer.json, with
 * vocab.json and merges.txt, with tekken.json, or with tokenizer.model; or one file, told by its
 * content: a tokenizer.json, a tekken.json, a file of ranks (.tiktoken) that has the name of its
 * encoding, a SentencePiece .model, or a GGUF file, of which only the vocabulary is read.
 * docs/formats.md says what of each is followed. NOT_FOUND when a folder has none of them, IO,
 * FORMAT, RANGE, MEMORY, and UNSUPPORTED naming any part that limn does not follow.
 */
LIMN_API limn_status limn_tokenizer_open(const char *path, limn_tokenizer **out, limn_error *err);
/*
 * The same for a file of ranks, which has neither the pattern nor the special tokens: these are
 * known by the name of the encoding, such as "cl100k_base", "o200k_base" or "llama3". ARGUMENT
 * when the name is not known; the message has those that are. NULL is limn_tokenizer_open.
 */
LIMN_API limn_status limn_tokenizer_open_encoding(const char *path, const char *encoding,
                                                  limn_tokenizer **out, limn_error *err);
LIMN_API void limn_tokenizer_close(limn_tokenizer *t);

/* ---- encoding -----------------------------------------------------------------------------------
 */

/* What the text of a special token, such as "<|endoftext|>", means inside a text. */
typedef enum limn_special {
  LIMN_SPECIAL_AS_TEXT = 0, /* ordinary characters */
  LIMN_SPECIAL_ALLOW,       /* the special token */
  LIMN_SPECIAL_REFUSE       /* LIMN_ERROR_ARGUMENT with its offset */
} limn_special;

/* Ids, and where in the text each stands. Start from {0}; encoding replaces what it holds. */
typedef struct limn_tokens {
  int32_t *ids;    /* (n) */
  size_t *offsets; /* (n + 1): token i is bytes offsets[i] to offsets[i + 1] of the text, the last
                      one ends with it; of a text that has no tokens 0 */
  size_t n;
  size_t capacity;
} limn_tokens;

LIMN_API void limn_tokens_deinit(limn_tokens *tokens);

/* `text` may hold any n bytes. MEMORY, ARGUMENT (a refused special token). */
LIMN_API limn_status limn_tokenizer_encode(const limn_tokenizer *t, const char *text, size_t n,
                                           limn_special special, limn_tokens *out, limn_error *err);

/* ---- encoding much ------------------------------------------------------------------------------
 */

/*
 * What a thread needs to encode fast: a cache of the words it has seen, and working space. One
 * thread at a time uses an encoder; any number may share a tokenizer, which must outlive them.
 */
typedef struct limn_encoder limn_encoder;

/* A cache that suits most texts. */
#define LIMN_ENCODER_CACHE ((size_t)8 << 20)

/*
 * `cache_bytes` is the size of the cache, which never grows; 0 makes the smallest one. Besides it
 * an encoder holds 17 kB and, once it has met a piece (a word, a run) of p > 64 bytes, 5 p bytes,
 * 50 p where that piece needs the slow way. MEMORY.
 */
LIMN_API limn_status limn_encoder_new(const limn_tokenizer *t, size_t cache_bytes,
                                      limn_encoder **out, limn_error *err);
LIMN_API void limn_encoder_free(limn_encoder *e);

/*
 * Writes the first `capacity` ids of the text's tokens to `ids`, and how many to *n_ids. *n_bytes
 * (or NULL) is how much of the text they cover: n, or less where the capacity was too small. Places
 * of `ids` behind the last may be written to. Allocates nothing, but for a piece that is longer
 * than any before. MEMORY, ARGUMENT (a refused special token).
 */
LIMN_API limn_status limn_encoder_encode(limn_encoder *e, const char *text, size_t n,
                                         limn_special special, int32_t *ids, size_t capacity,
                                         size_t *n_ids, size_t *n_bytes, limn_error *err);
/* How many tokens the text has. */
LIMN_API limn_status limn_encoder_count(limn_encoder *e, const char *text, size_t n,
                                        limn_special special, size_t *n_ids, limn_error *err);
/* As limn_tokenizer_encode. */
LIMN_API limn_status limn_encoder_tokens(limn_encoder *e, const char *text, size_t n,
                                         limn_special special, limn_tokens *out, limn_error *err);

/*
 * Offsets in bytes as offsets in characters (code points; a byte that is no UTF-8 is one of its
 * own): how many characters end at or before each. A token that begins inside a character has that
 * character's. `offsets` (n_offsets) do not decrease, and none is larger than n.
 */
LIMN_API void limn_character_offsets(const char *text, size_t n, const size_t *offsets,
                                     size_t n_offsets, size_t *out);

/* ---- encoding many texts ------------------------------------------------------------------------
 */

typedef struct limn_text {
  const char *bytes; /* n of them */
  size_t n;
} limn_text;

typedef struct limn_batch {
  int32_t *ids;    /* of all texts */
  size_t *starts;  /* (n + 1): text i has ids[starts[i]] to ids[starts[i + 1] - 1] */
  size_t n;        /* texts */
  size_t capacity; /* ids that have room */
} limn_batch;

LIMN_API void limn_batch_deinit(limn_batch *batch);

/*
 * Encodes batch after batch on a team of threads, and remembers pieces from one to the next. For
 * one batch at a time; it keeps the tokenizer and the pool, which outlive it.
 */
typedef struct limn_batch_encoder limn_batch_encoder;

/*
 * On the pool's threads (NULL: on the caller's), with a cache of up to cache_bytes: for all of
 * them, and half a megabyte at most for each besides; below 2 MB for each of them. MEMORY.
 */
LIMN_API limn_status limn_batch_encoder_new(const limn_tokenizer *t, limn_pool *pool,
                                            size_t cache_bytes, limn_batch_encoder **out,
                                            limn_error *err);
LIMN_API void limn_batch_encoder_free(limn_batch_encoder *b);
/*
 * Encodes n texts. *out is {0} at first; the memory of what it holds is used again. Ids wait for
 * their place while a text before theirs is still being encoded: on several threads that may be as
 * much memory as the ids again. Threads share a long text where no special tokens count. MEMORY;
 * ARGUMENT for the first text with a refused special token. *out is {0} then.
 */
LIMN_API limn_status limn_batch_encoder_encode(limn_batch_encoder *b, const limn_text *texts,
                                               size_t n, limn_special special, limn_batch *out,
                                               limn_error *err);

/* The same for a single batch, with an encoder of its own. What *out holds does not matter. */
LIMN_API limn_status limn_tokenizer_encode_batch(const limn_tokenizer *t, limn_pool *pool,
                                                 const limn_text *texts, size_t n,
                                                 limn_special special, size_t cache_bytes,
                                                 limn_batch *out, limn_error *err);

/* ---- encoding a stream --------------------------------------------------------------------------
 */

/*
 * A text that comes in chunks, cut anywhere. The ids are those of the whole text. What cannot be
 * known yet waits: the last word or run, with added tokens the bytes with which one could begin,
 * and with a normal form the characters that what follows may join. Memory: the cache, and in
 * proportion to the longest piece. docs/tokenizer.md says which tokenizers wait for the end.
 */
typedef struct limn_encode_stream limn_encode_stream;

LIMN_API limn_status limn_encode_stream_new(const limn_tokenizer *t, size_t cache_bytes,
                                            limn_special special, limn_encode_stream **out,
                                            limn_error *err);
LIMN_API void limn_encode_stream_free(limn_encode_stream *s);
/*
 * Takes n bytes and appends the tokens that are settled to `out`, with their offsets in the whole
 * text. Who has used them sets out->n = 0. MEMORY, ARGUMENT (a refused special token); the stream
 * is then of no further use.
 */
LIMN_API limn_status limn_encode_stream_push(limn_encode_stream *s, const char *bytes, size_t n,
                                             limn_tokens *out, limn_error *err);
/* Appends what is left. The stream may then take another text. */
LIMN_API limn_status limn_encode_stream_finish(limn_encode_stream *s, limn_tokens *out,
                                               limn_error *err);

/* ---- decoding -----------------------------------------------------------------------------------
 */

/*
 * The bytes of n ids, a NUL behind them, in memory from limn_alloc. The bytes need not be UTF-8: a
 * token can end inside a character. RANGE for an id that is no token; MEMORY.
 */
LIMN_API limn_status limn_tokenizer_decode(const limn_tokenizer *t, const int32_t *ids, size_t n,
                                           char **text, size_t *n_text, limn_error *err);

/*
 * The same into the caller's `capacity` bytes, without a NUL. RANGE also when they are too few; 16
 * bytes more than the text has make it faster.
 */
LIMN_API limn_status limn_tokenizer_decode_into(const limn_tokenizer *t, const int32_t *ids,
                                                size_t n, char *out, size_t capacity,
                                                size_t *n_text, limn_error *err);

/*
 * Decoding piece by piece without ever giving out half a character. Start from {0}; `pending` holds
 * the bytes of a character that is not yet whole.
 */
typedef struct limn_decoder {
  unsigned char pending[4];
  size_t n_pending;
} limn_decoder;

/*
 * Takes the bytes of one token and writes what is complete to `out`, which has room for n + 4
 * bytes. Returns how many. Bytes that can never become a character are passed on as they are.
 */
LIMN_API size_t limn_decoder_push(limn_decoder *d, const char *bytes, size_t n, char *out);
/* What is left at the end: an incomplete character's bytes. `out` has room for 4. */
LIMN_API size_t limn_decoder_finish(limn_decoder *d, char *out);

/* ---- the vocabulary
 * ------------------------------------------------------------------------------ */

/* One more than the largest id. */
LIMN_API int32_t limn_tokenizer_vocab_size(const limn_tokenizer *t);
/* The bytes of a token, *n of them; NULL when there is no such id. Valid until closed. */
LIMN_API const char *limn_tokenizer_bytes(const limn_tokenizer *t, int32_t id, size_t *n);
/* The id whose token is exactly these bytes (special tokens by their text), or -1. */
LIMN_API int32_t limn_tokenizer_id(const limn_tokenizer *t, const char *bytes, size_t n);
LIMN_API bool limn_tokenizer_is_special(const limn_tokenizer *t, int32_t id);
/* The end-of-text token: "<|endoftext|>" or "</s>"; -1 where there is none. */
LIMN_API int32_t limn_tokenizer_eos(const limn_tokenizer *t);
/*
 * A token in the printable form that GPT-2's vocabulary files use, each byte a visible character:
 * a space is "\xc4\xa0" (G with a dot above); of a SentencePiece vocabulary, as its files have it:
 * a space is U+2581, a byte "<0x0A>". UTF-8 with a NUL, in memory from limn_alloc. RANGE, MEMORY.
 */
LIMN_API limn_status limn_tokenizer_printable(const limn_tokenizer *t, int32_t id, char **out,
                                              limn_error *err);

/* ---- encoding step by step, for those who want to see it ----------------------------------------
 */

/*
 * Where the piece that starts at byte `at` of the text ends: tokens do not reach over the ends of
 * pieces. `at` is 0 or an end that an earlier call gave. Precondition: at < n. A tokenizer that has
 * more than one of the families' patterns to cut by gives n.
 */
LIMN_API size_t limn_tokenizer_piece_end(const limn_tokenizer *t, const char *text, size_t n,
                                         size_t at);
/*
 * The rank of the merge of two tokens, 0 the first, and in *result what they become; -1 and -1
 * where they do not merge. Of all neighbours in a piece those with the lowest rank are merged
 * first. Precondition: both ids are tokens.
 */
LIMN_API int32_t limn_tokenizer_merge(const limn_tokenizer *t, int32_t left, int32_t right,
                                      int32_t *result);

/* The version of the Unicode Character Database whose letters, numbers and spaces split texts. */
LIMN_API const char *limn_unicode_version(void);

#ifdef __cplusplus
}
#endif
#endif
