/*
 * Opening a folder: a table of configurations and files that are wrong, each with the status and
 * the words that say so; and what the right one reports.
 */
#include "reference.h"

#include <math.h>
#include <stdlib.h>

#define CONFIG                                                                                     \
  "\"model_type\":\"gpt2\",\"n_layer\":1,\"n_head\":2,\"n_embd\":4,\"n_positions\":3,"             \
  "\"vocab_size\":5"

/* One tensor of the little model of CONFIG. */
typedef struct part {
  const char *name;
  int64_t d0, d1;
} part;

static const part parts[] = {{"wte.weight", 5, 4},
                             {"wpe.weight", 3, 4},
                             {"h.0.ln_1.weight", 4, 0},
                             {"h.0.ln_1.bias", 4, 0},
                             {"h.0.attn.c_attn.weight", 4, 12},
                             {"h.0.attn.c_attn.bias", 12, 0},
                             {"h.0.attn.c_proj.weight", 4, 4},
                             {"h.0.attn.c_proj.bias", 4, 0},
                             {"h.0.ln_2.weight", 4, 0},
                             {"h.0.ln_2.bias", 4, 0},
                             {"h.0.mlp.c_fc.weight", 4, 16},
                             {"h.0.mlp.c_fc.bias", 16, 0},
                             {"h.0.mlp.c_proj.weight", 16, 4},
                             {"h.0.mlp.c_proj.bias", 4, 0},
                             {"ln_f.weight", 4, 0},
                             {"ln_f.bias", 4, 0}};
enum { N_PARTS = sizeof parts / sizeof *parts };

static void write_text(const char *folder, const char *name, const char *text, size_t n) {
  char path[600];
  limn_error err;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  CHECK_OK(limn_file_write(path, text, n, &err), err);
}

/* A safetensors file of zeros, put together by hand. */
typedef struct file_text {
  char header[8192];
  size_t n_header, n_data;
  unsigned char last_byte; /* of the last tensor's numbers */
} file_text;

static void add_part(file_text *f, const char *name, const char *dtype, size_t width, int64_t d0,
                     int64_t d1) {
  size_t size = (size_t)d0 * (size_t)(d1 ? d1 : 1) * width;
  char shape[64];
  if (d1)
    snprintf(shape, sizeof shape, "[%lld,%lld]", (long long)d0, (long long)d1);
  else
    snprintf(shape, sizeof shape, "[%lld]", (long long)d0);
  f->n_header +=
      (size_t)snprintf(f->header + f->n_header, sizeof f->header - f->n_header,
                       "%s\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}",
                       f->n_header ? "," : "{", name, dtype, shape, f->n_data, f->n_data + size);
  f->n_data += size;
}

static void write_file(const file_text *f, const char *folder) {
  size_t n_header = f->n_header + 1, total = 8 + n_header + f->n_data;
  char *bytes = calloc(total, 1);
  for (size_t i = 0; i < 8; i++)
    bytes[i] = (char)(n_header >> (8 * i));
  memcpy(bytes + 8, f->header, f->n_header);
  bytes[8 + f->n_header] = '}';
  bytes[total - 1] = (char)f->last_byte;
  write_text(folder, "model.safetensors", bytes, total);
  free(bytes);
}

/* The little model, with one part left out, or in another shape, or another format. */
static void write_model(const char *folder, const char *prefix, int wrong, const char *dtype,
                        size_t width, int64_t d0, int64_t d1) {
  file_text f = {0};
  for (int i = 0; i < N_PARTS; i++) {
    char name[128];
    snprintf(name, sizeof name, "%s%s", prefix, parts[i].name);
    if (i != wrong)
      add_part(&f, name, "F32", 4, parts[i].d0, parts[i].d1);
    else if (d0)
      add_part(&f, name, dtype, width, d0, d1);
  }
  write_file(&f, folder);
}

static void write_config(const char *folder, const char *text) {
  write_text(folder, "config.json", text, strlen(text));
}

static void good_models(void **state) {
  const char *folder = *state;
  static const char *const prefixes[] = {"", "transformer."};
  write_config(folder, "{" CONFIG "}");
  for (int i = 0; i < 2; i++) {
    limn_error err;
    limn_model *model;
    write_model(folder, prefixes[i], -1, NULL, 0, 0, 0);
    CHECK_OK(limn_model_open(folder, NULL, &model, &err), err);
    const limn_config *c = limn_model_config(model);
    assert_int_equal(c->d_head, 2);
    assert_int_equal(c->d_mlp, 16);
    assert_int_equal(c->eos_token_id, -1);
    assert_true(c->is_tied);
    assert_true(limn_model_n_parameters(model) == 20 + 12 + 8 + 60 + 20 + 8 + 80 + 68 + 8);
    assert_string_equal(limn_model_path(model), folder);
    limn_stored w;
    CHECK_OK(limn_model_weight(model, "h.0.mlp.c_fc.weight", &w, &err), err);
    assert_true(w.shape[1] == 16);
    float direction[4];
    CHECK_OK(limn_model_unembedding(model, 4, direction, &err), err);
    CHECK_FAILS(limn_model_unembedding(model, 5, direction, &err), LIMN_ERROR_RANGE, err,
                "token id 5 is outside the vocabulary of 5 tokens");
    limn_model_close(model);
  }
}

