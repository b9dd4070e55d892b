/*
 * cmd_generate.c - limn generate: one token after the other, shown as they come.
 *
 * The text goes out as soon as it is certain: bytes of a character that is not yet whole wait, and
 * so does whatever may still become a stop string.
 */
#include "collect.h"
#include "run.h"

#include <limn/speculate.h>
#include <math.h>
#include <string.h>

enum {
  DEFAULT_TOKENS = 100,
  MOST_AT_ONCE = 16 /* prompts of a file under way */
};

static const cli_option options[] = {
    {"max-tokens", 'n', CLI_INT, "N", NULL, 1, 1000000,
     "Make at most N tokens; 100, or as many as fit, when not given"},
    {"temperature", 0, CLI_DOUBLE, "T", NULL, 0, CLI_NO_MAX,
     "0 takes the likeliest token; 1 draws from the model's distribution. 0 when not given, but 1 "
     "when another option of sampling is"},
    {"top-k", 0, CLI_INT, "K", NULL, 0, 2147483647.0, "Draw from the K likeliest; 0 is all"},
    {"top-p", 0, CLI_DOUBLE, "P", NULL, 0, 1,
     "Draw from the fewest that together have probability P; 0 and 1 are all"},
    {"min-p", 0, CLI_DOUBLE, "P", NULL, 0, 1,
     "Draw from those at least P times as likely as the likeliest"},
    {"repetition-penalty", 0, CLI_DOUBLE, "R", NULL, 0, CLI_NO_MAX,
     "Divide the logits of tokens already there by R, multiply them where negative"},
    {"seed", 's', CLI_INT, "N", "0", 0, 0, "The same seed draws the same text"},
    {"stop", 0, CLI_LIST, "STRING", NULL, 0, 0, "End before STRING; may be repeated"},
    {"ignore-end", 0, CLI_FLAG, NULL, NULL, 0, 0, "Go on after the end-of-text token"},
    {"only-new", 0, CLI_FLAG, NULL, NULL, 0, 0, "Leave out the prompt"},
    {"prompts", 'p', CLI_TEXT, "FILE", NULL, 0, 0,
     "Continue each line of FILE, many in one pass; each gets what it gets alone"},
    {"log-probs", 'l', CLI_FLAG, NULL, NULL, 0, 0,
     "Print a line for each token: log-probability and probability under the model"},
    {"alternatives", 0, CLI_INT, "N", "0", 0, 20,
     "With --log-probs or --json, the N likeliest tokens of each step"},
    {"speculate", 0, CLI_TEXT, "GUESS", NULL, 0, 0,
     "Guess tokens ahead and check them in one pass, for the same result faster: \"lookup\" in the "
     "text, or the name of a smaller model; :N behind it for at most N guesses"},
    {"draft-weights", 0, CLI_CHOICE, "file|f32|f16|bf16|q8|q4", "file", 0, 0,
     "How the model that guesses is stored in memory: it may be the same model in fewer bits"},
    {"draft-compute", 0, CLI_CHOICE, "f32|bf16|int8", "f32", 0, 0, "How its products are computed"},
    {"trace", 0, CLI_TEXT, "FILE", NULL, 0, 0,
     "Keep the activations of every step in a safetensors file"},
    {"hooks", 'k', CLI_TEXT, "HOOKS", "*", 0, 0, "The steps that --trace keeps"},
    CLI_OPTIONS_IDS,
    CLI_OPTIONS_TEXT,
    CLI_OPTIONS_MODEL,
    CLI_OPTIONS_RUN,
    CLI_OPTIONS_JSON,
    CLI_OPTIONS_END};

static const cli_example examples[] = {
    {"limn generate 'Once upon a time'", "The likeliest continuation."},
    {"limn generate 'Once upon a time' --temperature 0.8 --top-k 40 --seed 7",
     "A drawn one; another seed draws another."},
    {"limn generate 'The king said' -l -n 8 --alternatives 3",
     "Each step with its probability and the likeliest others."},
    {"limn generate --prompts lines.txt -n 50 --json", "Every line of a file, many at once."},
    {"limn generate 'The king' --weights f32 --speculate tales:4 --draft-weights q4",
     "The same text; the model in 4 bits guesses, the model in 32 checks."},
    {"limn generate 'The king' -e 'blocks.5.attn.hook_z[:,1]=0'",
     "Without head 1 of layer 5, in the prompt and in every new token."},
    {NULL, NULL}};

