/*
 * Packed files: what is computed from one is what packing at opening computes, to the bit, for
 * every storage, model, arithmetic and table of kernels; and a table of files that are wrong.
 */
#include "folder.h"
#include "reference.h"

#include "base/file.h"
#include "kernels/kernels.h"
#include "models/packed.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_LOGITS = 64 * 512, D_MODEL = 32 /* of f32 */, MOST_WIDTH = 48 };

static const char *tiny(const char *name) {
  static char path[600];
  snprintf(path, sizeof path, "%s/gpt2-tiny/%s", LIMN_TEST_DATA, name);
  return path;
}

static void pack(const char *model, limn_weights weights, const char *to) {
  limn_error err;
  CHECK_OK(limn_model_pack(model, to, &(limn_pack_options){.weights = weights}, NULL, &err), err);
}

/* ---- the same bits ----------------------------------------------------------------------------
 */

typedef struct numbers {
  size_t n;
  float logits[MOST_LOGITS];
  float direction[MOST_WIDTH];
} numbers;

static numbers loaded, mapped;

static limn_status run(const char *path, limn_model_options options, int n_threads, numbers *out,
                       limn_error *err) {
  limn_pool *pool;
  limn_model *model;
  limn_session *s;
  int32_t ids[50];
  CHECK_OK(limn_pool_new(n_threads, &pool, err), *err);
  limn_status status = limn_model_open_with(path, &options, pool, &model, err);
  if (status == LIMN_OK) {
    const limn_config *c = limn_model_config(model);
    int n = c->n_ctx < 50 ? c->n_ctx : 50;
    for (int i = 0; i < n; i++)
      ids[i] = i * i * 31 % c->vocab_size;
    CHECK_OK(
        limn_session_new(model, &(limn_session_options){.pool = pool, .all_logits = true}, &s, err),
        *err);
    CHECK_OK(limn_session_evaluate(s, ids, (size_t)n, err), *err);
    out->n = (size_t)n * (size_t)c->vocab_size;
    assert_true(out->n <= MOST_LOGITS && c->d_model <= MOST_WIDTH);
    memcpy(out->logits, limn_session_logits(s, NULL), out->n * sizeof *out->logits);
    CHECK_OK(limn_model_unembedding(model, 7, out->direction, err), *err);
    limn_session_free(s);
  }
  limn_model_close(model);
  limn_pool_free(pool);
  return status;
}

static const char *const models[] = {"f32", "f16", "bf16", "f32-odd"};
enum { N_MODELS = 4 };

static void check_same(const char *original, const char *packed, limn_model_options options) {
  limn_error err;
  CHECK_OK(run(original, options, 1, &loaded, &err), err);
  CHECK_OK(run(packed, options, 2, &mapped, &err), err);
  assert_int_equal(mapped.n, loaded.n);
  if (memcmp(mapped.logits, loaded.logits, loaded.n * sizeof *loaded.logits) != 0)
    fail_msg("%s, weights %d, compute %d: other logits", original, (int)options.weights,
             (int)options.compute);
  assert_memory_equal(mapped.direction, loaded.direction, sizeof loaded.direction);
}

static void check_all_arithmetic(const char *original, const char *packed, limn_weights weights) {
  check_same(original, packed, (limn_model_options){weights, LIMN_COMPUTE_F32});
  if (weights == LIMN_WEIGHTS_BF16)
    check_same(original, packed, (limn_model_options){weights, LIMN_COMPUTE_BF16});
  if (weights == LIMN_WEIGHTS_Q8 || weights == LIMN_WEIGHTS_Q4)
    check_same(original, packed, (limn_model_options){weights, LIMN_COMPUTE_INT8});
}

/* One file is packed, whatever computes then. */
static void the_same_to_the_bit(void **state) {
  (void)state;
  for (int m = 0; m < N_MODELS; m++) {
    for (int w = LIMN_WEIGHTS_F32; w <= (int)LIMN_WEIGHTS_Q4; w++) {
      const char *path = in_folder("model.safetensors");
      pack(tiny(models[m]), (limn_weights)w, path);
      for (size_t k = 0; limn_kernels_all[k]; k++) {
        if (!limn_kernels_can_run(limn_kernels_all[k], limn_cpu_features())) continue;
        setenv("LIMN_KERNELS", limn_kernels_all[k]->name, 1);
        check_all_arithmetic(tiny(models[m]), path, (limn_weights)w);
      }
      unsetenv("LIMN_KERNELS");
    }
  }
}

