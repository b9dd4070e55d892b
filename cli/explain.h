/*
 * explain.h - what limn explain finds out about one text, for the terminal, JSON and figures alike.
 */
#ifndef LIMN_CLI_EXPLAIN_H
#define LIMN_CLI_EXPLAIN_H

#include "run.h"

#include <limn/analysis.h>

/* The sections, and what each is made from. */
typedef enum cli_section {
  CLI_SECTION_TOKENS,
  CLI_SECTION_NEXT,
  CLI_SECTION_ATTENTION,
  CLI_SECTION_LENS,
  CLI_SECTION_ATTRIBUTION,
  CLI_N_SECTIONS
} cli_section;

typedef struct cli_section_info {
  const char *title;
  const char *says;  /* for a learner, one or two sentences */
  const char *hooks; /* what it is made from; "" for none */
  const char *file;  /* where the command below writes the hooks */
} cli_section_info;

extern const cli_section_info cli_sections[CLI_N_SECTIONS];

typedef struct explanation {
  const cli *c;
  const cli_model *m;
  const limn_config *config;
  cli_session s;
  int32_t *ids;    /* (n) the tokens that were run */
  int n;           /* the newest of them is the one explained */
  int n_given;     /* tokens of the text */
  int n_dropped;   /* tokens before the window, with --overflow slide */
  int32_t next_id; /* what stands behind the explained position, -1 at the end of the text */

  const float *logits; /* (vocab_size) of the newest position */
  double *probabilities;
  double entropy;            /* nats */
  double *log_probabilities; /* (n) of each token under the ones before it; NaN for the first */

  int n_top;
  int32_t *top; /* (n_top) ids, likeliest first */
  int32_t target;
  int32_t rival; /* the likeliest other token; -1 in a vocabulary of one */

  limn_attention *attention;

  limn_lens *lens;
  int n_depths;
  int32_t *lens_top;          /* (n_depths, n_top) */
  double *lens_probabilities; /* (n_depths, n_top) */
  double *lens_target;        /* (n_depths) the target's probability */
  int64_t *lens_rank;         /* (n_depths) the target's rank, from 0 */

  limn_attribution *attribution;
  int n_components;
  double *contributions; /* (n_components) to the target's logit */
  double *differences;   /* (n_components) to that logit less the rival's */
  int *order;            /* (n_components) largest contribution first, by size */
  double sum, sum_of_differences;
} explanation;

/* Reads the options, opens the session, finds the tokens. On failure there is nothing to free. */
limn_status explain_open(explanation *e, const cli *c, const cli_model *m, limn_error *err);
/* Runs the text and fills everything in. */
limn_status explain_run(explanation *e, limn_error *err);
void explain_close(explanation *e);

/* "the embeddings", "layer 3" ... Returns `out`. */
char *explain_depth_name(int depth, char out[32]);
/*
 * The command that makes a section's numbers again, for a shell, from limn_alloc; NULL without
 * memory. With a limit, a text of more bytes is written as TEXT, and of many ids only the first
 * ones; beyond `width` columns (0 for none) it continues on a second line.
 */
char *explain_command(const explanation *e, const char *hooks, const char *file, size_t limit,
                      size_t width);

/* The terminal. */
void explain_print_heading(const explanation *e);
void explain_print_tokens(const explanation *e);
void explain_print(const explanation *e);
/* The numbers. */
void explain_write_json(const explanation *e, limn_json *j);
limn_status explain_write_folder(const explanation *e, const char *folder, limn_error *err);

/* The figures of a folder, each as PNG and SVG. */
limn_status explain_write_figures(const explanation *e, const char *folder, limn_error *err);

#endif