/* ---- state
 * -------------------------------------------------------------------------------- */

typedef enum ending { BY_LENGTH, BY_END_OF_TEXT, BY_STOP_STRING } ending;

typedef struct generation {
  const cli *c;
  const cli_model *m;
  cli_session s;
  limn_sampling sampling;
  limn_sampler *sampler;
  limn_speculator *speculator; /* or NULL */
  limn_model *draft_model;     /* or NULL */
  limn_session *draft;
  cli_collector *collector; /* or NULL */
  limn_json *json;          /* or NULL */
  int32_t *ids;             /* the prompt and what follows */
  size_t n_prompt, n, max_new;
  limn_decoder decoder;
  char *text; /* what follows the prompt, as far as its characters are whole */
  size_t n_text, text_room, n_shown;
  ending ending;
  const char *stop_string;
  bool is_silent; /* shown when it is whole */
  bool is_done;
} generation;

/* ---- showing text
 * ------------------------------------------------------------------------- */

/* A model may write an escape sequence; a terminal should not obey it. */
static void show(const char *text, size_t n) {
  for (size_t i = 0; i < n; i++) {
    unsigned char byte = (unsigned char)text[i];
    bool is_control = (byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7f;
    if (is_control && cli_is_terminal())
      printf("\\x%02x", byte);
    else
      putchar(byte);
  }
}

static bool shows_text(const generation *g) {
  return !g->json && !g->is_silent && !cli_flag(g->c, "log-probs");
}

static void show_until(generation *g, size_t end) {
  if (shows_text(g) && end > g->n_shown) {
    show(g->text + g->n_shown, end - g->n_shown);
    fflush(stdout);
  }
  if (end > g->n_shown) g->n_shown = end;
}

/* The first stop string in the text; cuts the text before it. */
static bool cut_at_stop(generation *g) {
  const char *stop;
  char *first = NULL;
  for (int i = 0; (stop = cli_list_at(g->c, "stop", i)); i++) {
    char *found = memmem(g->text, g->n_text, stop, strlen(stop));
    if (!found || (first && found >= first)) continue;
    first = found;
    g->stop_string = stop;
  }
  if (first) g->n_text = (size_t)(first - g->text);
  return first != NULL;
}

/* How many bytes at the end may be the beginning of a stop string. */
static size_t held_back(const generation *g) {
  const char *stop;
  size_t most = 0;
  for (int i = 0; (stop = cli_list_at(g->c, "stop", i)); i++) {
    size_t n = strlen(stop);
    for (size_t k = n > g->n_text ? g->n_text : n; k > most; k--)
      if (memcmp(g->text + g->n_text - k, stop, k) == 0) most = k;
  }
  return most;
}

/* Adds a token's text and shows what is certain. False when a stop string was met. */
static limn_status add_text(generation *g, int32_t id, bool *is_stopped, limn_error *err) {
  size_t n = 0;
  const char *bytes = g->m->tokenizer ? limn_tokenizer_bytes(g->m->tokenizer, id, &n) : NULL;
  *is_stopped = false;
  if (!bytes) return LIMN_OK;
  if (g->n_text + n + 8 > g->text_room) {
    size_t room = 2 * (g->n_text + n + 8);
    char *grown = limn_resize(g->text, room, 1);
    if (!grown) return cli_no_memory(err);
    g->text = grown;
    g->text_room = room;
  }
  g->n_text += limn_decoder_push(&g->decoder, bytes, n, g->text + g->n_text);
  *is_stopped = cut_at_stop(g);
  show_until(g, g->n_text - (*is_stopped ? 0 : held_back(g)));
  return LIMN_OK;
}

static void finish_text(generation *g) {
  if (g->text && g->ending != BY_STOP_STRING)
    g->n_text += limn_decoder_finish(&g->decoder, g->text + g->n_text);
  show_until(g, g->n_text);
  if (shows_text(g)) putchar('\n');
}

/* ---- a line or an object for each token
 * --------------------------------------------------- */

static void show_alternatives(const generation *g, const float *logits, int n) {
  int32_t ids[20];
  size_t vocab_size = (size_t)limn_model_config(g->m->model)->vocab_size;
  limn_top_ids(logits, vocab_size, (size_t)n, ids);
  for (int i = 0; i < n; i++) {
    double p = limn_log_probability(logits, vocab_size, ids[i]);
    printf("%s         %9.4f  %6.2f%%  ", cli_sgr(CLI_DIM), p, 100 * exp(p));
    cli_print_token(stdout, g->m, ids[i], 0, 0);
    printf("%s\n", cli_sgr(CLI_PLAIN));
  }
}

static void write_alternatives(const generation *g, const float *logits, int n) {
  int32_t ids[20];
  size_t vocab_size = (size_t)limn_model_config(g->m->model)->vocab_size;
  limn_top_ids(logits, vocab_size, (size_t)n, ids);
  limn_json_key(g->json, "alternatives");
  limn_json_begin_array(g->json);
  for (int i = 0; i < n; i++) {
    limn_json_begin_inline_object(g->json);
    cli_json_token(g->json, g->m, ids[i]);
    cli_json_double(g->json, "log_probability", limn_log_probability(logits, vocab_size, ids[i]));
    limn_json_end_object(g->json);
  }
  limn_json_end_array(g->json);
}

static void show_choice(const generation *g, const limn_choice *choice, const float *logits) {
  int n = (int)cli_int(g->c, "alternatives", 0);
  if (g->json) {
    if (n > 0)
      limn_json_begin_object(g->json);
    else
      limn_json_begin_inline_object(g->json);
    cli_json_token(g->json, g->m, choice->id);
    limn_json_key(g->json, "logit");
    limn_json_float(g->json, choice->logit);
    limn_json_key(g->json, "log_probability");
    limn_json_float(g->json, choice->log_probability);
    limn_json_key(g->json, "drawn_probability");
    limn_json_float(g->json, choice->drawn_probability);
    cli_json_int(g->json, "n_candidates", choice->n_candidates);
    if (n > 0) write_alternatives(g, logits, n);
    limn_json_end_object(g->json);
  } else if (cli_flag(g->c, "log-probs")) {
    printf("%7d  %9.4f  %6.2f%%  %s", (int)choice->id, (double)choice->log_probability,
           100 * exp((double)choice->log_probability), cli_sgr(CLI_BOLD));
    cli_print_token(stdout, g->m, choice->id, 0, 0);
    printf("%s\n", cli_sgr(CLI_PLAIN));
    if (n > 0) show_alternatives(g, logits, n);
    fflush(stdout);
  }
}

/* ---- the loop
 * ----------------------------------------------------------------------------- */

static limn_status evaluate(generation *g, const int32_t *ids, size_t n, limn_error *err) {
  limn_status status = limn_session_evaluate(g->s.session, ids, n, err);
  if (status == LIMN_OK && g->collector) cli_collector_add_logits(g->collector);
  return status;
}

static limn_status speculate(generation *g, limn_choice *choice, const float **logits,
                             limn_error *err) {
  int64_t before = limn_speculator_count(g->speculator).n_passes;
  limn_status status = limn_speculator_next(g->speculator, choice, logits, err);
  bool has_run = limn_speculator_count(g->speculator).n_passes > before;
  if (status == LIMN_OK && has_run && g->collector) cli_collector_add_logits(g->collector);
  return status;
}

static const float *last_logits(const generation *g) {
  size_t n_rows;
  const float *logits = limn_session_logits(g->s.session, &n_rows);
  return logits + (n_rows - 1) * (size_t)limn_model_config(g->m->model)->vocab_size;
}

static bool is_end(const generation *g, int32_t id) {
  return limn_config_is_end(limn_model_config(g->m->model), id) && !cli_flag(g->c, "ignore-end");
}

/* The token that follows g->ids, of which the last (or the prompt) is not yet evaluated. */
static limn_status choose_next(generation *g, limn_choice *choice, const float **logits,
                               limn_error *err) {
  if (g->speculator) return speculate(g, choice, logits, err);
  size_t n_new = g->n == g->n_prompt ? g->n_prompt : 1;
  limn_status status = evaluate(g, g->ids + g->n - n_new, n_new, err);
  if (status != LIMN_OK) return status;
  *logits = last_logits(g);
  return limn_sample(g->sampler, *logits, g->ids, g->n, choice, err);
}

/* Adds a token, and finds out whether it is the last. */
static limn_status take(generation *g, int32_t id, limn_error *err) {
  bool is_stopped = false;
  g->ids[g->n++] = id;
  if (is_end(g, id)) {
    g->ending = BY_END_OF_TEXT;
    g->is_done = true;
    return LIMN_OK;
  }
  limn_status status = add_text(g, id, &is_stopped, err);
  if (is_stopped) g->ending = BY_STOP_STRING;
  g->is_done = is_stopped || g->n == g->n_prompt + g->max_new;
  return status;
}

static limn_status generate(generation *g, limn_error *err) {
  for (int64_t i = 1; !g->is_done; i++) {
    limn_choice choice;
    const float *logits;
    limn_status status = choose_next(g, &choice, &logits, err);
    if (status != LIMN_OK) return status;
    show_choice(g, &choice, logits);
    status = take(g, choice.id, err);
    if (status != LIMN_OK) return status;
    if (!cli_is_terminal()) cli_progress("token", i, (int64_t)g->max_new);
  }
  return LIMN_OK;
}

/* ---- before and after
 * --------------------------------------------------------------------- */

static limn_status open_sampler(generation *g, limn_error *err) {
  static const char *const others[] = {"top-k", "top-p", "min-p", "seed"};
  const cli *c = g->c;
  bool draws = false;
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    draws |= cli_is_given(c, others[i]);
  limn_sampling o = {.temperature = (float)cli_double(c, "temperature", draws ? 1 : 0),
                     .top_k = (int)cli_int(c, "top-k", 0),
                     .top_p = (float)cli_double(c, "top-p", 0),
                     .min_p = (float)cli_double(c, "min-p", 0),
                     .repetition_penalty = (float)cli_double(c, "repetition-penalty", 0),
                     .seed = (uint64_t)cli_int(c, "seed", 0)};
  g->sampling = o;
  return limn_sampler_new(limn_model_config(g->m->model)->vocab_size, &o, &g->sampler, err);
}

/* How many tokens to make, and whether they fit. */
static limn_status plan(generation *g, limn_error *err) {
  int64_t n_ctx = limn_model_config(g->m->model)->n_ctx;
  int64_t room = n_ctx - (int64_t)g->n_prompt + 1; /* the last token is not evaluated */
  bool slides = strcmp(cli_value(g->c, "overflow"), "slide") == 0;
  int64_t wanted =
      cli_int(g->c, "max-tokens", slides || room > DEFAULT_TOKENS ? DEFAULT_TOKENS : room);
  if (slides && cli_is_given(g->c, "trace"))
    return limn_error_set(err, LIMN_ERROR_UNSUPPORTED, LIMN_NO_OFFSET,
                          "--trace and --overflow slide are given, a trace holds one window");
  if (!slides && (room < 1 || wanted > room))
    return limn_error_set(err, LIMN_ERROR_CONTEXT, LIMN_NO_OFFSET,
                          "%lld tokens after a prompt of %zu do not fit into the context window "
                          "of %lld, expected --overflow slide or fewer",
                          (long long)(wanted < 1 ? 1 : wanted), g->n_prompt, (long long)n_ctx);
  g->max_new = (size_t)wanted;
  int32_t *grown = limn_resize(g->ids, g->n_prompt + g->max_new, sizeof *grown);
  if (!grown) return cli_no_memory(err);
  g->ids = grown;
  return LIMN_OK;
}

enum { MOST_GUESSES = 256 };

/* "lookup:12" is up to 12 guesses by lookup; without a number the usual ones. The name's length. */
static size_t split_speculate(const char *text, int64_t *n_ahead) {
  const char *colon = strrchr(text, ':');
  *n_ahead = 8;
  if (!colon || !limn_parse_int(colon + 1, strlen(colon + 1), n_ahead)) return strlen(text);
  return (size_t)(colon - text);
}

static limn_status find_n_ahead(const generation *g, int *n_ahead, limn_error *err) {
  const char *speculate = cli_value(g->c, "speculate");
  int n_ctx = limn_model_config(g->m->model)->n_ctx;
  int64_t n = 0;
  if (speculate) {
    split_speculate(speculate, &n);
    if (n < 1 || n > MOST_GUESSES)
      return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                            "option --speculate has \"%s\", expected from 1 to %d guesses",
                            speculate, MOST_GUESSES);
  }
  *n_ahead = n < n_ctx ? (int)n : n_ctx - 1;
  return LIMN_OK;
}

