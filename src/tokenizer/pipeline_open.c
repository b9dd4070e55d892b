/*
 * pipeline_open.c - the long way from text to ids (pipeline.c) for a text that comes in chunks.
 *
 *     chunks --(added tokens, steps that change)--> changed
 *            --(added tokens again)--> --(steps that change before the first that cuts)--> pieces
 *            --(steps that cut)--> --(merging)--> ids
 *
 * At each of the three arrows something waits that bytes still to come could change, and what is
 * before it goes on to the next:
 *
 *   - bytes that may begin an added token, and characters with which what follows may compose:
 *     a text can be brought into its form in parts that begin with a character that joins nothing
 *     (normal.c);
 *   - of the changed text, again what may begin an added token;
 *   - pieces from the first on that the pattern, or the expression, could end elsewhere.
 *
 * A part between added tokens ends all of its waiting. What was before the place where cutting goes
 * on is kept as far as a pattern or an expression looks back.
 */
#include "base/utf8.h"
#include "tokenizer/pipeline_run.h"
#include "tokenizer/unicode.h"

#include <string.h>

typedef limn_pipeline_run run;
typedef limn_pipeline_stream stream;

/* The patterns may look back at the character in which a piece begins. */
#define LOOK_BACK 4

/* Pieces up to this long are looked at again with every chunk; longer ones when they have grown by
 * a quarter. */
#define SHORT_WAIT 256

static limn_status no_memory(const run *r) {
  return limn_out_of_memory(r->err, "a text that waits");
}

/* ---- which pipelines can ------------------------------------------------------------------------
 */

static bool has_flags(const limn_added_set *set) {
  for (size_t i = 0; i < set->n; i++) {
    const limn_added *token = &set->tokens[i];
    if (token->single_word || token->lstrip || token->rstrip) return true;
  }
  return false;
}

static bool is_prefix(const limn_step *step) {
  return step->kind == LIMN_STEP_PREPEND || step->kind == LIMN_STEP_PREPEND_ONCE ||
         step->kind == LIMN_STEP_PREPEND_FIRST;
}

/* Whether what begins with it is known from the first character. */
static bool is_short_prefix(const limn_step *step) {
  int32_t code;
  return step->kind == LIMN_STEP_PREPEND ||
         (step->n_text > 0 &&
          limn_utf8_decode((const unsigned char *)step->text, step->n_text, &code) == step->n_text);
}

/* Whether a step changes each character for itself, or puts something before the first. */
static bool is_local(const limn_step *step) {
  if (is_prefix(step)) return is_short_prefix(step);
  return step->kind == LIMN_STEP_LOWER || step->kind == LIMN_STEP_WITHOUT_MARKS ||
         step->kind == LIMN_STEP_VISIBLE ||
         (step->kind == LIMN_STEP_REPLACE && limn_regex_is_char(step->regex));
}

static bool is_simple(const limn_pipeline *p) {
  const limn_sp_normal *normal = &p->sp_normal;
  return !normal->remove_extra_whitespaces && normal->n_trie == 0 && p->sp.symbols.n == 0;
}

/* What replaces a character may join what is before it, which a form behind it would see. */
static bool can_change_in_parts(const limn_pipeline *p) {
  bool has_replaced = false;
  for (size_t i = 0; i < p->n_normal; i++) {
    const limn_step *step = &p->normal[i];
    bool is_form = step->kind == LIMN_STEP_FORM;
    has_replaced = has_replaced || step->kind == LIMN_STEP_REPLACE;
    if (is_form                                 ? has_replaced
        : step->kind == LIMN_STEP_SENTENCEPIECE ? !is_simple(p)
                                                : !is_local(step))
      return false;
  }
  return true;
}

static bool cuts(const limn_step *step) {
  return step->kind >= LIMN_STEP_PATTERN;
}

static size_t first_cut(const limn_pipeline *p) {
  size_t k = 0;
  while (k < p->n_cuts && !cuts(&p->cuts[k]))
    k++;
  return k;
}