/* All tables write the same file, and any number of threads. */
static void one_file_whatever_writes_it(void **state) {
  (void)state;
  limn_error err;
  limn_pool *pool;
  char *first, *other;
  size_t n, n_other;
  CHECK_OK(limn_pool_new(3, &pool, &err), err);
  for (int w = LIMN_WEIGHTS_F32; w <= (int)LIMN_WEIGHTS_Q4; w++) {
    limn_pack_options options = {.weights = (limn_weights)w};
    setenv("LIMN_KERNELS", "scalar", 1);
    pack(tiny("f32"), options.weights, in_folder("scalar.safetensors"));
    unsetenv("LIMN_KERNELS");
    CHECK_OK(limn_model_pack(tiny("f32"), in_folder("best.safetensors"), &options, pool, &err),
             err);
    CHECK_OK(limn_file_read(in_folder("scalar.safetensors"), 0, &first, &n, &err), err);
    CHECK_OK(limn_file_read(in_folder("best.safetensors"), 0, &other, &n_other, &err), err);
    assert_int_equal(n, n_other);
    assert_memory_equal(first, other, n);
    limn_free(first);
    limn_free(other);
  }
  limn_pool_free(pool);
}

/* As the file of a folder, with the configuration beside it. */
static void as_a_folder(void **state) {
  (void)state;
  limn_error err;
  limn_model *model;
  char *config, path[700];
  size_t n;
  snprintf(path, sizeof path, "%s/config.json", tiny("f32"));
  CHECK_OK(limn_file_read(path, 0, &config, &n, &err), err);
  CHECK_OK(limn_file_write(in_folder("config.json"), config, n, &err), err);
  limn_free(config);
  pack(tiny("f32"), LIMN_WEIGHTS_Q8, in_folder("model.safetensors"));
  check_same(tiny("f32"), folder, (limn_model_options){LIMN_WEIGHTS_Q8, LIMN_COMPUTE_INT8});
  CHECK_OK(limn_model_open(folder, NULL, &model, &err), err);
  const limn_packed_info *info = limn_model_packed(model);
  assert_non_null(info);
  assert_int_equal(info->layout_version, LIMN_PANEL_VERSION);
  assert_string_equal(info->weights, "q8");
  assert_true(info->bits == 8.5);
  assert_string_equal(info->source, "f32");
  assert_int_equal(strlen(info->sha256), 64);
  assert_string_equal(info->made_by, limn_version());
  assert_true(limn_model_config(model)->dtype == LIMN_F32);
  assert_true(limn_model_copied_size(model) < limn_model_packed_size(model) / 10);
  limn_stored w;
  CHECK_FAILS(limn_model_weight(model, "h.0.mlp.c_fc.weight", &w, &err), LIMN_ERROR_NOT_FOUND, err,
              "no tensor \"h.0.mlp.c_fc.weight\"");
  limn_model_close(model);
  CHECK_OK(limn_model_open(tiny("f32"), NULL, &model, &err), err);
  assert_null(limn_model_packed(model));
  assert_true(limn_model_copied_size(model) == limn_model_packed_size(model));
  limn_model_close(model);
}

/* The rows of an embedding that the panels hold exactly are there once; of others, unless asked. */
static void embeddings_once_where_exact(void **state) {
  (void)state;
  static const struct {
    const char *model;
    limn_weights weights;
    bool is_compact, has_rows;
  } cases[] = {
      {"f32", LIMN_WEIGHTS_F32, false, false},    {"f32", LIMN_WEIGHTS_F16, false, true},
      {"f32", LIMN_WEIGHTS_Q8, false, true},      {"f32", LIMN_WEIGHTS_Q8, true, false},
      {"f16", LIMN_WEIGHTS_F32, false, false},    {"f16", LIMN_WEIGHTS_F16, false, false},
      {"f16", LIMN_WEIGHTS_BF16, false, true},    {"bf16", LIMN_WEIGHTS_BF16, false, false},
      {"bf16", LIMN_WEIGHTS_F16, false, true},    {"bf16", LIMN_WEIGHTS_FILE, false, false},
      {"f32-odd", LIMN_WEIGHTS_F32, false, true}, {"f32-odd", LIMN_WEIGHTS_Q8, true, true}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    limn_error err;
    limn_safetensors *file;
    const char *path = in_folder("model.safetensors");
    limn_pack_options options = {.weights = cases[i].weights, .is_compact = cases[i].is_compact};
    CHECK_OK(limn_model_pack(tiny(cases[i].model), path, &options, NULL, &err), err);
    CHECK_OK(limn_safetensors_open(path, &file, &err), err);
    assert_int_equal(limn_safetensors_has(file, "wte.weight"), cases[i].has_rows);
    limn_safetensors_close(file);
  }
}

