/*
 * bpe.c - merging the bytes of a piece, pair by pair (Sennrich, Haddow, Birch 2016, "Neural Machine
 * Translation of Rare Words with Subword Units", section 3.2; on bytes since GPT-2).
 *
 * Of all neighbouring pairs that training merged, the one that training merged first is merged
 * first; among equals the leftmost. Up to 62 bytes are merged at once (merge.h). A longer piece is
 * merged window by window, which rests on one fact: a row of symbols is what merging a text gives
 * if and only if each symbol and its neighbour stay apart when they stand alone. (No merge crosses
 * the border of two symbols in the text without being the first to do so; until then both have gone
 * their way undisturbed, as they would alone, and so the same merge would cross it there.) So
 * a window begins where a symbol of the one before ends, not its last few, which the rest of the
 * piece might have changed; and where the two symbols at that place do not stay apart, it begins
 * one symbol earlier. Tokens longer than a window are found by a larger window, and what no window
 * can settle goes through a heap of candidates (pairs.c), which needs n log n steps.
 *
 * The same fact allows to cut a piece anywhere, to merge its parts together, and to join their
 * rows; and to copy the symbols of what repeats.
 *
 * Tables of merges in which a merge comes before one that makes its halves (none that training
 * gives) do not allow the test at the border; they use the heap.
 */
#include "tokenizer/bpe.h"

#include <string.h>

/* ---- by the heap --------------------------------------------------------------------------------
 */

void limn_bpe_deinit(limn_bpe *b) {
  limn_free(b->out);
  limn_row_deinit(&b->row);
  *b = (limn_bpe){0};
}

static limn_status reserve_out(limn_bpe *b, size_t n, limn_error *err) {
  if (n <= b->capacity) return LIMN_OK;
  size_t capacity = n + n / 4 + LIMN_LARGE_WINDOW;
  uint32_t *out = limn_resize(b->out, capacity, sizeof *out);
  if (!out) return limn_out_of_memory(err, "a long piece of text");
  b->out = out;
  b->capacity = capacity;
  return LIMN_OK;
}

static bool find_symbol(const void *table, int32_t left, int32_t right, limn_made *out) {
  uint32_t symbol = limn_symbols_find(table, (uint32_t)left, (uint32_t)right);
  *out = (limn_made){(int32_t)symbol, (int32_t)symbol};
  return symbol != LIMN_NO_SYMBOL;
}

limn_status limn_bpe_heap(limn_bpe *b, const limn_symbols *s, const unsigned char *piece, size_t n,
                          limn_error *err) {
  limn_status status = reserve_out(b, n, err);
  if (status == LIMN_OK) status = limn_row_resize(&b->row, n, err);
  for (size_t i = 0; status == LIMN_OK && i < n; i++)
    b->row.ids[i] = piece[i];
  if (status == LIMN_OK) status = limn_row_merge_by(&b->row, find_symbol, s, 0, err);
  if (status != LIMN_OK) return status;
  b->n_out = b->row.n;
  for (size_t i = 0; i < b->n_out; i++)
    b->out[i] = (uint32_t)b->row.ids[i];
  return LIMN_OK;
}

/* ---- windows ------------------------------------------------------------------------------------
 */

/* Of up to so many bytes a window's keys stay in registers. */
#define SMALL_WINDOW LIMN_TINY_WINDOW
#define MOST_RETRIES 8

typedef struct windows {
  limn_bpe *b;
  const limn_merger *merger;
  const limn_symbols *s;
  const unsigned char *piece;
  size_t n;
  size_t at;        /* where the next window begins: the end of out's last symbol */
  size_t farthest;  /* the farthest that a window has reached */
  size_t n_retries; /* since then */
  size_t size;      /* of a window */
} windows;

static size_t length_of(const limn_symbols *s, const uint32_t *symbols, size_t n) {
  size_t length = 0;
  for (size_t i = 0; i < n; i++)
    length += s->lengths[symbols[i]];
  return length;
}

/*
 * How many of a window's symbols to keep, and their bytes: all at the end of the piece, else not
 * the last few, an eighth of the window.
 */