bool limn_pipeline_streams(const limn_pipeline *p) {
  size_t k = first_cut(p);
  bool can_cut = k < p->n_cuts || (!p->is_byte_level && p->sp.cuts_words);
  for (size_t i = 0; i < k; i++)
    can_cut = can_cut && is_local(&p->cuts[i]);
  return can_cut && can_change_in_parts(p) && !has_flags(&p->before) && !has_flags(&p->after);
}

void limn_pipeline_stream_deinit(stream *s) {
  limn_mapped_deinit(&s->changed);
  limn_mapped_deinit(&s->pieces);
  *s = (stream){0};
}

/* ---- pieces -------------------------------------------------------------------------------------
 */

/* Takes away what is done, all but what may be looked back at. */
static void drop_pieces(const run *r, stream *s, size_t k) {
  const limn_step *step = k < r->p->n_cuts ? &r->p->cuts[k] : NULL;
  size_t kept =
      step && step->kind == LIMN_STEP_REGEX ? limn_regex_look_back(step->regex) : LOOK_BACK;
  size_t from = s->done > kept ? s->done - kept : 0;
  while (from > 0 && (s->pieces.text[from] & 0xc0) == 0x80)
    from--;
  if (from == 0) return;
  s->pieces.n -= from;
  memmove(s->pieces.text, s->pieces.text + from, s->pieces.n);
  memmove(s->pieces.map, s->pieces.map + from, s->pieces.n * sizeof *s->pieces.map);
  s->done -= from;
}

static limn_status cut_by_pattern(run *r, size_t k, limn_view v, bool is_open, size_t *at) {
  const limn_tokenizer only = {.pattern = r->p->cuts[k].pattern};
  limn_status status = LIMN_OK;
  while (status == LIMN_OK && *at < v.n) {
    bool is_settled;
    size_t end = limn_split_piece(&only, v.text, v.n, *at, &is_settled);
    if (is_open && !is_settled) break;
    status = limn_pipeline_cut(r, k + 1, limn_view_part(v, *at, end));
    *at = end;
  }
  return status;
}

static bool is_word_start(limn_view v, size_t at) {
  static const char mark[] = "\xe2\x96\x81"; /* U+2581 */
  return v.n - at >= 3 && memcmp(v.text + at, mark, 3) == 0 &&
         (at < 3 || memcmp(v.text + at - 3, mark, 3) != 0);
}

/* Vocabularies whose words are on their own: all before the last beginning of one is settled. */
static limn_status cut_words(run *r, limn_view v, bool is_open, size_t *at) {
  size_t end = v.n;
  while (is_open && end > *at && (end == v.n || !is_word_start(v, end)))
    end--;
  if (end == *at) return LIMN_OK;
  limn_view words = limn_view_part(v, *at, end);
  *at = end;
  return limn_sentencepiece_encode(&r->p->sp, &r->row, words, r->out, r->err);
}

static limn_status cut_pieces(run *r, stream *s, size_t k, bool is_open) {
  limn_view v = limn_mapped_view(&s->pieces);
  if (k == r->p->n_cuts) {
    if (!r->p->is_byte_level) return cut_words(r, v, is_open, &s->done);
    limn_status status = limn_pipeline_cut(r, k, limn_view_part(v, s->done, v.n));
    s->done = v.n;
    return status;
  }
  if (r->p->cuts[k].kind != LIMN_STEP_PATTERN)
    return limn_pipeline_cut_matches(r, k, v, is_open, &s->done, &s->is_match_end);
  return limn_pipeline_is_last_pattern(r, k) ? limn_pipeline_merge_open(r, v, is_open, &s->done)
                                             : cut_by_pattern(r, k, v, is_open, &s->done);
}