static limn_status keep_first_row(void *user, const limn_observation *seen, limn_error *err) {
  (void)err;
  memcpy(user, seen->value.data, D_MODEL * sizeof(float));
  return LIMN_OK;
}

/* A compact file embeds a token as its unembedding has it. */
static void compact_embeddings_are_the_unembedding(void **state) {
  (void)state;
  for (int w = LIMN_WEIGHTS_F16; w <= (int)LIMN_WEIGHTS_Q4; w++) {
    limn_error err;
    limn_model *model;
    limn_session *s;
    float row[D_MODEL], direction[D_MODEL];
    const char *path = in_folder("model.safetensors");
    limn_pack_options options = {.weights = (limn_weights)w, .is_compact = true};
    CHECK_OK(limn_model_pack(tiny("f32"), path, &options, NULL, &err), err);
    CHECK_OK(limn_model_open(path, NULL, &model, &err), err);
    CHECK_OK(limn_session_new(model, NULL, &s, &err), err);
    CHECK_OK(
        limn_session_observe(s, "hook_embed", LIMN_OBSERVE_READ, keep_first_row, row, NULL, &err),
        err);
    for (int32_t id = 0; id < 512; id += 73) {
      limn_session_reset(s);
      CHECK_OK(limn_session_evaluate(s, &id, 1, &err), err);
      CHECK_OK(limn_model_unembedding(model, id, direction, &err), err);
      assert_memory_equal(row, direction, sizeof row);
    }
    limn_session_free(s);
    limn_model_close(model);
  }
}

/* Every number of a matrix, found by its place and by the kernels' way to widen. */
static void columns_are_what_kernels_widen(void **state) {
  (void)state;
  enum { N_IN = 300, N_OUT = 70 };
  static float weight[N_IN * N_OUT], column[N_IN];
  static float wide[LIMN_CHUNK * LIMN_PANEL];
  static _Alignas(64) unsigned char panels[2 * N_IN * LIMN_PANEL * sizeof(float)];
  uint32_t seed = 1;
  for (int i = 0; i < N_IN * N_OUT; i++)
    weight[i] = (float)((seed = seed * 1664525 + 1013904223) >> 8) / 0x1p23f - 1;
  limn_stored stored = {weight, LIMN_F32, 2, {N_IN, N_OUT}};
  const limn_kernels *kernels = &limn_kernels_scalar;
  for (int f = 0; f < LIMN_FORMAT_COUNT; f++) {
    limn_error err;
    limn_linear l;
    l = limn_linear_of(kernels, (limn_format)f, N_IN, N_OUT);
    limn_linear_pack(&l, NULL, &stored, LIMN_IN_OUT, 0, 2, panels);
    CHECK_OK(limn_linear_init(&l, panels, NULL, &err), err);
    for (int64_t out = 0; out < N_OUT; out++) {
      limn_linear_column(&l, out, column);
      for (int64_t k0 = 0; k0 < N_IN; k0 += LIMN_CHUNK) {
        int64_t n = N_IN - k0 < LIMN_CHUNK ? N_IN - k0 : LIMN_CHUNK;
        const unsigned char *panel = l.panels + (size_t)(out / LIMN_PANEL) * l.panel_size;
        kernels->unpack[f](panel + limn_panel_size((limn_format)f, k0), n, wide);
        for (int64_t k = 0; k < n; k++)
          assert_true(column[k0 + k] == wide[k * LIMN_PANEL + out % LIMN_PANEL]);
      }
    }
    limn_linear_deinit(&l);
  }
}

/* ---- what is wrong ----------------------------------------------------------------------------
 */

/* One thing to change in a packed file. */
typedef struct change {
  const char *key, *value; /* of the metadata; without a value the key is left out */
  const char *tensor;      /* that is left out, or ... */
  int64_t more;            /* has so many more on its first axis, and bytes */
  int64_t narrower;        /* has its last axis cut in so many, put in front */
  bool is_other;           /* is of other numbers of that size */
  size_t alignment;        /* of the data; 0 for a page */
} change;

