/*
 * kv_cache.c - attention on cached keys and values: Vaswani et al. 2017, equation 1, whose two
 * products are those of a linear layer with the keys, or the values, as weights.
 *
 * A score, and what a query mixes, is summed in an order that depends on the query and what it sees
 * and on nothing else: neither on the number of queries in a call nor on the positions behind. As
 * bfloat16 two positions lie beside each other, and a query that sees only the first of the last
 * two must not meet the second, not even times 0: it might be NaN. It gets a copy without it.
 */
#include "nn/kv_cache.h"

#include <string.h>

enum { SOME = 256 }; /* numbers of a row that are rounded at once */

static const float zeros[LIMN_PANEL];

static int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}

static int64_t parts_of(int64_t n, int64_t size) {
  return (n + size - 1) / size;
}

/* ---- where they lie ---------------------------------------------------------------------------
 */

static int64_t width_of(const limn_kv_cache *c) {
  return c->n_head * c->d_head;
}

/* Bytes of some of a head's keys as words, with their scales. */
static size_t words_size(int64_t n) {
  return LIMN_PANEL * (sizeof(float) + (size_t)(n + n % 2) * sizeof(int16_t));
}

/* Bytes of one head's keys in a panel of positions. */
static size_t head_size(const limn_kv_cache *c) {
  int64_t rest = c->d_head % LIMN_WORDS;
  if (!c->has_word_keys) return limn_panel_size(LIMN_FORMAT_F32, c->d_head);
  return (size_t)(c->d_head / LIMN_WORDS) * words_size(LIMN_WORDS) + (rest ? words_size(rest) : 0);
}

static unsigned char *keys_at(const limn_kv_cache *c, int64_t panel, int64_t head) {
  return c->keys + (size_t)(panel * c->n_head + head) * head_size(c);
}

/* Rounded values: 64 numbers of a head, from `e` on. */
static unsigned char *values_at(const limn_kv_cache *c, int64_t head, int64_t e) {
  int64_t panel = head * parts_of(c->d_head, LIMN_PANEL) + e / LIMN_PANEL;
  return c->values + (size_t)panel * limn_panel_size(LIMN_FORMAT_BF16, c->n_ctx);
}

static size_t keys_size(const limn_kv_cache *c, int64_t n) {
  return (size_t)(parts_of(n, LIMN_PANEL) * c->n_head) * head_size(c);
}

size_t limn_kv_cache_keys_size(const limn_kv_cache *c) {
  return keys_size(c, c->n_ctx);
}

size_t limn_kv_cache_values_size(const limn_kv_cache *c) {
  if (!c->has_half_values) return (size_t)(c->n_ctx * width_of(c)) * sizeof(float);
  return (size_t)(c->n_head * parts_of(c->d_head, LIMN_PANEL)) *
         limn_panel_size(LIMN_FORMAT_BF16, c->n_ctx);
}

void limn_kv_cache_copy(const limn_kv_cache *to, const limn_kv_cache *from, int64_t n) {
  memcpy(to->keys, from->keys, keys_size(from, n));
  if (!from->has_half_values) {
    memcpy(to->values, from->values, (size_t)(n * width_of(from)) * sizeof(float));
    return;
  }
  for (int64_t head = 0; head < from->n_head; head++)
    for (int64_t e = 0; e < from->d_head; e += LIMN_PANEL)
      memcpy(values_at(to, head, e), values_at(from, head, e),
             limn_panel_size(LIMN_FORMAT_BF16, n));
}

/* ---- storing ----------------------------------------------------------------------------------
 */

/* Keys (n, d_head) of a head, from `column` on. A pair of words moves like a float. */
static void store_words(const limn_kv_cache *c, unsigned char *block, int64_t column, int64_t n,
                        const float *keys, int64_t step) {
  int16_t words[LIMN_WORDS];
  float pairs[LIMN_PANEL * LIMN_WORDS / 2];
  for (int64_t i = 0; i < c->d_head; i += LIMN_WORDS) {
    int64_t count = least(LIMN_WORDS, c->d_head - i), n_pairs = (count + 1) / 2;
    float *scale = (float *)(void *)block;
    if (count % 2) words[count] = 0;
    for (int64_t r = 0; r < n; r++) {
      scale[column + r] =
          c->kernels->round_words(count, keys + r * step + i, LIMN_MOST_WEIGHT, words);
      memcpy(pairs + r * LIMN_WORDS / 2, words, (size_t)n_pairs * sizeof *pairs);
    }
    c->kernels->transpose(n, n_pairs, pairs, LIMN_WORDS / 2, scale + LIMN_PANEL, column);
    block += words_size(count);
  }
}

