/*
 * tokenizer_compare.c - limn tokenizer compare: where two tokenizers cut a text otherwise.
 *
 * The tokens of both lie on the same bytes. Walking along both at once, a place where both have a
 * boundary ends a span; a span with one token on each side is cut alike, any other is a difference.
 */
#include "tokenizer.h"

#include <string.h>

static const cli_option options[] = {
    CLI_OPTIONS_TEXT,
    {"most", 0, CLI_INT, "N", "20", 0, CLI_NO_MAX, "Show this many differences; --json shows all"},
    {"special", 0, CLI_CHOICE, "text|allow", "text", 0, 0,
     "What a special token's text is: text like any other, or the token"},
    CLI_OPTIONS_JSON,
    CLI_OPTIONS_END};

static const cli_example examples[] = {
    {"limn tokenizer compare gpt2 mine --file book.txt",
     "A bundled encoding and one of one's own."},
    {"limn tokenizer compare a/tokenizer.json b/tokenizer.json 'naïve 12345'", "Two files."},
    {NULL, NULL}};

/* ---- walking along both ---------------------------------------------------------------------- */

typedef struct side {
  const char *name;
  limn_tokenizer *tokenizer;
  limn_tokens tokens;
} side;

typedef struct comparison {
  const cli *c;
  side sides[2];
  const char *text;
  size_t n;
  size_t n_same;      /* tokens that both have */
  size_t n_other_ids; /* and that have not the same id */
  size_t n_spans;     /* cut otherwise */
  size_t n_span_bytes;
  size_t first_other_id; /* its byte */
} comparison;

/* Tokens first[k] to first[k] + n[k] of each side, on the same bytes. */
typedef struct span {
  size_t offset, n_bytes;
  size_t first[2], n[2];
} span;

/* Of a text without tokens (spaces that are left out) its end: the other's tokens lie before. */
static size_t end_of(const comparison *m, int k, const span *s) {
  if (m->sides[k].tokens.n == 0) return m->n;
  return m->sides[k].tokens.offsets[s->first[k] + s->n[k]];
}

/* The span behind *s. False at the end of the text. */
static bool next_span(const comparison *m, span *s) {
  *s = (span){.offset = s->offset + s->n_bytes,
              .first = {s->first[0] + s->n[0], s->first[1] + s->n[1]}};
  bool is_end[2];
  for (int k = 0; k < 2; k++)
    is_end[k] = s->first[k] >= m->sides[k].tokens.n;
  if (is_end[0] && is_end[1]) return false;
  for (int k = 0; k < 2; k++)
    s->n[k] = !is_end[k];
  while (end_of(m, 0, s) != end_of(m, 1, s))
    s->n[end_of(m, 0, s) > end_of(m, 1, s)]++;
  s->n_bytes = end_of(m, 0, s) - s->offset;
  return true;
}

static int32_t first_id(const comparison *m, int k, const span *s) {
  return m->sides[k].tokens.ids[s->first[k]];
}

static bool is_same(const span *s) {
  return s->n[0] == 1 && s->n[1] == 1;
}

static void count(comparison *m) {
  for (span s = {0}; next_span(m, &s);) {
    if (!is_same(&s)) {
      m->n_spans++;
      m->n_span_bytes += s.n_bytes;
      continue;
    }
    m->n_same++;
    if (first_id(m, 0, &s) == first_id(m, 1, &s)) continue;
    if (m->n_other_ids++ == 0) m->first_other_id = s.offset;
  }
}

/* ---- for people ------------------------------------------------------------------------------ */