static limn_stored changed(limn_stored t, const change *c) {
  t.shape[0] += c->more;
  if (c->narrower) {
    t.shape[0] *= c->narrower;
    t.shape[t.rank - 1] /= c->narrower;
  }
  if (c->is_other) t.dtype = t.dtype == LIMN_F32 ? LIMN_I32 : LIMN_I8;
  return t;
}

static limn_stored tensor_at(const limn_safetensors *file, size_t i, const change *c,
                             bool *is_left) {
  limn_error err;
  limn_stored t;
  CHECK_OK(limn_safetensors_view_at(file, i, &t, &err), err);
  bool is_meant = c->tensor && strcmp(c->tensor, limn_safetensors_name_at(file, i)) == 0;
  bool is_changed = c->more || c->narrower || c->is_other;
  *is_left = is_meant && !is_changed;
  return is_meant ? changed(t, c) : t;
}

static void put_metadata(const limn_safetensors *file, limn_safetensors_writer *w,
                         const change *c) {
  limn_error err;
  for (size_t i = 0; i < limn_safetensors_metadata_count(file); i++) {
    const char *key = limn_safetensors_metadata_key_at(file, i);
    const char *value = limn_safetensors_metadata_value_at(file, i);
    if (c->key && strcmp(key, c->key) == 0) value = c->value;
    if (value) CHECK_OK(limn_safetensors_writer_metadata(w, key, value, &err), err);
  }
}

static void rewrite(const char *from, const char *to, const change *c) {
  static const unsigned char nothing[1 << 16];
  limn_error err;
  limn_safetensors *file;
  limn_safetensors_writer *w;
  bool is_left;
  CHECK_OK(limn_safetensors_open(from, &file, &err), err);
  CHECK_OK(limn_safetensors_writer_open(to, 0, &w, &err), err);
  put_metadata(file, w, c);
  for (size_t i = 0; i < limn_safetensors_count(file); i++) {
    limn_stored t = tensor_at(file, i, c, &is_left);
    if (!is_left)
      CHECK_OK(limn_safetensors_writer_declare(w, limn_safetensors_name_at(file, i), t.dtype,
                                               t.rank, t.shape, &err),
               err);
  }
  CHECK_OK(limn_safetensors_writer_start(w, c->alignment ? c->alignment : 4096, &err), err);
  for (size_t i = 0; i < limn_safetensors_count(file); i++) {
    limn_stored old, t = tensor_at(file, i, c, &is_left);
    CHECK_OK(limn_safetensors_view_at(file, i, &old, &err), err);
    if (is_left) continue;
    size_t n = (size_t)limn_stored_count(&t) * limn_dtype_size(t.dtype);
    size_t n_old = (size_t)limn_stored_count(&old) * limn_dtype_size(old.dtype);
    if (n_old > n) n_old = n;
    CHECK_OK(limn_safetensors_writer_write(w, old.data, n_old, &err), err);
    CHECK_OK(limn_safetensors_writer_write(w, nothing, n - n_old, &err), err);
  }
  CHECK_OK(limn_safetensors_writer_commit(w, &err), err);
  limn_safetensors_close(file);
}

