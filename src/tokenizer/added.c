/*
 * added.c - tokens whose text is looked for before anything else: "<|endoftext|>" and its like.
 *
 * From left to right, where several match at one place, the longest counts. The rules beyond that
 * are those of Hugging Face's library (added_vocabulary.rs): a token that is ignored still hides
 * shorter ones inside it, and white space belongs to the token that asked for it first.
 *
 * The tokens stand in the order of their bytes, so that those that begin like the text at a place
 * are neighbours; each further byte leaves fewer of them.
 */
#include "tokenizer/added.h"

#include "base/utf8.h"
#include "tokenizer/normal.h"
#include "tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>

/* ---- the set ----------------------------------------------------------------------------------
 */

bool limn_added_add(limn_added_set *set, limn_added token) {
  token.at = set->bytes.size;
  if (!limn_bytes_append(&set->bytes, token.text, token.n)) return false;
  if (set->n == set->capacity) {
    size_t capacity = set->capacity ? 2 * set->capacity : 16;
    limn_added *tokens = limn_resize(set->tokens, capacity, sizeof *tokens);
    if (!tokens) return false;
    set->tokens = tokens;
    set->capacity = capacity;
  }
  set->tokens[set->n++] = token;
  return true;
}

static int compare_texts(const void *a, const void *b) {
  const limn_added *x = a, *y = b;
  int order = memcmp(x->text, y->text, x->n < y->n ? x->n : y->n);
  if (order) return order;
  if (x->n != y->n) return x->n < y->n ? -1 : 1;
  return x->at < y->at ? -1 : x->at > y->at;
}

void limn_added_sort(limn_added_set *set) {
  size_t n = 0;
  for (size_t i = 0; i < set->n; i++) {
    if (set->tokens[i].n > set->longest) set->longest = set->tokens[i].n;
    set->tokens[i].text = set->bytes.data + set->tokens[i].at;
    set->starts[(unsigned char)set->tokens[i].text[0]] = true;
  }
  if (set->n > 1) qsort(set->tokens, set->n, sizeof *set->tokens, compare_texts);
  for (size_t i = 0; i < set->n; i++) {
    const limn_added *last = n > 0 ? &set->tokens[n - 1] : NULL, *here = &set->tokens[i];
    bool is_same = last && last->n == here->n && memcmp(last->text, here->text, here->n) == 0;
    set->tokens[is_same ? n - 1 : n++] = *here;
  }
  set->n = n;
}

void limn_added_deinit(limn_added_set *set) {
  limn_free(set->tokens);
  limn_bytes_deinit(&set->bytes);
  *set = (limn_added_set){0};
}

/* The first token of [low, high) whose byte at `depth` is `byte` or more. */
static size_t lower_bound(const limn_added_set *set, size_t low, size_t high, size_t depth,
                          unsigned byte) {
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if ((unsigned char)set->tokens[middle].text[depth] < byte)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

const limn_added *limn_added_longest(const limn_added_set *set, const unsigned char *text,
                                     size_t n) {
  const limn_added *found = NULL;
  size_t low = 0, high = set->n;
  if (n == 0 || !set->starts[text[0]]) return NULL;
  for (size_t depth = 0; depth < n && low < high; depth++) {
    low = lower_bound(set, low, high, depth, text[depth]);
    high = lower_bound(set, low, high, depth, text[depth] + 1u);
    /* The shortest comes first; it is the one that ends here, if any does. */
    if (low < high && set->tokens[low].n == depth + 1) found = &set->tokens[low++];
  }
  return found;
}

/* ---- searching --------------------------------------------------------------------------------
 */

/* The character that ends before `at`, its length; code -1 for none or a bad byte. */
static size_t char_before(const unsigned char *text, size_t at, int32_t *code) {
  for (size_t length = 1; length <= 4 && length <= at; length++) {
    if (limn_utf8_decode(text + at - length, length, code) == length && *code >= 0) return length;
  }
  *code = -1;
  return at > 0;
}

static bool is_word_at(const unsigned char *text, size_t n, size_t at) {
  int32_t code = -1;
  if (at < n) limn_utf8_decode(text + at, n - at, &code);
  return code >= 0 && limn_is_word((uint32_t)code);
}

static bool is_word_before(const unsigned char *text, size_t at) {
  int32_t code;
  char_before(text, at, &code);
  return code >= 0 && limn_is_word((uint32_t)code);
}

static size_t spaces_start(const unsigned char *text, size_t at, size_t least) {
  while (at > least) {
    int32_t code;
    size_t length = char_before(text, at, &code);
    if (code < 0 || !limn_is_space((uint32_t)code)) break;
    at -= length;
  }
  return at > least ? at : least;
}

static size_t spaces_end(const unsigned char *text, size_t n, size_t at) {
  while (at < n) {
    int32_t code;
    size_t length = limn_utf8_decode(text + at, n - at, &code);
    if (code < 0 || !limn_is_space((uint32_t)code)) break;
    at += length;
  }
  return at;
}

const limn_added *limn_added_search_next(const limn_added_set *set, limn_added_search *search,
                                         limn_special special, const unsigned char *text, size_t n,
                                         size_t *start, size_t *end) {
  while (search->at < n) {
    size_t at = search->at;
    const limn_added *token = limn_added_longest(set, text + at, n - at);
    search->at += token ? token->n : 1;
    if (!token || (token->is_special && special == LIMN_SPECIAL_AS_TEXT)) continue;
    *start = at;
    *end = at + token->n;
    if (token->single_word && (is_word_before(text, *start) || is_word_at(text, n, *end))) continue;
    if (token->lstrip)
      *start = *start > search->done ? spaces_start(text, *start, search->done) : search->done;
    if (token->rstrip) *end = spaces_end(text, n, *end);
    if (*start >= *end) continue; /* white space that an earlier token has taken */
    search->done = *end;
    return token;
  }
  return NULL;
}

/* ---- for tokenizers that have only plain special tokens
 * ------------------------------------------
 */

/* The special token whose text stands at `at`, or -1. */
int32_t limn_added_at(const limn_tokenizer *t, const char *text, size_t n, size_t at) {
  const limn_added *token =
      limn_added_longest(&t->specials, (const unsigned char *)text + at, n - at);
  return token ? token->id : -1;
}

size_t limn_added_next(const limn_tokenizer *t, const char *text, size_t n, size_t at) {
  while (at < n && limn_added_at(t, text, n, at) < 0)
    at++;
  return at;
}
