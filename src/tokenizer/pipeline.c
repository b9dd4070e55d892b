/*
 * pipeline.c - the long way from text to ids, for tokenizers that are more than a pattern and a
 * table of merges.
 *
 *     text --(added tokens)--> parts --(steps that change)--> parts, changed
 *          --(added tokens again)--> --(steps that cut)--> pieces --(merging)--> ids
 *
 * The stages and what each means are those of Hugging Face's library. A part carries a map from its
 * bytes to those of the text, so that a token knows where it came from. Each step that cuts hands
 * every piece on to the next step at once: nothing is collected, and space is needed only where a
 * step changes a piece.
 */
#include "tokenizer/pipeline.h"

#include "base/utf8.h"
#include "tokenizer/encoder.h"
#include "tokenizer/pipeline_run.h"
#include "tokenizer/unicode.h"

#include <string.h>

limn_pipeline *limn_pipeline_new(void) {
  limn_pipeline *p = limn_alloc_zeroed(1, sizeof *p);
  if (p) limn_sentencepiece_init(&p->sp);
  return p;
}

static void free_steps(limn_step *steps, size_t n) {
  for (size_t i = 0; i < n; i++) {
    limn_regex_close(steps[i].regex);
    limn_free(steps[i].text);
  }
}

void limn_pipeline_free(limn_pipeline *p) {
  if (!p) return;
  limn_added_deinit(&p->before);
  limn_added_deinit(&p->after);
  free_steps(p->normal, p->n_normal);
  free_steps(p->cuts, p->n_cuts);
  limn_sentencepiece_deinit(&p->sp);
  limn_sp_normal_deinit(&p->sp_normal);
  limn_free(p);
}

/* ---- working space -----------------------------------------------------------------------------
 */

typedef limn_pipeline_run run;

static void deinit_run(run *r) {
  limn_normal_deinit(&r->normal);
  limn_regex_space_deinit(&r->space);
  limn_search_deinit(&r->normal_search);
  for (int i = 0; i < 2; i++)
    limn_mapped_deinit(&r->changed[i]);
  for (int i = 0; i < LIMN_MOST_STEPS; i++) {
    limn_mapped_deinit(&r->pieces[i]);
    limn_search_deinit(&r->searches[i]);
  }
  limn_row_deinit(&r->row);
  limn_tokens_deinit(&r->merged);
  limn_tokens_deinit(&r->all);
}

void limn_pipeline_run_free(limn_pipeline_run *r) {
  if (!r) return;
  deinit_run(r);
  limn_free(r);
}

static limn_status no_memory(const run *r) {
  return limn_out_of_memory(r->err, "a text that is normalized");
}

limn_status limn_pipeline_prepare(limn_encoder *e, limn_special special, limn_error *err) {
  if (!e->run) e->run = limn_alloc_zeroed(1, sizeof *e->run);
  run *r = e->run;
  if (!r) return limn_out_of_memory(err, "an encoder");
  r->e = e;
  r->p = e->t->pipeline;
  r->special = special;
  r->err = err;
  r->has_begun = false;
  return LIMN_OK;
}

/* ---- changing -----------------------------------------------------------------------------------
 */

static bool begins_with(limn_view v, const limn_step *step) {
  return v.n >= step->n_text && memcmp(v.text, step->text, step->n_text) == 0;
}

static bool wants_prefix(const run *r, limn_view v, const limn_step *step) {
  if (v.n == 0 || r->has_begun) return false;
  if (step->kind == LIMN_STEP_PREPEND) return true;
  if (step->kind == LIMN_STEP_PREPEND_FIRST && limn_view_origin(v, 0) != 0) return false;
  return !begins_with(v, step);
}

static limn_status prepend(run *r, const limn_step *step, limn_view *v, limn_mapped *out) {
  if (!wants_prefix(r, *v, step)) return LIMN_OK;
  if (!limn_mapped_append(out, step->text, step->n_text, limn_view_origin(*v, 0)) ||
      !limn_mapped_append_view(out, *v))
    return no_memory(r);
  *v = limn_mapped_view(out);
  return LIMN_OK;
}