static void what_is_wrong_is_named(void **state) {
  (void)state;
  static const struct {
    change change;
    limn_status status;
    const char *message;
  } cases[] = {
      {{.key = "limn.layout", .value = "tiles"},
       LIMN_ERROR_UNSUPPORTED,
       "has metadata \"limn.layout\" \"tiles\", expected \"panels\""},
      {{.key = "limn.layout_version", .value = "2"},
       LIMN_ERROR_UNSUPPORTED,
       "is packed in version \"2\" of the layout, this limn reads 1: pack it again"},
      {{.key = "limn.layout_version", .value = "01"}, LIMN_ERROR_UNSUPPORTED, "version \"01\""},
      {{.key = "limn.layout_version"},
       LIMN_ERROR_FORMAT,
       "is a packed model without \"limn.layout_version\" in its metadata"},
      {{.key = "limn.weights", .value = "q5"},
       LIMN_ERROR_UNSUPPORTED,
       "\"limn.weights\" \"q5\", expected f32, f16, bf16, q8 or q4"},
      {{.key = "limn.weights", .value = "q4"},
       LIMN_ERROR_SHAPE,
       "is U8 of shape [8,1,2176], expected U8 [8,1,1152]"},
      {{.key = "limn.weights", .value = "f32"}, LIMN_ERROR_SHAPE, "expected F32 [8,32,64]"},
      {{.key = "limn.weights"}, LIMN_ERROR_FORMAT, "without \"limn.weights\""},
      {{.key = "limn.panel", .value = "32"},
       LIMN_ERROR_UNSUPPORTED,
       "\"limn.panel\" \"32\", expected 64"},
      {{.key = "limn.group", .value = "64"},
       LIMN_ERROR_UNSUPPORTED,
       "\"limn.group\" \"64\", expected 32"},
      {{.key = "limn.group", .value = ""}, LIMN_ERROR_UNSUPPORTED, "\"limn.group\" \"\""},
      {{.key = "limn.group"}, LIMN_ERROR_FORMAT, "without \"limn.group\""},
      {{.key = "limn.config"}, LIMN_ERROR_FORMAT, "without \"limn.config\""},
      {{.key = "limn.config", .value = "{"}, LIMN_ERROR_FORMAT, "is not valid JSON"},
      {{.key = "limn.config", .value = "[]"}, LIMN_ERROR_NOT_FOUND, "\"model_type\""},
      {{.key = "limn.config",
        .value = "{\"model_type\":\"gpt2\",\"n_layer\":3,\"n_head\":4,\"n_embd\":32,"
                 "\"n_positions\":64,\"vocab_size\":16000000}"},
       LIMN_ERROR_SHAPE,
       "has shape [512,32], expected [16000000,32]"},
      {{.key = "limn.config",
        .value = "{\"model_type\":\"gpt2\",\"n_layer\":1024,\"n_head\":4,\"n_embd\":32,"
                 "\"n_positions\":64,\"vocab_size\":512}"},
       LIMN_ERROR_NOT_FOUND,
       "no tensor \"h.3.ln_1.weight\""},
      {{.key = "limn.config",
        .value = "{\"model_type\":\"gpt2\",\"n_layer\":2,\"n_head\":4,\"n_embd\":32,"
                 "\"n_positions\":64,\"vocab_size\":512}"},
       LIMN_ERROR_SHAPE,
       "is there, but config.json has n_layer 2"},
      {{.key = "limn.config",
        .value = "{\"model_type\":\"gpt2\",\"n_layer\":3,\"n_head\":4,\"n_embd\":32,"
                 "\"n_positions\":64,\"vocab_size\":512,\"n_inner\":4194304}"},
       LIMN_ERROR_SHAPE,
       "\"h.0.mlp.c_fc.bias\""},
      {{.tensor = "wte.weight.panels"}, LIMN_ERROR_NOT_FOUND, "no tensor \"wte.weight.panels\""},
      {{.tensor = "h.1.mlp.c_proj.weight.panels"},
       LIMN_ERROR_NOT_FOUND,
       "no tensor \"h.1.mlp.c_proj.weight.panels\""},
      {{.tensor = "h.1.mlp.c_proj.bias"}, LIMN_ERROR_NOT_FOUND, "\"h.1.mlp.c_proj.bias\""},
      {{.tensor = "wpe.weight"}, LIMN_ERROR_NOT_FOUND, "no tensor \"wpe.weight\""},
      {{.tensor = "wte.weight.panels", .more = 1},
       LIMN_ERROR_SHAPE,
       "\"wte.weight.panels\" is U8 of shape [9,1,2176], expected U8 [8,1,2176]"},
      {{.tensor = "wte.weight.panels", .more = -1}, LIMN_ERROR_SHAPE, "of shape [7,1,2176]"},
      {{.tensor = "h.0.attn.c_attn.weight.panels", .narrower = 2},
       LIMN_ERROR_SHAPE,
       "of shape [4,1,1088], expected U8 [2,1,2176]"},
      {{.tensor = "h.0.attn.c_attn.weight.panels", .is_other = true},
       LIMN_ERROR_SHAPE,
       "\"h.0.attn.c_attn.weight.panels\" is I8 of shape [2,1,2176], expected U8 [2,1,2176]"},
      {{.tensor = "ln_f.weight", .is_other = true},
       LIMN_ERROR_UNSUPPORTED,
       "\"ln_f.weight\" is stored as I32, expected F32, F16 or BF16"},
      {{.alignment = 4099}, LIMN_ERROR_FORMAT, "does not lie at a multiple of 64 bytes"},
  };
  const char *good = in_folder("good.safetensors"), *bad = in_folder("bad.safetensors");
  pack(tiny("f32"), LIMN_WEIGHTS_Q8, good);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    limn_error err;
    limn_model *model = (limn_model *)&err;
    rewrite(good, bad, &cases[i].change);
    CHECK_FAILS(limn_model_open(bad, NULL, &model, &err), cases[i].status, err, cases[i].message);
    assert_null(model);
  }
  rewrite(good, bad, &(change){0}); /* it is the changes that do it */
  check_same(tiny("f32"), bad, (limn_model_options){LIMN_WEIGHTS_Q8, LIMN_COMPUTE_F32});
}

