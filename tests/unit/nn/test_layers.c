/*
 * test_layers.c - the layers against tests/data/torch_nn.json: initialisations in PyTorch's
 * float32, results in its float64. Tolerance 1e-6 of the largest entry: a few roundings of float32.
 */
#include "goldens.h"

#include <limn/nn.h>
#include <math.h>
#include <stdlib.h>

#define TOLERANCE 1e-6

static json_t *file;

static int open_file(void **state) {
  (void)state;
  file = goldens_open("torch_nn.json");
  return 0;
}

static int close_file(void **state) {
  (void)state;
  json_decref(file);
  return 0;
}

static void check(const char *name, const float *found) {
  golden g = golden_at(file, "%s", name);
  check_close(name, found, g.data, g.n, TOLERANCE);
  free(g.data);
}

static char *named(const char *format, ...) LIMN_PRINTF(1, 2);
static char *named(const char *format, ...) {
  static char name[256];
  va_list args;
  va_start(args, format);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  vsnprintf(name, sizeof name, format, args);
#pragma GCC diagnostic pop
  va_end(args);
  return name;
}

/* ---- initialisations ----------------------------------------------------------------------------
 */

/* The stream stands where PyTorch's stands. */
static void check_next(limn_random *r, const char *prefix) {
  float next[2];
  limn_random_uniform(r, 0, 1, 2, next);
  golden g = golden_at(file, "%s.next", prefix);
  assert_memory_equal(next, g.data, sizeof next);
  free(g.data);
}

static void check_linear_init(unsigned long long seed, const char *name, int64_t n_in,
                              int64_t n_out, bool has_bias) {
  limn_random r;
  limn_nn_linear l;
  limn_error err;
  char prefix[96];
  snprintf(prefix, sizeof prefix, "init.%llu.%s", seed, name);
  limn_random_seed(&r, seed);
  CHECK_OK(limn_nn_linear_init(&l, n_in, n_out, has_bias, &r, &err), err);
  golden g = golden_at(file, "%s.param.weight", prefix);
  assert_memory_equal(l.weight, g.data, (size_t)g.n * sizeof(float));
  free(g.data);
  if (has_bias) check(named("%s.param.bias", prefix), l.bias);
  check_next(&r, prefix);
  limn_nn_linear_deinit(&l);
}

static void check_attention_init(unsigned long long seed, const char *name, int64_t d,
                                 int64_t heads, bool has_bias) {
  limn_random r;
  limn_nn_attention a;
  limn_error err;
  char prefix[96];
  snprintf(prefix, sizeof prefix, "init.%llu.%s", seed, name);
  limn_random_seed(&r, seed);
  CHECK_OK(limn_nn_attention_init(&a, d, heads, has_bias, &r, &err), err);
  check(named("%s.param.in_proj_weight", prefix), a.in_weight);
  check(named("%s.param.out_proj.weight", prefix), a.out.weight);
  if (has_bias) check(named("%s.param.in_proj_bias", prefix), a.in_bias);
  if (has_bias) check(named("%s.param.out_proj.bias", prefix), a.out.bias);
  check_next(&r, prefix);
  limn_nn_attention_deinit(&a);
}

static void check_embedding_init(unsigned long long seed, const char *name, int64_t n, int64_t d) {
  limn_random r;
  limn_nn_embedding e;
  limn_error err;
  char prefix[96];
  snprintf(prefix, sizeof prefix, "init.%llu.%s", seed, name);
  limn_random_seed(&r, seed);
  CHECK_OK(limn_nn_embedding_init(&e, n, d, &r, &err), err);
  check(named("%s.param.weight", prefix), e.weight);
  check_next(&r, prefix);
  limn_nn_embedding_deinit(&e);
}

