/*
 * explain.c - one pass over a text with the observers that explain it.
 *
 * Attention looks back only, so a prediction is explained from the tokens up to its position: what
 * stands behind it is not run at all. One evaluate call serves all sections.
 */
#include "explain.h"

#include <math.h>
#include <string.h>

const cli_section_info cli_sections[CLI_N_SECTIONS] = {
    [CLI_SECTION_TOKENS] = {"Tokens",
                            "What the model reads: pieces of the text, each a number of its "
                            "vocabulary. Expected: the probability that the model gave a token "
                            "before it saw it.",
                            "hook_tokens", "tokens.safetensors"},
    [CLI_SECTION_NEXT] = {"Next token",
                          "What the model expects after the last token: the softmax of its logits.",
                          "ln_final.hook_normalized", "next.safetensors"},
    [CLI_SECTION_ATTENTION] =
        {"Attention",
         "Where each head looks: rows are queries from the first token down, "
         "columns the keys they look back at. The first key has its own scale, "
         "because heads with nothing to do rest there.",
         "blocks.*.attn.hook_pattern", "attention.safetensors"},
    [CLI_SECTION_LENS] = {"Logit lens",
                          "What the model would say if it stopped there: final norm and "
                          "unembedding applied to the residual stream after each layer.",
                          "blocks.0.hook_resid_pre,blocks.*.hook_resid_post", "lens.safetensors"},
    [CLI_SECTION_ATTRIBUTION] = {"Which parts said it",
                                 "The logit as a sum over the parts of the model, with the final "
                                 "norm's scale held fixed (direct logit attribution).",
                                 "*embed,*.hook_result,*_out,ln_final.hook_scale",
                                 "parts.safetensors"}};

char *explain_depth_name(int depth, char out[32]) {
  if (depth == 0)
    snprintf(out, 32, "embeddings");
  else
    snprintf(out, 32, "layer %d", depth - 1);
  return out;
}

/* ---- the command that makes it again ------------------------------------------------------------
 */

/* A string that grows; once memory is out it stays NULL. */
typedef struct line {
  char *text;
  size_t n;
  bool failed;
} line;

static void add(line *l, const char *text, size_t n) {
  char *grown = l->failed ? NULL : limn_resize(l->text, l->n + n + 1, 1);
  if (!grown) {
    limn_free(l->text);
    *l = (line){.failed = true};
    return;
  }
  memcpy(grown + l->n, text, n);
  l->text = grown;
  l->n += n;
  grown[l->n] = '\0';
}

static void add_text(line *l, const char *text) {
  add(l, text, strlen(text));
}

/* As the shell reads it back: quoted unless it is plain. */
static void add_quoted(line *l, const char *text) {
  static const char plain[] =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./,-:@%+";
  if (*text && strspn(text, plain) == strlen(text)) {
    add_text(l, text);
    return;
  }
  add_text(l, "'");
  for (; *text; text++) {
    if (*text == '\'')
      add_text(l, "'\\''");
    else
      add(l, text, 1);
  }
  add_text(l, "'");
}

/* The text as it was given, where all of it was run and can be seen: what drives a terminal must
   not reach one inside a quoted text. Else the ids. */
static void add_input(line *l, const explanation *e, size_t limit) {
  const char *text = cli_argument(e->c, 0), *file = cli_value(e->c, "file");
  bool is_whole = e->n == e->n_given;
  if (text && is_whole && cli_is_visible(text, strlen(text))) {
    if (*text == '-') add_text(l, "-- ");
    if (limit && strlen(text) > limit)
      add_text(l, "TEXT");
    else
      add_quoted(l, text);
    return;
  }
  if (file && is_whole && strcmp(file, "-") != 0) {
    add_text(l, "--file ");
    add_quoted(l, file);
    return;
  }
  add_text(l, "--ids ");
  size_t before = l->n;
  for (int i = 0; i < e->n; i++) {
    char number[24];
    snprintf(number, sizeof number, "%s%d", i ? "," : "", (int)e->ids[i]);
    add_text(l, number);
    if (limit && l->n > before + limit && i + 1 < e->n) {
      add_text(l, ",...");
      return;
    }
  }
}

char *explain_command(const explanation *e, const char *hooks, const char *file, size_t limit,
                      size_t width) {
  line l = {0};
  add_text(&l, "limn trace");
  if (cli_is_given(e->c, "model")) {
    add_text(&l, " -m ");
    add_quoted(&l, cli_value(e->c, "model"));
  }
  static const char *const others[] = {"weights", "compute"};
  for (int i = 0; i < 2; i++) {
    if (!cli_is_given(e->c, others[i])) continue;
    add_text(&l, " --");
    add_text(&l, others[i]);
    add_text(&l, " ");
    add_text(&l, cli_value(e->c, others[i]));
  }
  for (int i = 0; cli_list_at(e->c, "edit", i); i++) {
    add_text(&l, " -e ");
    add_quoted(&l, cli_list_at(e->c, "edit", i));
  }
  add_text(&l, " --hooks ");
  add_quoted(&l, hooks);
  size_t before = l.n;
  add_text(&l, " -o ");
  add_quoted(&l, file);
  add_text(&l, " ");
  add_input(&l, e, limit);
  if (width && l.n > width && !l.failed) {
    line broken = {0};
    add(&broken, l.text, before);
    add_text(&broken, " \\\n          ");
    add_text(&broken, l.text + before + 1);
    limn_free(l.text);
    l = broken;
  }
  return l.text;
}