static size_t symbols_to_keep(const limn_symbols *s, const uint32_t *symbols, size_t n_symbols,
                              size_t size, bool is_end, size_t *n_bytes) {
  size_t keep = n_symbols, given_back = 0;
  while (!is_end && keep > 1 && given_back < size / 8)
    given_back += s->lengths[symbols[--keep]];
  *n_bytes = size - given_back;
  return keep;
}

static void enlarge(windows *w) {
  w->size = LIMN_LARGE_WINDOW;
  w->n_retries = 0;
}

/* The row ends farther than ever. */
static void move_on(windows *w) {
  if (w->at <= w->farthest) return;
  w->farthest = w->at;
  w->n_retries = 0;
  w->size = SMALL_WINDOW;
}

/* Merges the next window; or takes back a symbol, so that the next begins earlier. */
static void next_window(windows *w) {
  size_t size = w->n - w->at < w->size ? w->n - w->at : w->size, n_bytes;
  uint32_t *symbols = w->b->out + w->b->n_out;
  size_t n = size <= LIMN_SMALL_WINDOW ? w->merger->small(w->s, w->piece + w->at, size, symbols)
                                       : w->merger->large(w->s, w->piece + w->at, size, symbols);
  if (w->b->n_out > 0 && !limn_symbols_stay(w->s, symbols[-1], symbols[0])) {
    size_t length = w->s->lengths[w->b->out[--w->b->n_out]];
    w->at -= length;
    w->n_retries++;
    /* Of such tokens a small window sees too little. */
    if (w->size == SMALL_WINDOW && length > SMALL_WINDOW / 2) enlarge(w);
    return;
  }
  w->b->n_out += symbols_to_keep(w->s, symbols, n, size, w->at + size == w->n, &n_bytes);
  w->at += n_bytes;
  w->n_retries++;
  move_on(w);
}

/* ---- repetitions --------------------------------------------------------------------------------
 */

/* The most symbols of a period. */
#define MOST_REPEATED 16

/* For how many bytes from `at` on each is the one `period` before it. */
static size_t repeats_for(const unsigned char *piece, size_t n, size_t at, size_t period) {
  size_t start = at;
  for (uint64_t here, there; n - at >= 8; at += 8) {
    memcpy(&here, piece + at, 8);
    memcpy(&there, piece + at - period, 8);
    if (here != there) break;
  }
  while (at < n && piece[at] == piece[at - period])
    at++;
  return at - start;
}

/*
 * Where the row ends with the same symbols twice and the text goes on repeating their bytes, the
 * symbols go on as well: each has the neighbours that it has in the row already, and they stay
 * apart. The last repetition is left to a window, unless the piece ends there.
 */
static void repeat(windows *w) {
  limn_bpe *b = w->b;
  for (size_t m = 1; m <= MOST_REPEATED && 2 * m <= b->n_out; m++) {
    const uint32_t *symbols = b->out + b->n_out - m;
    if (symbols[m - 1] != symbols[-1] || memcmp(symbols, symbols - m, m * sizeof *symbols) != 0)
      continue;
    size_t period = length_of(w->s, symbols, m);
    size_t times = repeats_for(w->piece, w->n, w->at, period) / period;
    if (w->at + times * period < w->n && times > 0) times--;
    if (w->at + times * period <= w->farthest) continue; /* that was tried, and taken back */
    for (size_t i = 0; i < times * m; i++)
      b->out[b->n_out + i] = symbols[i];
    b->n_out += times * m;
    w->at += times * period;
    move_on(w);
    return;
  }
}

/* ---- several parts at once ----------------------------------------------------------------------
 */

/* A long piece is cut anywhere, and its parts are merged together, a window of each at a time. */
#define MOST_PARTS   16
#define LEAST_PART   96
#define LARGEST_PART 512

/* The row of a part, as if the piece began there. */
typedef struct part {
  size_t at, end; /* where its next window begins; where it is done */
  size_t n, n_retries, used;
  uint32_t row[LARGEST_PART + 2 * SMALL_WINDOW];
} part;