static void test_initialisations(void **state) {
  (void)state;
  static const unsigned long long seeds[] = {0, 1, 42, 4294967301};
  for (size_t i = 0; i < 4; i++) {
    check_linear_init(seeds[i], "linear(8,5)", 8, 5, true);
    check_linear_init(seeds[i], "linear(3,17)", 3, 17, true);
    check_linear_init(seeds[i], "linear(20,7,bias=False)", 20, 7, false);
    check_embedding_init(seeds[i], "embedding(6,8)", 6, 8);
    check_embedding_init(seeds[i], "embedding(5,3)", 5, 3);
    check_attention_init(seeds[i], "multihead(8,2)", 8, 2, true);
    check_attention_init(seeds[i], "multihead(12,3,bias=False)", 12, 3, false);
  }
}

/* ---- functions ----------------------------------------------------------------------------------
 */

static void test_softmax(void **state) {
  (void)state;
  static const char *const cases[] = {"plain", "large", "masked", "empty", "odd values", "one"};
  for (size_t i = 0; i < 6; i++) {
    golden x = golden_at(file, "softmax.%s.x", cases[i]);
    float *found = malloc((size_t)x.n * sizeof *found);
    limn_tensor from = limn_tensor_view(x.data, x.rank, x.shape);
    limn_tensor to = limn_tensor_view(found, x.rank, x.shape);
    for (int axis = 0; axis < x.rank; axis++) {
      golden g = golden_at(file, "softmax.%s.axis%d", cases[i], axis);
      limn_nn_softmax(&from, axis, &to);
      /* Where all are -inf PyTorch has NaN, limn 0; other NaN are the same in both. */
      bool has_nan = strcmp(cases[i], "odd values") == 0;
      if (has_nan && axis == 0) g.data[3] = 0;
      for (int64_t k = 0; k < g.n && !has_nan; k++)
        if (isnan(g.data[k])) g.data[k] = 0;
      check_close(cases[i], found, g.data, g.n, TOLERANCE);
      free(g.data);
    }
    free(x.data);
    free(found);
  }
}

static void test_argmax(void **state) {
  (void)state;
  golden x = golden_at(file, "argmax.x"), g = golden_at(file, "argmax.axis1");
  for (int64_t i = 0; i < g.n; i++)
    assert_int_equal(limn_nn_argmax(x.data + i * x.shape[1], x.shape[1]), (int64_t)g.data[i]);
  free(x.data);
  free(g.data);
}

static void test_activations(void **state) {
  (void)state;
  static const struct {
    const char *name;
    limn_activation activation;
  } cases[] = {{"relu", LIMN_ACTIVATION_RELU},
               {"silu", LIMN_ACTIVATION_SILU},
               {"gelu_tanh", LIMN_ACTIVATION_GELU_TANH},
               {"gelu_erf", LIMN_ACTIVATION_GELU_ERF}};
  for (size_t i = 0; i < 4; i++) {
    golden x = golden_at(file, "activation.x");
    limn_nn_activate(cases[i].activation, x.data, x.n, x.data);
    check(named("activation.%s", cases[i].name), x.data);
    free(x.data);
  }
}

static void test_norms(void **state) {
  (void)state;
  static const char *const cases[] = {"plain", "odd", "shifted", "constant", "tiny", "one"};
  static const char *const epsilons[] = {"1e-05", "1e-12"};
  for (size_t i = 0; i < 12; i++) {
    char prefix[64];
    snprintf(prefix, sizeof prefix, "norm.%s.eps%s", cases[i / 2], epsilons[i % 2]);
    golden x = golden_at(file, "%s.x", prefix), weight = golden_at(file, "%s.weight", prefix);
    golden bias = golden_at(file, "%s.bias", prefix);
    float *found = malloc((size_t)x.n * sizeof *found);
    limn_nn_norm norm = {weight.n, i % 2 ? 1e-12f : 1e-5f, false, weight.data, bias.data};
    int64_t n = x.n / norm.d;
    limn_nn_norm_apply(&norm, x.data, n, found);
    check(named("%s.layer", prefix), found);
    norm.bias = NULL;
    norm.is_rms = true;
    limn_nn_norm_apply(&norm, x.data, n, found);
    check(named("%s.rms", prefix), found);
    norm.weight = NULL;
    norm.is_rms = false;
    limn_nn_norm_apply(&norm, x.data, n, found);
    check(named("%s.plain", prefix), found);
    free(x.data), free(weight.data), free(bias.data), free(found);
  }
}

