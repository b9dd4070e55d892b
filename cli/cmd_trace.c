/*
 * cmd_trace.c - limn trace: run a text once and keep what the named steps computed.
 *
 * The command is an observer and nothing else: each tensor goes out as the forward pass reaches it,
 * into a file, as JSON, or as a row of a table.
 */
#include "run.h"

#include <math.h>
#include <string.h>

static const cli_option options[] = {
    {"hooks", 'k', CLI_TEXT, "HOOKS", "*", 0, 0,
     "The steps to keep: names and globs with commas between"},
    {"output", 'o', CLI_TEXT, "FILE", NULL, 0, 0,
     "Write the tensors, and the logits as \"logits\", to a safetensors file"},
    CLI_OPTIONS_IDS,
    CLI_OPTIONS_TEXT,
    {"stop-at-layer", 0, CLI_INT, "N", NULL, 0, 100000,
     "Run the layers 0 to N - 1 only, and compute no logits"},
    CLI_OPTIONS_MODEL,
    CLI_OPTIONS_RUN,
    CLI_OPTIONS_JSON,
    CLI_OPTIONS_END};

static const cli_example examples[] = {
    {"limn trace 'The cat sat' --hooks '*hook_pattern'",
     "Size, mean and spread of each layer's attention pattern."},
    {"limn trace 'The cat sat' -o cat.safetensors", "All standard points, for numpy or PyTorch."},
    {"limn trace 'The dog sat' -e 'blocks.3.hook_resid_pre[1]=@cat.safetensors' --hooks '*post'",
     "What becomes of the text when layer 3 reads the other one's second token."},
    {"limn trace --ids 464,3797 --hooks blocks.0.attn.hook_result --json",
     "A point on request, as JSON."},
    {NULL, NULL}};

typedef struct trace {
  limn_safetensors_writer *writer; /* or NULL */
  limn_json *json;                 /* or NULL */
  FILE *to;                        /* for the table */
  int64_t n_tensors, n_numbers;
} trace;

/* ---- the table ------------------------------------------------------------------------------- */

typedef struct summary {
  int64_t n_finite, n_other;
  double mean, deviation, least, most;
} summary;

/* Over the finite numbers; `row` has room for all of them. Welford's sums: one pass, no
   cancellation. */
static summary summarize(const float *numbers, int64_t n) {
  summary s = {.least = INFINITY, .most = -INFINITY};
  double squares = 0;
  for (int64_t i = 0; i < n; i++) {
    double x = (double)numbers[i];
    if (!isfinite(x)) {
      s.n_other++;
      continue;
    }
    s.n_finite++;
    double step = x - s.mean;
    s.mean += step / (double)s.n_finite;
    squares += step * (x - s.mean);
    s.least = x < s.least ? x : s.least;
    s.most = x > s.most ? x : s.most;
  }
  s.deviation = s.n_finite ? sqrt(squares / (double)s.n_finite) : 0;
  return s;
}

static void print_heading(FILE *to) {
  bool is_wide = cli_width() >= 110;
  fprintf(to, "%s%-36s  %-13s %10s %10s", cli_sgr(CLI_BOLD), "", "shape", "mean", "std");
  if (is_wide) fprintf(to, " %10s %10s", "min", "max");
  fprintf(to, "%s\n", cli_sgr(CLI_PLAIN));
}

static void print_row(FILE *to, const char *name, const limn_tensor *value, const float *numbers) {
  char shape[64];
  summary s = summarize(numbers, limn_tensor_count(value));
  fprintf(to, "%s%-36s%s  %-13s", cli_sgr(CLI_ACCENT), name, cli_sgr(CLI_PLAIN),
          limn_shape_text(shape, sizeof shape, value->rank, value->shape));
  if (s.n_finite) {
    fprintf(to, " %10.4g %10.4g", s.mean, s.deviation);
    if (cli_width() >= 110) fprintf(to, " %10.4g %10.4g", s.least, s.most);
  }
  if (s.n_other && cli_width() >= 110)
    fprintf(to, "  %s%lld not finite%s", cli_sgr(CLI_DIM), (long long)s.n_other,
            cli_sgr(CLI_PLAIN));
  fputc('\n', to);
}