/* An edit that looks at a whole call would see guesses that are then taken back. */
static limn_status check_edits_are_local(const generation *g, limn_error *err) {
  for (int i = 0; i < g->s.n_edits; i++) {
    if (!limn_edit_is_local(g->s.edits[i]))
      return limn_error_set(err, LIMN_ERROR_UNSUPPORTED, LIMN_NO_OFFSET,
                            "--speculate and edit \"%s\" are given, expected an edit of single "
                            "positions: no mean, negative position, file with positions, or keys",
                            limn_edit_text(g->s.edits[i]));
  }
  return LIMN_OK;
}

static limn_status open_draft(generation *g, const char *name, size_t n, limn_error *err) {
  char text[1024], *folder;
  limn_session_options o = {.pool = g->m->pool};
  snprintf(text, sizeof text, "%.*s", (int)n, name);
  limn_status status = cli_find_model(text, &folder, err);
  if (status != LIMN_OK) return status;
  limn_model_options how = cli_model_options(g->c, "draft-weights", "draft-compute");
  status = limn_model_open_with(folder, &how, g->m->pool, &g->draft_model, err);
  limn_free(folder);
  if (status == LIMN_OK) status = limn_session_new(g->draft_model, &o, &g->draft, err);
  return status;
}

static limn_status open_speculator(generation *g, int n_ahead, limn_error *err) {
  const char *name = cli_value(g->c, "speculate");
  int64_t given;
  size_t n = split_speculate(name, &given);
  bool is_lookup = n == strlen("lookup") && memcmp(name, "lookup", n) == 0;
  limn_status status = is_lookup ? LIMN_OK : open_draft(g, name, n, err);
  if (status != LIMN_OK) return status;
  limn_speculation o = {.n_ahead = n_ahead, .draft = g->draft};
  return limn_speculator_new(g->s.session, g->sampler, &g->sampling, g->ids, g->n_prompt,
                             g->max_new, &o, &g->speculator, err);
}