static void print_side(const comparison *m, int k) {
  const side *s = &m->sides[k];
  char n[32], vocab[32];
  double per_token = s->tokens.n ? (double)m->n / (double)s->tokens.n : 0;
  printf("%s%c%s  %8s token%s, %5.2f bytes per token, vocabulary %s  %s", cli_sgr(CLI_BOLD),
         'A' + k, cli_sgr(CLI_PLAIN), cli_group_digits(n, (int64_t)s->tokens.n, ' '),
         cli_plural((int64_t)s->tokens.n), per_token,
         cli_group_digits(vocab, limn_tokenizer_vocab_size(s->tokenizer), ' '),
         cli_sgr(CLI_ACCENT));
  cli_print_visible(stdout, s->name, strlen(s->name), 0, 0);
  printf("%s\n", cli_sgr(CLI_PLAIN));
}

/* Tokens with bars between, at most `width` columns. Returns how many they take. */
static int print_tokens(const comparison *m, int k, const span *s, int width) {
  const limn_tokens *tokens = &m->sides[k].tokens;
  int at = 0;
  for (size_t i = s->first[k]; i < s->first[k] + s->n[k]; i++) {
    size_t start = tokens->offsets[i], n = tokens->offsets[i + 1] - start;
    int room = width - at - (i > s->first[k]);
    if (room < 2) break;
    if (i > s->first[k]) at += printf("%s|%s", cli_sgr(CLI_DIM), cli_sgr(CLI_PLAIN)) > 0;
    at += cli_print_visible(stdout, m->text + start, n, 0, room);
  }
  return at;
}

static void print_spans(const comparison *m, int64_t most) {
  int width = (cli_width() - 8 - 6) / 2;
  if (most > 0)
    printf("%s%8s  %-*s  %s%s\n", cli_sgr(CLI_DIM), "byte", width, "A", "B", cli_sgr(CLI_PLAIN));
  for (span s = {0}; most > 0 && next_span(m, &s);) {
    if (is_same(&s)) continue;
    printf("%8zu  ", s.offset);
    printf("%*s", width + 2 - print_tokens(m, 0, &s, width), "");
    print_tokens(m, 1, &s, width);
    putchar('\n');
    most--;
  }
}