/* A tied head written out beside the embedding is the embedding; one that differs is a head. */
static void a_head_beside_a_tie(void **state) {
  const char *folder = *state;
  for (int differs = 0; differs < 2; differs++) {
    limn_error err;
    limn_model *model;
    file_text f = {0};
    for (int i = 0; i < N_PARTS; i++)
      add_part(&f, parts[i].name, "F32", 4, parts[i].d0, parts[i].d1);
    add_part(&f, "lm_head.weight", "F32", 4, 5, 4);
    f.last_byte = differs ? 0x40 : 0;
    write_file(&f, folder);
    write_config(folder, "{" CONFIG ",\"tie_word_embeddings\":true}");
    CHECK_OK(limn_model_open(folder, NULL, &model, &err), err);
    assert_int_equal(limn_model_config(model)->is_tied, !differs);
    float direction[4];
    CHECK_OK(limn_model_unembedding(model, 4, direction, &err), err);
    assert_true(direction[3] == (differs ? 2.0f : 0.0f));
    limn_model_close(model);
  }
}

/* ---- activations: the function that the configuration names is the one that runs ---------------
 */

static double relu(double x) {
  return x > 0 ? x : 0;
}
static double gelu(double x) {
  return 0.5 * x * (1 + erf(x * sqrt(0.5)));
}
static double gelu_tanh(double x) {
  return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
}
static double silu(double x) {
  return x / (1 + exp(-x));
}
static double quick_gelu(double x) {
  return x / (1 + exp(-1.702 * x));
}

/* The little model, whose MLP computes act(c_fc.bias): all other numbers are 0. */
static void write_biased_model(const char *folder, const float bias[16]) {
  char path[300];
  float zeros[80] = {0};
  limn_error err;
  limn_safetensors_writer *w;
  snprintf(path, sizeof path, "%s/model.safetensors", folder);
  CHECK_OK(limn_safetensors_writer_open(path, 0, &w, &err), err);
  for (int i = 0; i < N_PARTS; i++) {
    bool is_bias = strcmp(parts[i].name, "h.0.mlp.c_fc.bias") == 0;
    limn_stored tensor = {
        is_bias ? bias : zeros, LIMN_F32, parts[i].d1 ? 2 : 1, {parts[i].d0, parts[i].d1}};
    CHECK_OK(limn_safetensors_writer_add(w, parts[i].name, &tensor, &err), err);
  }
  CHECK_OK(limn_safetensors_writer_commit(w, &err), err);
}

static limn_status copy(void *user, const limn_observation *seen, limn_error *err) {
  (void)err;
  limn_tensor_gather(&seen->value, user);
  return LIMN_OK;
}

static void activations(void **state) {
  const char *folder = *state;
  static const struct {
    const char *name;
    double (*function)(double);
  } cases[] = {{"relu", relu},           {"gelu", gelu},
               {"gelu_new", gelu_tanh},  {"gelu_pytorch_tanh", gelu_tanh},
               {"gelu_fast", gelu_tanh}, {"silu", silu},
               {"swish", silu},          {"quick_gelu", quick_gelu}};
  float bias[16], found[16], wanted[16];
  for (int i = 0; i < 16; i++)
    bias[i] = 0.5f * (float)i - 4.0f;
  write_biased_model(folder, bias);
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    char config[300];
    limn_error err;
    limn_model *model;
    limn_session *s;
    snprintf(config, sizeof config, "{" CONFIG ",\"activation_function\":\"%s\"}", cases[c].name);
    write_config(folder, config);
    CHECK_OK(limn_model_open(folder, NULL, &model, &err), err);
    CHECK_OK(limn_session_new(model, NULL, &s, &err), err);
    CHECK_OK(limn_session_observe(s, "post0", LIMN_OBSERVE_READ, copy, found, NULL, &err), err);
    CHECK_OK(limn_session_evaluate(s, (int32_t[]){1}, 1, &err), err);
    for (int i = 0; i < 16; i++)
      wanted[i] = (float)cases[c].function((double)bias[i]);
    check_close(cases[c].name, found, wanted, 16, 5e-7);
    limn_session_free(s);
    limn_model_close(model);
  }
}