/* ---- opening ------------------------------------------------------------------------------------
 */

/* Cuts the tokens to those up to --position, and to the window with --overflow slide. */
static limn_status choose_tokens(explanation *e, limn_error *err) {
  int64_t position = cli_int(e->c, "position", -1), n = e->n_given;
  if (position < -n || position >= n)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "option --position has %lld, the text has %lld token%s (0 to %lld)",
                          (long long)position, (long long)n, cli_plural(n), (long long)n - 1);
  e->n = (int)(position < 0 ? n + position : position) + 1;
  e->next_id = e->n < e->n_given ? e->ids[e->n] : -1;
  int window = e->config->n_ctx;
  if (e->n <= window) return LIMN_OK;
  if (strcmp(cli_value(e->c, "overflow"), "slide") != 0)
    return limn_error_set(err, LIMN_ERROR_CONTEXT, LIMN_NO_OFFSET,
                          "%d tokens do not fit into the context window of %d; --overflow slide "
                          "takes the newest, --position explains an earlier one",
                          e->n, window);
  e->n_dropped = e->n - window;
  memmove(e->ids, e->ids + e->n_dropped, (size_t)window * sizeof *e->ids);
  e->n = window;
  return LIMN_OK;
}

static limn_status check_place(const explanation *e, const char *option, int count,
                               limn_error *err) {
  int64_t i = cli_int(e->c, option, 0);
  if (i < count) return LIMN_OK;
  return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                        "option --%s has %lld, the model has %d (0 to %d)", option, (long long)i,
                        count, count - 1);
}

static limn_status open_watchers(explanation *e, limn_error *err) {
  limn_session_options options = {.n_ctx = e->n, .all_logits = true};
  limn_status status = cli_open_session(e->c, e->m, options, &e->s, err);
  if (status == LIMN_OK) status = limn_attention_new(e->s.session, e->n, &e->attention, err);
  if (status == LIMN_OK) status = limn_lens_new(e->s.session, e->n, &e->lens, err);
  if (status == LIMN_OK) status = limn_attribution_new(e->s.session, -1, &e->attribution, err);
  return status;
}

limn_status explain_open(explanation *e, const cli *c, const cli_model *m, limn_error *err) {
  size_t n;
  *e = (explanation){.c = c, .m = m, .config = limn_model_config(m->model), .next_id = -1};
  limn_status status = check_place(e, "layer", e->config->n_layer, err);
  if (status == LIMN_OK) status = check_place(e, "head", e->config->n_head, err);
  if (status == LIMN_OK) status = cli_find_token(c, m, "target", &e->target, err);
  if (status == LIMN_OK) status = cli_read_tokens(c, m, &e->ids, &n, err);
  if (status == LIMN_OK && n > INT32_MAX)
    status = limn_error_set(err, LIMN_ERROR_CONTEXT, LIMN_NO_OFFSET,
                            "%zu tokens are more than limn counts", n);
  if (status == LIMN_OK) {
    e->n_given = (int)n;
    status = choose_tokens(e, err);
  }
  if (status == LIMN_OK) status = open_watchers(e, err);
  if (status != LIMN_OK) explain_close(e);
  return status;
}

void explain_close(explanation *e) {
  limn_attention_free(e->attention);
  limn_lens_free(e->lens);
  limn_attribution_free(e->attribution);
  cli_close_session(&e->s);
  limn_free(e->ids);
  limn_free(e->probabilities);
  limn_free(e->log_probabilities);
  limn_free(e->top);
  limn_free(e->lens_top);
  limn_free(e->lens_probabilities);
  limn_free(e->lens_target);
  limn_free(e->lens_rank);
  limn_free(e->contributions);
  limn_free(e->differences);
  limn_free(e->order);
  *e = (explanation){0};
}

/* ---- running ------------------------------------------------------------------------------------
 */

