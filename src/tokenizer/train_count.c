/*
 * train_count.c - from text to different pieces and how often each occurs.
 *
 * What training looks at is not the text but its different pieces: a book of a million words has
 * some ten thousand. Text comes in chunks; a block of it is counted as soon as there is a place
 * where it can be cut without changing any piece. Such a place is between a letter and white space:
 * in every pattern in use a run of letters ends there whatever follows, and what follows starts
 * anew. Each thread counts its share of a block in a table of its own.
 *
 * Nearly all pieces are shorter than 16 bytes. Those are kept as two 64-bit numbers, the bytes and
 * the length, so that to find one is to compare two numbers.
 */
#include "base/utf8.h"
#include "tokenizer/train.h"
#include "tokenizer/unicode.h"

#include <string.h>

#define BLOCK       ((size_t)2 << 20) /* bytes of text for each thread */
#define FIRST_BLOCK ((size_t)1 << 16) /* what a small text takes */
#define SLACK       16                /* readable bytes behind the text */
#define MOST_SHORT  15
#define SHORT_TEXT  ((size_t)1 << 8)

/* ---- pieces as numbers ----------------------------------------------------------------------- */

static uint64_t load_little_endian(const unsigned char *from) {
  uint64_t x;
  memcpy(&x, from, sizeof x);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  x = __builtin_bswap64(x);
#endif
  return x;
}

static void store_little_endian(unsigned char *to, uint64_t x) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  x = __builtin_bswap64(x);
#endif
  memcpy(to, &x, sizeof x);
}

/* 1 <= n <= 15; 16 bytes can be read. */
static limn_short_piece short_piece(const unsigned char *bytes, size_t n) {
  uint64_t low = load_little_endian(bytes), high = load_little_endian(bytes + 8);
  if (n < 8) {
    low &= ((uint64_t)1 << 8 * n) - 1;
    high = 0;
  } else {
    high &= ((uint64_t)1 << 8 * (n - 8)) - 1;
  }
  return (limn_short_piece){low, high | (uint64_t)n << 56, 0};
}

static size_t short_hash(uint64_t low, uint64_t high) {
  uint64_t h = (low ^ high * 0x9e3779b97f4a7c15u) * 0xd6e8feb86659fd93u;
  h = (h ^ h >> 32) * 0xd6e8feb86659fd93u;
  return (size_t)(h ^ h >> 32);
}

static uint64_t long_hash(const unsigned char *bytes, size_t n) {
  uint64_t h = n * 0x9e3779b97f4a7c15u;
  for (size_t i = 0; i + 8 <= n; i += 8)
    h = (h ^ load_little_endian(bytes + i)) * 0xd6e8feb86659fd93u, h ^= h >> 32;
  return (h ^ load_little_endian(bytes + n - 8)) * 0x9e3779b97f4a7c15u >> 16;
}

/* ---- tables ---------------------------------------------------------------------------------- */

void limn_piece_counts_deinit(limn_piece_counts *c) {
  limn_free(c->shorts);
  limn_free(c->longs);
  limn_bytes_deinit(&c->bytes);
  *c = (limn_piece_counts){0};
}

static limn_short_piece *short_place(const limn_piece_counts *c, uint64_t low, uint64_t high) {
  size_t mask = c->shorts_size - 1, i = short_hash(low, high) & mask;
  while (c->shorts[i].high && (c->shorts[i].low != low || c->shorts[i].high != high))
    i = (i + 1) & mask;
  return &c->shorts[i];
}

static bool grow_shorts(limn_piece_counts *c) {
  limn_piece_counts grown = {.shorts_size = c->shorts_size ? 2 * c->shorts_size : 4096};
  grown.shorts = limn_alloc_zeroed(grown.shorts_size, sizeof *grown.shorts);
  if (!grown.shorts) return false;
  for (size_t i = 0; i < c->shorts_size; i++) {
    const limn_short_piece *p = &c->shorts[i];
    if (p->high) *short_place(&grown, p->low, p->high) = *p;
  }
  limn_free(c->shorts);
  c->shorts = grown.shorts;
  c->shorts_size = grown.shorts_size;
  return true;
}