/* The tokens that end a text: none, one, or a list. */
static void ends_of_text(void **state) {
  const char *folder = *state;
  static const struct {
    const char *value;
    int n;
    int32_t first, last;
  } cases[] = {{"null", 0, -1, 0}, {"-1", 0, -1, 0},   {"3", 1, 3, 3},      {"[]", 0, -1, 0},
               {"[4]", 1, 4, 4},   {"[2,0]", 2, 2, 0}, {"[1,3,2]", 3, 1, 2}};
  write_model(folder, "", -1, NULL, 0, 0, 0);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char config[300];
    limn_error err;
    limn_model *model;
    snprintf(config, sizeof config, "{" CONFIG ",\"eos_token_id\":%s}", cases[i].value);
    write_config(folder, config);
    CHECK_OK(limn_model_open(folder, NULL, &model, &err), err);
    const limn_config *c = limn_model_config(model);
    assert_int_equal(c->n_ends, cases[i].n);
    assert_int_equal(c->eos_token_id, cases[i].first);
    if (c->n_ends) assert_int_equal(c->ends[c->n_ends - 1], cases[i].last);
    int n_found = 0;
    for (int32_t id = -1; id < 5; id++)
      n_found += limn_config_is_end(c, id);
    assert_int_equal(n_found, cases[i].n);
    assert_true(!c->n_ends || limn_config_is_end(c, cases[i].last));
    limn_model_close(model);
  }
}

static void bad_configs(void **state) {
  const char *folder = *state;
  static const struct {
    const char *config;
    limn_status status;
    const char *message;
  } cases[] = {
      {"", LIMN_ERROR_FORMAT, "config.json"},
      {"[]", LIMN_ERROR_FORMAT, "config.json"},
      {"{\"n_layer\":1", LIMN_ERROR_FORMAT, "config.json"},
      {"{}", LIMN_ERROR_NOT_FOUND, "\"model_type\""},
      {"{\"model_type\":\"llama\"}", LIMN_ERROR_UNSUPPORTED,
       "key \"model_type\" is \"llama\", expected \"gpt2\""},
      {"{\"model_type\":\"gpt2\"}", LIMN_ERROR_NOT_FOUND, "\"n_layer\""},
      {"{" CONFIG ",\"n_inner\":\"x\"}", LIMN_ERROR_FORMAT, "\"n_inner\""},
      {"{" CONFIG ",\"n_inner\":0}", LIMN_ERROR_RANGE, "\"n_inner\""},
      {"{" CONFIG ",\"n_layer\":2}", LIMN_ERROR_FORMAT, "n_layer"},
      {"{" CONFIG ",\"scale_attn_by_inverse_layer_idx\":true}", LIMN_ERROR_UNSUPPORTED,
       "key \"scale_attn_by_inverse_layer_idx\" is true, expected false"},
      {"{" CONFIG ",\"scale_attn_weights\":false}", LIMN_ERROR_UNSUPPORTED,
       "key \"scale_attn_weights\" is false, expected true"},
      {"{" CONFIG ",\"add_cross_attention\":true}", LIMN_ERROR_UNSUPPORTED,
       "\"add_cross_attention\""},
      {"{" CONFIG ",\"pruned_heads\":{\"0\":[1]}}", LIMN_ERROR_UNSUPPORTED, "\"pruned_heads\""},
      {"{" CONFIG ",\"quantization_config\":{}}", LIMN_ERROR_UNSUPPORTED,
       "\"quantization_config\""},
      {"{" CONFIG ",\"eos_token_id\":\"x\"}", LIMN_ERROR_FORMAT, "\"eos_token_id\""},
      {"{" CONFIG ",\"eos_token_id\":[1,\"x\"]}", LIMN_ERROR_FORMAT,
       "key \"eos_token_id\" has a string in its list, expected whole numbers"},
      {"{" CONFIG ",\"eos_token_id\":[1,-1]}", LIMN_ERROR_RANGE,
       "key \"eos_token_id\" has -1 in its list, expected 0 to"},
      {"{" CONFIG ",\"eos_token_id\":[1,99999999999]}", LIMN_ERROR_RANGE, "99999999999"},
      {"{" CONFIG ",\"eos_token_id\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}",
       LIMN_ERROR_RANGE, "key \"eos_token_id\" is a list of 17, expected at most 16"},
      {"{" CONFIG ",\"activation_function\":\"mish\"}", LIMN_ERROR_UNSUPPORTED,
       "\"activation_function\" is \"mish\""},
      {"{" CONFIG ",\"layer_norm_epsilon\":-1}", LIMN_ERROR_RANGE, "\"layer_norm_epsilon\" is -1"},
      {"{" CONFIG ",\"layer_norm_epsilon\":true}", LIMN_ERROR_FORMAT, "\"layer_norm_epsilon\""},
      {"{\"model_type\":\"gpt2\",\"n_layer\":1,\"n_head\":3,\"n_embd\":4,\"n_positions\":3,"
       "\"vocab_size\":5}",
       LIMN_ERROR_FORMAT, "n_embd is 4, expected a multiple of n_head, 3"},
      {"{\"model_type\":\"gpt2\",\"n_layer\":1000000000000,\"n_head\":3,\"n_embd\":4,"
       "\"n_positions\":3,\"vocab_size\":5}",
       LIMN_ERROR_RANGE, "\"n_layer\""},
      {"{\"model_type\":\"gpt2\",\"n_layer\":-1,\"n_head\":3}", LIMN_ERROR_RANGE, "\"n_layer\""},
  };
  write_model(folder, "", -1, NULL, 0, 0, 0);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    limn_error err;
    limn_model *model;
    write_config(folder, cases[i].config);
    CHECK_FAILS(limn_model_open(folder, NULL, &model, &err), cases[i].status, err,
                cases[i].message);
    assert_null(model);
  }
}