/* Any bytes are numbers: scales of NaN and infinity make NaN of what they reach, and nothing else
   happens, in any arithmetic and on any kernels. */
static void any_bytes_are_numbers(void **state) {
  (void)state;
  static const uint16_t scales[] = {0x7fc0, 0x7f80, 0xff80, 0xffff};
  for (int w = LIMN_WEIGHTS_Q8; w <= (int)LIMN_WEIGHTS_Q4; w++) {
    limn_error err;
    const char *good = in_folder("good.safetensors"), *bad = in_folder("bad.safetensors");
    char *bytes;
    size_t n;
    pack(tiny("f32"), (limn_weights)w, good);
    CHECK_OK(limn_file_read(good, 0, &bytes, &n, &err), err);
    size_t start = 8 + (size_t)(unsigned char)bytes[0] + ((size_t)(unsigned char)bytes[1] << 8);
    for (size_t i = 0; i < 4; i++) { /* of c_attn, for the first outputs */
      memcpy(bytes + start + 2 * i, &scales[i], sizeof *scales);
      memset(bytes + start + 128 + 4 * i, i % 2 ? 0 : 255, 4);
    }
    CHECK_OK(limn_file_write(bad, bytes, n, &err), err);
    limn_free(bytes);
    for (size_t k = 0; limn_kernels_all[k]; k++) {
      if (!limn_kernels_can_run(limn_kernels_all[k], limn_cpu_features())) continue;
      setenv("LIMN_KERNELS", limn_kernels_all[k]->name, 1);
      for (int c = LIMN_COMPUTE_F32; c <= (int)LIMN_COMPUTE_INT8; c += 2) {
        limn_model_options options = {(limn_weights)w, (limn_compute)c};
        CHECK_OK(run(bad, options, 1, &mapped, &err), err);
        assert_true(isnan(mapped.logits[0]) && isnan(mapped.logits[mapped.n - 1]));
      }
    }
    unsetenv("LIMN_KERNELS");
  }
}

static void only_as_it_is_packed(void **state) {
  (void)state;
  limn_error err;
  limn_model *model;
  const char *path = in_folder("model.safetensors");
  pack(tiny("f32"), LIMN_WEIGHTS_Q8, path);
  CHECK_FAILS(limn_model_open_with(path, &(limn_model_options){.weights = LIMN_WEIGHTS_Q4}, NULL,
                                   &model, &err),
              LIMN_ERROR_ARGUMENT, err, "holds weights packed in q8, they cannot be had in q4");
  CHECK_FAILS(limn_model_open_with(path, &(limn_model_options){.compute = LIMN_COMPUTE_BF16}, NULL,
                                   &model, &err),
              LIMN_ERROR_ARGUMENT, err, "computing in bf16 with weights in q8");
  CHECK_OK(limn_model_open_with(path, &(limn_model_options){LIMN_WEIGHTS_Q8, LIMN_COMPUTE_INT8},
                                NULL, &model, &err),
           err);
  limn_model_close(model);
  CHECK_FAILS(limn_model_pack(path, in_folder("again.safetensors"), NULL, NULL, &err),
              LIMN_ERROR_ARGUMENT, err, "is packed already, in q8");
  assert_false(limn_path_exists(in_folder("again.safetensors")));
}