static void test_positions(void **state) {
  (void)state;
  static const char *const cases[] = {"even", "odd", "one", "far"};
  for (size_t i = 0; i < 4; i++) {
    golden rows = golden_at(file, "positions.%s.rows", cases[i]);
    for (int doubled = 0; doubled < 2; doubled++) {
      golden g = golden_at(file, "positions.%s.%s", cases[i], doubled ? "doubled" : "paper");
      float *found = malloc((size_t)g.n * sizeof *found);
      for (int64_t k = 0; k < rows.n; k++)
        limn_nn_position((int64_t)rows.data[k], g.shape[1],
                         doubled ? LIMN_NN_EXPONENT_DOUBLED : LIMN_NN_EXPONENT_PAPER,
                         found + k * g.shape[1]);
      check_close(cases[i], found, g.data, g.n, TOLERANCE);
      free(found), free(g.data);
    }
    free(rows.data);
  }
}

static void test_matmul_of_transposed(void **state) {
  (void)state;
  golden x = golden_at(file, "linear.small.x"), w = golden_at(file, "linear.small.weight");
  golden bias = golden_at(file, "linear.small.bias");
  float found[15];
  limn_tensor a = limn_tensor_view(x.data, 2, x.shape), b = limn_tensor_view(w.data, 2, w.shape);
  limn_tensor out = limn_tensor_view(found, 2, (int64_t[]){3, 5});
  b = limn_tensor_transpose(&b, 0, 1);
  limn_nn_matmul(&a, &b, &out);
  for (int i = 0; i < 15; i++)
    found[i] += bias.data[i % 5];
  check("linear.small.out", found);
  free(x.data), free(w.data), free(bias.data);
}

/* ---- attention and layers -----------------------------------------------------------------------
 */

static golden optional(const char *format, const char *prefix) {
  const char *name = named("%s.%s", prefix, format);
  return golden_has(file, "%s", name) ? golden_at(file, "%s", name) : (golden){0};
}

/* A boolean mask is true where looking is forbidden. */
static void forbid(golden *mask) {
  for (int64_t i = 0; i < mask->n; i++)
    mask->data[i] = mask->data[i] != 0 ? -INFINITY : 0;
}

static void check_weights(const char *name, const float *found) {
  golden g = golden_at(file, "%s", name);
  for (int64_t i = 0; i < g.n; i++)
    if (isnan(g.data[i])) g.data[i] = 0; /* a query that may look nowhere */
  check_close(name, found, g.data, g.n, TOLERANCE);
  free(g.data);
}

static void check_attention(const char *which) {
  char p[96];
  snprintf(p, sizeof p, "multihead.%s", which);
  golden embed = golden_at(file, "%s.embed", p), heads = golden_at(file, "%s.heads", p);
  golden query = golden_at(file, "%s.query", p), key = golden_at(file, "%s.key", p);
  golden value = golden_at(file, "%s.value", p);
  golden w_in = golden_at(file, "%s.param.in_proj_weight", p);
  golden w_out = golden_at(file, "%s.param.out_proj.weight", p);
  golden b_in = optional("param.in_proj_bias", p), b_out = optional("param.out_proj.bias", p);
  golden mask = optional("attn_mask", p), padding = optional("key_padding_mask", p);
  int64_t d = (int64_t)embed.data[0], n_head = (int64_t)heads.data[0];
  if (strncmp(which, "bool", 4) == 0 || strcmp(which, "blocked") == 0) forbid(&mask);
  if (strncmp(which, "padding", 7) == 0) forbid(&padding);
  if (strcmp(which, "padding and causal") == 0) forbid(&mask);
  limn_nn_attention a = {d, n_head, w_in.data, b_in.data, {d, d, w_out.data, b_out.data}};
  int64_t n_batch = query.shape[0], n_query = query.shape[1], n_key = key.shape[1];
  float *out = malloc((size_t)query.n * sizeof(float));
  float *weights = malloc((size_t)(n_batch * n_query * n_key) * sizeof(float));
  float *per_head = malloc((size_t)(n_batch * n_head * n_query * n_key) * sizeof(float));
  limn_nn_attention_call call = {n_batch,    n_query,   n_key,          query.data,   key.data,
                                 value.data, mask.data, mask.rank == 3, padding.data, false,
                                 out,        weights,   per_head};
  limn_error err;
  CHECK_OK(limn_nn_attention_apply(&a, &call, &err), err);
  check_weights(named("%s.weights_per_head", p), per_head);
  check_weights(named("%s.weights", p), weights);
  if (strcmp(which, "blocked") != 0) check(named("%s.out", p), out);
  if (strcmp(which, "causal") == 0) {
    call.mask = NULL;
    call.is_causal = true;
    CHECK_OK(limn_nn_attention_apply(&a, &call, &err), err);
    check(named("%s.out", p), out);
  }
  free(out), free(weights), free(per_head), free(embed.data), free(heads.data), free(query.data);
  free(key.data), free(value.data), free(w_in.data), free(w_out.data), free(b_in.data);
  free(b_out.data), free(mask.data), free(padding.data);
}