/* What replaces a match comes from where the match begins. */
static limn_status replace(run *r, limn_search *search, const limn_step *step, limn_view *v,
                           limn_mapped *out) {
  size_t start, end, done = 0;
  bool found;
  limn_status status = limn_search_start(search, step->regex, v->text, v->n, r->err);
  while (status == LIMN_OK) {
    status = limn_search_next(search, &r->space, &found, &start, &end, r->err);
    if (status != LIMN_OK || !found) break;
    size_t origin = start < v->n ? limn_view_origin(*v, start)
                    : v->n > 0   ? limn_view_origin(*v, v->n - 1) + 1
                                 : v->base;
    if (!limn_mapped_append_view(out, limn_view_part(*v, done, start)) ||
        !limn_mapped_append(out, step->text, step->n_text, origin))
      return no_memory(r);
    done = end;
  }
  if (status != LIMN_OK || (done == 0 && out->n == 0)) return status;
  if (!limn_mapped_append_view(out, limn_view_part(*v, done, v->n))) return no_memory(r);
  *v = limn_mapped_view(out);
  return LIMN_OK;
}

static limn_status bring_into_form(run *r, limn_form form, limn_view *v, limn_mapped *out) {
  if (limn_form_holds(form, v->text, v->n)) return LIMN_OK;
  if (!limn_form_append(&r->normal, form, *v, out)) return no_memory(r);
  *v = limn_mapped_view(out);
  return LIMN_OK;
}

/* Changes that need nothing but the text; an empty one is none. */
static limn_status change_chars(run *r, bool (*append)(limn_view, limn_mapped *), limn_view *v,
                                limn_mapped *out) {
  if (!limn_mapped_append(out, "", 0, 0) || !append(*v, out)) return no_memory(r);
  *v = limn_mapped_view(out);
  return LIMN_OK;
}

static limn_status normalize_pieces(run *r, limn_view *v, limn_mapped *out) {
  limn_sp_normal normal = r->p->sp_normal;
  normal.add_dummy_prefix = normal.add_dummy_prefix && !r->has_begun;
  if (!limn_sp_normalize(&normal, &r->p->sp.symbols, *v, out)) return no_memory(r);
  *v = limn_mapped_view(out);
  return LIMN_OK;
}

static limn_status make_visible(run *r, limn_view *v, limn_mapped *out) {
  for (size_t i = 0; i < v->n; i++) {
    unsigned char visible[4];
    size_t n = limn_utf8_encode(limn_byte_to_printable(v->text[i]), visible);
    if (!limn_mapped_append(out, visible, n, limn_view_origin(*v, i))) return no_memory(r);
  }
  *v = limn_mapped_view(out);
  return LIMN_OK;
}

limn_status limn_pipeline_change(run *r, limn_search *search, const limn_step *step, limn_view *v,
                                 limn_mapped *out) {
  out->n = 0;
  if (step->kind == LIMN_STEP_FORM) return bring_into_form(r, step->form, v, out);
  if (step->kind == LIMN_STEP_LOWER) return change_chars(r, limn_lower_append, v, out);
  if (step->kind == LIMN_STEP_WITHOUT_MARKS)
    return change_chars(r, limn_without_marks_append, v, out);
  if (step->kind == LIMN_STEP_REPLACE) return replace(r, search, step, v, out);
  if (step->kind == LIMN_STEP_SENTENCEPIECE) return normalize_pieces(r, v, out);
  if (step->kind == LIMN_STEP_VISIBLE) return make_visible(r, v, out);
  return prepend(r, step, v, out);
}

limn_status limn_pipeline_normalize_view(run *r, limn_view *v) {
  int which = 0;
  for (size_t i = 0; i < r->p->n_normal; i++) {
    limn_mapped *out = &r->changed[which];
    limn_status status = limn_pipeline_change(r, &r->normal_search, &r->p->normal[i], v, out);
    if (status != LIMN_OK) return status;
    if (v->text == out->text) which = 1 - which;
  }
  return LIMN_OK;
}

