/*
 * cmd_bench.c - limn bench: how fast a model runs on this machine, and how near to its limits.
 *
 * Two things take time: reading a prompt (prefill: matrix times matrix, bound by multiply-adds) and
 * making tokens one by one (decode: matrix times vector, bound by reading the weights). Each is run
 * several times, in turns, so that what else the machine does hits both; the median is shown, and
 * the best. Beside them stand the rates of multiply-adds and of reading that the same threads reach
 * when they do nothing else, and how far the logits are from those of the scalar kernels.
 */
#include "bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* Beyond this size it is no faster or slower to read; a large model leaves no room for as much. */
#define MOST_READ ((size_t)1 << 30)

static const cli_option options[] = {
    {"prompt", 'p', CLI_INT, "N", "512", 1, 1e6, "Tokens of the prompt, at most the context"},
    {"new", 'n', CLI_INT, "N", "128", 1, 1e6, "Tokens to make, from an empty context"},
    {"repeat", 'r', CLI_INT, "N", "5", 1, 1000, "Runs of each"},
    {"curve", 0, CLI_FLAG, NULL, NULL, 0, 0,
     "Measure at growing numbers of positions instead, up to the context"},
    {"out", 'o', CLI_TEXT, "DIR", NULL, 0, 0,
     "With --curve, write curve.json and a line plot into this folder"},
    {"no-check", 0, CLI_FLAG, NULL, NULL, 0, 0, "Leave out the comparison with scalar kernels"},
    CLI_OPTIONS_MODEL,
    CLI_OPTIONS_INVARIANT,
    CLI_OPTIONS_JSON,
    CLI_OPTIONS_END};

static const cli_example examples[] = {
    {"limn bench -m ~/models/gpt2", "The file's own number format, all threads."},
    {"limn bench -m ~/models/gpt2 --weights q8 -t 1", "8-bit weights on one thread."},
    {"limn bench --curve --out curve",
     "How the speed falls as the text grows, and a picture of it."},
    {"LIMN_KERNELS=avx2 limn bench", "As on a processor without AVX-512."},
    {NULL, NULL}};

/* ---- running ----------------------------------------------------------------------------------
 */

static limn_status run_all(bench *b, limn_error *err) {
  size_t n = (size_t)b->n_repeats;
  bench_time *times = limn_alloc_zeroed(2 * n, sizeof *times);
  if (!times) return cli_no_memory(err);
  limn_status status = LIMN_OK;
  for (size_t i = 0; i < n && status == LIMN_OK; i++) {
    cli_progress("run", (int64_t)i + 1, (int64_t)n);
    status = bench_prefill(b, b->n_prompt, &times[i], err);
    limn_session_reset(b->session);
    if (status == LIMN_OK) status = bench_decode(b, 0, b->n_new, &times[n + i], err);
  }
  cli_progress_end();
  if (status == LIMN_OK) {
    b->prefill = bench_rate_of(b, times, b->n_repeats, b->n_prompt);
    b->decode = bench_rate_of(b, times + n, b->n_repeats, b->n_new);
  }
  limn_free(times);
  return status;
}

/* The first runs of all, which meet cold memory; then the process is as large as it gets. */
static limn_status warm_up(bench *b, limn_error *err) {
  struct rusage usage;
  bench_time unused = {0};
  limn_status status = bench_prefill(b, b->n_prompt, &unused, err);
  limn_session_reset(b->session);
  if (status == LIMN_OK) status = bench_decode(b, 0, 1, &unused, err);
  if (getrusage(RUSAGE_SELF, &usage) == 0) b->peak = (int64_t)usage.ru_maxrss * 1024;
  return status;
}

/* ---- against the limits -----------------------------------------------------------------------
 */

/* Multiply-adds of a prompt whose last position gets logits: what cannot be left out. */
static double multiply_adds(const limn_config *c, double n) {
  double d = c->d_model, m = c->d_mlp, layers = c->n_layer;
  double keys_and_values = 2 * d * d, rest = 2 * d * d + 2 * d * m;
  double products = n * layers * keys_and_values + (n * (layers - 1) + 1) * rest;
  double attention = (layers - 1) * n * (n + 1) * d + 2 * n * d;
  return products + attention + d * c->vocab_size;
}