/* ---- what becomes of a tensor
 * ------------------------------------------------------------- */

static void write_json(limn_json *j, const char *name, const limn_tensor *value,
                       const float *numbers) {
  limn_json_key(j, name);
  limn_json_begin_object(j);
  limn_json_key(j, "shape");
  limn_json_begin_inline_array(j);
  for (int i = 0; i < value->rank; i++)
    limn_json_int(j, value->shape[i]);
  limn_json_end_array(j);
  limn_json_key(j, "data");
  limn_json_begin_inline_array(j);
  for (int64_t i = 0; i < limn_tensor_count(value); i++)
    limn_json_float(j, numbers[i]);
  limn_json_end_array(j);
  limn_json_end_object(j);
}

static limn_status keep(trace *t, const char *name, const limn_tensor *value, limn_error *err) {
  t->n_tensors++;
  t->n_numbers += limn_tensor_count(value);
  if (t->writer) return limn_safetensors_writer_add_f32(t->writer, name, value, err);
  float *numbers = limn_alloc((size_t)limn_tensor_count(value) * sizeof *numbers);
  if (!numbers) return cli_no_memory(err);
  limn_tensor_gather(value, numbers);
  if (t->json) {
    write_json(t->json, name, value, numbers);
  } else {
    if (t->n_tensors == 1) print_heading(t->to);
    print_row(t->to, name, value, numbers);
  }
  limn_free(numbers);
  return LIMN_OK;
}

static limn_status see(void *user, const limn_observation *seen, limn_error *err) {
  return keep(user, seen->name, &seen->value, err);
}

/* The view does not write through: limn_tensor has no const form. */
static limn_status keep_logits(trace *t, const limn_session *s, limn_error *err) {
  size_t n_rows;
  const float *logits = limn_session_logits(s, &n_rows);
  if (!logits) return LIMN_OK;
  int64_t shape[] = {(int64_t)n_rows, limn_model_config(limn_session_model(s))->vocab_size};
  union {
    const float *read;
    float *data;
  } view = {logits};
  limn_tensor value = limn_tensor_view(view.data, 2, shape);
  return keep(t, "logits", &value, err);
}

/* ---- the command
 * -------------------------------------------------------------------------- */

static limn_status add_metadata(trace *t, const cli_model *m, const limn_session *s,
                                limn_error *err) {
  size_t n = (size_t)limn_session_length(s), used = 0;
  char *list = limn_alloc(n * 12 + 1);
  if (!list) return cli_no_memory(err);
  list[0] = '\0';
  for (size_t i = 0; i < n; i++)
    used += (size_t)snprintf(list + used, 13, "%s%d", i ? "," : "", (int)limn_session_ids(s)[i]);
  limn_status status = limn_safetensors_writer_metadata(t->writer, "ids", list, err);
  if (status == LIMN_OK)
    status = limn_safetensors_writer_metadata(t->writer, "limn", limn_version(), err);
  if (status == LIMN_OK)
    status = limn_safetensors_writer_metadata(t->writer, "model", m->folder, err);
  limn_free(list);
  return status;
}

static limn_status run_trace(const cli *c, const cli_model *m, trace *t, limn_error *err) {
  int32_t *ids = NULL;
  size_t n;
  cli_session s = {0};
  int64_t stop = cli_int(c, "stop-at-layer", -1);
  limn_session_options session_options = {.all_logits = true,
                                          .stop_at_layer = stop == 0  ? -1
                                                           : stop < 0 ? 0
                                                                      : (int)stop};
  limn_status status = cli_read_tokens(c, m, &ids, &n, err);
  if (status == LIMN_OK) status = cli_open_session(c, m, session_options, &s, err);
  if (status == LIMN_OK)
    status = limn_session_observe(s.session, cli_value(c, "hooks"), LIMN_OBSERVE_READ, see, t, NULL,
                                  err);
  if (status == LIMN_OK) status = limn_session_evaluate(s.session, ids, n, err);
  if (status == LIMN_OK && t->n_tensors == 0)
    status = limn_error_set(err, LIMN_ERROR_ARGUMENT, LIMN_NO_OFFSET,
                            "hooks \"%s\" are not reached before layer %lld, where the run stops",
                            cli_value(c, "hooks"), (long long)stop);
  if (status == LIMN_OK) status = keep_logits(t, s.session, err);
  if (status == LIMN_OK) status = cli_check_edits(&s, err);
  if (status == LIMN_OK && t->writer) status = add_metadata(t, m, s.session, err);
  cli_close_session(&s);
  limn_free(ids);
  return status;
}

