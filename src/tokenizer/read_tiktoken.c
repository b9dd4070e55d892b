/*
 * read_tiktoken.c - files of ranks, as tiktoken has them: a line for each token, its bytes in
 * base64 (RFC 4648, section 4) and its rank, which is its id.
 *
 * There are no merges. Two neighbours merge when their bytes together are a token, the one of least
 * rank first, and a piece that is a token as a whole is that token. build.c says how merges follow;
 * where merging the bytes of every token gives that token, the last rule says nothing new.
 */
#include "base/file.h"
#include "tokenizer/base64.h"
#include "tokenizer/build.h"
#include "tokenizer/readers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_BYTES ((size_t)1 << 28)

typedef struct ranks {
  const char *path;
  const limn_encoding *encoding;
  limn_bytes bytes; /* of all tokens; room for them was made at the start */
  limn_bytes texts; /* of special tokens, likewise */
  limn_entries entries;
  size_t n_tokens;
  bool has_second; /* some special token has two texts */
  limn_error *err;
} ranks;

/* ---- a line -----------------------------------------------------------------------------------
 */

static limn_status malformed(const ranks *r, size_t line, size_t offset, const char *what) {
  return limn_error_set(r->err, LIMN_ERROR_FORMAT, offset, "\"%s\": line %zu %s", r->path, line,
                        what);
}

static bool read_rank(const char *text, size_t n, int64_t *out) {
  return n > 0 && n < 10 && text[0] != '-' && limn_parse_int(text, n, out);
}

static limn_status read_line(ranks *r, const char *line, size_t n, size_t number, size_t offset) {
  const char *space = memchr(line, ' ', n);
  size_t n_text = space ? (size_t)(space - line) : n, at = r->bytes.size;
  int64_t rank = 0;
  if (!space || !limn_base64_decode(line, n_text, &r->bytes))
    return malformed(r, number, offset, "does not begin with bytes in base64 and a space");
  if (!read_rank(space + 1, n - n_text - 1, &rank))
    return malformed(r, number, offset + n_text + 1, "does not end with a rank");
  limn_status status = limn_entries_set(&r->entries, r->bytes.data + at, r->bytes.size - at, rank,
                                        LIMN_TOKEN_NORMAL, r->err);
  r->n_tokens += status == LIMN_OK;
  return status;
}

static limn_status check_count(const ranks *r) {
  size_t wanted = (size_t)r->encoding->n_ranks;
  if (wanted == 0 || r->n_tokens == wanted) return LIMN_OK;
  return limn_error_set(r->err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
                        "\"%s\" has %zu tokens, expected the %zu of %s", r->path, r->n_tokens,
                        wanted, r->encoding->name);
}

/* A last line that means nothing and does not end is what is left of a file that was cut off: how
   much is missing says more than what is wrong with it. */
static limn_status read_lines(ranks *r, const char *text, size_t n) {
  limn_status status = LIMN_OK;
  for (size_t at = 0, number = 1; status == LIMN_OK && at < n; number++) {
    const char *line = text + at, *end = memchr(line, '\n', n - at);
    size_t size = end ? (size_t)(end - line) : n - at, offset = at;
    at += size + 1;
    if (size > 0 && line[size - 1] == '\r') size--;
    if (size > 0) status = read_line(r, line, size, number, offset);
    if (status == LIMN_ERROR_FORMAT && !end) check_count(r);
  }
  return status;
}

/* ---- special tokens ---------------------------------------------------------------------------
 */

/* The text of the i-th of a row of special tokens, kept in r->texts. */
static limn_status special_text(ranks *r, const limn_encoding_special *s, int32_t i,
                                const char **out, size_t *n) {
  char text[64];
  const char *place = strstr(s->text, "%d");
  int size = place ? snprintf(text, sizeof text, "%.*s%d%s", (int)(place - s->text), s->text,
                              (int)(s->first + i), place + 2)
                   : snprintf(text, sizeof text, "%s", s->text);
  *n = (size_t)size;
  *out = r->texts.data + r->texts.size;
  if (limn_bytes_append(&r->texts, text, *n)) return LIMN_OK;
  return limn_out_of_memory(r->err, "special tokens");
}

static size_t count_specials(const limn_encoding *encoding) {
  size_t n = 0;
  for (const limn_encoding_special *s = encoding->specials; s->text; s++)
    n += (size_t)s->count;
  return n;
}

/* Calls `each` with every special token. */
static limn_status for_specials(ranks *r, limn_tokenizer *t,
                                limn_status (*each)(ranks *, limn_tokenizer *, const char *, size_t,
                                                    int32_t)) {
  limn_status status = LIMN_OK;
  for (const limn_encoding_special *s = r->encoding->specials; s->text; s++) {
    for (int32_t i = 0; i < s->count && status == LIMN_OK; i++) {
      const char *text;
      size_t n;
      status = special_text(r, s, i, &text, &n);
      if (status == LIMN_OK) status = each(r, t, text, n, s->id + i);
    }
  }
  return status;
}

/* An id with two texts is decoded to the first; both are looked for. */
static limn_status add_special(ranks *r, limn_tokenizer *t, const char *text, size_t n,
                               int32_t id) {
  (void)t;
  const limn_entry *e = id < r->entries.limit ? &r->entries.by_id[id] : NULL;
  bool is_second = e && e->text && e->kind == LIMN_TOKEN_SPECIAL;
  r->has_second = r->has_second || is_second;
  if (is_second) return LIMN_OK;
  return limn_entries_set(&r->entries, text, n, id, LIMN_TOKEN_SPECIAL, r->err);
}