static void what_is_no_model(void **state) {
  (void)state;
  limn_error err;
  limn_model *model;
  char path[700];
  snprintf(path, sizeof path, "%s/model.safetensors", tiny("f32"));
  CHECK_FAILS(limn_model_open(path, NULL, &model, &err), LIMN_ERROR_FORMAT, err,
              "is a file, expected a folder with config.json and model.safetensors, or a file that "
              "holds a packed model");
  CHECK_OK(limn_file_write(in_folder("x.safetensors"), "no", 2, &err), err);
  CHECK_FAILS(limn_model_open(in_folder("x.safetensors"), NULL, &model, &err), LIMN_ERROR_FORMAT,
              err, "has 2 bytes");
  CHECK_FAILS(limn_model_pack(in_folder("nowhere"), in_folder("o"), NULL, NULL, &err),
              LIMN_ERROR_NOT_FOUND, err, "no model at");
  CHECK_FAILS(limn_model_pack(tiny("f32"), in_folder("no/where"), NULL, NULL, &err),
              LIMN_ERROR_NOT_FOUND, err, "no/where");
}

/* ---- what goes wrong --------------------------------------------------------------------------
 */

static void a_full_disk_leaves_nothing(void **state) {
  (void)state;
  limn_error err;
  struct rlimit before, small;
  const char *path = in_folder("model.safetensors");
  if (access("/dev/full", W_OK) == 0)
    CHECK_FAILS(limn_model_pack(tiny("f32"), "/dev/full", NULL, NULL, &err), LIMN_ERROR_IO, err,
                "cannot write \"/dev/full\": No space");
  CHECK_OK(limn_file_write(path, "old", 3, &err), err);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  small = before;
  small.rlim_cur = 100000;
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  limn_status status = limn_model_pack(tiny("f32"), path, NULL, NULL, &err);
  setrlimit(RLIMIT_FSIZE, &before);
  assert_int_equal(status, LIMN_ERROR_IO);
  assert_non_null(strstr(err.text, "File too large"));
  char *bytes;
  size_t n;
  CHECK_OK(limn_file_read(path, 0, &bytes, &n, &err), err);
  assert_true(n == 3);
  limn_free(bytes);
}

static bool stop_at_half(void *user, int64_t done, int64_t total) {
  int *n_calls = user;
  assert_true(done > 0 && done <= total);
  return ++*n_calls == 5;
}

static void cancelling_leaves_nothing(void **state) {
  (void)state;
  limn_error err;
  int n_calls = 0;
  limn_pack_options options = {.user = &n_calls, .progress = stop_at_half};
  CHECK_FAILS(limn_model_pack(tiny("f32"), in_folder("o"), &options, NULL, &err),
              LIMN_ERROR_CANCELLED, err, "cancelled");
  assert_int_equal(n_calls, 5);
  assert_false(limn_path_exists(in_folder("o")));
}

static void every_allocation_may_fail(void **state) {
  (void)state;
  limn_error err;
  const char *path = in_folder("model.safetensors");
  limn_pack_options options = {.weights = LIMN_WEIGHTS_Q4};
  limn_status status = LIMN_ERROR_MEMORY;
  for (int64_t k = 0; status != LIMN_OK; k++) {
    fail_allocation(k);
    status = limn_model_pack(tiny("f32"), path, &options, NULL, &err);
    assert_true(status == LIMN_OK || status == LIMN_ERROR_MEMORY);
    assert_int_equal(allocations_live(), 0);
    assert_int_equal(limn_path_exists(path), status == LIMN_OK);
  }
  status = LIMN_ERROR_MEMORY;
  for (int64_t k = 0; status != LIMN_OK; k++) {
    limn_model *model = (limn_model *)&err;
    fail_allocation(k);
    status = limn_model_open(path, NULL, &model, &err);
    assert_true(status == LIMN_OK || (status == LIMN_ERROR_MEMORY && !model));
    limn_model_close(model);
    assert_int_equal(allocations_live(), 0);
  }
  fail_allocation(-1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      IN_FOLDER(the_same_to_the_bit),
      IN_FOLDER(one_file_whatever_writes_it),
      IN_FOLDER(as_a_folder),
      IN_FOLDER(embeddings_once_where_exact),
      IN_FOLDER(compact_embeddings_are_the_unembedding),
      IN_FOLDER(columns_are_what_kernels_widen),
      IN_FOLDER(what_is_wrong_is_named),
      IN_FOLDER(any_bytes_are_numbers),
      IN_FOLDER(only_as_it_is_packed),
      IN_FOLDER(what_is_no_model),
      IN_FOLDER(a_full_disk_leaves_nothing),
      IN_FOLDER(cancelling_leaves_nothing),
      IN_FOLDER(every_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