/* The steps before the first that cuts; what they give waits with the rest of the pieces. */
static limn_status append_pieces(run *r, stream *s, size_t k, limn_view v) {
  limn_status status = LIMN_OK;
  if (v.n == 0) return LIMN_OK;
  r->has_begun = s->in_piece;
  for (size_t i = 0; status == LIMN_OK && i < k; i++)
    status = limn_pipeline_change(r, &r->searches[i], &r->p->cuts[i], &v, &r->pieces[i]);
  r->has_begun = false;
  s->in_piece = true;
  if (status == LIMN_OK && !limn_mapped_append_view(&s->pieces, v)) return no_memory(r);
  return status;
}

static limn_status take_pieces(run *r, stream *s, limn_view v, bool is_open) {
  size_t k = first_cut(r->p);
  limn_status status = append_pieces(r, s, k, v);
  if (status != LIMN_OK || (is_open && s->pieces.n - s->done < s->enough)) return status;
  if (s->pieces.n > s->done) status = cut_pieces(r, s, k, is_open);
  if (status != LIMN_OK) return status;
  if (is_open) {
    size_t waiting = s->pieces.n - s->done;
    s->enough = waiting < SHORT_WAIT ? 0 : waiting + waiting / 4;
    drop_pieces(r, s, k);
    return LIMN_OK;
  }
  s->pieces.n = s->done = s->enough = 0;
  s->in_piece = s->is_match_end = false;
  return LIMN_OK;
}

/* ---- added tokens -------------------------------------------------------------------------------
 */

/*
 * The next token that counts, at *at; or NULL, and *at is where the text ends, or where a token
 * could begin that is not all there.
 */
static const limn_added *next_token(const run *r, const limn_added_set *set, limn_view v,
                                    bool is_open, size_t *at) {
  size_t kept = is_open && set->longest > 0 ? set->longest - 1 : 0;
  while (*at + kept < v.n) {
    const limn_added *token = limn_added_longest(set, v.text + *at, v.n - *at);
    if (token && !(token->is_special && r->special == LIMN_SPECIAL_AS_TEXT)) return token;
    *at += token ? token->n : 1;
  }
  return NULL;
}

/* The last place up to `at` that is no inside of a character. */
static size_t char_start(limn_view v, size_t at) {
  for (size_t start = at; start < v.n && at - start < 4; start--) {
    if ((v.text[start] & 0xc0) != 0x80) return start;
    if (start == 0) break;
  }
  return at;
}

static limn_status push_token(run *r, const limn_added *token, size_t origin) {
  if (token->is_special && r->special == LIMN_SPECIAL_REFUSE)
    return limn_pipeline_refuse(r, token, origin);
  return limn_tokens_push(r->out, token->id, origin, r->err);
}

/* The changed text: up to what may begin a token it goes on. */
static limn_status take_changed(run *r, stream *s, bool is_open) {
  const limn_added_set *set = &r->p->after;
  limn_view v = limn_mapped_view(&s->changed);
  size_t done = 0, at = s->changed_seen;
  limn_status status = LIMN_OK;
  for (;;) {
    const limn_added *token = next_token(r, set, v, is_open, &at);
    size_t end = token ? at : char_start(v, at);
    if (end < done) end = done;
    status = take_pieces(r, s, limn_view_part(v, done, end), is_open && !token);
    done = end;
    if (status != LIMN_OK || !token) break;
    status = push_token(r, token, limn_view_origin(v, at));
    done = at += token->n;
    if (status != LIMN_OK) break;
  }
  s->changed.n = is_open ? v.n - done : 0;
  s->changed_seen = is_open ? at - done : 0;
  if (s->changed.n > 0 && done > 0) {
    memmove(s->changed.text, v.text + done, s->changed.n);
    memmove(s->changed.map, v.map + done, s->changed.n * sizeof *s->changed.map);
  }
  return status;
}

/* ---- changing -----------------------------------------------------------------------------------
 */

static bool has_step(const limn_pipeline *p, limn_step_kind kind) {
  for (size_t i = 0; i < p->n_normal; i++) {
    if (p->normal[i].kind == kind) return true;
  }
  return false;
}