/* Keys of one panel of positions, from `column` on. */
static void store_keys(const limn_kv_cache *c, int64_t panel, int64_t column, int64_t n,
                       const float *keys, int64_t step) {
  for (int64_t head = 0; head < c->n_head; head++) {
    unsigned char *to = keys_at(c, panel, head);
    const float *from = keys + head * c->d_head;
    if (c->has_word_keys)
      store_words(c, to, column, n, from, step);
    else
      c->kernels->transpose(n, c->d_head, from, step, (float *)(void *)to, column);
  }
}

/* The second position of a pair, whose first is there already. */
static void store_second(const limn_kv_cache *c, unsigned char *pair, int64_t width,
                         const float *values) {
  uint16_t halves[LIMN_PANEL];
  c->kernels->round_bf16(width, values, halves);
  for (int64_t j = 0; j < width; j++)
    memcpy(pair + 4 * j + 2, halves + j, sizeof *halves);
}

/* Up to 64 numbers of a head, `width`, of positions that lie in one panel of positions. */
static void store_rounded_values(const limn_kv_cache *c, unsigned char *panel, int64_t width,
                                 int64_t first, int64_t n, const float *values, int64_t step) {
  _Alignas(64) float rows[LIMN_PANEL * LIMN_PANEL];
  if (first % 2) {
    store_second(c, panel + limn_panel_size(LIMN_FORMAT_BF16, first - 1), width, values);
    first++, n--, values += step;
  }
  if (width < LIMN_PANEL) memset(rows, 0, (size_t)n * LIMN_PANEL * sizeof *rows);
  for (int64_t r = 0; r < n; r++)
    memcpy(rows + r * LIMN_PANEL, values + r * step, (size_t)width * sizeof *rows);
  c->kernels->pack(LIMN_FORMAT_BF16, panel + limn_panel_size(LIMN_FORMAT_BF16, first), n, rows);
}

static void store_values(const limn_kv_cache *c, int64_t first, int64_t n, const float *values,
                         int64_t step) {
  if (!c->has_half_values) {
    float *to = (float *)(void *)c->values + first * width_of(c);
    for (int64_t r = 0; r < n; r++)
      memcpy(to + r * width_of(c), values + r * step, (size_t)width_of(c) * sizeof *to);
    return;
  }
  for (int64_t head = 0; head < c->n_head; head++)
    for (int64_t e = 0; e < c->d_head; e += LIMN_PANEL)
      store_rounded_values(c, values_at(c, head, e), least(LIMN_PANEL, c->d_head - e), first, n,
                           values + head * c->d_head + e, step);
}

void limn_kv_cache_store(const limn_kv_cache *c, int64_t first, int64_t n, const float *keys,
                         const float *values, int64_t step) {
  while (n > 0) {
    int64_t column = first % LIMN_PANEL, count = least(n, LIMN_PANEL - column);
    store_keys(c, first / LIMN_PANEL, column, count, keys, step);
    store_values(c, first, count, values, step);
    keys += count * step;
    values += count * step;
    first += count;
    n -= count;
  }
}

/* ---- scores -----------------------------------------------------------------------------------
 */

static void rounded_scores(const limn_kv_cache *c, int64_t head, const float *queries,
                           int64_t q_step, int64_t n, int64_t n_key, float *scores,
                           int64_t s_step) {
  int16_t words[LIMN_TILE * LIMN_WORDS];
  float scale[LIMN_TILE];
  size_t at = 0;
  for (int64_t i = 0; i < c->d_head; i += LIMN_WORDS) {
    int64_t count = least(LIMN_WORDS, c->d_head - i);
    for (int64_t r = 0; r < n; r++) {
      int16_t *row = words + r * LIMN_WORDS;
      scale[r] = c->kernels->round_words(count, queries + r * q_step + i, LIMN_MOST_ROW, row);
      if (count % 2) row[count] = 0;
    }
    for (int64_t k = 0; k < n_key; k += LIMN_PANEL) {
      const float *block = (const float *)(const void *)(keys_at(c, k / LIMN_PANEL, head) + at);
      c->kernels->product_words(n, count + count % 2, words, LIMN_WORDS, scale, block + LIMN_PANEL,
                                block, i == 0 ? zeros : NULL, scores + k, s_step,
                                least(LIMN_PANEL, n_key - k));
    }
    at += words_size(count);
  }
}

void limn_kv_cache_scores(const limn_kv_cache *c, int64_t head, const float *queries,
                          int64_t q_step, int64_t n, int64_t n_key, float *scores, int64_t s_step) {
  if (c->has_word_keys) {
    rounded_scores(c, head, queries, q_step, n, n_key, scores, s_step);
    return;
  }
  for (int64_t k = 0; k < n_key; k += LIMN_PANEL)
    c->kernels->product(n, c->d_head, queries, q_step,
                        (const float *)(const void *)keys_at(c, k / LIMN_PANEL, head), LIMN_PANEL,
                        scores + k, s_step, least(LIMN_PANEL, n_key - k), LIMN_SUM_SET);
}