static bool add_short(limn_piece_counts *c, const limn_short_piece *piece, int64_t count) {
  if (2 * (c->n_shorts + 1) > c->shorts_size && !grow_shorts(c)) return false;
  limn_short_piece *place = short_place(c, piece->low, piece->high);
  if (!place->high) {
    *place = *piece;
    place->count = 0;
    c->n_shorts++;
  }
  place->count += count;
  return true;
}

static limn_long_piece *long_place(const limn_piece_counts *c, uint64_t hash,
                                   const unsigned char *bytes, size_t n) {
  size_t mask = c->longs_size - 1, i = (size_t)hash & mask;
  for (; c->longs[i].n; i = (i + 1) & mask) {
    const limn_long_piece *p = &c->longs[i];
    if (p->hash == hash && p->n == n && memcmp(c->bytes.data + p->offset, bytes, n) == 0) break;
  }
  return &c->longs[i];
}

static bool grow_longs(limn_piece_counts *c) {
  size_t size = c->longs_size ? 2 * c->longs_size : 256;
  limn_long_piece *longs = limn_alloc_zeroed(size, sizeof *longs);
  if (!longs) return false;
  for (size_t i = 0; i < c->longs_size; i++) {
    if (!c->longs[i].n) continue;
    size_t at = (size_t)c->longs[i].hash & (size - 1);
    while (longs[at].n)
      at = (at + 1) & (size - 1);
    longs[at] = c->longs[i];
  }
  limn_free(c->longs);
  c->longs = longs;
  c->longs_size = size;
  return true;
}

static bool add_long(limn_piece_counts *c, const unsigned char *bytes, size_t n, int64_t count) {
  uint64_t hash = long_hash(bytes, n);
  if (2 * (c->n_longs + 1) > c->longs_size && !grow_longs(c)) return false;
  limn_long_piece *place = long_place(c, hash, bytes, n);
  if (!place->n) {
    size_t offset = c->bytes.size;
    if (!limn_bytes_append(&c->bytes, bytes, n)) return false;
    *place = (limn_long_piece){hash, offset, n, 0};
    c->n_longs++;
  }
  place->count += count;
  return true;
}

static bool add_piece(limn_piece_counts *c, const unsigned char *bytes, size_t n) {
  c->n_pieces++;
  if (n > MOST_SHORT) return add_long(c, bytes, n, 1);
  limn_short_piece piece = short_piece(bytes, n);
  return add_short(c, &piece, 1);
}

static bool add_all(limn_piece_counts *c, const limn_piece_counts *from) {
  for (size_t i = 0; i < from->shorts_size; i++) {
    const limn_short_piece *p = &from->shorts[i];
    if (p->high && !add_short(c, p, p->count)) return false;
  }
  for (size_t i = 0; i < from->longs_size; i++) {
    const limn_long_piece *p = &from->longs[i];
    const unsigned char *bytes = (const unsigned char *)from->bytes.data + p->offset;
    if (p->n && !add_long(c, bytes, p->n, p->count)) return false;
  }
  c->n_pieces += from->n_pieces;
  return true;
}

/* ---- cutting --------------------------------------------------------------------------------- */

static bool is_letter(limn_char_class class) {
  return class == LIMN_CHAR_UPPER || class == LIMN_CHAR_LOWER || class == LIMN_CHAR_LETTER;
}

static bool is_letter_before(const unsigned char *text, size_t at) {
  unsigned char c = text[at - 1];
  if (c < 0x80) return (unsigned)((c | 0x20) - 'a') < 26;
  size_t start = at - 1;
  while (start > 0 && at - start < 4 && (text[start] & 0xc0) == 0x80)
    start--;
  int32_t code;
  size_t length = limn_utf8_decode(text + start, at - start, &code);
  return start + length == at && code >= 0 && is_letter(limn_char_class_of((uint32_t)code));
}

