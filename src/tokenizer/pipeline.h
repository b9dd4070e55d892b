/*
 * pipeline.h - inside the library: tokenizers that change texts before they cut them, cut in more
 * than one way, or whose symbols are characters.
 */
#ifndef LIMN_SRC_TOKENIZER_PIPELINE_H
#define LIMN_SRC_TOKENIZER_PIPELINE_H

#include "tokenizer/added.h"
#include "tokenizer/normal.h"
#include "tokenizer/regex.h"
#include "tokenizer/sentencepiece.h"
#include "tokenizer/sentencepiece_normal.h"
#include "tokenizer/tokenizer.h"

/* What becomes of what a step finds, in the words of tokenizer.json. */
typedef enum limn_behavior {
  LIMN_ISOLATED = 0,
  LIMN_REMOVED,
  LIMN_CONTIGUOUS,
  LIMN_MERGED_WITH_PREVIOUS,
  LIMN_MERGED_WITH_NEXT
} limn_behavior;

typedef enum limn_step_kind {
  /* steps that change a text */
  LIMN_STEP_FORM = 0, /* into `form` */
  LIMN_STEP_LOWER,
  LIMN_STEP_WITHOUT_MARKS,
  LIMN_STEP_PREPEND,       /* `text` before a text that is not empty */
  LIMN_STEP_PREPEND_ONCE,  /* before one that does not begin with it */
  LIMN_STEP_PREPEND_FIRST, /* the same, at the beginning of everything only */
  LIMN_STEP_REPLACE,       /* `regex` by `text` */
  LIMN_STEP_SENTENCEPIECE, /* all that a .model says of it: `sp_normal` */
  LIMN_STEP_VISIBLE,       /* each byte as GPT-2's visible character */
  /* steps that cut it */
  LIMN_STEP_PATTERN, /* by `pattern` */
  LIMN_STEP_REGEX,
  LIMN_STEP_NUMBERS,    /* characters of category N */
  LIMN_STEP_PUNCTUATION /* characters of category P, and ASCII's punctuation */
} limn_step_kind;

typedef struct limn_step {
  limn_step_kind kind;
  limn_behavior behavior;
  bool invert;
  limn_form form;
  limn_pattern pattern;
  limn_regex *regex;
  char *text;
  size_t n_text;
} limn_step;

#define LIMN_MOST_STEPS 32

typedef struct limn_pipeline {
  limn_added_set before, after; /* looked for before and after the text is changed */
  limn_step normal[LIMN_MOST_STEPS], cuts[LIMN_MOST_STEPS];
  size_t n_normal, n_cuts;
  bool is_byte_level;    /* pieces are merged as bytes */
  bool has_visible;      /* the vocabulary is of visible characters, whether or not they are */
  limn_sentencepiece sp; /* where it is not */
  limn_sp_normal sp_normal;
} limn_pipeline;

limn_pipeline *limn_pipeline_new(void);
void limn_pipeline_free(limn_pipeline *p);

/* The text as the steps of p->normal leave it, in `out`. MEMORY, RANGE. */
limn_status limn_pipeline_normalize(const limn_pipeline *p, const char *text, size_t n,
                                    limn_mapped *out, limn_error *err);

/* Encodes a text into the sink of an encoder. MEMORY, ARGUMENT (a refused special token), RANGE. */
struct limn_encoder;
limn_status limn_pipeline_encode(struct limn_encoder *e, const char *text, size_t n,
                                 limn_special special, limn_error *err);

/*
 * What a text that comes in chunks has waiting (pipeline_open.c). Start from {0}; deinit also
 * starts it anew.
 */
typedef struct limn_pipeline_stream {
  limn_mapped changed, pieces; /* the changed text, and what is to be cut, from `done` on */
  size_t done;
  size_t offset;             /* of the first byte that was not taken, in the whole text */
  size_t seen, changed_seen; /* bytes in which no added token begins */
  size_t raw_enough, enough; /* how many bytes to wait for before looking once more */
  bool in_part, in_piece;    /* the part between added tokens has begun: nothing goes before it */
  bool is_match_end;
} limn_pipeline_stream;

void limn_pipeline_stream_deinit(limn_pipeline_stream *s);
/* Whether anything of a text is settled before its end. */
bool limn_pipeline_streams(const limn_pipeline *p);
/*
 * Appends the tokens that are settled to `out`; `text` is what was not taken so far, of which
 * *taken bytes are taken now, all at the end of the text. MEMORY, ARGUMENT, RANGE; the stream is
 * then of no further use.
 */
limn_status limn_pipeline_encode_open(struct limn_encoder *e, limn_pipeline_stream *s,
                                      const char *text, size_t n, bool is_open,
                                      limn_special special, limn_tokens *out, size_t *taken,
                                      limn_error *err);

/* Working space, which an encoder keeps between texts. */
typedef struct limn_pipeline_run limn_pipeline_run;
void limn_pipeline_run_free(limn_pipeline_run *run);

#endif