static bool is_mark_at(limn_view v, size_t at) {
  int32_t code;
  limn_utf8_decode(v.text + at, v.n - at, &code);
  if (code < 0) return false;
  limn_category c = limn_category_of((uint32_t)code);
  return c >= LIMN_MC && c <= LIMN_MN;
}

/* Where a character begins that is not all there; or the end. */
static size_t whole_characters(limn_view v) {
  for (size_t at = v.n; at > 0 && v.n - at < 3;) {
    int32_t code;
    if ((v.text[--at] & 0xc0) == 0x80) continue;
    limn_utf8_decode(v.text + at, v.n - at, &code);
    return code < 0 ? at : v.n;
  }
  return v.n;
}

/* Up to where the steps of p->normal give what they give for the whole text. */
static size_t settled(const limn_pipeline *p, limn_view v) {
  if (!has_step(p, LIMN_STEP_FORM)) return whole_characters(v);
  size_t at = limn_form_boundary(v.text, v.n);
  while (at > 0 && has_step(p, LIMN_STEP_WITHOUT_MARKS) && is_mark_at(v, at))
    at = limn_form_boundary(v.text, at);
  return at;
}

/* Takes what is settled of a part: *taken bytes of it. */
static limn_status take_part(run *r, stream *s, limn_view v, bool is_open, size_t *taken) {
  *taken = is_open ? settled(r->p, v) : v.n;
  limn_view changed = limn_view_part(v, 0, *taken);
  limn_status status = LIMN_OK;
  if (changed.n > 0) {
    r->has_begun = s->in_part;
    status = limn_pipeline_normalize_view(r, &changed);
    r->has_begun = false;
    s->in_part = s->in_part || changed.n > 0;
    if (status == LIMN_OK && !limn_mapped_append_view(&s->changed, changed)) return no_memory(r);
  }
  if (status == LIMN_OK && (!is_open || s->changed.n > 0)) status = take_changed(r, s, is_open);
  if (!is_open) s->in_part = false;
  return status;
}

static limn_status take_text(run *r, stream *s, limn_view v, bool is_open, size_t *taken) {
  size_t done = 0, at = s->seen, used;
  limn_status status = LIMN_OK;
  if (is_open && v.n < s->raw_enough) return LIMN_OK;
  while (status == LIMN_OK) {
    const limn_added *token = next_token(r, &r->p->before, v, is_open, &at);
    status = take_part(r, s, limn_view_part(v, done, at), is_open && !token, &used);
    done += used;
    if (status != LIMN_OK || !token) break;
    status = push_token(r, token, limn_view_origin(v, at));
    done = at += token->n;
  }
  *taken = done;
  s->seen = at > done ? at - done : 0;
  size_t waiting = v.n - done;
  s->raw_enough = waiting < SHORT_WAIT ? 0 : waiting + waiting / 4;
  return status;
}

/* Where the token stands that comes next, as far as it is known. */
static size_t next_origin(const stream *s) {
  if (s->done < s->pieces.n) return s->pieces.map[s->done];
  return s->changed.n > 0 ? s->changed.map[0] : s->offset;
}

limn_status limn_pipeline_encode_open(limn_encoder *e, stream *s, const char *text, size_t n,
                                      bool is_open, limn_special special, limn_tokens *out,
                                      size_t *taken, limn_error *err) {
  limn_view v = {(const unsigned char *)text, n, NULL, s->offset};
  *taken = 0;
  limn_status status = limn_pipeline_prepare(e, special, err);
  if (status != LIMN_OK) return status;
  e->run->out = out;
  status = take_text(e->run, s, v, is_open, taken);
  s->offset += *taken;
  /* One more push makes room for the end of the last token. */
  if (status == LIMN_OK) status = limn_tokens_push(out, -1, next_origin(s), err);
  if (status == LIMN_OK) out->n--;
  return status;
}