/* Bytes that a token reads: all packed weights, and on average half of the keys and values. */
static double bytes_read(const bench *b) {
  const limn_config *c = limn_model_config(b->m.model);
  double cached = (double)b->n_new / 2 * 2 * c->d_model * c->n_layer * sizeof(float);
  return (double)limn_model_packed_size(b->m.model) + cached;
}

typedef struct share {
  double by_clock, by_processor; /* of 1 */
} share;

static share prefill_share(const bench *b) {
  double each = multiply_adds(limn_model_config(b->m.model), b->n_prompt) / b->n_prompt;
  return (share){each * b->prefill.median / b->ceilings.multiply_adds,
                 each * b->prefill.by_processor / b->ceilings.multiply_adds_by_processor};
}

static share decode_share(const bench *b) {
  double each = bytes_read(b);
  return (share){each * b->decode.median / b->ceilings.bytes_read,
                 each * b->decode.by_processor / b->ceilings.bytes_read_by_processor};
}

static void keep_better(limn_ceilings *best, const limn_ceilings *c) {
  best->multiply_adds = fmax(best->multiply_adds, c->multiply_adds);
  best->bytes_read = fmax(best->bytes_read, c->bytes_read);
  best->multiply_adds_by_processor =
      fmax(best->multiply_adds_by_processor, c->multiply_adds_by_processor);
  best->bytes_read_by_processor = fmax(best->bytes_read_by_processor, c->bytes_read_by_processor);
}

static limn_status measure(bench *b, limn_error *err) {
  limn_ceilings again;
  size_t size = limn_model_packed_size(b->m.model);
  if (size > MOST_READ) size = MOST_READ;
  limn_status status = warm_up(b, err);
  if (status == LIMN_OK) status = limn_measure_ceilings(b->m.pool, size, &b->ceilings, err);
  if (status == LIMN_OK) status = run_all(b, err);
  if (status == LIMN_OK) status = limn_measure_ceilings(b->m.pool, size, &again, err);
  if (status == LIMN_OK) keep_better(&b->ceilings, &again);
  return status;
}

/* ---- against the scalar kernels ----------------------------------------------------------------
 */

enum { N_CHECKED = 16 };

static limn_status logits_of(const bench *b, const cli_model *m, size_t n, float *out,
                             limn_error *err) {
  limn_session *s;
  limn_status status = limn_session_new(
      m->model, &(limn_session_options){.pool = m->pool, .n_ctx = (int)n}, &s, err);
  if (status != LIMN_OK) return status;
  status = limn_session_evaluate(s, b->ids, n, err);
  if (status == LIMN_OK)
    memcpy(out, limn_session_logits(s, NULL),
           (size_t)limn_model_config(m->model)->vocab_size * sizeof *out);
  limn_session_free(s);
  return status;
}

/* Opens the model a second time, with the variable set; it is put back as it was. */
static limn_status open_scalar(const cli *c, cli_model *m, limn_error *err) {
  const char *before = getenv("LIMN_KERNELS");
  char name[64];
  snprintf(name, sizeof name, "%s", before ? before : "");
  setenv("LIMN_KERNELS", "scalar", 1);
  limn_status status = cli_open_model(c, m, err);
  if (before)
    setenv("LIMN_KERNELS", name, 1);
  else
    unsetenv("LIMN_KERNELS");
  return status;
}

static limn_status compare(bench *b, limn_error *err) {
  cli_model scalar;
  size_t vocab_size = (size_t)limn_model_config(b->m.model)->vocab_size;
  size_t n = b->n_prompt < N_CHECKED ? (size_t)b->n_prompt : N_CHECKED;
  float *logits = limn_alloc_zeroed(2 * vocab_size, sizeof *logits);
  if (!logits) return cli_no_memory(err);
  limn_status status = logits_of(b, &b->m, n, logits, err);
  if (status == LIMN_OK) status = open_scalar(b->c, &scalar, err);
  if (status == LIMN_OK) {
    status = logits_of(b, &scalar, n, logits + vocab_size, err);
    cli_close_model(&scalar);
  }
  if (status == LIMN_OK)
    b->error = limn_compare(logits, logits + vocab_size, (int64_t)vocab_size).relative;
  limn_free(logits);
  return status;
}

/* ---- showing -----------------------------------------------------------------------------------
 */

