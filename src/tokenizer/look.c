/*
 * look.c - the two steps of encoding one by one, for those who want to see them: where a piece
 * ends, and what two tokens merge to.
 */
#include "tokenizer/tokenizer.h"

size_t limn_tokenizer_piece_end(const limn_tokenizer *t, const char *text, size_t n, size_t at) {
  return limn_split_next(t->pattern, (const unsigned char *)text, n, at);
}

int32_t limn_tokenizer_merge(const limn_tokenizer *t, int32_t left, int32_t right,
                             int32_t *result) {
  const limn_merge *merge = limn_tokenizer_find_merge(t, left, right);
  *result = merge ? merge->result : -1;
  return merge ? merge->rank : -1;
}
