/*
 * tokenize_batch.c - limn tokenize --batch: many texts at once, over threads.
 *
 * The input is cut into shares of whole texts; each round a team encodes some shares, and they are
 * printed in order. So the memory for ids does not grow with the input.
 */
#include "tokenizer.h"

#include <string.h>

#define SHARE       ((size_t)1 << 18) /* bytes of text for one task */
#define MOST_SHARES 64
#define CACHE       ((size_t)4 << 20) /* of each share's encoder */

typedef struct share {
  const char *text;
  size_t n, first; /* number of its first text */
  int32_t *ids;
  size_t n_ids, ids_capacity;
  size_t *ends; /* (n_texts) where the ids of each text end */
  size_t n_texts, ends_capacity;
  limn_tokens tokens;
  limn_encoder *encoder;
  limn_status status;
  limn_error err;
} share;

typedef struct batch {
  const limn_tokenizer *t;
  limn_special special;
  char separator;
  share shares[MOST_SHARES];
  size_t n_shares; /* of a round */
  size_t n_texts;
} batch;

/* ---- encoding -------------------------------------------------------------------------------- */

static bool grow(void **memory, size_t *capacity, size_t wanted, size_t size) {
  if (wanted <= *capacity) return true;
  size_t grown = *capacity ? 2 * *capacity : 1024;
  while (grown < wanted)
    grown *= 2;
  void *more = limn_resize(*memory, grown, size);
  if (!more) return false;
  *memory = more;
  *capacity = grown;
  return true;
}

static limn_status keep(share *s) {
  void *ids = s->ids, *ends = s->ends;
  bool good = grow(&ids, &s->ids_capacity, s->n_ids + s->tokens.n, sizeof *s->ids);
  s->ids = ids;
  good = good && grow(&ends, &s->ends_capacity, s->n_texts + 1, sizeof *s->ends);
  s->ends = ends;
  if (!good) return limn_error_set(&s->err, LIMN_ERROR_MEMORY, LIMN_NO_OFFSET, "out of memory");
  if (s->tokens.n) memcpy(s->ids + s->n_ids, s->tokens.ids, s->tokens.n * sizeof *s->ids);
  s->n_ids += s->tokens.n;
  s->ends[s->n_texts++] = s->n_ids;
  return LIMN_OK;
}

static size_t text_length(const char *text, size_t n, char separator) {
  const char *end = memchr(text, separator, n);
  return end ? (size_t)(end - text) : n;
}

static void encode_share(void *user, size_t i) {
  batch *b = user;
  share *s = &b->shares[i];
  s->n_ids = s->n_texts = 0;
  s->status = s->encoder ? LIMN_OK : limn_encoder_new(b->t, CACHE, &s->encoder, &s->err);
  for (size_t at = 0; at < s->n && s->status == LIMN_OK;) {
    size_t n = text_length(s->text + at, s->n - at, b->separator);
    s->status = limn_encoder_tokens(s->encoder, s->text + at, n, b->special, &s->tokens, &s->err);
    if (s->status == LIMN_OK) s->status = keep(s);
    at += n + 1;
  }
}

/* Cuts the shares of one round off the text; how many. */
static size_t cut_shares(batch *b, const char *text, size_t n, size_t *at) {
  size_t count = 0;
  for (; count < b->n_shares && *at < n; count++) {
    share *s = &b->shares[count];
    size_t end = n - *at > SHARE ? *at + SHARE : n;
    end += text_length(text + end, n - end, b->separator);
    if (end < n) end++;
    s->text = text + *at;
    s->n = end - *at;
    *at = end;
  }
  return count;
}

/* ---- printing -------------------------------------------------------------------------------- */

static void print_text(const cli *c, const int32_t *ids, size_t n) {
  if (cli_flag(c, "count")) {
    printf("%zu\n", n);
    return;
  }
  for (size_t i = 0; i < n; i++)
    printf(i ? ",%d" : "%d", (int)ids[i]);
  putchar('\n');
}

static void put_text(limn_json *j, const cli *c, const int32_t *ids, size_t n) {
  limn_json_begin_inline_object(j);
  limn_json_key(j, "n_tokens");
  limn_json_int(j, (int64_t)n);
  if (!cli_flag(c, "count")) {
    limn_json_key(j, "ids");
    limn_json_begin_array(j);
    for (size_t i = 0; i < n; i++)
      limn_json_int(j, ids[i]);
    limn_json_end_array(j);
  }
  limn_json_end_object(j);
}

static limn_status print_share(const cli *c, batch *b, const share *s, limn_json *j,
                               limn_error *err) {
  size_t start = 0;
  for (size_t i = 0; i < s->n_texts; i++) {
    if (j)
      put_text(j, c, s->ids + start, s->ends[i] - start);
    else
      print_text(c, s->ids + start, s->ends[i] - start);
    start = s->ends[i];
  }
  b->n_texts += s->n_texts;
  if (s->status == LIMN_OK) return LIMN_OK;
  return limn_error_set(err, s->status, s->err.offset, "text %zu: %s", b->n_texts + 1, s->err.text);
}

static limn_status run_rounds(const cli *c, batch *b, limn_pool *pool, const char *text, size_t n,
                              limn_json *j, limn_error *err) {
  limn_status status = LIMN_OK;
  for (size_t at = 0; at < n && status == LIMN_OK;) {
    size_t count = cut_shares(b, text, n, &at);
    limn_pool_run(pool, count, encode_share, b);
    for (size_t i = 0; i < count && status == LIMN_OK; i++)
      status = print_share(c, b, &b->shares[i], j, err);
  }
  return status;
}

static int print_batch(const cli *c, batch *b, limn_pool *pool, const char *text, size_t n) {
  limn_error err, failure;
  limn_json j;
  bool is_json = cli_flag(c, "json");
  if (is_json) {
    cli_json_begin(&j, &err);
    limn_json_begin_object(&j);
    limn_json_key(&j, "texts");
    limn_json_begin_array(&j);
  }
  if (run_rounds(c, b, pool, text, n, is_json ? &j : NULL, &failure) != LIMN_OK)
    return cli_fail(c, &failure);
  if (!is_json) return CLI_OK;
  limn_json_end_array(&j);
  limn_json_end_object(&j);
  return cli_json_end(c, &j);
}

int cli_tokenize_batch(const cli *c, const limn_tokenizer *t, limn_special special,
                       const char *text, size_t n) {
  limn_error err;
  limn_pool *pool;
  batch *b = limn_alloc_zeroed(1, sizeof *b);
  if (!b || limn_pool_new((int)cli_int(c, "threads", 0), &pool, &err) != LIMN_OK) {
    if (!b) limn_error_set(&err, LIMN_ERROR_MEMORY, LIMN_NO_OFFSET, "out of memory");
    limn_free(b);
    return cli_fail(c, &err);
  }
  b->t = t;
  b->special = special;
  b->n_shares = 2 * (size_t)limn_pool_size(pool);
  if (b->n_shares > MOST_SHARES) b->n_shares = MOST_SHARES;
  b->separator = cli_flag(c, "null") ? '\0' : '\n';
  int result = print_batch(c, b, pool, text, n);
  for (size_t i = 0; i < MOST_SHARES; i++) {
    limn_free(b->shares[i].ids);
    limn_free(b->shares[i].ends);
    limn_tokens_deinit(&b->shares[i].tokens);
    limn_encoder_free(b->shares[i].encoder);
  }
  limn_free(b);
  limn_pool_free(pool);
  return result;
}