/* Between the bytes at - 1 and at; both are there. */
static bool may_cut(const unsigned char *text, size_t at) {
  bool is_space = text[at] == ' ' || (text[at] >= '\t' && text[at] <= '\r');
  return is_space && is_letter_before(text, at);
}

/* The last place in (from, to) where the text may be cut, or `from`. */
static size_t last_cut(const limn_counter *c, size_t from, size_t to) {
  size_t at = to;
  while (--at > from)
    if (c->by_line ? c->text[at - 1] == '\n' : may_cut(c->text, at)) return at;
  return from;
}

/* ---- counting -------------------------------------------------------------------------------- */

/* Adds the pieces between the places where the loop found pieces to begin; *at is then the last. */
static bool add_block(limn_piece_counts *counts, const unsigned char *text, uint64_t starts,
                      size_t *at) {
  size_t begin = *at;
  for (starts &= starts - 1; starts; starts &= starts - 1) {
    size_t end = *at + (size_t)__builtin_ctzll(starts);
    if (!add_piece(counts, text + begin, end - begin)) return false;
    begin = end;
  }
  *at = begin;
  return true;
}

/* A place behind `at` where the text may be cut. The patterns of several passes look far ahead from
 * every piece; a text that ends there looks ahead to there only. */
static size_t next_cut(const unsigned char *text, size_t at, size_t n) {
  size_t end = n - at > SHORT_TEXT ? at + SHORT_TEXT : n;
  while (end < n && !may_cut(text, end))
    end++;
  return end;
}

/* By blocks of 64 bytes, and piece by piece where a block tells nothing. */
static bool count_text(const limn_counter *c, limn_piece_counts *counts, const unsigned char *text,
                       size_t n) {
  size_t cut = 0;
  int n_plain = 0; /* pieces to cut until a block is tried again */
  for (size_t at = 0; at < n;) {
    bool is_tried = n_plain == 0 && n - at >= 64 + SLACK;
    uint64_t starts = is_tried ? c->loop->block(c->pattern, text + at, 64) : 0;
    if (starts & (starts - 1)) { /* two or more */
      if (!add_block(counts, text, starts, &at)) return false;
      continue;
    }
    n_plain = is_tried ? 1 : n_plain - (n_plain > 0);
    if (at >= cut) cut = next_cut(text, at, n);
    size_t end = limn_split_next(c->pattern, text, cut, at);
    if (!add_piece(counts, text + at, end - at)) return false;
    at = end;
  }
  return true;
}

static bool count_lines(const limn_counter *c, limn_piece_counts *counts, const unsigned char *text,
                        size_t n) {
  for (size_t at = 0; at < n;) {
    const unsigned char *feed = memchr(text + at, '\n', n - at);
    size_t end = feed ? (size_t)(feed - text) + 1 : n;
    if (!count_text(c, counts, text + at, end - at)) return false;
    at = end;
  }
  return true;
}

/* Part i of a block is from starts[i] to starts[i + 1]. */
typedef struct block {
  const limn_counter *counter;
  size_t *starts;
} block;

static void count_part(void *user, size_t i) {
  const block *b = user;
  limn_piece_counts *counts = &b->counter->tables[i];
  const unsigned char *text = b->counter->text + b->starts[i];
  size_t n = b->starts[i + 1] - b->starts[i];
  bool good = b->counter->by_line ? count_lines(b->counter, counts, text, n)
                                  : count_text(b->counter, counts, text, n);
  if (!good) counts->out_of_memory = true;
}

/* Counts the first n bytes, where the text may be cut or ends, and keeps what follows. */
static limn_status count_block(limn_counter *c, size_t n, limn_error *err) {
  size_t n_parts = (size_t)c->n_tables;
  block b = {c, limn_alloc_zeroed(n_parts + 1, sizeof *b.starts)};
  if (!b.starts) return limn_out_of_memory(err, "text to learn from");
  b.starts[n_parts] = n;
  for (size_t i = 1; i < n_parts; i++) {
    size_t at = n / n_parts * i;
    b.starts[i] = at > b.starts[i - 1] ? last_cut(c, b.starts[i - 1], at) : b.starts[i - 1];
  }
  limn_pool_run(c->pool, n_parts, count_part, &b);
  limn_free(b.starts);
  for (size_t i = 0; i < n_parts; i++)
    if (c->tables[i].out_of_memory) return limn_out_of_memory(err, "the pieces of a text");
  c->n_bytes += (int64_t)n;
  c->n -= n;
  memmove(c->text, c->text + n, c->n);
  return LIMN_OK;
}