static limn_status run_to_json(const cli *c, const cli_model *m, FILE *to, limn_error *err) {
  limn_json j;
  trace t = {.json = &j};
  cli_json_begin_in(&j, to, err);
  limn_json_begin_object(&j);
  limn_status status = run_trace(c, m, &t, err);
  if (status != LIMN_OK) return status;
  limn_json_end_object(&j);
  return limn_json_end(&j);
}

/* With edits all is held back until they have met something. */
static int trace_to_stdout(const cli *c, const cli_model *m) {
  limn_error err;
  trace t = {.to = stdout};
  bool is_held = cli_has_edits(c);
  if (is_held && cli_hold_output(&t.to, &err) != LIMN_OK) return cli_fail(c, &err);
  limn_status status =
      cli_flag(c, "json") ? run_to_json(c, m, t.to, &err) : run_trace(c, m, &t, &err);
  if (is_held && status == LIMN_OK)
    status = cli_print_held(t.to, &err);
  else if (is_held)
    fclose(t.to);
  bool is_told = !is_held && ferror(stdout); /* by main, at the end */
  return status == LIMN_OK || is_told ? CLI_OK : cli_fail(c, &err);
}

static int trace_to_file(const cli *c, const cli_model *m, const char *path) {
  limn_error err;
  trace t = {0};
  char size[32];
  if (limn_safetensors_writer_open(path, 0, &t.writer, &err) != LIMN_OK) return cli_fail(c, &err);
  limn_status status = run_trace(c, m, &t, &err);
  if (status == LIMN_OK)
    status = limn_safetensors_writer_commit(t.writer, &err);
  else
    limn_safetensors_writer_discard(t.writer);
  if (status != LIMN_OK) return cli_fail(c, &err);
  if (strcmp(path, "-") != 0)
    printf("%lld tensors, %s, in %s\n", (long long)t.n_tensors,
           cli_size_text(size, (uint64_t)t.n_numbers * sizeof(float)), path);
  return CLI_OK;
}

static int run(cli *c) {
  cli_model m;
  limn_error err;
  const char *path = cli_value(c, "output");
  if (path && cli_flag(c, "json"))
    return cli_bad(c, "--output and --json are given, expected one of them");
  if (cli_open_model(c, &m, &err) != LIMN_OK) return cli_fail(c, &err);
  int result = path ? trace_to_file(c, &m, path) : trace_to_stdout(c, &m);
  cli_close_model(&m);
  return result;
}

const cli_command cmd_trace = {
    .name = "trace",
    .group = CLI_LOOK,
    .rank = 20,
    .summary = "keep what the steps of a model compute for a text",
    .usage = "[OPTION]... (TEXT | --file FILE | --ids 1,2,3)",
    .description =
        "Runs a text through the model once. Each step that HOOKS names goes out under its name, "
        "without a batch axis, and the logits of every position as \"logits\": into a safetensors "
        "file with -o, as {name: {shape, data}} with --json, otherwise as a table of sizes, means "
        "and standard deviations (of the finite entries).\n\n"
        "In a glob * matches any characters, dots too. Points on request (limn hooks lists them) "
        "are matched where the last part of their name is spelled out.\n\n" CLI_EDIT_PARAGRAPHS,
    .options = options,
    .examples = examples,
    .max_arguments = 1,
    .run = run,
};