static limn_status prepare(generation *g, limn_error *err) {
  const char *speculate = cli_value(g->c, "speculate");
  limn_session_options session_options = {.all_logits = cli_is_given(g->c, "trace")};
  int n_ahead = 0;
  limn_status status = find_n_ahead(g, &n_ahead, err);
  session_options.max_logits = n_ahead + 1;
  if (status == LIMN_OK) status = cli_read_tokens(g->c, g->m, &g->ids, &g->n_prompt, err);
  g->n = g->n_prompt;
  if (status == LIMN_OK) status = plan(g, err);
  if (status == LIMN_OK) status = open_sampler(g, err);
  if (status == LIMN_OK) status = cli_open_session(g->c, g->m, session_options, &g->s, err);
  if (status == LIMN_OK && speculate) status = check_edits_are_local(g, err);
  if (status == LIMN_OK && speculate) status = open_speculator(g, n_ahead, err);
  if (status == LIMN_OK && cli_is_given(g->c, "trace"))
    status = cli_collector_new(g->s.session, cli_value(g->c, "hooks"),
                               (int64_t)(g->n_prompt + g->max_new) - 1, &g->collector, err);
  return status;
}

static void deinit(generation *g) {
  limn_speculator_free(g->speculator);
  limn_session_free(g->draft);
  limn_model_close(g->draft_model);
  cli_close_session(&g->s);
  cli_collector_free(g->collector);
  limn_sampler_free(g->sampler);
  limn_free(g->ids);
  limn_free(g->text);
}

