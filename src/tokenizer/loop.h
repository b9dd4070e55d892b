/*
 * loop.h - inside the library: the loop over a text, compiled once for each instruction set.
 *
 * The including file defines LIMN_LOOP (the name of the loop), LIMN_LOOP_ISA, LIMN_LOOP_MERGER,
 *
 *     static inline void classify(const unsigned char *text, limn_block *b)
 *     static inline size_t places_of(uint64_t mask, uint8_t places[64 + 16])
 *
 * classify fills all but `tail` and `n`; places_of writes the places of the ones of a mask.
 */
#include "tokenizer/encoder.h"
#include "tokenizer/split_blocks.h"

#include <string.h>

#define BLOCK 64
/* Where fewer bytes than this are left, they are copied: keys are read 16 bytes at a time. */
#define MARGIN 32

/* Bytes of a piece that count, by its length. */
static const uint64_t key_masks[16][2] = {
    {0, 0},
    {0xff, 0},
    {0xffff, 0},
    {0xffffff, 0},
    {0xffffffff, 0},
    {0xffffffffff, 0},
    {0xffffffffffff, 0},
    {0xffffffffffffff, 0},
    {UINT64_MAX, 0},
    {UINT64_MAX, 0xff},
    {UINT64_MAX, 0xffff},
    {UINT64_MAX, 0xffffff},
    {UINT64_MAX, 0xffffffff},
    {UINT64_MAX, 0xffffffffff},
    {UINT64_MAX, 0xffffffffffff},
    {UINT64_MAX, 0xffffffffffffff},
};

static uint64_t block_of(limn_pattern pattern, const unsigned char *text, unsigned n) {
  limn_block b;
  classify(text, &b);
  b.tail = 0;
  b.n = n;
  return limn_block_starts(pattern, &b, text);
}

/* The ids of the pieces that begin at places[0] to places[n - 1] and end where the next begins. */
static inline limn_status run_pieces(limn_encoder *e, const unsigned char *text,
                                     const uint8_t *places, size_t n, limn_error *err) {
  const limn_slot *slots = e->slots;
  const size_t mask = e->slot_mask;
  int32_t *out = e->ids + e->n_ids;
  for (size_t i = 0; i < n; i++) {
    const unsigned char *piece = text + places[i];
    size_t length = (size_t)(places[i + 1] - places[i]);
    uint64_t low, high;
    memcpy(&low, piece, 8);
    memcpy(&high, piece + 8, 8);
    low &= key_masks[length & 15][0];
    high = (high & key_masks[length & 15][1]) | (uint64_t)length << 56;
    const limn_slot *slot = slots + (limn_slot_hash(low, high) & mask);
    if (slot->low != low || slot->high != high) {
      slot++;
      if (slot->low != low || slot->high != high) {
        e->n_ids = (size_t)(out - e->ids);
        limn_status status = limn_encoder_piece(e, piece, length, err);
        if (status != LIMN_OK) return status;
        out = e->ids + e->n_ids;
        continue;
      }
    }
    uint32_t first = slot->ids[0];
    memcpy(out, slot->ids, sizeof slot->ids);
    out[0] = (int32_t)(first & LIMN_ID_MASK);
    out += first >> LIMN_ID_BITS;
  }
  e->n_ids = (size_t)(out - e->ids);
  return LIMN_OK;
}

/* One piece by the plain splitter; *n_done is 0 where more text could change it. */
static inline limn_status run_plainly(limn_encoder *e, const unsigned char *text, size_t n,
                                      size_t at, bool is_open, size_t *n_done, limn_error *err) {
  bool is_settled = true;
  size_t end = limn_split_piece(e->t, text, n, at, &is_settled);
  *n_done = 0;
  if (is_open && !is_settled) return LIMN_OK;
  *n_done = end - at;
  return limn_encoder_piece(e, text + at, end - at, err);
}

static limn_status run(limn_encoder *e, const unsigned char *text, size_t n, bool is_open,
                       size_t *at, limn_error *err) {
  const limn_pattern pattern = e->t->pattern;
  const bool has_blocks = limn_has_blocks(pattern);
  limn_status status = LIMN_OK;
  size_t n_plain = 0; /* how many pieces to leave to the plain splitter */
  while (*at < n && status == LIMN_OK && !e->sink.is_full) {
    if (e->n_ids > LIMN_CHUNK_IDS - LIMN_CHUNK_SLACK) {
      status = limn_encoder_flush(e, err);
      continue;
    }
    size_t left = n - *at, n_done = 0;
    bool is_end = left < BLOCK + MARGIN;
    if (has_blocks && n_plain == 0 && !(is_end && is_open)) {
      unsigned char end[BLOCK + 2 * MARGIN + 16];
      uint8_t places[BLOCK + 16];
      const unsigned char *block = text + *at;
      if (is_end) {
        /* A tab ends whatever stands before it and joins nothing. */
        memset(end, '\t', sizeof end);
        memcpy(end, block, left);
        block = end;
      }
      size_t n_places = places_of(block_of(pattern, block, BLOCK), places);
      if (n_places > 1) {
        status = run_pieces(e, block, places, n_places - 1, err);
        *at += places[n_places - 1];
        continue;
      }
      n_plain = 2;
    }
    n_plain -= n_plain > 0;
    if (status == LIMN_OK) status = run_plainly(e, text, n, *at, is_open, &n_done, err);
    if (n_done == 0) break;
    *at += n_done;
  }
  return status;
}

const limn_encoder_loop LIMN_LOOP = {LIMN_LOOP_ISA, run, &LIMN_LOOP_MERGER, block_of};