limn_status limn_pipeline_normalize(const limn_pipeline *p, const char *text, size_t n,
                                    limn_mapped *out, limn_error *err) {
  run r = {.p = p, .err = err};
  limn_view v = {(const unsigned char *)text, n, NULL, 0};
  limn_status status = limn_pipeline_normalize_view(&r, &v);
  if (status == LIMN_OK && !limn_mapped_append_view(out, v)) status = no_memory(&r);
  deinit_run(&r);
  return status;
}

/* ---- cutting ------------------------------------------------------------------------------------
 */

/* Merges parts as the behavior asks, and hands them on; `part` waits for its neighbour. */
typedef struct joiner {
  run *r;
  size_t k;
  limn_view v;
  limn_behavior behavior;
  size_t start, end;
  bool has_part, is_match;
  bool is_match_end; /* a match ends where the part that waits begins */
} joiner;

static limn_status hand_on(joiner *j) {
  bool has_part = j->has_part && j->end > j->start;
  j->has_part = false;
  if (!has_part) return LIMN_OK;
  return limn_pipeline_cut(j->r, j->k + 1, limn_view_part(j->v, j->start, j->end));
}

/* Whether the part joins the one that waits. */
static bool joins(const joiner *j, bool is_match) {
  if (!j->has_part) return false;
  if (j->behavior == LIMN_CONTIGUOUS) return is_match == j->is_match;
  if (j->behavior == LIMN_MERGED_WITH_PREVIOUS) return is_match && !j->is_match;
  if (j->behavior == LIMN_MERGED_WITH_NEXT) return !is_match && j->is_match;
  return false;
}

static limn_status add_part(joiner *j, size_t start, size_t end, bool is_match) {
  bool is_wanted = !(j->behavior == LIMN_REMOVED && is_match);
  if (joins(j, is_match)) {
    j->end = end;
    j->is_match = is_match;
    return LIMN_OK;
  }
  limn_status status = hand_on(j);
  j->start = start;
  j->end = end;
  j->is_match = is_match;
  j->has_part = is_wanted;
  return status;
}

static bool is_wanted_char(const limn_step *step, int32_t code) {
  if (code < 0) return false;
  limn_char_class class = limn_char_class_of((uint32_t)code);
  if (step->kind == LIMN_STEP_NUMBERS) return class == LIMN_CHAR_NUMBER;
  return class == LIMN_CHAR_PUNCT || (code > ' ' && code < 127 && class == LIMN_CHAR_SYMBOL);
}

/* The next character from `at` on that is looked for; each is a match of its own. */
static void find_char(const limn_step *step, limn_view v, size_t at, bool *found, size_t *start,
                      size_t *end) {
  *found = false;
  for (size_t length; at < v.n; at += length) {
    int32_t code;
    length = limn_utf8_decode(v.text + at, v.n - at, &code);
    if (!is_wanted_char(step, code)) continue;
    *found = true;
    *start = at;
    *end = at + length;
    return;
  }
}

static limn_status find_match(joiner *j, const limn_step *step, size_t at, bool *found,
                              size_t *start, size_t *end) {
  run *r = j->r;
  if (step->kind == LIMN_STEP_REGEX)
    return limn_search_next(&r->searches[j->k], &r->space, found, start, end, r->err);
  find_char(step, j->v, at, found, start, end);
  return LIMN_OK;
}

/* Adds a part, and remembers whether a match ends where the one that now waits begins. */
static limn_status add_after(joiner *j, size_t start, size_t end, bool is_match,
                             bool is_match_end) {
  limn_status status = add_part(j, start, end, is_match);
  if (j->start == start) j->is_match_end = is_match_end;
  return status;
}