static limn_status show_prompt(const generation *g, limn_error *err) {
  char *text;
  size_t n;
  if (!shows_text(g) || cli_flag(g->c, "only-new") || !g->m->tokenizer) return LIMN_OK;
  limn_status status = limn_tokenizer_decode(g->m->tokenizer, g->ids, g->n_prompt, &text, &n, err);
  if (status != LIMN_OK) return status;
  fputs(cli_sgr(CLI_DIM), stdout);
  show(text, n);
  fputs(cli_sgr(CLI_PLAIN), stdout);
  fflush(stdout);
  limn_free(text);
  return LIMN_OK;
}

static void begin_json(generation *g) {
  limn_json *j = g->json;
  limn_json_begin_object(j);
  cli_json_text(j, "model", g->m->folder);
  limn_json_key(j, "prompt_ids");
  limn_json_begin_inline_array(j);
  for (size_t i = 0; i < g->n_prompt; i++)
    limn_json_int(j, g->ids[i]);
  limn_json_end_array(j);
  cli_json_int(j, "seed", cli_int(g->c, "seed", 0));
  limn_json_key(j, "tokens");
  limn_json_begin_array(j);
}

static const char *ending_name(const generation *g) {
  static const char *const endings[] = {"length", "end of text", "stop string"};
  return endings[g->ending];
}