static limn_status take_memory(explanation *e, limn_error *err) {
  size_t vocab_size = (size_t)e->config->vocab_size, n = (size_t)e->n;
  int64_t n_top = cli_int(e->c, "top", 10);
  e->n_top = (int)(n_top < e->config->vocab_size ? n_top : e->config->vocab_size);
  e->n_depths = e->config->n_layer + 1;
  e->n_components = (int)limn_attribution_count(e->attribution);
  size_t depths = (size_t)e->n_depths, top = (size_t)e->n_top, count = (size_t)e->n_components;
  e->probabilities = limn_alloc_zeroed(vocab_size, sizeof *e->probabilities);
  e->log_probabilities = limn_alloc_zeroed(n, sizeof *e->log_probabilities);
  e->top = limn_alloc_zeroed(top, sizeof *e->top);
  e->lens_top = limn_alloc_zeroed(depths, top * sizeof *e->lens_top);
  e->lens_probabilities = limn_alloc_zeroed(depths, top * sizeof *e->lens_probabilities);
  e->lens_target = limn_alloc_zeroed(depths, sizeof *e->lens_target);
  e->lens_rank = limn_alloc_zeroed(depths, sizeof *e->lens_rank);
  e->contributions = limn_alloc_zeroed(count, sizeof *e->contributions);
  e->differences = limn_alloc_zeroed(count, sizeof *e->differences);
  e->order = limn_alloc_zeroed(count, sizeof *e->order);
  bool is_whole = e->probabilities && e->log_probabilities && e->top && e->lens_top &&
                  e->lens_probabilities && e->lens_target && e->lens_rank && e->contributions &&
                  e->differences && e->order;
  return is_whole ? LIMN_OK : cli_no_memory(err);
}

static void score_token(void *user, size_t i) {
  explanation *e = user;
  size_t vocab_size = (size_t)e->config->vocab_size;
  const float *first = e->logits - (size_t)(e->n - 1) * vocab_size;
  e->log_probabilities[i + 1] =
      limn_log_probability(first + i * vocab_size, vocab_size, e->ids[i + 1]);
}

static limn_status find_distribution(explanation *e, limn_error *err) {
  size_t vocab_size = (size_t)e->config->vocab_size;
  int32_t two[2];
  e->logits = limn_session_logits(e->s.session, NULL) + (size_t)(e->n - 1) * vocab_size;
  if (!limn_probabilities(e->logits, vocab_size, e->probabilities))
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "the logits have no softmax: one is nan or inf, or none is finite");
  e->entropy = limn_entropy(e->logits, vocab_size);
  e->log_probabilities[0] = (double)NAN;
  limn_pool_run(e->m->pool, (size_t)e->n - 1, score_token, e);
  limn_top_ids(e->logits, vocab_size, (size_t)e->n_top, e->top);
  limn_top_ids(e->logits, vocab_size, vocab_size < 2 ? 1 : 2, two);
  if (e->target < 0) e->target = two[0];
  e->rival = vocab_size < 2 ? -1 : e->target == two[0] ? two[1] : two[0];
  return LIMN_OK;
}

static limn_status find_lens(explanation *e, limn_error *err) {
  size_t vocab_size = (size_t)e->config->vocab_size, top = (size_t)e->n_top;
  float *logits = limn_alloc_zeroed((size_t)e->n_depths, vocab_size * sizeof *logits);
  double *shares = limn_alloc_zeroed(vocab_size, sizeof *shares);
  limn_status status = logits && shares
                           ? limn_lens_logits(e->lens, e->m->pool, e->n - 1, logits, err)
                           : cli_no_memory(err);
  for (size_t depth = 0; status == LIMN_OK && depth < (size_t)e->n_depths; depth++) {
    const float *row = logits + depth * vocab_size;
    limn_probabilities(row, vocab_size, shares);
    limn_top_ids(row, vocab_size, top, e->lens_top + depth * top);
    for (size_t i = 0; i < top; i++)
      e->lens_probabilities[depth * top + i] = shares[e->lens_top[depth * top + i]];
    e->lens_target[depth] = shares[e->target];
    e->lens_rank[depth] = limn_rank(row, vocab_size, e->target);
  }
  limn_free(logits);
  limn_free(shares);
  return status;
}

static limn_status find_attribution(explanation *e, limn_error *err) {
  limn_status status =
      limn_attribution_of(e->attribution, e->target, -1, e->contributions, &e->sum, err);
  if (status == LIMN_OK && e->rival >= 0)
    status = limn_attribution_of(e->attribution, e->target, e->rival, e->differences,
                                 &e->sum_of_differences, err);
  for (int i = 0; status == LIMN_OK && i < e->n_components; i++) {
    int at = i;
    for (; at > 0 && fabs(e->contributions[e->order[at - 1]]) < fabs(e->contributions[i]); at--)
      e->order[at] = e->order[at - 1];
    e->order[at] = i;
  }
  return status;
}

limn_status explain_run(explanation *e, limn_error *err) {
  limn_status status = take_memory(e, err);
  if (status == LIMN_OK) status = limn_session_evaluate(e->s.session, e->ids, (size_t)e->n, err);
  if (status == LIMN_OK) status = cli_check_edits(&e->s, err);
  if (status == LIMN_OK) status = find_distribution(e, err);
  if (status == LIMN_OK) status = find_lens(e, err);
  if (status == LIMN_OK) status = find_attribution(e, err);
  return status;
}