static void print_comparison(const comparison *m) {
  char same[32], spans[32], bytes[32], all[32], other[32];
  int64_t most = cli_int(m->c, "most", 20);
  print_side(m, 0);
  print_side(m, 1);
  printf("%s token%s cut alike", cli_group_digits(same, (int64_t)m->n_same, ' '),
         m->n_same == 1 ? " is" : "s are");
  if (m->n_other_ids)
    printf(", %s of them with another id", cli_group_digits(other, (int64_t)m->n_other_ids, ' '));
  printf("; %s place%s with %s of %s bytes %s cut otherwise\n",
         cli_group_digits(spans, (int64_t)m->n_spans, ' '), cli_plural((int64_t)m->n_spans),
         cli_group_digits(bytes, (int64_t)m->n_span_bytes, ' '),
         cli_group_digits(all, (int64_t)m->n, ' '), m->n_spans == 1 ? "is" : "are");
  if (m->n_spans == 0) return;
  print_spans(m, most);
  if ((int64_t)m->n_spans > most)
    printf("%s... and %s more%s\n", cli_sgr(CLI_DIM),
           cli_group_digits(other, (int64_t)m->n_spans - most, ' '), cli_sgr(CLI_PLAIN));
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void put_int(limn_json *j, const char *key, size_t value) {
  limn_json_key(j, key);
  limn_json_int(j, (int64_t)value);
}

static void put_side(limn_json *j, const comparison *m, int k) {
  const side *s = &m->sides[k];
  limn_json_key(j, k ? "b" : "a");
  limn_json_begin_inline_object(j);
  limn_json_key(j, "name");
  limn_json_cstring(j, s->name);
  put_int(j, "vocab_size", (size_t)limn_tokenizer_vocab_size(s->tokenizer));
  put_int(j, "n_tokens", s->tokens.n);
  limn_json_end_object(j);
}

static void put_span(limn_json *j, const comparison *m, const span *s) {
  limn_json_begin_inline_object(j);
  put_int(j, "offset", s->offset);
  put_int(j, "n_bytes", s->n_bytes);
  limn_json_key(j, "text");
  limn_json_string(j, m->text + s->offset, s->n_bytes);
  for (int k = 0; k < 2; k++) {
    const limn_tokens *tokens = &m->sides[k].tokens;
    limn_json_key(j, k ? "b" : "a");
    limn_json_begin_array(j);
    for (size_t i = s->first[k]; i < s->first[k] + s->n[k]; i++) {
      limn_json_begin_object(j);
      put_int(j, "id", (size_t)tokens->ids[i]);
      put_int(j, "offset", tokens->offsets[i]);
      limn_json_end_object(j);
    }
    limn_json_end_array(j);
  }
  limn_json_end_object(j);
}

static int print_json(const comparison *m) {
  limn_json j;
  limn_error err;
  int64_t most = cli_is_given(m->c, "most") ? cli_int(m->c, "most", 0) : INT64_MAX;
  cli_json_begin(&j, &err);
  limn_json_begin_object(&j);
  put_int(&j, "n_bytes", m->n);
  put_side(&j, m, 0);
  put_side(&j, m, 1);
  put_int(&j, "n_same_tokens", m->n_same);
  put_int(&j, "n_other_ids", m->n_other_ids);
  put_int(&j, "n_differing_places", m->n_spans);
  put_int(&j, "n_differing_bytes", m->n_span_bytes);
  limn_json_key(&j, "differences");
  limn_json_begin_array(&j);
  for (span s = {0}; most > 0 && next_span(m, &s);) {
    if (is_same(&s)) continue;
    put_span(&j, m, &s);
    most--;
  }
  limn_json_end_array(&j);
  limn_json_end_object(&j);
  return cli_json_end(m->c, &j);
}

/* ---- the command ----------------------------------------------------------------------------- */

static limn_status open_sides(comparison *m, limn_error *err) {
  limn_special special =
      strcmp(cli_value(m->c, "special"), "allow") == 0 ? LIMN_SPECIAL_ALLOW : LIMN_SPECIAL_AS_TEXT;
  limn_status status = LIMN_OK;
  for (int k = 0; k < 2 && status == LIMN_OK; k++) {
    side *s = &m->sides[k];
    s->name = cli_argument(m->c, k);
    status = cli_open_tokenizer(s->name, &s->tokenizer, err);
    if (status == LIMN_OK)
      status = limn_tokenizer_encode(s->tokenizer, m->text, m->n, special, &s->tokens, err);
  }
  return status;
}

static int run(cli *c) {
  limn_error err;
  comparison m = {.c = c};
  char *text;
  if (cli_read_text_at(c, 2, &text, &m.n, &err) != LIMN_OK) return cli_fail(c, &err);
  m.text = text;
  int result = CLI_OK;
  if (open_sides(&m, &err) != LIMN_OK) {
    result = cli_fail(c, &err);
  } else {
    count(&m);
    if (cli_flag(c, "json"))
      result = print_json(&m);
    else
      print_comparison(&m);
    if (result == CLI_OK && (m.n_spans || m.n_other_ids)) result = CLI_FAILED;
  }
  for (int k = 0; k < 2; k++) {
    limn_tokens_deinit(&m.sides[k].tokens);
    limn_tokenizer_close(m.sides[k].tokenizer);
  }
  limn_free(text);
  return result;
}

const cli_command cli_tokenizer_compare = {
    .name = "tokenizer compare",
    .group = CLI_LOOK,
    .summary = "show where two tokenizers cut a text otherwise",
    .usage = "[OPTION]... A B (TEXT | --file FILE)",
    .description =
        "Encodes a text with both tokenizers and shows how many tokens each needs, how many they "
        "cut alike, and the places where they do not: side by side, with bars between the tokens, "
        "each with its offset in bytes. A and B are gpt2, files or folders of tokenizers, or "
        "models.\n\n"
        "The exit status is 1 when there is a difference, be it the id of a token alone.",
    .options = options,
    .examples = examples,
    .min_arguments = 2,
    .max_arguments = 3,
    .files = "file",
    .run = run,
};