static void end_json(const generation *g) {
  limn_json *j = g->json;
  limn_json_end_array(j);
  limn_json_key(j, "text");
  limn_json_string(j, g->text ? g->text : "", g->n_text);
  cli_json_text(j, "ended_by", ending_name(g));
  cli_json_text(j, "stop_string", g->stop_string);
  if (g->speculator) {
    limn_speculation_count n = limn_speculator_count(g->speculator);
    limn_json_key(j, "speculation");
    limn_json_begin_inline_object(j);
    cli_json_int(j, "n_passes", n.n_passes);
    cli_json_int(j, "n_guessed", n.n_guessed);
    cli_json_int(j, "n_kept", n.n_kept);
    limn_json_end_object(j);
  }
  limn_json_end_object(j);
}

static void print_heading(void) {
  printf("%s%7s  %9s  %7s  %s%s\n", cli_sgr(CLI_BOLD), "id", "log-prob", "prob", "token",
         cli_sgr(CLI_PLAIN));
}

static limn_status run_all(generation *g, limn_error *err) {
  limn_safetensors_writer *w = NULL;
  const char *path = cli_value(g->c, "trace");
  limn_status status = prepare(g, err);
  if (status == LIMN_OK && path) status = limn_safetensors_writer_open(path, 0, &w, err);
  if (status == LIMN_OK) status = show_prompt(g, err);
  bool has_begun = status == LIMN_OK;
  if (status == LIMN_OK && g->json) begin_json(g);
  if (status == LIMN_OK && !g->json && cli_flag(g->c, "log-probs")) print_heading();
  if (status == LIMN_OK) status = generate(g, err);
  cli_progress_end();
  if (has_begun) finish_text(g);
  /* Only now: an edit may be meant for a position that was generated. */
  if (status == LIMN_OK) status = cli_check_edits(&g->s, err);
  if (status == LIMN_OK && g->json) end_json(g);
  if (status == LIMN_OK && w)
    status = cli_collector_write(g->collector, (int64_t)g->n_prompt, (int64_t)g->n - 1, w, err);
  if (status == LIMN_OK && w) return limn_safetensors_writer_commit(w, err);
  limn_safetensors_writer_discard(w);
  return status;
}

/* ---- the lines of a file, many at once
 * -------------------------------------------------------------- */

typedef struct prompt {
  const char *bytes; /* n of them */
  size_t n;
  int64_t number; /* of its line, from 1 */
} prompt;

typedef struct crowd {
  const cli *c;
  const cli_model *m;
  limn_batch *batch;
  limn_json *json; /* or NULL */
  char *text;
  prompt *lines; /* (n_lines) */
  int64_t n_lines, n_opened;
  generation *all;  /* (n_lines) */
  int64_t n_closed; /* those in front are shown */
} crowd;

/* Lines that are not empty. */
static limn_status split_lines(crowd *w, size_t size, limn_error *err) {
  size_t n = 1;
  for (size_t i = 0; i < size; i++)
    n += w->text[i] == '\n';
  w->lines = limn_alloc_zeroed(n, sizeof *w->lines);
  w->all = limn_alloc_zeroed(n, sizeof *w->all);
  if (!w->lines || !w->all) return cli_no_memory(err);
  int64_t number = 1;
  for (size_t at = 0, end; at < size; at = end + 1, number++) {
    for (end = at; end < size && w->text[end] != '\n';)
      end++;
    if (end > at) w->lines[w->n_lines++] = (prompt){w->text + at, end - at, number};
  }
  if (w->n_lines > 0) return LIMN_OK;
  return limn_error_set(err, LIMN_ERROR_ARGUMENT, LIMN_NO_OFFSET,
                        "\"%s\" has no line, expected a prompt on each",
                        cli_value(w->c, "prompts"));
}

static limn_status read_lines(crowd *w, limn_error *err) {
  static const char *const others[] = {"ids", "file", "log-probs", "trace", "speculate"};
  size_t size;
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    if (cli_is_given(w->c, others[i]) || cli_argument(w->c, 0))
      return limn_error_set(err, LIMN_ERROR_ARGUMENT, LIMN_NO_OFFSET,
                            "--prompts and %s%s are given, expected one of them",
                            cli_argument(w->c, 0) ? "a prompt" : "--",
                            cli_argument(w->c, 0) ? "" : others[i]);
  if (!w->m->tokenizer)
    return limn_error_set(err, LIMN_ERROR_NOT_FOUND, LIMN_NO_OFFSET,
                          "the model in \"%s\" has no tokenizer, expected --ids", w->m->folder);
  limn_status status = limn_file_read(cli_value(w->c, "prompts"), 0, &w->text, &size, err);
  return status == LIMN_OK ? split_lines(w, size, err) : status;
}