static void take_window(const windows *w, part *p, const limn_window *window) {
  size_t n_bytes;
  if (p->n > 0 && !limn_symbols_stay(w->s, p->row[p->n - 1], window->out[0])) {
    p->at -= w->s->lengths[p->row[--p->n]];
    if (++p->n_retries > MOST_RETRIES) p->end = 0;
    return;
  }
  p->n += symbols_to_keep(w->s, window->out, window->n_out, window->n, p->at + window->n == w->n,
                          &n_bytes);
  p->at += n_bytes;
}

static void merge_parts(const windows *w, part *parts, size_t n_parts) {
  for (;;) {
    limn_window list[MOST_PARTS];
    part *of[MOST_PARTS];
    size_t n = 0;
    for (size_t i = 0; i < n_parts; i++) {
      part *p = &parts[i];
      if (p->at >= p->end) continue;
      size_t size = w->n - p->at < SMALL_WINDOW ? w->n - p->at : SMALL_WINDOW;
      of[n] = p;
      list[n++] = (limn_window){w->piece + p->at, size, p->row + p->n, 0};
    }
    if (n == 0) return;
    w->merger->several(w->s, list, n);
    for (size_t i = 0; i < n; i++)
      take_window(w, of[i], &list[i]);
  }
}

/*
 * Appends what is left of a part's row from where the row so far ends; false where no symbol of the
 * part begins there, or it does not stay apart from the last.
 */
static bool join(windows *w, part *p, size_t *start) {
  limn_bpe *b = w->b;
  while (p->used < p->n && *start < w->at)
    *start += w->s->lengths[p->row[p->used++]];
  if (p->used == p->n || *start != w->at) return false;
  if (b->n_out > 0 && !limn_symbols_stay(w->s, b->out[b->n_out - 1], p->row[p->used])) return false;
  size_t n = p->n - p->used;
  memcpy(b->out + b->n_out, p->row + p->used, n * sizeof *p->row);
  b->n_out += n;
  w->at = p->at;
  move_on(w);
  return true;
}

/* ---- a piece ------------------------------------------------------------------------------------
 */

/* One window, and what repeats it. False when no window settles the piece. */
static bool go_on(windows *w) {
  next_window(w);
  repeat(w);
  if (w->n_retries <= MOST_RETRIES) return true;
  if (w->size == LIMN_LARGE_WINDOW) return false;
  enlarge(w);
  return true;
}

/* Several parts, and where they meet. */
static bool go_on_in_parts(windows *w) {
  part parts[MOST_PARTS];
  size_t left = w->n - w->at, n = left / LEAST_PART < MOST_PARTS ? left / LEAST_PART : MOST_PARTS;
  size_t size = left / n < LARGEST_PART ? left / n : LARGEST_PART;
  for (size_t i = 0; i < n; i++) {
    parts[i].at = w->at + i * size;
    parts[i].end = parts[i].at + size;
    parts[i].n = parts[i].n_retries = parts[i].used = 0;
  }
  size_t first = w->at;
  merge_parts(w, parts, n);
  for (size_t i = 0; i < n; i++) {
    size_t start = first + i * size;
    while (w->at < parts[i].at && !join(w, &parts[i], &start)) {
      if (!go_on(w)) return false;
    }
  }
  return true;
}

limn_status limn_bpe_encode(limn_bpe *b, const limn_merger *merger, const limn_symbols *s,
                            const unsigned char *piece, size_t n, limn_error *err) {
  if (n > LIMN_SMALL_WINDOW && !s->is_ordered) return limn_bpe_heap(b, s, piece, n, err);
  limn_status status = reserve_out(b, n + LIMN_LARGE_WINDOW, err);
  if (status != LIMN_OK) return status;
  windows w = {b, merger, s, piece, n, 0, 0, 0, SMALL_WINDOW};
  b->n_out = 0;
  bool goes_on = true;
  while (goes_on && w.at < n) {
    goes_on = go_on(&w);
    if (goes_on && n - w.at >= 2 * LEAST_PART) goes_on = go_on_in_parts(&w);
  }
  return goes_on ? LIMN_OK : limn_bpe_heap(b, s, piece, n, err);
}
