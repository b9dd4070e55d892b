/*
 * symbols.h - inside the library: merges in the form that merging uses.
 *
 * A symbol is a byte (0 to 255) or what a merge makes, numbered on from 256 in the order of rank:
 * the number of a symbol is the rank of its merge, so that the least of a few numbers is the merge
 * to do next. What training calls a token's id is looked up at the very end.
 */
#ifndef LIMN_SRC_TOKENIZER_SYMBOLS_H
#define LIMN_SRC_TOKENIZER_SYMBOLS_H

#include <limn/base.h>

#define LIMN_SYMBOL_BITS  21
#define LIMN_MOST_SYMBOLS (((uint32_t)1 << LIMN_SYMBOL_BITS) - 1)
/* A symbol that merges with nothing: what stands before the first and behind the last. */
#define LIMN_EDGE LIMN_MOST_SYMBOLS
/* More than any symbol: the pair has no merge. */
#define LIMN_NO_SYMBOL (((uint32_t)1 << 22) - 1)

typedef struct limn_symbols {
  uint32_t n;
  int32_t *ids;       /* (n) the token that each is */
  uint32_t same_from; /* from this one on, the token's number is the symbol's */
  uint32_t *of_ids; /* (vocab_size) and back, LIMN_NO_SYMBOL for a token that merging never gives */
  uint32_t *lefts;  /* (n) what each was merged from; of a byte, nothing */
  uint32_t *rights; /* (n) */
  uint16_t *lengths;       /* (n) in bytes, at most 65535 */
  uint64_t *pairs;         /* (2^(32 - pair_shift)) left, right, what they make; ones where empty */
  uint16_t *displacements; /* (2^(64 - bucket_shift)) */
  uint64_t factor;         /* of the hash */
  int pair_shift, bucket_shift;
  uint32_t *of_bytes; /* (256, 256) what two bytes make: where every merging begins */
  bool is_ordered;    /* every merge comes after the merges that make its halves */
} limn_symbols;

/*
 * Room for n symbols; the first 256 are there, of_ids is empty. MEMORY, UNSUPPORTED. `where` is for
 * messages.
 */
limn_status limn_symbols_start(limn_symbols *s, const char *where, size_t n, size_t vocab_size,
                               const int32_t byte_ids[256], limn_error *err);
void limn_symbols_deinit(limn_symbols *s);
/*
 * The next symbol, of so many bytes. One whose half is LIMN_NO_SYMBOL has a number and is never
 * made. Precondition: there is room, and the pair has no merge yet.
 */
void limn_symbols_add(limn_symbols *s, uint32_t left, uint32_t right, int32_t id, size_t length);
/*
 * Makes the table of pairs when all symbols are there. `known` has the n_known buckets'
 * displacements, two bytes each, the lower first, where somebody has found them before; or is NULL.
 * What it says is checked, and found anew where it is not so. MEMORY, UNSUPPORTED.
 */
limn_status limn_symbols_finish(limn_symbols *s, const char *where, const unsigned char *known,
                                size_t n_known, limn_error *err);

/* The token that a symbol is; of most tokenizers only those of bytes have to be looked up. */
static inline int32_t limn_symbols_id(const limn_symbols *s, uint32_t symbol) {
  bool is_same = symbol >= s->same_from;
  int32_t id = s->ids[is_same ? 0 : symbol];
  return is_same ? (int32_t)symbol : id;
}

/* What two bytes merge to, or LIMN_NO_SYMBOL. */
static inline uint32_t limn_symbols_of_bytes(const limn_symbols *s, const unsigned char *two) {
  return s->of_bytes[(size_t)two[0] << 8 | two[1]];
}

static inline uint64_t limn_symbols_key(uint32_t left, uint32_t right) {
  return (uint64_t)left << LIMN_SYMBOL_BITS | right;
}

/* The place of a pair whose bucket has this displacement. */
static inline uint32_t limn_symbols_place(uint64_t hash, uint32_t displacement, int pair_shift) {
  return (uint32_t)(hash >> 32) * displacement >> pair_shift;
}

/* Where the table has the pair with this hash, if it has it. */
static inline const uint64_t *limn_symbols_at(const limn_symbols *s, uint64_t hash) {
  uint32_t displacement = s->displacements[hash >> s->bucket_shift];
  return s->pairs + limn_symbols_place(hash, displacement, s->pair_shift);
}

/* Where the table has the pair with this key. */
static inline const uint64_t *limn_symbols_look(const limn_symbols *s, uint64_t key) {
  return limn_symbols_at(s, key * s->factor);
}

/* What a pair makes, from what stands there. */
static inline uint32_t limn_symbols_made(uint64_t pair, uint64_t key) {
  uint64_t both = pair ^ key << 22;
  /* Where the upper bits agree only what they make is left, and that is less than anything else.
   * Whether there is a merge cannot be foreseen, so nothing branches on it. */
  return both < LIMN_NO_SYMBOL ? (uint32_t)both : LIMN_NO_SYMBOL;
}

/* What two neighbours merge to, or LIMN_NO_SYMBOL. */
static inline uint32_t limn_symbols_find(const limn_symbols *s, uint32_t left, uint32_t right) {
  uint64_t key = limn_symbols_key(left, right);
  return limn_symbols_made(*limn_symbols_look(s, key), key);
}

/* Whether two symbols stay as they are when they stand side by side and nothing else is there.
 * Precondition: is_ordered. */
bool limn_symbols_stay(const limn_symbols *s, uint32_t left, uint32_t right);

#endif
