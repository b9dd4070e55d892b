/*
 * Whole passes on (emulated) tiles: as exact as without, and what is promised about bits. A pass of
 * many tokens is on tiles from its first product to its last, or not at all: so looking, threads
 * and the number of logits change nothing. A session that is invariant is never on tiles, and gets
 * the bits of a model without.
 */
#include "emulated_tiles.h"
#include "reference.h"

#include "base/cpu.h"
#include "models/model.h"

#include <stdlib.h>

enum { VOCAB = 512, N_IDS = 24 };

/* The tiny models have 24 tokens: tiles are for 16 and more. */
static limn_tiles tiles;
static limn_kernels kernels;

static void make_kernels(void) {
  kernels = emulated_kernels();
  tiles = *kernels.tiles;
  for (int i = 0; i < LIMN_FORMAT_COUNT; i++)
    tiles.least_rows[i] = 16;
  kernels.tiles = &tiles;
}

/* The same weights, other kernels. */
static void put_on(limn_model *model, const limn_kernels *to) {
  model->kernels = model->unembedding.kernels = to;
  for (int i = 0; i < model->config.n_layer; i++) {
    limn_gpt2_layer *layer = &model->layers[i];
    layer->qkv.kernels = layer->out.kernels = layer->mlp_in.kernels = layer->mlp_out.kernels = to;
  }
}

typedef struct run {
  limn_session_options options;
  int n_threads;
  const char *watched; /* or NULL */
  size_t step;         /* tokens in a call */
} run;

static limn_status look(void *user, const limn_observation *seen, limn_error *err) {
  (void)user, (void)seen, (void)err;
  return LIMN_OK;
}

/* The logits after the last token (or of all), and how many products of tiles it took. */
static int logits_of(const limn_model *model, const int32_t *ids, run how, float *logits) {
  limn_error err;
  limn_pool *pool;
  limn_session *s;
  CHECK_OK(limn_pool_new(how.n_threads ? how.n_threads : 1, &pool, &err), err);
  how.options.pool = pool;
  CHECK_OK(limn_session_new(model, &how.options, &s, &err), err);
  if (how.watched)
    CHECK_OK(limn_session_observe(s, how.watched, LIMN_OBSERVE_READ, look, NULL, NULL, &err), err);
  emulated_products = 0;
  for (size_t at = 0; at < N_IDS; at += how.step ? how.step : N_IDS)
    CHECK_OK(limn_session_evaluate(s, ids + at, how.step ? how.step : N_IDS, &err), err);
  size_t n;
  const float *found = limn_session_logits(s, &n);
  memcpy(logits, found, n * VOCAB * sizeof *logits);
  limn_session_free(s);
  limn_pool_free(pool);
  return emulated_products;
}

/* ---- numbers ----------------------------------------------------------------------------------
 */

static limn_status compare_hook(void *user, const limn_observation *seen, limn_error *err) {
  reference *r = user;
  limn_stored stored;
  int64_t n = limn_tensor_count(&seen->value);
  float *found = malloc((size_t)n * sizeof *found), *wanted = malloc((size_t)n * sizeof *wanted);
  CHECK_OK(limn_safetensors_view(r->tensors, seen->name, &stored, err), *err);
  limn_tensor_gather(&seen->value, found);
  limn_stored_to_f32(&stored, 0, n, wanted);
  check_close(seen->name, found, wanted, n, 2e-6);
  free(found);
  free(wanted);
  return LIMN_OK;
}

/* Every hook against PyTorch in float64, within what test_reference.c allows without tiles. */
static void check_hooks(const char *name) {
  limn_error err;
  limn_session *s;
  reference r;
  reference_open(&r, name, NULL);
  put_on(r.model, &kernels);
  CHECK_OK(limn_session_new(r.model, &(limn_session_options){.all_logits = true}, &s, &err), err);
  CHECK_OK(limn_session_observe(s, "*", LIMN_OBSERVE_READ, compare_hook, &r, NULL, &err), err);
  emulated_products = 0;
  CHECK_OK(limn_session_evaluate(s, r.ids, r.n_ids, &err), err);
  assert_true(emulated_products > 0);
  limn_session_free(s);
  reference_close(&r);
}