/* ---- the text -------------------------------------------------------------------------------- */

static limn_status reserve(limn_counter *c, size_t capacity, limn_error *err) {
  unsigned char *text = limn_resize(c->text, capacity + SLACK, 1);
  if (!text) return limn_out_of_memory(err, "text to learn from");
  memset(text + c->n, 0, capacity + SLACK - c->n);
  c->text = text;
  c->capacity = capacity;
  return LIMN_OK;
}

limn_status limn_counter_init(limn_counter *c, limn_pattern pattern, bool by_line, limn_pool *pool,
                              limn_error *err) {
  *c = (limn_counter){
      .pattern = pattern, .by_line = by_line, .pool = pool, .n_tables = limn_pool_size(pool)};
  c->loop = limn_loop_best();
  c->tables = limn_alloc_zeroed((size_t)c->n_tables, sizeof *c->tables);
  if (!c->tables) return limn_out_of_memory(err, "the pieces of a text");
  return reserve(c, FIRST_BLOCK, err);
}

void limn_counter_deinit(limn_counter *c) {
  for (int i = 0; c->tables && i < c->n_tables; i++)
    limn_piece_counts_deinit(&c->tables[i]);
  limn_free(c->tables);
  limn_free(c->text);
  *c = (limn_counter){0};
}

limn_status limn_counter_feed(limn_counter *c, const void *text, size_t n, limn_error *err) {
  const unsigned char *from = text;
  limn_status status = LIMN_OK;
  while (n > 0 && status == LIMN_OK) {
    size_t part = c->capacity - c->n < n ? c->capacity - c->n : n;
    memcpy(c->text + c->n, from, part);
    c->n += part;
    from += part;
    n -= part;
    if (c->n < c->capacity) break;
    bool is_small = c->capacity < BLOCK * (size_t)c->n_tables;
    size_t cut = is_small ? 0 : last_cut(c, 0, c->n);
    if (cut > 0)
      status = count_block(c, cut, err);
    else
      status = reserve(c, 2 * c->capacity, err);
  }
  return status;
}

limn_status limn_counter_end_text(limn_counter *c, limn_error *err) {
  return c->n > 0 ? count_block(c, c->n, err) : LIMN_OK;
}

limn_status limn_counter_gather(limn_counter *c, limn_error *err) {
  limn_free(c->text);
  c->text = NULL;
  c->n = c->capacity = 0;
  for (; c->n_tables > 1; c->n_tables--) {
    limn_piece_counts *last = &c->tables[c->n_tables - 1];
    if (!add_all(&c->tables[0], last)) return limn_out_of_memory(err, "the pieces of a text");
    limn_piece_counts_deinit(last);
  }
  return LIMN_OK;
}

void limn_counter_each(const limn_counter *c,
                       void (*take)(void *user, const unsigned char *bytes, size_t n,
                                    int64_t count),
                       void *user) {
  const limn_piece_counts *counts = &c->tables[0];
  for (size_t i = 0; i < counts->shorts_size; i++) {
    const limn_short_piece *p = &counts->shorts[i];
    unsigned char bytes[16];
    if (!p->high) continue;
    store_little_endian(bytes, p->low);
    store_little_endian(bytes + 8, p->high);
    take(user, bytes, (size_t)(p->high >> 56), p->count);
  }
  for (size_t i = 0; i < counts->longs_size; i++) {
    const limn_long_piece *p = &counts->longs[i];
    if (p->n) take(user, (const unsigned char *)counts->bytes.data + p->offset, p->n, p->count);
  }
}