/* The tokens of a line, at least one, and that what follows them fits. */
static limn_status plan_line(crowd *w, generation *g, const prompt *line, limn_error *err) {
  limn_tokens tokens = {0};
  limn_error why;
  limn_status status = limn_tokenizer_encode(w->m->tokenizer, line->bytes, line->n,
                                             LIMN_SPECIAL_AS_TEXT, &tokens, &why);
  g->ids = tokens.ids;
  g->n_prompt = g->n = tokens.n;
  tokens.ids = NULL;
  limn_tokens_deinit(&tokens);
  if (status == LIMN_OK && g->n_prompt == 0)
    status = limn_error_set(&why, LIMN_ERROR_ARGUMENT, LIMN_NO_OFFSET,
                            "it has no tokens, expected at least one");
  if (status == LIMN_OK) status = plan(g, &why);
  if (status == LIMN_OK) return LIMN_OK;
  return limn_error_set(err, status, LIMN_NO_OFFSET, "line %lld: %s", (long long)line->number,
                        why.text);
}

static limn_status open_line(crowd *w, generation *g, const prompt *line, limn_error *err) {
  *g = (generation){.c = w->c, .m = w->m, .is_silent = true};
  limn_status status = plan_line(w, g, line, err);
  if (status == LIMN_OK) status = open_sampler(g, err);
  if (status != LIMN_OK) return status;
  size_t n = g->n_prompt + g->max_new;
  int n_ctx = limn_model_config(w->m->model)->n_ctx;
  limn_session_options o = {.n_ctx = n < (size_t)n_ctx ? (int)n : n_ctx, .batch = w->batch};
  return cli_open_session(w->c, w->m, o, &g->s, err);
}

static void write_line(const crowd *w, const generation *g) {
  limn_json *j = w->json;
  limn_json_begin_object(j);
  limn_json_key(j, "ids");
  limn_json_begin_inline_array(j);
  for (size_t i = 0; i < g->n; i++)
    limn_json_int(j, g->ids[i]);
  limn_json_end_array(j);
  cli_json_int(j, "n_prompt", (int64_t)g->n_prompt);
  limn_json_key(j, "text");
  limn_json_string(j, g->text ? g->text : "", g->n_text);
  cli_json_text(j, "ended_by", ending_name(g));
  limn_json_end_object(j);
}

/* Shows what is whole, in the order of the lines. */
static limn_status close_lines(crowd *w, limn_error *err) {
  for (; w->n_closed < w->n_opened && w->all[w->n_closed].is_done; w->n_closed++) {
    generation *g = &w->all[w->n_closed];
    g->is_silent = w->json != NULL;
    g->n_shown = 0;
    limn_status status = show_prompt(g, err);
    if (status != LIMN_OK) return status;
    finish_text(g);
    status = cli_check_edits(&g->s, err);
    if (status != LIMN_OK) return status;
    if (w->json) write_line(w, g);
    deinit(g);
    *g = (generation){.is_done = true};
  }
  return LIMN_OK;
}

/* One pass over the new tokens of those under way, as many as fit, and the next token of each. */
static limn_status step(crowd *w, limn_error *err) {
  limn_batch_item items[MOST_AT_ONCE];
  generation *run[MOST_AT_ONCE];
  size_t n = 0, n_rows = 0;
  for (int64_t i = w->n_closed; i < w->n_opened; i++) {
    generation *g = &w->all[i];
    size_t n_new = g->n == g->n_prompt ? g->n_prompt : 1;
    bool is_sliding = (int)n_new > (g->is_done ? 0 : limn_session_room(g->s.session));
    size_t rows = is_sliding ? (size_t)limn_batch_max_rows(w->batch) : n_new;
    if (g->is_done || n_rows + rows > (size_t)limn_batch_max_rows(w->batch)) continue;
    n_rows += rows;
    items[n] = (limn_batch_item){.session = g->s.session, .ids = g->ids + g->n - n_new, .n = n_new};
    run[n++] = g;
  }
  limn_status status = limn_batch_evaluate(w->batch, items, n, err);
  for (size_t i = 0; i < n && status == LIMN_OK; i++) {
    limn_choice choice;
    status =
        limn_sample(run[i]->sampler, last_logits(run[i]), run[i]->ids, run[i]->n, &choice, err);
    if (status == LIMN_OK) status = take(run[i], choice.id, err);
  }
  return status;
}

