/*
 * look.c - the two steps of encoding one by one, for those who want to see them: where a piece
 * ends, and what two tokens merge to.
 */
#include "tokenizer/pipeline.h"
#include "tokenizer/tokenizer.h"

size_t limn_tokenizer_piece_end(const limn_tokenizer *t, const char *text, size_t n, size_t at) {
  bool is_settled;
  return limn_split_piece(t, (const unsigned char *)text, n, at, &is_settled);
}

int32_t limn_tokenizer_merge(const limn_tokenizer *t, int32_t left, int32_t right,
                             int32_t *result) {
  limn_merge merge = {.rank = -1, .result = -1};
  if (t->symbols.n == 0) { /* merged by characters */
    const limn_pair *pair = limn_pairs_find(&t->pipeline->sp.pairs, left, right);
    *result = pair ? pair->result : -1;
    return pair ? pair->rank : -1;
  }
  bool is_there = limn_tokenizer_merge_of(t, left, right, &merge);
  *result = is_there ? merge.result : -1;
  return is_there ? merge.rank : -1;
}