static void put(const char *name, const char *value, const char *meaning) {
  enum { COLUMN = 36 };
  printf("  %-14s %16s   %s", name, value, cli_sgr(CLI_DIM));
  cli_print_wrapped(stdout, meaning, COLUMN, COLUMN, cli_width());
  fputs(cli_sgr(CLI_PLAIN), stdout);
}

static void put_rate(const char *name, bench_rate r, const char *meaning) {
  char number[32], best[32], by_processor[32], text[64], more[256];
  snprintf(text, sizeof text, "%s tokens/s", bench_rate_text(number, r.median));
  snprintf(more, sizeof more, "%s; best run %s, by processor time %s", meaning,
           bench_rate_text(best, r.best), bench_rate_text(by_processor, r.by_processor));
  put(name, text, more);
}

static void put_share(share s, const char *meaning) {
  char text[64], more[256];
  snprintf(text, sizeof text, "%.1f %%", 100 * s.by_clock);
  snprintf(more, sizeof more, "%s; by processor time %.1f %%", meaning, 100 * s.by_processor);
  put("", text, more);
}

static void put_memory(const bench *b) {
  char text[64], mapped[32], packed[32], meaning[160];
  cli_size_text(mapped, limn_model_mapped_size(b->m.model));
  cli_size_text(packed, limn_model_packed_size(b->m.model));
  snprintf(meaning, sizeof meaning, "most that was held, the file's %s and packed %s among it",
           mapped, packed);
  put("memory", cli_size_text(text, (uint64_t)b->peak), meaning);
}

static void print_bench(const bench *b) {
  char text[64], meaning[160];
  snprintf(text, sizeof text, "%d", limn_pool_size(b->m.pool));
  put("threads", text, "--threads");
  put("kernels", limn_model_kernels(b->m.model), "LIMN_KERNELS");
  put("weights", limn_model_weights(b->m.model), "--weights");
  put("compute", limn_model_compute(b->m.model), "--compute");
  snprintf(text, sizeof text, "%.3f s", b->open_seconds);
  put("open", text, "from the files to the first logits");
  put_memory(b);
  snprintf(meaning, sizeof meaning, "%d tokens, the last one's logits, median of %d", b->n_prompt,
           b->n_repeats);
  put_rate("prefill", b->prefill, meaning);
  snprintf(meaning, sizeof meaning, "of %.4g GFLOP/s, multiply-adds in float32 and nothing else",
           2e-9 * b->ceilings.multiply_adds);
  put_share(prefill_share(b), meaning);
  snprintf(meaning, sizeof meaning, "%d tokens one by one, median of %d", b->n_new, b->n_repeats);
  put_rate("decode", b->decode, meaning);
  snprintf(meaning, sizeof meaning, "of %.4g GB/s, reading as many bytes and nothing else",
           1e-9 * b->ceilings.bytes_read);
  put_share(decode_share(b), meaning);
  if (b->error < 0) return;
  snprintf(text, sizeof text, "%.2g", b->error);
  put("error", text, "of the logits against the scalar kernels, of the largest");
}

static void member_rate(limn_json *j, const char *key, bench_rate r, int n, share s) {
  limn_json_key(j, key);
  limn_json_begin_object(j);
  cli_json_int(j, "n_tokens", n);
  bench_write_rate(j, r);
  cli_json_double(j, "share_of_ceiling", s.by_clock);
  cli_json_double(j, "share_of_ceiling_by_processor_time", s.by_processor);
  limn_json_end_object(j);
}

static int write_json(const bench *b, limn_error *err) {
  limn_json j;
  cli_json_begin(&j, err);
  limn_json_begin_object(&j);
  cli_json_text(&j, "model", b->m.folder);
  cli_json_int(&j, "threads", limn_pool_size(b->m.pool));
  cli_json_text(&j, "kernels", limn_model_kernels(b->m.model));
  cli_json_text(&j, "weights", limn_model_weights(b->m.model));
  cli_json_text(&j, "compute", limn_model_compute(b->m.model));
  cli_json_int(&j, "packed_bytes", (int64_t)limn_model_packed_size(b->m.model));
  cli_json_int(&j, "mapped_bytes", (int64_t)limn_model_mapped_size(b->m.model));
  cli_json_int(&j, "peak_bytes", b->peak);
  cli_json_int(&j, "repeats", b->n_repeats);
  cli_json_double(&j, "open_seconds", b->open_seconds);
  cli_json_double(&j, "multiply_adds_per_second", b->ceilings.multiply_adds);
  cli_json_double(&j, "bytes_read_per_second", b->ceilings.bytes_read);
  cli_json_double(&j, "multiply_adds_per_second_by_processor_time",
                  b->ceilings.multiply_adds_by_processor);
  cli_json_double(&j, "bytes_read_per_second_by_processor_time",
                  b->ceilings.bytes_read_by_processor);
  member_rate(&j, "prefill", b->prefill, b->n_prompt, prefill_share(b));
  member_rate(&j, "decode", b->decode, b->n_new, decode_share(b));
  limn_json_key(&j, "error_against_scalar");
  if (b->error >= 0)
    limn_json_double(&j, b->error);
  else
    limn_json_null(&j);
  limn_json_end_object(&j);
  return cli_json_end(b->c, &j);
}