static limn_status run_lines(crowd *w, limn_error *err) {
  limn_batch_options o = {.pool = w->m->pool};
  limn_status status = read_lines(w, err);
  if (status == LIMN_OK) status = limn_batch_new(w->m->model, &o, &w->batch, err);
  if (status == LIMN_OK && w->json) limn_json_begin_array(w->json);
  while (status == LIMN_OK && w->n_closed < w->n_lines) {
    for (;
         w->n_opened < w->n_lines && w->n_opened < w->n_closed + MOST_AT_ONCE && status == LIMN_OK;
         w->n_opened++)
      status = open_line(w, &w->all[w->n_opened], &w->lines[w->n_opened], err);
    if (status == LIMN_OK) status = step(w, err);
    if (status == LIMN_OK) status = close_lines(w, err);
    cli_progress("prompt", w->n_closed, w->n_lines);
  }
  cli_progress_end();
  if (status == LIMN_OK && w->json) limn_json_end_array(w->json);
  return status;
}

static int generate_lines(const cli *c, const cli_model *m, limn_json *json, limn_error *err) {
  crowd w = {.c = c, .m = m, .json = json};
  int result = run_lines(&w, err) == LIMN_OK ? CLI_OK : cli_fail(c, err);
  for (int64_t i = w.n_closed; i < w.n_opened; i++)
    deinit(&w.all[i]);
  limn_batch_free(w.batch);
  limn_free(w.all);
  limn_free(w.lines);
  limn_free(w.text);
  return result;
}

/* ---- the command
 * ------------------------------------------------------------------------------------ */

/* Options that do nothing without another one are a mistake. */
static bool lacks_partner(const cli *c) {
  static const char *const pairs[][2] = {{"draft-weights", "speculate"},
                                         {"draft-compute", "speculate"},
                                         {"hooks", "trace"},
                                         {"alternatives", "log-probs"}};
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
    bool has_json = i == 3 && cli_flag(c, "json");
    if (!cli_is_given(c, pairs[i][0]) || cli_is_given(c, pairs[i][1]) || has_json) continue;
    cli_bad(c, "--%s is given without --%s%s", pairs[i][0], pairs[i][1],
            i == 3 ? " or --json" : "");
    return true;
  }
  return false;
}

static int run(cli *c) {
  limn_error err;
  cli_model m;
  limn_json j, *json = cli_flag(c, "json") ? &j : NULL;
  generation g = {.c = c, .m = &m, .json = json};
  int result;
  for (int i = 0; cli_list_at(c, "stop", i); i++)
    if (!*cli_list_at(c, "stop", i))
      return cli_bad(c, "option --stop has \"\", expected at least one character");
  if (lacks_partner(c)) return CLI_BAD_INPUT;
  if (cli_open_model(c, &m, &err) != LIMN_OK) return cli_fail(c, &err);
  cli_json_begin(&j, &err);
  if (cli_is_given(c, "prompts"))
    result = generate_lines(c, &m, json, &err);
  else
    result = run_all(&g, &err) == LIMN_OK ? CLI_OK : cli_fail(c, &err);
  if (result == CLI_OK && json) result = cli_json_end(c, &j);
  deinit(&g);
  cli_close_model(&m);
  return result;
}

const cli_command cmd_generate = {
    .name = "generate",
    .group = CLI_RUN,
    .rank = 10,
    .summary = "continue a text",
    .usage = "[OPTION]... (PROMPT | --file FILE | --ids 1,2,3 | --prompts FILE)",
    .description =
        "Continues PROMPT token by token and shows the text as it comes. Without options of "
        "sampling it takes the likeliest token each time. The steps of sampling and their order "
        "are Hugging Face's: repetition penalty, temperature, top-k, top-p over what is left, "
        "min-p; log-probabilities are always the model's own, before them.\n\n"
        "It ends after --max-tokens tokens, at the end-of-text token, or before a --stop string. "
        "Activations that --trace keeps are joined over all steps, as if the whole text had been "
        "run at once (the last token is not run).\n\n" CLI_EDIT_PARAGRAPHS,
    .options = options,
    .examples = examples,
    .max_arguments = 1,
    .run = run,
};