limn_status limn_pipeline_cut_matches(run *r, size_t k, limn_view v, bool is_open, size_t *at,
                                      bool *is_match_end) {
  const limn_step *step = &r->p->cuts[k];
  joiner j = {.r = r, .k = k, .v = v, .behavior = step->behavior};
  limn_search *search = &r->searches[k];
  size_t start, end, done = *at;
  bool found = true, after = *is_match_end;
  limn_status status = LIMN_OK;
  if (step->kind == LIMN_STEP_REGEX) {
    status = limn_search_start(search, step->regex, v.text, v.n, r->err);
    search->is_open = is_open;
    if (status == LIMN_OK) limn_search_from(search, done, after);
  }
  while (status == LIMN_OK && found) {
    status = find_match(&j, step, done, &found, &start, &end);
    /* An assertion that stands at the end asks for nothing behind it and so seems to be settled. */
    if (status != LIMN_OK || !found || (is_open && end == v.n)) break;
    bool is_behind = start == done && after;
    if (start > done) status = add_after(&j, done, start, step->invert, after);
    if (status == LIMN_OK) status = add_after(&j, start, end, !step->invert, is_behind);
    done = end;
    after = true;
  }
  if (is_open) {
    *at = j.has_part ? j.start : done;
    *is_match_end = j.has_part ? j.is_match_end : after;
    return status;
  }
  *at = v.n;
  if (status == LIMN_OK && done < v.n) status = add_part(&j, done, v.n, step->invert);
  return status == LIMN_OK ? hand_on(&j) : status;
}

static limn_status cut_by_pattern(run *r, size_t k, limn_pattern pattern, limn_view v) {
  limn_status status = LIMN_OK;
  for (size_t at = 0, end; status == LIMN_OK && at < v.n; at = end) {
    end = limn_split_next(pattern, v.text, v.n, at);
    status = limn_pipeline_cut(r, k + 1, limn_view_part(v, at, end));
  }
  return status;
}

/* Puts what was merged behind the other tokens, with the places that its bytes came from. */
static limn_status append_merged(run *r, limn_view v) {
  limn_status status = LIMN_OK;
  for (size_t i = 0; status == LIMN_OK && i < r->merged.n; i++)
    status = limn_tokens_push(r->out, r->merged.ids[i], limn_view_origin(v, r->merged.offsets[i]),
                              r->err);
  return status;
}

limn_status limn_pipeline_merge_open(run *r, limn_view v, bool is_open, size_t *at) {
  limn_encoder *e = r->e;
  r->merged.n = 0;
  limn_encoder_into(e, (limn_sink){.tokens = &r->merged, .start = *at});
  limn_status status = e->loop->run(e, v.text, v.n, is_open, at, r->err);
  if (status == LIMN_OK) status = limn_encoder_flush(e, r->err);
  return status == LIMN_OK ? append_merged(r, v) : status;
}

/* Merges a piece, or all pieces of a text that the tokenizer's pattern makes. */
static limn_status merge_bytes(run *r, limn_view v, bool is_piece) {
  limn_encoder *e = r->e;
  size_t at = 0;
  if (!is_piece) return limn_pipeline_merge_open(r, v, false, &at);
  r->merged.n = 0;
  limn_encoder_into(e, (limn_sink){.tokens = &r->merged});
  limn_status status = limn_encoder_piece(e, v.text, v.n, r->err);
  if (status == LIMN_OK) status = limn_encoder_flush(e, r->err);
  return status == LIMN_OK ? append_merged(r, v) : status;
}

bool limn_pipeline_is_last_pattern(const run *r, size_t k) {
  const limn_step *step = &r->p->cuts[k];
  return k + 1 == r->p->n_cuts && step->kind == LIMN_STEP_PATTERN && r->p->is_byte_level &&
         step->pattern == r->e->t->pattern;
}