static void hooks_as_pytorch_has_them(void **state) {
  (void)state;
  check_hooks("f32");
  check_hooks("bf16");
  check_hooks("f16");
}

/* Rounded and stored in fewer bits: as without tiles, for bytes to the bit. */
static void other_arithmetic(void **state) {
  (void)state;
  static const limn_model_options options[] = {{LIMN_WEIGHTS_BF16, LIMN_COMPUTE_BF16},
                                               {LIMN_WEIGHTS_Q8, LIMN_COMPUTE_F32},
                                               {LIMN_WEIGHTS_Q4, LIMN_COMPUTE_F32},
                                               {LIMN_WEIGHTS_Q8, LIMN_COMPUTE_INT8},
                                               {LIMN_WEIGHTS_Q4, LIMN_COMPUTE_INT8}};
  static const double tolerances[] = {1e-2, 2e-6, 2e-6, 0, 0};
  static float plain[VOCAB], tiled[VOCAB];
  for (size_t i = 0; i < 5; i++) {
    limn_error err;
    limn_model *model;
    reference r;
    reference_open(&r, "f32", NULL);
    CHECK_OK(limn_model_open_with(r.folder, &options[i], NULL, &model, &err), err);
    put_on(model, &limn_kernels_scalar);
    assert_int_equal(logits_of(model, r.ids, (run){0}, plain), 0);
    put_on(model, &kernels);
    assert_true(logits_of(model, r.ids, (run){0}, tiled) > 0);
    check_close("logits", tiled, plain, VOCAB, tolerances[i]);
    limn_model_close(model);
    reference_close(&r);
  }
}

/* ---- bits -------------------------------------------------------------------------------------
 */

static void looking_and_threads_change_nothing(void **state) {
  reference *r = *state;
  static float plain[VOCAB], other[VOCAB], all[N_IDS * VOCAB];
  put_on(r->model, &kernels);
  int n = logits_of(r->model, r->ids, (run){0}, plain);
  assert_true(n > 0);
  static const char *const watched[] = {"*", "*.hook_pattern", "*hook_mlp_out", "ln_final*",
                                        "blocks.2.hook_resid_post"};
  for (size_t i = 0; i < 5; i++) {
    logits_of(r->model, r->ids, (run){.n_threads = 1 + (int)i, .watched = watched[i]}, other);
    assert_memory_equal(plain, other, sizeof plain);
  }
  logits_of(r->model, r->ids, (run){.options.all_logits = true}, all);
  assert_memory_equal(plain, all + (N_IDS - 1) * VOCAB, sizeof plain);
}

static void invariant_is_without_tiles(void **state) {
  reference *r = *state;
  static float tiled[VOCAB], invariant[VOCAB], plain[VOCAB];
  put_on(r->model, &limn_kernels_scalar);
  logits_of(r->model, r->ids, (run){0}, plain);
  put_on(r->model, &kernels);
  run steady = {.options.invariant = true};
  for (steady.step = 1; steady.step <= N_IDS; steady.step = 2 * steady.step + (steady.step == 3)) {
    if (N_IDS % steady.step) continue;
    assert_int_equal(logits_of(r->model, r->ids, steady, invariant), 0);
    assert_memory_equal(invariant, plain, sizeof plain);
  }
  /* Otherwise the bits are others, and the numbers the same. */
  logits_of(r->model, r->ids, (run){0}, tiled);
  assert_memory_not_equal(tiled, plain, sizeof plain);
  check_close("logits", tiled, plain, VOCAB, 2e-6);
  /* Fewer tokens than tiles are for. */
  assert_int_equal(logits_of(r->model, r->ids, (run){.step = 12}, tiled), 0);
}

/* One invariant session keeps the whole pass off the tiles; without one, rows are counted over all
   sessions. */
