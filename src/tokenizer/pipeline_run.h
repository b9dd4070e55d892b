/*
 * pipeline_run.h - inside the library: the steps of a pipeline, for what runs over whole texts
 * (pipeline.c) and over texts that are not at their end (pipeline_open.c).
 */
#ifndef LIMN_SRC_TOKENIZER_PIPELINE_RUN_H
#define LIMN_SRC_TOKENIZER_PIPELINE_RUN_H

#include "tokenizer/encoder.h"
#include "tokenizer/pipeline.h"

struct limn_pipeline_run {
  limn_encoder *e; /* NULL where nothing is encoded */
  const limn_pipeline *p;
  limn_special special;
  limn_tokens *out;
  limn_error *err;
  bool has_begun; /* the text has begun elsewhere: nothing is put in front of it */
  limn_normal normal;
  limn_regex_space space;
  limn_search normal_search;
  limn_mapped changed[2];              /* one is read while the other is written */
  limn_mapped pieces[LIMN_MOST_STEPS]; /* of the steps that cut */
  limn_search searches[LIMN_MOST_STEPS];
  limn_row row;
  limn_tokens merged; /* of one piece */
  limn_tokens all;    /* of a text whose ids alone are wanted */
};

/* Makes e->run ready. MEMORY. */
limn_status limn_pipeline_prepare(limn_encoder *e, limn_special special, limn_error *err);

/* One step that changes; *v is then what it was or what was written to `out`. */
limn_status limn_pipeline_change(limn_pipeline_run *r, limn_search *search, const limn_step *step,
                                 limn_view *v, limn_mapped *out);
/* All steps of p->normal; *v is then what it was or lies in r->changed. */
limn_status limn_pipeline_normalize_view(limn_pipeline_run *r, limn_view *v);

/* The steps that cut from the k-th on, and at last merging. */
limn_status limn_pipeline_cut(limn_pipeline_run *r, size_t k, limn_view v);
/*
 * The k-th, which looks for matches, from *at on; what stands before may be looked at. Where the
 * text is open, *at and *is_match_end are then where, and how, to go on with more of it.
 */
limn_status limn_pipeline_cut_matches(limn_pipeline_run *r, size_t k, limn_view v, bool is_open,
                                      size_t *at, bool *is_match_end);
/* Whether the k-th is the tokenizer's pattern and nothing but merging comes behind it. */
bool limn_pipeline_is_last_pattern(const limn_pipeline_run *r, size_t k);
/* Cuts by that pattern from *at on and merges; *at is then behind what is settled. */
limn_status limn_pipeline_merge_open(limn_pipeline_run *r, limn_view v, bool is_open, size_t *at);

/* ARGUMENT, naming the token and its place. */
limn_status limn_pipeline_refuse(const limn_pipeline_run *r, const limn_added *token,
                                 size_t origin);

#endif