/* The steps from the k-th on, and at last merging. */
limn_status limn_pipeline_cut(run *r, size_t k, limn_view v) {
  if (v.n == 0) return LIMN_OK;
  if (k == r->p->n_cuts) {
    if (r->p->is_byte_level) return merge_bytes(r, v, true);
    return limn_sentencepiece_encode(&r->p->sp, &r->row, v, r->out, r->err);
  }
  if (limn_pipeline_is_last_pattern(r, k)) return merge_bytes(r, v, false);
  const limn_step *step = &r->p->cuts[k];
  size_t at = 0;
  bool is_match_end = false;
  switch (step->kind) {
  case LIMN_STEP_PATTERN:
    return cut_by_pattern(r, k, step->pattern, v);
  case LIMN_STEP_REGEX:
  case LIMN_STEP_NUMBERS:
  case LIMN_STEP_PUNCTUATION:
    return limn_pipeline_cut_matches(r, k, v, false, &at, &is_match_end);
  default:
    break;
  }
  limn_status status = limn_pipeline_change(r, &r->searches[k], step, &v, &r->pieces[k]);
  return status == LIMN_OK ? limn_pipeline_cut(r, k + 1, v) : status;
}

/* ---- added tokens -------------------------------------------------------------------------------
 */

limn_status limn_pipeline_refuse(const run *r, const limn_added *token, size_t origin) {
  return limn_error_set(r->err, LIMN_ERROR_ARGUMENT, origin,
                        "special token \"%.*s\" at byte %zu of the text, where none is allowed",
                        token->n > 200 ? 200 : (int)token->n, token->text, origin);
}

/* Where the i-th byte of a part was, the end of the part included. */
static size_t origin_of(limn_view v, size_t i) {
  if (i < v.n) return limn_view_origin(v, i);
  return v.map && v.n > 0 ? v.map[v.n - 1] + 1 : v.base + v.n;
}

/* Calls `rest` for what lies between the tokens of a set, and appends these. */
static limn_status take_added(run *r, const limn_added_set *set, limn_view v,
                              limn_status (*rest)(run *, limn_view)) {
  limn_added_search search = {0};
  size_t done = 0, start, end;
  limn_status status = LIMN_OK;
  while (status == LIMN_OK) {
    const limn_added *token =
        limn_added_search_next(set, &search, r->special, v.text, v.n, &start, &end);
    if (!token) break;
    if (token->is_special && r->special == LIMN_SPECIAL_REFUSE)
      return limn_pipeline_refuse(r, token, origin_of(v, start));
    if (start > done) status = rest(r, limn_view_part(v, done, start));
    if (status == LIMN_OK)
      status = limn_tokens_push(r->out, token->id, origin_of(v, start), r->err);
    done = end;
  }
  if (status == LIMN_OK && done < v.n) status = rest(r, limn_view_part(v, done, v.n));
  return status;
}

static limn_status cut_part(run *r, limn_view v) {
  return limn_pipeline_cut(r, 0, v);
}

static limn_status change_part(run *r, limn_view v) {
  limn_status status = limn_pipeline_normalize_view(r, &v);
  return status == LIMN_OK ? take_added(r, &r->p->after, v, cut_part) : status;
}

/* Hands on the ids alone, as far as there is room for them. */
static limn_status push_ids(limn_encoder *e, const limn_tokens *all, limn_error *err) {
  limn_status status = LIMN_OK;
  for (size_t i = 0; status == LIMN_OK && i < all->n && !e->sink.is_full; i++)
    status = limn_encoder_push(e, all->ids[i], err);
  if (!e->sink.tokens)
    e->sink.end = all->offsets[all->n < e->sink.capacity ? all->n : e->sink.capacity];
  return status;
}

limn_status limn_pipeline_encode(limn_encoder *e, const char *text, size_t n, limn_special special,
                                 limn_error *err) {
  limn_sink sink = e->sink;
  limn_view v = {(const unsigned char *)text, n, NULL, 0};
  limn_status status = limn_pipeline_prepare(e, special, err);
  if (status != LIMN_OK) return status;
  run *r = e->run;
  bool is_direct = sink.tokens && !sink.no_offsets;
  r->out = is_direct ? sink.tokens : &r->all;
  r->all.n = 0;
  status = take_added(r, &r->p->before, v, change_part);
  limn_encoder_into(e, sink);
  /* One more push makes room for the end of the last token. */
  if (status == LIMN_OK) status = limn_tokens_push(r->out, -1, n, err);
  if (status != LIMN_OK) return status;
  r->out->n--;
  return is_direct ? LIMN_OK : push_ids(e, &r->all, err);
}