static void batches(void **state) {
  reference *r = *state;
  put_on(r->model, &kernels);
  for (int is_invariant = 0; is_invariant < 2; is_invariant++) {
    limn_error err;
    limn_batch *batch;
    limn_session *s[2];
    CHECK_OK(limn_batch_new(r->model, NULL, &batch, &err), err);
    for (int i = 0; i < 2; i++) {
      limn_session_options options = {.batch = batch, .invariant = i == 1 && is_invariant};
      CHECK_OK(limn_session_new(r->model, &options, &s[i], &err), err);
    }
    limn_batch_item items[2] = {{.session = s[0], .ids = r->ids, .n = 10},
                                {.session = s[1], .ids = r->ids, .n = 10}};
    emulated_products = 0;
    CHECK_OK(limn_batch_evaluate(batch, items, 2, &err), err);
    assert_true((emulated_products == 0) == (is_invariant == 1));
    assert_memory_equal(limn_session_logits(s[0], NULL), limn_session_logits(s[1], NULL),
                        VOCAB * sizeof(float));
    limn_session_free(s[0]);
    limn_session_free(s[1]);
    limn_batch_free(batch);
  }
}

/* What promises the very numbers of other runs keeps off the tiles by itself. */
static void speculation_and_sweeps(void **state) {
  reference *r = *state;
  limn_error err;
  limn_session *s;
  limn_sampler *sampler;
  limn_speculator *speculator;
  limn_choice choice;
  limn_sampling greedy = {0};
  limn_sweep *sweep;
  put_on(r->model, &kernels);
  emulated_products = 0;
  CHECK_OK(limn_session_new(r->model, &(limn_session_options){.max_logits = 9}, &s, &err), err);
  CHECK_OK(limn_sampler_new(VOCAB, &greedy, &sampler, &err), err);
  CHECK_OK(limn_speculator_new(s, sampler, &greedy, r->ids, N_IDS, 4, NULL, &speculator, &err),
           err);
  for (int i = 0; i < 4; i++)
    CHECK_OK(limn_speculator_next(speculator, &choice, NULL, &err), err);
  limn_speculator_free(speculator);
  limn_sampler_free(sampler);
  limn_session_free(s);
  CHECK_OK(limn_sweep_run(r->model, r->ids, N_IDS, &(limn_sweep_options){0}, &sweep, &err), err);
  limn_sweep_free(sweep);
  assert_int_equal(emulated_products, 0);
}

/* The next pass may be without tiles: there is room for either, of any width. */
static void room_for_both_ways(void **state) {
  (void)state;
  for (int64_t n = 1; n < 50; n += 7)
    for (int64_t width = 1; width < 200; width += 3)
      for (int a = LIMN_ARITHMETIC_F32; a <= LIMN_ARITHMETIC_INT8; a++) {
        limn_arithmetic arithmetic = (limn_arithmetic)a;
        size_t with = limn_linear_scratch_size(&kernels, arithmetic, n, width);
        assert_true(with >= limn_linear_scratch_size(&limn_kernels_scalar, arithmetic, n, width));
        assert_true(with % 64 == 0);
      }
}

/* Asked for by name and not there: an error that says so; not asked for: other kernels. */
static void a_processor_without(void **state) {
  (void)state;
  limn_error err;
  limn_model *model;
  char folder[512];
  if (strstr(limn_cpu_features(), "amxtile")) skip();
  snprintf(folder, sizeof folder, "%s/gpt2-tiny/f32", LIMN_TEST_DATA);
  setenv("LIMN_KERNELS", "amx", 1);
#if defined(__x86_64__)
  CHECK_FAILS(limn_model_open(folder, NULL, &model, &err), LIMN_ERROR_UNSUPPORTED, err,
              "LIMN_KERNELS is \"amx\", which this processor cannot run: it has ");
#else
  CHECK_FAILS(limn_model_open(folder, NULL, &model, &err), LIMN_ERROR_ARGUMENT, err,
              "LIMN_KERNELS is \"amx\", expected scalar");
#endif
  unsetenv("LIMN_KERNELS");
  assert_false(limn_cpu_ask_for_tiles());
  CHECK_OK(limn_model_open(folder, NULL, &model, &err), err);
  assert_string_not_equal(limn_model_kernels(model), "amx");
  limn_model_close(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(hooks_as_pytorch_has_them),
      cmocka_unit_test(other_arithmetic),
      cmocka_unit_test(looking_and_threads_change_nothing),
      cmocka_unit_test(invariant_is_without_tiles),
      cmocka_unit_test(batches),
      cmocka_unit_test(speculation_and_sweeps),
      cmocka_unit_test(room_for_both_ways),
      cmocka_unit_test(a_processor_without),
  };
  make_kernels();
  return cmocka_run_group_tests(tests, reference_set_up, reference_tear_down);
}