/* ---- mixing values ----------------------------------------------------------------------------
 */

static void mix_exactly(const limn_kv_cache *c, int64_t head, const float *pattern, int64_t p_step,
                        int64_t n, int64_t n_seen, bool is_square, float *out, int64_t out_step) {
  const int64_t step = width_of(c);
  for (int64_t e = 0; e < c->d_head; e += LIMN_PANEL) {
    int64_t width = least(LIMN_PANEL, c->d_head - e);
    const float *values = (const float *)(const void *)c->values + head * c->d_head + e;
    for (int64_t i = 0; i < n; i++)
      memset(out + i * out_step + e, 0, (size_t)width * sizeof *out);
    c->kernels->product(n, n_seen, pattern, p_step, values, step, out + e, out_step, width,
                        LIMN_SUM_ON);
    for (int64_t i = 1; i < n && !is_square; i++)
      c->kernels->product(1, i, pattern + i * p_step + n_seen, p_step, values + n_seen * step, step,
                          out + i * out_step + e, out_step, width, LIMN_SUM_ON);
  }
}

/* Rows of up to 64 numbers of a head that mix values. */
typedef struct mix {
  const limn_kernels *kernels;
  const unsigned char *values; /* (positions / 2, 64, 2) */
  const float *pattern;
  int64_t p_step, n, n_seen;
  bool is_square;
  float *out;
  int64_t out_step, width;
} mix;

/* How many values row i mixes. */
static int64_t seen_by(const mix *m, int64_t i) {
  return m->is_square ? m->n_seen : m->n_seen + i;
}

/* Rows [from, to) go on with one pair of values, which they see whole or its first half only. */
static void mix_pair(const mix *m, int64_t from, int64_t to, const unsigned char *pair,
                     bool is_half, const uint16_t *halves) {
  _Alignas(64) uint32_t firsts[LIMN_PANEL];
  if (from >= to) return;
  if (is_half) {
    memcpy(firsts, pair, sizeof firsts);
    for (int j = 0; j < LIMN_PANEL; j++)
      firsts[j] &= 0xffff;
    pair = (const unsigned char *)firsts;
  }
  m->kernels->product_bf16(to - from, 2, halves + from * SOME, SOME, pair, NULL,
                           m->out + from * m->out_step, m->out_step, m->width);
}

/* Values [first, end) that not all rows see, whose shares begin at `halves`. */
static void mix_rest(const mix *m, int64_t first, int64_t end, const uint16_t *halves) {
  for (int64_t k = first; k < end; k += 2, halves += 2) {
    const unsigned char *pair = m->values + limn_panel_size(LIMN_FORMAT_BF16, k);
    int64_t half = k + 1 - m->n_seen; /* the row that sees the first of the two only */
    if (m->is_square) {
      mix_pair(m, 0, m->n, pair, true, halves);
      continue;
    }
    mix_pair(m, half, half + 1, pair, true, halves);
    mix_pair(m, half + 1, m->n, pair, false, halves);
  }
}

/* Row i's shares of the values from k on that it sees, SOME at most, the last one of a pair. */
static void round_shares(const mix *m, int64_t i, int64_t k, uint16_t *halves) {
  int64_t n = least(SOME, seen_by(m, i) - k);
  m->kernels->round_bf16(n, m->pattern + i * m->p_step + k, halves);
  if (n % 2) halves[n] = 0;
}

/* Pairs that all rows see whole, then the others. */
static void mix_rounded(const mix *m) {
  uint16_t halves[LIMN_TILE * SOME];
  int64_t common = m->n_seen - m->n_seen % 2, end = seen_by(m, m->n - 1);
  for (int64_t k = 0; k < end; k += SOME) {
    int64_t count = common > k ? least(SOME, common - k) : 0;
    for (int64_t i = 0; i < m->n; i++)
      if (seen_by(m, i) > k) round_shares(m, i, k, halves + i * SOME);
    m->kernels->product_bf16(m->n, count, halves, SOME,
                             m->values + limn_panel_size(LIMN_FORMAT_BF16, k),
                             k == 0 ? zeros : NULL, m->out, m->out_step, m->width);
    mix_rest(m, k + count, least(k + SOME, end), halves + count);
  }
}

void limn_kv_cache_mix(const limn_kv_cache *c, int64_t head, const float *pattern, int64_t p_step,
                       int64_t n, int64_t n_seen, bool is_square, float *out, int64_t out_step) {
  if (!c->has_half_values) {
    mix_exactly(c, head, pattern, p_step, n, n_seen, is_square, out, out_step);
    return;
  }
  for (int64_t e = 0; e < c->d_head; e += LIMN_PANEL) {
    mix m = {
        c->kernels, values_at(c, head, e),           pattern, p_step, n, n_seen, is_square, out + e,
        out_step,   least(LIMN_PANEL, c->d_head - e)};
    mix_rounded(&m);
  }
}
