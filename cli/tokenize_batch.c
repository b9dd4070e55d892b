/*
 * tokenize_batch.c - limn tokenize --batch: many texts at once, over threads.
 *
 * The input is cut into rounds of whole texts; a team encodes the texts of a round, and they are
 * printed in order. So the memory for ids does not grow with the input. Where a text may be
 * refused, all are tried before the first is printed.
 */
#include "tokenizer.h"

#include <string.h>

#define ROUND ((size_t)4 << 20)  /* bytes of text, for each thread */
#define CACHE ((size_t)16 << 20) /* for all threads */

typedef struct batch {
  const cli *c;
  const limn_tokenizer *t;
  limn_pool *pool;
  limn_batch_encoder *encoder;
  limn_batch found; /* of a round */
  limn_special special;
  char separator;
  limn_text *texts; /* of a round */
  size_t n_texts, capacity;
  size_t n_before; /* texts of the rounds before */
  bool is_silent;
  limn_json *json; /* or NULL */
} batch;

/* ---- printing -------------------------------------------------------------------------------- */

static void print_text(const cli *c, const int32_t *ids, size_t n) {
  if (cli_flag(c, "count"))
    printf("%zu\n", n);
  else
    cli_print_ids(ids, n);
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

static void print_ids(const batch *b, const int32_t *ids, size_t n) {
  if (b->is_silent) return;
  if (b->json)
    put_text(b->json, b->c, ids, n);
  else
    print_text(b->c, ids, n);
}

/* ---- rounds ---------------------------------------------------------------------------------- */

static limn_status add_text(batch *b, const char *text, size_t n, limn_error *err) {
  if (b->n_texts == b->capacity) {
    size_t capacity = b->capacity ? 2 * b->capacity : 1024;
    limn_text *texts = limn_resize(b->texts, capacity, sizeof *texts);
    if (!texts) return cli_no_memory(err);
    b->texts = texts;
    b->capacity = capacity;
  }
  b->texts[b->n_texts++] = (limn_text){text, n};
  return LIMN_OK;
}

/* The texts of one round, from *at on. */
static limn_status cut_round(batch *b, const char *text, size_t n, size_t *at, limn_error *err) {
  size_t round = ROUND * (size_t)limn_pool_size(b->pool), end = n - *at > round ? *at + round : n;
  limn_status status = LIMN_OK;
  b->n_texts = 0;
  while (status == LIMN_OK && *at < end) {
    const char *stop = memchr(text + *at, b->separator, n - *at);
    size_t length = stop ? (size_t)(stop - text) - *at : n - *at;
    status = add_text(b, text + *at, length, err);
    *at += length + 1;
  }
  return status;
}

/* Which of the texts it is that cannot be encoded, and why. */
static limn_status tell_which(const batch *b, limn_error *err) {
  limn_encoder *e;
  limn_status status = limn_encoder_new(b->t, CACHE, &e, err);
  for (size_t i = 0; status == LIMN_OK && i < b->n_texts; i++) {
    limn_error why;
    size_t n_ids;
    status = limn_encoder_count(e, b->texts[i].bytes, b->texts[i].n, b->special, &n_ids, &why);
    if (status != LIMN_OK)
      limn_error_set(err, status, why.offset, "text %zu: %s", b->n_before + i + 1, why.text);
  }
  limn_encoder_free(e);
  return status;
}

static limn_status run_round(batch *b, limn_error *err) {
  limn_batch *found = &b->found;
  if (limn_batch_encoder_encode(b->encoder, b->texts, b->n_texts, b->special, found, err) !=
      LIMN_OK)
    return tell_which(b, err);
  for (size_t i = 0; i < found->n; i++)
    print_ids(b, found->ids + found->starts[i], found->starts[i + 1] - found->starts[i]);
  b->n_before += b->n_texts;
  return LIMN_OK;
}

static limn_status run_rounds(batch *b, const char *text, size_t n, limn_error *err) {
  limn_status status = LIMN_OK;
  for (size_t at = 0; at < n && status == LIMN_OK;) {
    status = cut_round(b, text, n, &at, err);
    if (status == LIMN_OK) status = run_round(b, err);
  }
  return status;
}

/* Whether all texts can be encoded: those with special tokens may be refused. */
static limn_status check_texts(batch *b, const char *text, size_t n, limn_error *err) {
  if (b->special != LIMN_SPECIAL_REFUSE) return LIMN_OK;
  b->is_silent = true;
  limn_status status = run_rounds(b, text, n, err);
  b->is_silent = false;
  b->n_before = 0;
  return status;
}

static int print_batch(batch *b, const char *text, size_t n) {
  limn_error err, failure;
  limn_json j;
  if (check_texts(b, text, n, &failure) != LIMN_OK) return cli_fail(b->c, &failure);
  if (cli_flag(b->c, "json")) {
    b->json = &j;
    cli_json_begin(&j, &err);
    limn_json_begin_object(&j);
    limn_json_key(&j, "texts");
    limn_json_begin_array(&j);
  }
  if (run_rounds(b, text, n, &failure) != LIMN_OK) return cli_fail(b->c, &failure);
  if (!b->json) return CLI_OK;
  limn_json_end_array(&j);
  limn_json_end_object(&j);
  return cli_json_end(b->c, &j);
}

int cli_tokenize_batch(const cli *c, const limn_tokenizer *t, limn_special special,
                       const char *text, size_t n) {
  limn_error err;
  batch b = {.c = c, .t = t, .special = special, .separator = cli_flag(c, "null") ? '\0' : '\n'};
  limn_status status = limn_pool_new((int)cli_int(c, "threads", 0), &b.pool, &err);
  if (status == LIMN_OK) status = limn_batch_encoder_new(t, b.pool, CACHE, &b.encoder, &err);
  int result = status == LIMN_OK ? print_batch(&b, text, n) : cli_fail(c, &err);
  limn_batch_deinit(&b.found);
  limn_batch_encoder_free(b.encoder);
  limn_free(b.texts);
  limn_pool_free(b.pool);
  return result;
}
