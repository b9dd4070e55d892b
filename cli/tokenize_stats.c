/*
 * tokenize_stats.c - limn tokenize --stats: how well a vocabulary fits a text.
 */
#include "tokenizer.h"

#include <stdlib.h>
#include <string.h>

#define MOST_LISTED 10

typedef struct row {
  int32_t id;
  int64_t count;
  size_t n_bytes;
} row;

typedef struct statistics {
  const limn_tokenizer *t;
  size_t n_tokens, n_bytes, n_chars;
  size_t n_distinct, n_single; /* different tokens; tokens of one byte */
  row *rows;                   /* (n_distinct) by falling count */
  row longest[MOST_LISTED];
  size_t n_longest;
} statistics;

static int by_count(const void *a, const void *b) {
  const row *x = a, *y = b;
  if (x->count != y->count) return x->count < y->count ? 1 : -1;
  return (x->id > y->id) - (x->id < y->id);
}

/* Keeps the longest, of equal length the more frequent. */
static void keep_longest(statistics *s, const row *r) {
  size_t i = s->n_longest < MOST_LISTED ? s->n_longest++ : MOST_LISTED;
  for (; i > 0 && s->longest[i - 1].n_bytes < r->n_bytes; i--)
    if (i < MOST_LISTED) s->longest[i] = s->longest[i - 1];
  if (i < MOST_LISTED) s->longest[i] = *r;
}

static limn_status measure(statistics *s, const limn_tokens *tokens, limn_error *err) {
  int32_t vocab_size = limn_tokenizer_vocab_size(s->t);
  s->rows = limn_alloc_zeroed((size_t)vocab_size + 1, sizeof *s->rows);
  if (!s->rows) return cli_no_memory(err);
  s->n_tokens = tokens->n;
  for (size_t i = 0; i < tokens->n; i++)
    s->rows[tokens->ids[i]].count++;
  for (int32_t id = 0; id < vocab_size; id++) {
    row r = {id, s->rows[id].count, 0};
    if (r.count == 0) continue;
    limn_tokenizer_bytes(s->t, id, &r.n_bytes);
    s->n_single += r.n_bytes == 1 ? (size_t)r.count : 0;
    s->rows[s->n_distinct++] = r;
  }
  qsort(s->rows, s->n_distinct, sizeof *s->rows, by_count);
  for (size_t i = 0; i < s->n_distinct; i++)
    keep_longest(s, &s->rows[i]);
  return LIMN_OK;
}

/* ---- for people ------------------------------------------------------------------------------ */

static double ratio(size_t a, size_t b) {
  return b ? (double)a / (double)b : 0;
}

static void print_row(const statistics *s, const row *r, double share) {
  char *text, count[32];
  if (limn_tokenizer_printable(s->t, r->id, &text, NULL) != LIMN_OK) return;
  printf("%10s  %6.2f %%  %s%7d%s  ", cli_group_digits(count, r->count, ' '), 100 * share,
         cli_sgr(CLI_DIM), (int)r->id, cli_sgr(CLI_PLAIN));
  cli_print_visible(stdout, text, strlen(text), 0, cli_width() - 31);
  putchar('\n');
  limn_free(text);
}

static void print_rows(const statistics *s, const char *title, const row *rows, size_t n) {
  printf("\n%s%s%s\n%s%10s  %8s  %7s  token%s\n", cli_sgr(CLI_BOLD), title, cli_sgr(CLI_PLAIN),
         cli_sgr(CLI_DIM), "count", "share", "id", cli_sgr(CLI_PLAIN));
  for (size_t i = 0; i < n && i < MOST_LISTED; i++)
    print_row(s, &rows[i], ratio((size_t)rows[i].count, s->n_tokens));
}

static void print_statistics(const statistics *s) {
  char tokens[32], bytes[32], chars[32], distinct[32], vocab[32];
  printf("%s token%s, %s byte%s, %s character%s\n",
         cli_group_digits(tokens, (int64_t)s->n_tokens, ' '), cli_plural((int64_t)s->n_tokens),
         cli_group_digits(bytes, (int64_t)s->n_bytes, ' '), cli_plural((int64_t)s->n_bytes),
         cli_group_digits(chars, (int64_t)s->n_chars, ' '), cli_plural((int64_t)s->n_chars));
  if (s->n_tokens == 0) return;
  printf("%.2f bytes per token, %.2f characters\n", ratio(s->n_bytes, s->n_tokens),
         ratio(s->n_chars, s->n_tokens));
  printf("%s different token%s of %s; %.2f %% of the tokens are single bytes\n",
         cli_group_digits(distinct, (int64_t)s->n_distinct, ' '),
         cli_plural((int64_t)s->n_distinct),
         cli_group_digits(vocab, limn_tokenizer_vocab_size(s->t), ' '),
         100 * ratio(s->n_single, s->n_tokens));
  print_rows(s, "Most frequent", s->rows, s->n_distinct);
  print_rows(s, "Longest", s->longest, s->n_longest);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void put_rows(limn_json *j, const statistics *s, const char *key, const row *rows,
                     size_t n) {
  limn_json_key(j, key);
  limn_json_begin_array(j);
  for (size_t i = 0; i < n && i < MOST_LISTED; i++) {
    size_t size;
    const char *bytes = limn_tokenizer_bytes(s->t, rows[i].id, &size);
    limn_json_begin_inline_object(j);
    limn_json_key(j, "id");
    limn_json_int(j, rows[i].id);
    limn_json_key(j, "count");
    limn_json_int(j, rows[i].count);
    limn_json_key(j, "text");
    limn_json_string(j, bytes, size);
    limn_json_end_object(j);
  }
  limn_json_end_array(j);
}

void cli_put_numbers(limn_json *j, const cli_number *rows, size_t n) {
  for (size_t i = 0; i < n; i++) {
    limn_json_key(j, rows[i].key);
    limn_json_int(j, rows[i].value);
  }
}

static int print_json(const cli *c, const statistics *s) {
  const cli_number rows[] = {{"n_tokens", (int64_t)s->n_tokens},
                             {"n_bytes", (int64_t)s->n_bytes},
                             {"n_characters", (int64_t)s->n_chars},
                             {"n_distinct_tokens", (int64_t)s->n_distinct},
                             {"n_single_byte_tokens", (int64_t)s->n_single},
                             {"vocab_size", limn_tokenizer_vocab_size(s->t)}};
  limn_json j;
  limn_error err;
  cli_json_begin(&j, &err);
  limn_json_begin_object(&j);
  cli_put_numbers(&j, rows, sizeof rows / sizeof *rows);
  limn_json_key(&j, "bytes_per_token");
  limn_json_double(&j, ratio(s->n_bytes, s->n_tokens));
  put_rows(&j, s, "most_frequent", s->rows, s->n_distinct);
  put_rows(&j, s, "longest", s->longest, s->n_longest);
  limn_json_end_object(&j);
  return cli_json_end(c, &j);
}

int cli_tokenize_stats(const cli *c, const limn_tokenizer *t, const limn_tokens *tokens,
                       const char *text, size_t n) {
  statistics s = {.t = t, .n_bytes = n};
  limn_error err;
  int32_t code;
  for (size_t at = 0; at < n; s.n_chars++)
    at += cli_character((const unsigned char *)text + at, n - at, &code);
  if (measure(&s, tokens, &err) != LIMN_OK) return cli_fail(c, &err);
  int result = CLI_OK;
  if (cli_flag(c, "json"))
    result = print_json(c, &s);
  else
    print_statistics(&s);
  limn_free(s.rows);
  return result;
}
