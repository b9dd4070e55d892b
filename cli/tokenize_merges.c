/*
 * tokenize_merges.c - limn tokenize --merges: how the bytes of a word become tokens, merge by
 * merge.
 *
 * At each step the pair of neighbours is merged that training merged first, the one with the lowest
 * rank; among equals the leftmost. What is left when no pair has a rank are the tokens.
 */
#include "tokenizer.h"

#include <string.h>

#define MOST_BYTES 1000 /* of a piece: every step shows all of it */

typedef struct merging {
  const limn_tokenizer *t;
  int32_t ids[MOST_BYTES];
  size_t n;
  size_t place;              /* of the token that the last step made */
  int32_t left, right, rank; /* the last step, rank -1 before the first */
  size_t n_candidates;       /* pairs that could be merged then */
  limn_tokens of_text;       /* what encoding makes of all pieces */
  size_t n_met;              /* of these, before the piece */
  bool is_other;             /* merging made others */
} merging;

/* ---- steps ----------------------------------------------------------------------------------- */

/* Before anything is printed: all pieces can be. */
static limn_status check_pieces(const limn_tokenizer *t, const char *text, size_t n,
                                limn_error *err) {
  for (size_t at = 0, end; at < n; at = end) {
    end = limn_tokenizer_piece_end(t, text, n, at);
    if (end - at > MOST_BYTES)
      return limn_error_set(err, LIMN_ERROR_RANGE, at,
                            "a piece of %zu bytes at byte %zu, expected at most %d to be looked at",
                            end - at, at, MOST_BYTES);
  }
  for (size_t i = 0; i < n; i++)
    if (limn_tokenizer_id(t, text + i, 1) < 0)
      return limn_error_set(err, LIMN_ERROR_UNSUPPORTED, i,
                            "no token for the byte %d alone, expected a byte-level encoding",
                            (unsigned char)text[i]);
  return LIMN_OK;
}

static void start(merging *m, const char *piece, size_t n) {
  for (size_t i = 0; i < n; i++)
    m->ids[i] = limn_tokenizer_id(m->t, piece + i, 1);
  m->n = n;
  m->rank = -1;
}

/* False when no pair can be merged. */
static bool step(merging *m) {
  int32_t result, best = -1;
  m->rank = -1;
  m->n_candidates = 0;
  for (size_t i = 0; i + 1 < m->n; i++) {
    int32_t rank = limn_tokenizer_merge(m->t, m->ids[i], m->ids[i + 1], &result);
    m->n_candidates += rank >= 0;
    if (rank < 0 || (m->rank >= 0 && rank >= m->rank)) continue;
    m->rank = rank;
    m->place = i;
    best = result;
  }
  if (m->rank < 0) return false;
  m->left = m->ids[m->place];
  m->right = m->ids[m->place + 1];
  m->ids[m->place] = best;
  m->n--;
  memmove(m->ids + m->place + 1, m->ids + m->place + 2, (m->n - m->place - 1) * sizeof *m->ids);
  return true;
}

/* Behind the last step: are these the tokens of a text? */
static void meet(merging *m) {
  for (size_t i = 0; i < m->n; i++, m->n_met++)
    if (m->n_met >= m->of_text.n || m->of_text.ids[m->n_met] != m->ids[i]) m->is_other = true;
}

/* ---- for people ------------------------------------------------------------------------------ */

/* The columns taken, at most `room`. */
static int print_token(const limn_tokenizer *t, int32_t id, cli_style style, int room) {
  char *text;
  if (limn_tokenizer_printable(t, id, &text, NULL) != LIMN_OK) return 0;
  fputs(style == CLI_PLAIN ? "" : cli_sgr(style), stdout);
  int width = cli_print_visible(stdout, text, strlen(text), 0, room > 0 ? room : 1);
  fputs(style == CLI_PLAIN ? "" : cli_sgr(CLI_PLAIN), stdout);
  limn_free(text);
  return width;
}

/* The tokens there are now, the new one marked; cut where the line ends. */
static int print_state(const merging *m, int room) {
  int width = 0;
  for (size_t i = 0; i < m->n; i++) {
    bool is_new = m->rank >= 0 && i == m->place;
    if (i > 0) width += printf(" ");
    if (room - width < 4 && i + 1 < m->n) return width + (fputs("…", stdout) >= 0);
    width += print_token(m->t, m->ids[i], is_new ? CLI_GOOD : CLI_PLAIN, room - width);
  }
  return width;
}