static void test_attention(void **state) {
  (void)state;
  static const char *const cases[] = {"plain",         "float mask",
                                      "bool mask",     "causal",
                                      "mask per head", "bool mask per head",
                                      "padding",       "padding and causal",
                                      "float padding", "blocked",
                                      "cross",         "odd",
                                      "no bias",       "one token"};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    check_attention(cases[i]);
}

static limn_nn_linear linear_of(const char *prefix, const char *name) {
  golden w = golden_at(file, "%s.param.%s.weight", prefix, name);
  golden b = golden_at(file, "%s.param.%s.bias", prefix, name);
  return (limn_nn_linear){w.shape[1], w.shape[0], w.data, b.data};
}

static limn_nn_norm norm_of(const char *prefix, const char *name, float eps) {
  golden w = golden_at(file, "%s.param.%s.weight", prefix, name);
  golden b = golden_at(file, "%s.param.%s.bias", prefix, name);
  return (limn_nn_norm){w.n, eps, false, w.data, b.data};
}

static void check_layer(const char *p, bool is_pre_norm, bool is_gelu) {
  golden x = golden_at(file, "%s.x", p), mask = golden_at(file, "%s.mask", p);
  golden heads = golden_at(file, "%s.heads", p), eps = golden_at(file, "%s.eps", p);
  golden w_in = golden_at(file, "%s.param.self_attn.in_proj_weight", p);
  golden b_in = golden_at(file, "%s.param.self_attn.in_proj_bias", p);
  int64_t d = x.shape[2];
  limn_nn_layer l = {
      {d, (int64_t)heads.data[0], w_in.data, b_in.data, linear_of(p, "self_attn.out_proj")},
      {linear_of(p, "linear1"), linear_of(p, "linear2"),
       is_gelu ? LIMN_ACTIVATION_GELU_ERF : LIMN_ACTIVATION_RELU},
      norm_of(p, "norm1", eps.data[0]),
      norm_of(p, "norm2", eps.data[0]),
      is_pre_norm};
  float *out = malloc((size_t)x.n * sizeof *out);
  limn_error err;
  CHECK_OK(limn_nn_layer_apply(&l, x.data, x.shape[0], x.shape[1], NULL, out, NULL, NULL, &err),
           err);
  check(named("%s.out", p), out);
  CHECK_OK(
      limn_nn_layer_apply(&l, x.data, x.shape[0], x.shape[1], mask.data, out, NULL, NULL, &err),
      err);
  check(named("%s.out_masked", p), out);
  free(x.data), free(mask.data), free(heads.data), free(eps.data), free(out);
  free(w_in.data), free(b_in.data), free(l.attention.out.weight), free(l.attention.out.bias);
  free(l.feed_forward.up.weight), free(l.feed_forward.up.bias), free(l.feed_forward.down.weight);
  free(l.feed_forward.down.bias), free(l.norm1.weight), free(l.norm1.bias), free(l.norm2.weight);
  free(l.norm2.bias);
}