static void bad_tensors(void **state) {
  const char *folder = *state;
  limn_error err;
  limn_model *model;
  char message[256];
  write_config(folder, "{" CONFIG "}");
  for (int i = 0; i < N_PARTS; i++) {
    write_model(folder, "", i, NULL, 0, 0, 0); /* missing */
    snprintf(message, sizeof message, "\"%s\"", parts[i].name);
    CHECK_FAILS(limn_model_open(folder, NULL, &model, &err), LIMN_ERROR_NOT_FOUND, err, message);

    write_model(folder, "", i, "F32", 4, parts[i].d0 + 1, parts[i].d1); /* misshapen */
    snprintf(message, sizeof message, "tensor \"%s\" has shape [%lld", parts[i].name,
             (long long)parts[i].d0 + 1);
    CHECK_FAILS(limn_model_open(folder, NULL, &model, &err), LIMN_ERROR_SHAPE, err, message);

    write_model(folder, "", i, "I32", 4, parts[i].d0, parts[i].d1); /* not floats */
    snprintf(message, sizeof message, "tensor \"%s\" is stored as I32, expected F32, F16 or BF16",
             parts[i].name);
    CHECK_FAILS(limn_model_open(folder, NULL, &model, &err), LIMN_ERROR_UNSUPPORTED, err, message);
  }
  write_config(folder, "{" CONFIG ",\"tie_word_embeddings\":false}");
  write_model(folder, "", -1, NULL, 0, 0, 0);
  CHECK_FAILS(limn_model_open(folder, NULL, &model, &err), LIMN_ERROR_NOT_FOUND, err,
              "\"lm_head.weight\"");
}

static void a_layer_too_many(void **state) {
  const char *folder = *state;
  limn_error err;
  limn_model *model;
  file_text f = {0};
  for (int i = 0; i < N_PARTS; i++)
    add_part(&f, parts[i].name, "F32", 4, parts[i].d0, parts[i].d1);
  add_part(&f, "h.1.ln_1.weight", "F32", 4, 4, 0);
  write_file(&f, folder);
  write_config(folder, "{" CONFIG "}");
  CHECK_FAILS(limn_model_open(folder, NULL, &model, &err), LIMN_ERROR_SHAPE, err,
              "tensor \"h.1.ln_1.weight\" is there, but config.json has n_layer 1");
}

static void no_folder(void **state) {
  const char *folder = *state;
  limn_error err;
  limn_model *model;
  char path[600];
  snprintf(path, sizeof path, "%s/nowhere", folder);
  CHECK_FAILS(limn_model_open(path, NULL, &model, &err), LIMN_ERROR_NOT_FOUND, err,
              "there is no such folder");
  write_config(folder, "{" CONFIG "}");
  snprintf(path, sizeof path, "%s/config.json", folder);
  CHECK_FAILS(limn_model_open(path, NULL, &model, &err), LIMN_ERROR_FORMAT, err,
              "is a file, expected a folder");
}

static int new_folder(void **state) {
  static char path[256];
  make_folder(path);
  *state = path;
  return 0;
}

static int old_folder(void **state) {
  remove_folder(*state);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(good_models, new_folder, old_folder),
      cmocka_unit_test_setup_teardown(a_head_beside_a_tie, new_folder, old_folder),
      cmocka_unit_test_setup_teardown(activations, new_folder, old_folder),
      cmocka_unit_test_setup_teardown(ends_of_text, new_folder, old_folder),
      cmocka_unit_test_setup_teardown(bad_configs, new_folder, old_folder),
      cmocka_unit_test_setup_teardown(bad_tensors, new_folder, old_folder),
      cmocka_unit_test_setup_teardown(a_layer_too_many, new_folder, old_folder),
      cmocka_unit_test_setup_teardown(no_folder, new_folder, old_folder),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