static void print_step(const merging *m, int columns) {
  if (m->rank < 0)
    printf("%8s  ", "");
  else
    printf("%s%8d%s  ", cli_sgr(CLI_BOLD), (int)m->rank, cli_sgr(CLI_PLAIN));
  int width = print_state(m, columns);
  if (m->rank >= 0) {
    printf("%*s%s", columns - width + 2 > 2 ? columns - width + 2 : 2, "", cli_sgr(CLI_DIM));
    print_token(m->t, m->left, CLI_PLAIN, 12);
    fputs(" + ", stdout);
    print_token(m->t, m->right, CLI_PLAIN, 12);
    printf(", 1 of %zu%s", m->n_candidates, cli_sgr(CLI_PLAIN));
  }
  putchar('\n');
}

static void print_piece(merging *m, const char *piece, size_t n) {
  start(m, piece, n);
  int most = cli_width() - 10 - 36, columns = (int)(2 * n) < most ? (int)(2 * n) : most;
  if (columns < 10) columns = 10;
  printf("%s%8s  bytes", cli_sgr(CLI_DIM), "rank");
  printf("%*s  merged, of so many pairs that could be%s\n", columns > 5 ? columns - 5 : 0, "",
         cli_sgr(CLI_PLAIN));
  do {
    print_step(m, columns);
  } while (step(m));
  meet(m);
  printf("%8s  ", "");
  for (size_t i = 0; i < m->n; i++) {
    print_token(m->t, m->ids[i], CLI_BOLD, cli_width());
    printf(" %s%d%s%s", cli_sgr(CLI_DIM), (int)m->ids[i], cli_sgr(CLI_PLAIN),
           i + 1 < m->n ? ", " : "\n");
  }
}

static void print_pieces(merging *m, const char *text, size_t n) {
  for (size_t at = 0, end; at < n; at = end) {
    end = limn_tokenizer_piece_end(m->t, text, n, at);
    if (at > 0) putchar('\n');
    print_piece(m, text + at, end - at);
  }
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void put_ids(limn_json *j, const merging *m) {
  limn_json_key(j, "ids");
  limn_json_begin_array(j);
  for (size_t i = 0; i < m->n; i++)
    limn_json_int(j, m->ids[i]);
  limn_json_end_array(j);
}

static void put_step(limn_json *j, const merging *m) {
  const struct {
    const char *key;
    int64_t value;
  } rows[] = {{"rank", m->rank},
              {"left", m->left},
              {"right", m->right},
              {"result", m->ids[m->place]},
              {"place", (int64_t)m->place},
              {"n_candidates", (int64_t)m->n_candidates}};
  limn_json_begin_inline_object(j);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    limn_json_key(j, rows[i].key);
    limn_json_int(j, rows[i].value);
  }
  put_ids(j, m);
  limn_json_end_object(j);
}

static void put_piece(limn_json *j, merging *m, const char *piece, size_t n) {
  start(m, piece, n);
  limn_json_begin_object(j);
  limn_json_key(j, "piece");
  limn_json_string(j, piece, n);
  limn_json_key(j, "bytes");
  limn_json_begin_inline_array(j);
  for (size_t i = 0; i < n; i++)
    limn_json_int(j, m->ids[i]);
  limn_json_end_array(j);
  limn_json_key(j, "steps");
  limn_json_begin_array(j);
  while (step(m))
    put_step(j, m);
  meet(m);
  limn_json_end_array(j);
  limn_json_end_object(j);
}

/* ---- the view -------------------------------------------------------------------------------- */

static int print_json(const cli *c, merging *m, const char *text, size_t n) {
  limn_json j;
  limn_error err;
  cli_json_begin(&j, &err);
  limn_json_begin_object(&j);
  limn_json_key(&j, "pieces");
  limn_json_begin_array(&j);
  for (size_t at = 0; at < n;) {
    size_t end = limn_tokenizer_piece_end(m->t, text, n, at);
    put_piece(&j, m, text + at, end - at);
    at = end;
  }
  limn_json_end_array(&j);
  limn_json_end_object(&j);
  return cli_json_end(c, &j);
}

int cli_tokenize_merges(const cli *c, const limn_tokenizer *t, const char *text) {
  merging m = {.t = t};
  limn_error err;
  size_t n = strlen(text);
  limn_status status = check_pieces(t, text, n, &err);
  if (status == LIMN_OK)
    status = limn_tokenizer_encode(t, text, n, LIMN_SPECIAL_AS_TEXT, &m.of_text, &err);
  if (status != LIMN_OK) return cli_fail(c, &err);
  int result = CLI_OK;
  if (cli_flag(c, "json"))
    result = print_json(c, &m, text, n);
  else
    print_pieces(&m, text, n);
  if (m.is_other || m.n_met != m.of_text.n)
    cli_note(c, "as a text \"%s\" has other tokens: this tokenizer does more with one than merge",
             text);
  limn_tokens_deinit(&m.of_text);
  return result;
}