static void test_layers(void **state) {
  (void)state;
  check_layer("encoder.post-norm.relu", false, false);
  check_layer("encoder.post-norm.gelu", false, true);
  check_layer("encoder.pre-norm.relu", true, false);
  check_layer("encoder.pre-norm.gelu", true, true);
}

/* ---- what data can get wrong --------------------------------------------------------------------
 */

static void test_bad_sizes_and_ids(void **state) {
  (void)state;
  limn_random r;
  limn_error err;
  limn_nn_linear l;
  limn_nn_embedding e;
  limn_nn_attention a;
  float out[8], x[8] = {0};
  limn_random_seed(&r, 0);
  CHECK_FAILS(limn_nn_linear_init(&l, 0, 3, true, &r, &err), LIMN_ERROR_RANGE, err,
              "a linear map of 3 by 0, expected sizes from 1");
  CHECK_FAILS(limn_nn_embedding_init(&e, -1, 3, &r, &err), LIMN_ERROR_RANGE, err,
              "an embedding of -1 by 3");
  CHECK_FAILS(limn_nn_embedding_init(&e, INT64_MAX, INT64_MAX, &r, &err), LIMN_ERROR_MEMORY, err,
              "no memory for an embedding");
  CHECK_FAILS(limn_nn_attention_init(&a, 8, 3, true, &r, &err), LIMN_ERROR_RANGE, err,
              "attention of width 8 with 3 heads");
  CHECK_OK(limn_nn_embedding_init(&e, 4, 2, &r, &err), err);
  CHECK_FAILS(limn_nn_embedding_apply(&e, (int32_t[]){3, 4}, 2, out, &err), LIMN_ERROR_RANGE, err,
              "id 4 at position 1, expected 0 to 3");
  CHECK_FAILS(limn_nn_embedding_apply(&e, (int32_t[]){-1}, 1, out, &err), LIMN_ERROR_RANGE, err,
              "id -1 at position 0");
  limn_nn_embedding_deinit(&e);
  CHECK_OK(limn_nn_attention_init(&a, 4, 2, true, &r, &err), err);
  limn_nn_attention_call call = {.n_batch = 1, .n_query = 2, .n_key = 1, .query = x, .out = out};
  CHECK_FAILS(limn_nn_attention_apply(&a, &call, &err), LIMN_ERROR_SHAPE, err, "has 1 keys");
  limn_nn_attention_deinit(&a);
}

static void test_failing_allocations(void **state) {
  (void)state;
  limn_error err;
  float x[8] = {0}, out[8];
  limn_status status = LIMN_ERROR_MEMORY;
  for (int64_t k = 0; status != LIMN_OK; k++) {
    limn_random r;
    limn_nn_layer l;
    fail_allocation(k);
    limn_random_seed(&r, 0);
    status = limn_nn_layer_init(&l, 4, 2, 8, &r, &err);
    if (status == LIMN_OK) {
      status = limn_nn_layer_apply(&l, x, 1, 2, NULL, out, NULL, NULL, &err);
      limn_nn_layer_deinit(&l);
    }
    assert_int_equal(allocations_live(), 0);
    if (status != LIMN_OK) assert_int_equal(status, LIMN_ERROR_MEMORY);
    assert_in_range(k, 0, 100);
  }
  fail_allocation(-1);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_initialisations),
                                     cmocka_unit_test(test_softmax),
                                     cmocka_unit_test(test_argmax),
                                     cmocka_unit_test(test_activations),
                                     cmocka_unit_test(test_norms),
                                     cmocka_unit_test(test_positions),
                                     cmocka_unit_test(test_matmul_of_transposed),
                                     cmocka_unit_test(test_attention),
                                     cmocka_unit_test(test_layers),
                                     cmocka_unit_test(test_bad_sizes_and_ids),
                                     cmocka_unit_test(test_failing_allocations)};
  return cmocka_run_group_tests(tests, open_file, close_file);
}
