/*
 * sentencepiece_normal.c - what SentencePiece does to a text before it merges (Kudo and Richardson
 * 2018, section 3.2; normalizer.cc).
 *
 * A model may bring a table of replacements (such as "nmt_nfkc"): the longest text of the table
 * that stands at a place is replaced. The table is a trie in a double array (Aoe 1989; the layout
 * is that of the library darts-clone): a node is found from its parent by adding, or here combining
 * by exclusive or, the parent's offset and the byte. Nothing in it is trusted: every step is held
 * against the size of the array.
 */
#include "tokenizer/sentencepiece_normal.h"

#include "base/reader.h"
#include "base/utf8.h"

#include <string.h>

static const char mark[] = "\xe2\x96\x81"; /* U+2581 */

void limn_sp_normal_deinit(limn_sp_normal *s) {
  limn_free(s->trie);
  limn_free(s->replacements);
  *s = (limn_sp_normal){0};
}

limn_status limn_sp_normal_set_map(limn_sp_normal *s, const char *where, const void *map, size_t n,
                                   limn_error *err) {
  limn_reader r = limn_reader_of(map, n);
  uint32_t size = limn_read_u32(&r);
  size_t left = limn_reader_left(&r);
  if (r.failed || size % 4 != 0 || size == 0 || size >= left || ((const char *)map)[n - 1] != '\0')
    return limn_error_set(err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
                          "%s: \"precompiled_charsmap\" of %zu bytes is not a trie of %u bytes and "
                          "texts that end with a NUL",
                          where, n, (unsigned)size);
  s->n_trie = size / 4;
  s->n_replacements = left - size;
  s->trie = limn_resize(NULL, s->n_trie, sizeof *s->trie);
  s->replacements = limn_alloc(s->n_replacements);
  if (!s->trie || !s->replacements) return limn_out_of_memory(err, "a table of replacements");
  for (size_t i = 0; i < s->n_trie; i++)
    s->trie[i] = limn_read_u32(&r);
  memcpy(s->replacements, limn_read_bytes(&r, s->n_replacements), s->n_replacements);
  return LIMN_OK;
}

/* ---- the trie ---------------------------------------------------------------------------------
 */

static size_t offset_of(uint32_t unit) {
  return (size_t)(unit >> 10) << ((unit & 1u << 9) >> 6);
}

/* The length of the longest text of the table at the beginning, and what replaces it. */
static size_t find_replacement(const limn_sp_normal *s, const unsigned char *text, size_t n,
                               const char **out) {
  size_t longest = 0, node = s->n_trie > 0 ? offset_of(s->trie[0]) : 0;
  for (size_t i = 0; i < n && s->n_trie > 0; i++) {
    node ^= text[i];
    if (node >= s->n_trie) break;
    uint32_t unit = s->trie[node];
    if ((unit & (1u << 31 | 0xff)) != text[i]) break;
    node ^= offset_of(unit);
    bool has_leaf = unit >> 8 & 1;
    if (!has_leaf || node >= s->n_trie) continue;
    size_t place = s->trie[node] & 0x7fffffffu;
    if (place >= s->n_replacements) continue;
    longest = i + 1;
    *out = s->replacements + place;
  }
  return longest;
}

/* ---- the text ---------------------------------------------------------------------------------
 */

/* What stands at the beginning: a symbol, a replacement, a character or a byte. */
typedef struct part {
  size_t length; /* in the text */
  const char *text;
  size_t n;
  bool is_plain; /* a character or a byte that stays */
} part;

static part next_part(const limn_sp_normal *s, const limn_added_set *symbols,
                      const unsigned char *text, size_t n) {
  const limn_added *symbol = limn_added_longest(symbols, text, n);
  if (symbol) return (part){symbol->n, (const char *)text, symbol->n, false};
  const char *replacement;
  size_t length = find_replacement(s, text, n, &replacement);
  if (length > 0) return (part){length, replacement, strlen(replacement), false};
  int32_t code;
  length = limn_utf8_decode(text, n, &code);
  return (part){length, (const char *)text, length, true};
}

static bool append_space(const limn_sp_normal *s, limn_mapped *out, size_t origin) {
  return s->escape_whitespaces ? limn_mapped_append(out, mark, 3, origin)
                               : limn_mapped_append(out, " ", 1, origin);
}

/* A byte that stays comes from itself; those of a replacement or a symbol from where it begins. */
static bool append_part(const limn_sp_normal *s, part p, limn_view v, size_t at, limn_mapped *out) {
  for (size_t i = 0; i < p.n; i++) {
    size_t origin = limn_view_origin(v, p.is_plain ? at + i : at);
    bool is_done = p.text[i] == ' ' ? append_space(s, out, origin)
                                    : limn_mapped_append(out, p.text + i, 1, origin);
    if (!is_done) return false;
  }
  return true;
}

static size_t skip_spaces(const limn_sp_normal *s, const limn_added_set *symbols, limn_view v) {
  size_t at = 0;
  while (at < v.n) {
    part p = next_part(s, symbols, v.text + at, v.n - at);
    if (p.n != 1 || *p.text != ' ') break;
    at += p.length;
  }
  return at;
}

static void remove_trailing(const limn_sp_normal *s, limn_mapped *out, size_t least) {
  const char *space = s->escape_whitespaces ? mark : " ";
  size_t n = strlen(space);
  while (out->n - least >= n && memcmp(out->text + out->n - n, space, n) == 0)
    out->n -= n;
}

bool limn_sp_normalize(const limn_sp_normal *s, const limn_added_set *symbols, limn_view v,
                       limn_mapped *out) {
  size_t at = s->remove_extra_whitespaces ? skip_spaces(s, symbols, v) : 0, least = out->n;
  bool was_space = s->remove_extra_whitespaces;
  if (!limn_mapped_append(out, "", 0, 0)) return false;
  if (at == v.n) return true;
  if (s->add_dummy_prefix && !append_space(s, out, limn_view_origin(v, at))) return false;
  while (at < v.n) {
    part p = next_part(s, symbols, v.text + at, v.n - at);
    while (was_space && p.n > 0 && *p.text == ' ') {
      p.text++;
      p.n--;
    }
    if (!append_part(s, p, v, at, out)) return false;
    if (p.n > 0) was_space = s->remove_extra_whitespaces && p.text[p.n - 1] == ' ';
    at += p.length;
  }
  if (s->remove_extra_whitespaces) remove_trailing(s, out, least);
  return true;
}