static limn_status look_for_special(ranks *r, limn_tokenizer *t, const char *text, size_t n,
                                    int32_t id) {
  limn_added token = {.text = text, .n = n, .id = id, .is_special = true};
  if (limn_added_add(&t->pipeline->before, token)) return LIMN_OK;
  return limn_out_of_memory(r->err, "special tokens");
}

/* ---- the tokenizer ----------------------------------------------------------------------------
 */

static bool symbols_of(const void *user, int32_t id, limn_row *row) {
  const limn_tokenizer *t = user;
  size_t n;
  const char *bytes = limn_tokenizer_bytes(t, id, &n);
  for (size_t i = 0; i < n; i++) {
    if (!limn_row_push(row, t->byte_ids[(unsigned char)bytes[i]], i)) return false;
  }
  return true;
}

limn_status limn_build_from_ranks(limn_tokenizer *t, limn_error *err) {
  limn_pairs pairs = {0};
  size_t n_unreachable = 0;
  int32_t *order = limn_resize(NULL, (size_t)t->vocab_size, sizeof *order);
  if (!order) return limn_out_of_memory(err, "a table of merges");
  for (int32_t id = 0; id < t->vocab_size; id++)
    order[id] = t->kinds[id] == LIMN_TOKEN_NORMAL ? id : -1;
  limn_status status =
      limn_pairs_from_ranks(&pairs, order, t->vocab_size, symbols_of, t, &n_unreachable, err);
  if (status == LIMN_OK) status = limn_build_merges(t, &pairs, err);
  t->whole_pieces = n_unreachable > 0;
  limn_pairs_deinit(&pairs);
  limn_free(order);
  return status;
}

/* Two lines with the same bytes leave one of their ids without a place in the table of bytes. */
static limn_status check_twice(const ranks *r, const limn_tokenizer *t) {
  for (int32_t id = 0; id < t->vocab_size; id++) {
    size_t n;
    const char *bytes = limn_tokenizer_bytes(t, id, &n);
    int32_t same = bytes ? limn_tokenizer_id(t, bytes, n) : id;
    if (same != id && t->kinds[id] == LIMN_TOKEN_NORMAL)
      return limn_error_set(r->err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
                            "\"%s\": tokens %d and %d are the same bytes", r->path, (int)same,
                            (int)id);
  }
  return LIMN_OK;
}

static limn_status check_bytes(const ranks *r, const limn_tokenizer *t) {
  int missing = limn_missing_byte(t);
  if (missing < 0) return LIMN_OK;
  return limn_error_set(r->err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
                        "\"%s\": no token for the byte %d, expected all 256", r->path, missing);
}

/* What is more than a pattern and merges goes the long way. */
static limn_status add_pipeline(ranks *r, limn_tokenizer *t) {
  limn_pipeline *p = t->pipeline = limn_pipeline_new();
  if (!p) return limn_out_of_memory(r->err, "a tokenizer");
  limn_status status = for_specials(r, t, look_for_special);
  limn_added_sort(&p->before);
  if (r->encoding->is_nfc) p->normal[p->n_normal++] = (limn_step){.kind = LIMN_STEP_FORM};
  p->cuts[p->n_cuts++] = (limn_step){.kind = LIMN_STEP_PATTERN, .pattern = t->pattern};
  p->is_byte_level = true;
  return status;
}

static limn_status build(ranks *r, limn_tokenizer *t) {
  limn_status status = limn_build_vocabulary(t, &r->entries, LIMN_WRITING_BYTES, r->err);
  if (status == LIMN_OK) status = check_bytes(r, t);
  if (status == LIMN_OK) status = check_twice(r, t);
  if (status == LIMN_OK) status = limn_build_from_ranks(t, r->err);
  t->pattern = r->encoding->pattern;
  if (status == LIMN_OK && (r->encoding->is_nfc || r->has_second)) status = add_pipeline(r, t);
  return status;
}

static limn_status read_file(ranks *r, const limn_file *file, limn_tokenizer *t) {
  size_t n_lines = 1, n_specials = count_specials(r->encoding);
  if (file->size > MOST_BYTES)
    return limn_error_set(r->err, LIMN_ERROR_RANGE, MOST_BYTES,
                          "\"%s\" has %zu bytes, more than the %zu allowed", r->path, file->size,
                          MOST_BYTES);
  for (size_t i = 0; i < file->size; i++)
    n_lines += file->data[i] == '\n';
  limn_status status =
      limn_entries_init(&r->entries, r->path, (int64_t)(n_lines + n_specials) + 256, r->err);
  if (status == LIMN_OK && (!limn_bytes_reserve(&r->bytes, file->size + 1) ||
                            !limn_bytes_reserve(&r->texts, n_specials * 128 + 1)))
    status = limn_out_of_memory(r->err, "a vocabulary");
  if (status == LIMN_OK) status = read_lines(r, (const char *)file->data, file->size);
  if (status == LIMN_OK) status = check_count(r);
  if (status == LIMN_OK) status = for_specials(r, NULL, add_special);
  return status == LIMN_OK ? build(r, t) : status;
}

bool limn_looks_like_ranks(const unsigned char *data, size_t n) {
  size_t at = 0, line = n < 4096 ? n : 4096;
  while (at < line && (limn_base64_value((char)data[at]) >= 0 || data[at] == '='))
    at++;
  return at > 0 && at + 1 < n && data[at] == ' ' && data[at + 1] >= '0' && data[at + 1] <= '9';
}

limn_status limn_tokenizer_read_ranks(const char *path, const limn_encoding *encoding,
                                      const limn_file *file, limn_tokenizer *t, limn_error *err) {
  ranks r = {.path = path, .encoding = encoding, .err = err};
  limn_status status = read_file(&r, file, t);
  limn_entries_deinit(&r.entries);
  limn_bytes_deinit(&r.bytes);
  limn_bytes_deinit(&r.texts);
  return status;
}
