/*
 * limn/tokenizer_training.h - learning a byte-level byte-pair encoding from text.
 *
 * Texts are fed in chunks of any size; only the distinct pieces they are cut into are kept, with
 * how often each occurs. Learning then joins the most frequent pair of neighbouring tokens into a
 * new one, again and again, until the vocabulary is full. Among equally frequent pairs the one with
 * the smallest left id is first, then the one with the smallest right id: the merges are those of
 * Hugging Face's trainer on the same text. docs/tokenizer_training.md has the rules.
 *
 *   limn_trainer_options options = {.vocab_size = 32000, .min_frequency = 2};
 *   limn_trainer *t;
 *   limn_trainer_new(&options, &t, &err);
 *   limn_trainer_feed(t, text, n, &err);         as often as there is text
 *   limn_trainer_learn(t, &err);
 *   limn_trainer_write(t, "folder", &err);       tokenizer.json, vocab.json, merges.txt
 *   limn_trainer_free(t);
 */
#ifndef LIMN_TOKENIZER_TRAINING_H
#define LIMN_TOKENIZER_TRAINING_H

#include <limn/tokenizer.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct limn_trainer limn_trainer;

typedef struct limn_trainer_options {
  const char *pattern;   /* how texts are cut: "gpt2" (and so NULL), "llama3", "qwen2", "qwen3.5",
                            "o200k", "tekken", "starcoder", "falcon", "deepseek" */
  int32_t vocab_size;    /* tokens wanted, the 256 bytes and the special tokens among them */
  int64_t min_frequency; /* a pair seen less often is not merged; 0 is 1 */
  int32_t max_token_length; /* tokens of two bytes, and of less than this many; 0 for any length */
  bool is_nfc;              /* texts are brought into NFC first, and the tokenizer does so too */
  bool by_line;             /* each line, its line feed included, is a text of its own */
  const char *const *specials; /* (n_specials) texts of special tokens, ids 0, 1, ... in order */
  size_t n_specials;
  limn_pool *pool; /* counts pieces; or NULL */
  /* While learning, when not NULL: tokens there are and tokens wanted; true ends it with
   * LIMN_ERROR_CANCELLED. */
  bool (*progress)(void *user, int64_t done, int64_t total);
  void *user;
} limn_trainer_options;

/*
 * `options` is copied, the texts of special tokens too; the pool must outlive the trainer. RANGE: a
 * vocab_size below what bytes and special tokens need, or above 2^24; ARGUMENT: no
 * such pattern, or a special token that is empty or no UTF-8; MEMORY.
 */
LIMN_API limn_status limn_trainer_new(const limn_trainer_options *options, limn_trainer **out,
                                      limn_error *err);
LIMN_API void limn_trainer_free(limn_trainer *t);

/*
 * The next n bytes of a text, any bytes. It is cut into pieces as the whole text would be, however
 * it comes in chunks. What is kept of it: up to 4 MiB for each thread, and as much as lies between
 * two places where a text may be cut for certain, a letter followed by white space. MEMORY; after a
 * failure the trainer can only be freed.
 */
LIMN_API limn_status limn_trainer_feed(limn_trainer *t, const void *text, size_t n,
                                       limn_error *err);
/* A text ends here; what is fed next begins another. */
LIMN_API limn_status limn_trainer_end_text(limn_trainer *t, limn_error *err);

/* What was counted up to the last end of a text; complete after limn_trainer_learn. */
typedef struct limn_training_counts {
  int64_t n_bytes;
  int64_t n_pieces;         /* in all */
  int64_t n_distinct;       /* different pieces */
  int64_t n_distinct_bytes; /* and their bytes */
} limn_training_counts;
LIMN_API limn_training_counts limn_trainer_counts(const limn_trainer *t);

/*
 * Learns merges from all that was fed, once. Fewer tokens than wanted come out where no pair is
 * left that occurs min_frequency times. MEMORY, also for more than 4 GB of different pieces; RANGE
 * when called again; CANCELLED.
 */
LIMN_API limn_status limn_trainer_learn(limn_trainer *t, limn_error *err);

/* ---- what was learned; 256 bytes and the special tokens before limn_trainer_learn ------------ */

LIMN_API int32_t limn_trainer_vocab_size(const limn_trainer *t);
/* The bytes of a token, *n of them (a special token's text); NULL when there is no such id. */
LIMN_API const char *limn_trainer_bytes(const limn_trainer *t, int32_t id, size_t *n);
LIMN_API size_t limn_trainer_n_merges(const limn_trainer *t);
/* Merge i, 0 the first: `left` and `right` become `result`. Precondition: i < n_merges. */
typedef struct limn_trained_merge {
  int32_t left, right, result;
  int64_t count; /* how often the pair occurred when it was merged */
} limn_trained_merge;
LIMN_API limn_trained_merge limn_trainer_merge(const limn_trainer *t, size_t i);

/*
 * Writes tokenizer.json, vocab.json and merges.txt into a folder, which is made where it is not
 * there. Each file appears whole, and none before all are written. IO, NOT_FOUND, MEMORY.
 */
LIMN_API limn_status limn_trainer_write(const limn_trainer *t, const char *folder, limn_error *err);

#ifdef __cplusplus
}
#endif
#endif
