/*
 * cut.h - inside the library: long texts of a batch cut into spans, which threads share.
 *
 * A piece ends where the text from its beginning on says, so spans that begin where a piece of the
 * whole text begins have the whole text's pieces. Where that is can be guessed: between words. A
 * guess is checked: the span before it must end there, piece by piece.
 */
#ifndef LIMN_SRC_TOKENIZER_CUT_H
#define LIMN_SRC_TOKENIZER_CUT_H

#include "tokenizer/encoder.h"

/* Of a text the bytes from `from` up to `to`. */
typedef struct limn_span {
  size_t text, from, to;
} limn_span;

/* Whether a piece seems to begin at text[at], 0 < at < n. */
typedef bool limn_cut_place(const unsigned char *text, size_t n, size_t at);
/* With a space between two words of ASCII's letters, or behind the end of a line with a letter. */
bool limn_is_between_words(const unsigned char *text, size_t n, size_t at);

/*
 * Cuts the texts of two spans of so many bytes and more. *out is NULL where there is none
 * or where places cannot be guessed. MEMORY.
 */
limn_status limn_cut_texts(const limn_tokenizer *t, const limn_text *texts, size_t n,
                           limn_special special, size_t span_size, limn_cut_place *is_place,
                           limn_span **out, size_t *n_out, limn_error *err);

/* Encodes a span into the encoder's sink; *end is where in the text that ended. MEMORY. */
limn_status limn_encode_span(limn_encoder *e, const limn_text *text, const limn_span *s,
                             size_t *end, limn_error *err);

/*
 * limn_tokenizer_encode_batch (batch.c) with spans and places of one's own, and a cache that
 * threads share however small it is. *was_wrong: it was done again, without cuts, because a place
 * was none.
 */
limn_status limn_encode_batch_cut(const limn_tokenizer *t, limn_pool *pool, const limn_text *texts,
                                  size_t n, size_t cache_bytes, size_t span_size,
                                  limn_cut_place *is_place, limn_batch *out, bool *was_wrong,
                                  limn_error *err);

#endif