/* ---- the command -------------------------------------------------------------------------------
 */

static limn_status prepare(bench *b, limn_error *err) {
  const limn_config *config = limn_model_config(b->m.model);
  int64_t n_prompt = cli_int(b->c, "prompt", 0), n_new = cli_int(b->c, "new", 0);
  b->n_prompt = n_prompt < config->n_ctx ? (int)n_prompt : config->n_ctx;
  b->n_new = n_new < config->n_ctx ? (int)n_new : config->n_ctx;
  b->n_repeats = (int)cli_int(b->c, "repeat", 0);
  b->ids = limn_alloc_zeroed((size_t)config->n_ctx, sizeof *b->ids);
  if (!b->ids) return cli_no_memory(err);
  for (int i = 0; i < config->n_ctx; i++) /* any will do; these go through all of the vocabulary */
    b->ids[i] = (int32_t)((int64_t)i * 7919 % config->vocab_size);
  return LIMN_OK;
}

static limn_status open_all(bench *b, limn_error *err) {
  bench_time start = bench_now(), unused = {0};
  limn_status status = cli_open_model(b->c, &b->m, err);
  if (status == LIMN_OK) status = prepare(b, err);
  limn_session_options wanted = {.pool = b->m.pool, .invariant = cli_is_given(b->c, "invariant")};
  if (status == LIMN_OK) status = limn_session_new(b->m.model, &wanted, &b->session, err);
  if (status == LIMN_OK) status = bench_prefill(b, b->n_prompt < 6 ? b->n_prompt : 6, &unused, err);
  b->open_seconds = bench_now().wall - start.wall;
  return status;
}

static int measure_and_show(bench *b) {
  limn_error err;
  limn_status status = measure(b, &err);
  if (status == LIMN_OK && !cli_flag(b->c, "no-check")) status = compare(b, &err);
  if (status != LIMN_OK) return cli_fail(b->c, &err);
  if (cli_flag(b->c, "json")) return write_json(b, &err);
  print_bench(b);
  return CLI_OK;
}

static int run(cli *c) {
  limn_error err;
  bench b = {.c = c, .error = -1};
  int result;
  if (cli_is_given(c, "out") && !cli_flag(c, "curve"))
    return cli_bad(c, "--out is given, expected --curve with it");
  if (open_all(&b, &err) != LIMN_OK)
    result = cli_fail(c, &err);
  else
    result = cli_flag(c, "curve") ? bench_curve(&b) : measure_and_show(&b);
  limn_session_free(b.session);
  limn_free(b.ids);
  cli_close_model(&b.m);
  return result;
}

const cli_command cmd_bench = {
    .name = "bench",
    .group = CLI_LOOK,
    .rank = 60,
    .summary = "measure how fast a model runs here, beside the machine's limits",
    .usage = "[OPTION]...",
    .description =
        "Shows the tokens per second of a prompt (prefill) and of tokens one by one (decode), in "
        "the median of several runs, each beside what the same threads reach when they only "
        "multiply and add, or only read memory; the time from opening the files to the first "
        "logits; the most memory that was held; and how far the logits are from those of the "
        "scalar kernels.\n\n"
        "With --curve, both speeds at growing numbers of positions: a prompt of so many tokens, "
        "and the last 16 tokens, one by one, of a text of so many.\n\n"
        "Other work on the machine makes all of this slower. The limits are the best of several "
        "short measurements, before and after. By processor time, a speed is the tokens of one "
        "second that one processor worked, times the threads: what a run would give that nobody "
        "disturbs.",
    .options = options,
    .examples = examples,
    .run = run,
};
