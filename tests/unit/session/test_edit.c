/*
 * Edits against what numpy and Python say an index means, against a clean run that is patched in
 * whole, and against every split of a text; then a table of what is refused.
 */
#include "reference.h"

#include <math.h>

enum { N = 7, D_MODEL = 32, N_HEAD = 4, D_HEAD = 8, VOCAB = 512 };

/* ---- seeing what an edit did ----------------------------------------------------------------- */

typedef struct copy {
  float values[4 * 64 * 64];
  int64_t n;
} copy;

static limn_status keep(void *user, const limn_observation *seen, limn_error *err) {
  (void)err;
  copy *c = user;
  c->n = limn_tensor_count(&seen->value);
  assert_true(c->n <= (int64_t)(sizeof c->values / sizeof *c->values));
  limn_tensor_gather(&seen->value, c->values);
  return LIMN_OK;
}

/* Runs n ids with an edit (or NULL), keeps what `hook` is afterwards. Returns the edit's count. */
static int64_t run_edited(const reference *r, const char *text, const char *hook, size_t n,
                          copy *out) {
  limn_error err;
  limn_session *s;
  limn_edit *e = NULL;
  CHECK_OK(limn_session_new(r->model, NULL, &s, &err), err);
  if (text) {
    CHECK_OK(limn_edit_new(r->model, text, &e, &err), err);
    CHECK_OK(limn_edit_attach(e, s, NULL, &err), err);
    assert_string_equal(limn_edit_text(e), text);
  }
  CHECK_OK(limn_session_observe(s, hook, LIMN_OBSERVE_READ, keep, out, NULL, &err), err);
  CHECK_OK(limn_session_evaluate(s, r->ids, n, &err), err);
  int64_t count = e ? limn_edit_count(e) : 0;
  limn_session_free(s);
  limn_edit_free(e);
  return count;
}

/* ---- indices --------------------------------------------------------------------------------- */

/*
 * {slice, bits of the indices in it}, from Python 3.11 over range(7):
 *   sum(1 << i for i in list(range(7))[a:b:c])
 */
static const struct {
  const char *text;
  unsigned bits;
} slices[] = {
    {"-6:8", 0x7e},    {"-2:-7:-3", 0x24}, {"4:5:-2", 0x00},  {"-4:-7:-3", 0x08}, {":2:-2", 0x50},
    {"9::-3", 0x49},   {"-2:-3:-9", 0x20}, {"-7:0", 0x00},    {"::7", 0x01},      {":2:2", 0x01},
    {"3::7", 0x08},    {"-3:4:-3", 0x00},  {"7:-3:-1", 0x60}, {"-3:-3:-3", 0x00}, {"-1::-2", 0x55},
    {"7:-7:1", 0x00},  {"-1:-7:-1", 0x7e}, {"6:3:7", 0x00},   {"-4:-1:3", 0x08},  {"8:5:7", 0x00},
    {"2:8", 0x7c},     {"5:-3:-2", 0x20},  {"3:-5:-1", 0x08}, {"7:1", 0x00},      {"4:6", 0x30},
    {"-5:6:-2", 0x00}, {"1:5", 0x1e},      {"5:-9:3", 0x00},  {"9:8:-9", 0x00},   {"2:-5:1", 0x00},
    {"6:-3", 0x00},    {"-4:7:7", 0x08},   {"-3:2:7", 0x00},  {"1:8:-1", 0x00},   {"4:-2:7", 0x10},
    {"9::-2", 0x55},   {"6:-6:7", 0x00},   {"7:-4:-2", 0x50}, {"-9:5:-1", 0x00},  {"8:7:2", 0x00},
    {"6:3:-3", 0x40},  {"1:3:-1", 0x00},   {":7:7", 0x01},    {"9:9:-1", 0x00},   {"4:9", 0x70},
    {"-3:-5:7", 0x00}, {"8:-5", 0x00},     {"7:-2", 0x00},
};

static void slices_are_pythons(void **state) {
  const reference *r = *state;
  static copy plain, edited;
  run_edited(r, NULL, "hook_embed", N, &plain);
  for (size_t i = 0; i < sizeof slices / sizeof *slices; i++) {
    char text[64];
    snprintf(text, sizeof text, "hook_embed[%s]=7.5", slices[i].text);
    int64_t count = run_edited(r, text, "hook_embed", N, &edited), expected = 0;
    for (int p = 0; p < N; p++) {
      bool is_in = slices[i].bits >> p & 1;
      expected += is_in ? D_MODEL : 0;
      for (int d = 0; d < D_MODEL; d++) {
        float want = is_in ? 7.5f : plain.values[p * D_MODEL + d];
        if (edited.values[p * D_MODEL + d] != want) fail_msg("%s: position %d", text, p);
      }
    }
    assert_int_equal(count, expected);
  }
}

typedef float (*rule)(float old, int p, int h, int d);

static float head_2_is_zero(float old, int p, int h, int d) {
  (void)p, (void)d;
  return h == 2 ? 0 : old;
}
static float last_position_doubled(float old, int p, int h, int d) {
  (void)h, (void)d;
  return p == N - 1 ? old * 2 : old;
}
static float some_entries_minus_3(float old, int p, int h, int d) {
  return p == 1 && h >= 1 && h < 3 && d % 2 == 1 ? old - 3 : old;
}
static float even_ends_plus_half(float old, int p, int h, int d) {
  (void)p, (void)h;
  return d == D_HEAD - 1 ? old + 0.5f : old;
}
static float all_minus_infinity(float old, int p, int h, int d) {
  (void)old, (void)p, (void)h, (void)d;
  return -INFINITY;
}
static float all_divided(float old, int p, int h, int d) {
  (void)p, (void)h, (void)d;
  return old / 3;
}
static float all_doubled(float old, int p, int h, int d) {
  (void)p, (void)h, (void)d;
  return old * 2;
}
static float all_minus_one(float old, int p, int h, int d) {
  (void)old, (void)p, (void)h, (void)d;
  return -1;
}

static void each_form_does_what_it_says(void **state) {
  const reference *r = *state;
  static copy plain, edited;
  static const char hook[] = "blocks.0.attn.hook_z";
  static const struct {
    const char *text;
    rule rule;
  } cases[] = {{"blocks.0.attn.hook_z[:,2]=0", head_2_is_zero},
               {"blocks.0.attn.hook_z [ : , 2 ] = 0 ", head_2_is_zero},
               {"z0[...,2,:]=0", head_2_is_zero},
               {"blocks.0.attn.hook_z[:,-2]*=0", head_2_is_zero},
               {"blocks.0.attn.hook_z[-1]=*2", last_position_doubled},
               {"blocks.0.*hook_z[6,...]=*2", last_position_doubled},
               {"blocks.0.attn.hook_z[1, 1:3, 1::2] -= 3", some_entries_minus_3},
               {"blocks.0.attn.hook_z[1,-3:-1,-1:0:-2]=+-3", some_entries_minus_3},
               {"blocks.0.attn.hook_z[..., -1]=+0.5", even_ends_plus_half},
               {"blocks.0.attn.hook_z[...,7]+=5e-1", even_ends_plus_half},
               {"blocks.0.attn.hook_z=-inf", all_minus_infinity},
               {"blocks.0.attn.hook_z[...]/=3", all_divided},
               {"blocks.0.attn.hook_z=/3", all_divided},
               {"blocks.0.attn.hook_z*=2", all_doubled},
               {"blocks.0.attn.hook_z *= 2", all_doubled},
               {"blocks.0.attn.hook_z=*2", all_doubled},
               {"blocks.0.attn.*[...]=-1", all_minus_one},
               {"blocks.0.attn.hook_z[:,:,:]=-1", all_minus_one}};
  run_edited(r, NULL, hook, N, &plain);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_true(run_edited(r, cases[i].text, hook, N, &edited) > 0);
    for (int k = 0; k < N * N_HEAD * D_HEAD; k++) {
      float want =
          cases[i].rule(plain.values[k], k / (N_HEAD * D_HEAD), k / D_HEAD % N_HEAD, k % D_HEAD);
      if (edited.values[k] != want)
        fail_msg("%s: entry %d is %g, expected %g", cases[i].text, k, (double)edited.values[k],
                 (double)want);
    }
  }
}

static void mean_over_positions(void **state) {
  const reference *r = *state;
  static copy plain, edited;
  run_edited(r, NULL, "blocks.0.attn.hook_z", N, &plain);
  int64_t count =
      run_edited(r, "blocks.0.attn.hook_z[2:6,1]=mean", "blocks.0.attn.hook_z", N, &edited);
  assert_int_equal(count, 4 * D_HEAD);
  for (int k = 0; k < N * N_HEAD * D_HEAD; k++) {
    int p = k / (N_HEAD * D_HEAD), h = k / D_HEAD % N_HEAD, d = k % D_HEAD;
    double sum = 0;
    for (int q = 2; q < 6; q++)
      sum += (double)plain.values[(q * N_HEAD + h) * D_HEAD + d];
    bool is_in = p >= 2 && p < 6 && h == 1;
    assert_true(edited.values[k] == (is_in ? (float)(sum / 4) : plain.values[k]));
  }
}

/* In the calls that follow, the mean is over all that came so far; a reset begins anew. */
static void mean_runs_on(void **state) {
  const reference *r = *state;
  static copy plain, edited;
  limn_error err;
  limn_session *s;
  limn_edit *e;
  run_edited(r, NULL, "hook_embed", N, &plain);
  CHECK_OK(limn_edit_new(r->model, "hook_embed=mean", &e, &err), err);
  CHECK_OK(limn_session_new(r->model, NULL, &s, &err), err);
  CHECK_OK(limn_edit_attach(e, s, NULL, &err), err);
  CHECK_OK(limn_session_observe(s, "hook_embed", LIMN_OBSERVE_READ, keep, &edited, NULL, &err),
           err);
  for (int round = 0; round < 2; round++) {
    CHECK_OK(limn_session_evaluate(s, r->ids, 4, &err), err);
    CHECK_OK(limn_session_evaluate(s, r->ids + 4, 1, &err), err);
    for (int d = 0; d < D_MODEL; d++) {
      double sum = 0;
      for (int p = 0; p < 5; p++)
        sum += (double)plain.values[p * D_MODEL + d];
      assert_true(edited.values[d] == (float)(sum / 5));
    }
    limn_session_reset(s);
  }
  limn_session_free(s);
  limn_edit_free(e);
}

/* ---- splits ---------------------------------------------------------------------------------- */

static void logits_of(const reference *r, const char *text, size_t first, float *logits) {
  limn_error err;
  limn_session *s;
  limn_edit *e;
  CHECK_OK(limn_edit_new(r->model, text, &e, &err), err);
  CHECK_OK(limn_session_new(r->model, NULL, &s, &err), err);
  CHECK_OK(limn_edit_attach(e, s, NULL, &err), err);
  CHECK_OK(limn_session_evaluate(s, r->ids, first, &err), err);
  for (size_t i = first; i < N; i++)
    CHECK_OK(limn_session_evaluate(s, r->ids + i, 1, &err), err);
  memcpy(logits, limn_session_logits(s, NULL), VOCAB * sizeof *logits);
  limn_session_free(s);
  limn_edit_free(e);
}

static void a_split_changes_nothing(void **state) {
  const reference *r = *state;
  static const char *const edits[] = {
      "blocks.1.hook_resid_mid[2:5]=0", "blocks.0.attn.hook_k[3,1]*=3",
      "blocks.*.attn.hook_z[1::2,0]=+1", "blocks.2.attn.hook_pattern[1,3:,2]=0.5",
      "blocks.0.attn.hook_attn_scores[:,5,0]=-inf"};
  static float whole[VOCAB], split[VOCAB];
  for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
    logits_of(r, edits[i], N, whole);
    for (size_t first = 1; first < N; first++) {
      logits_of(r, edits[i], first, split);
      /* other sums in another order: float32 rounding through three layers */
      check_close(edits[i], split, whole, VOCAB, 2e-6);
    }
  }
}

/* ---- files
 * -------------------------------------------------------------------------------- */

typedef struct recorder {
  limn_safetensors_writer *w;
} recorder;

static limn_status record(void *user, const limn_observation *seen, limn_error *err) {
  recorder *k = user;
  return limn_safetensors_writer_add_f32(k->w, seen->name, &seen->value, err);
}

/* Writes all standard hooks of a run over `ids`, and two small tensors v and short. */
static void write_run(const reference *r, const int32_t *ids, size_t n, const char *path,
                      float *logits) {
  limn_error err;
  limn_session *s;
  recorder k;
  float v[D_MODEL];
  for (int i = 0; i < D_MODEL; i++)
    v[i] = (float)i;
  limn_tensor view = limn_tensor_view(v, 1, (int64_t[]){D_MODEL});
  limn_tensor small = limn_tensor_view(v, 1, (int64_t[]){5});
  CHECK_OK(limn_session_new(r->model, NULL, &s, &err), err);
  CHECK_OK(limn_safetensors_writer_open(path, 0, &k.w, &err), err);
  CHECK_OK(limn_session_observe(s, "*", LIMN_OBSERVE_READ, record, &k, NULL, &err), err);
  CHECK_OK(limn_session_evaluate(s, ids, n, &err), err);
  CHECK_OK(limn_safetensors_writer_add_f32(k.w, "v", &view, &err), err);
  CHECK_OK(limn_safetensors_writer_add_f32(k.w, "short", &small, &err), err);
  CHECK_OK(limn_safetensors_writer_commit(k.w, &err), err);
  memcpy(logits, limn_session_logits(s, NULL), VOCAB * sizeof *logits);
  limn_session_free(s);
}

static char folder[256], path[512];
static float clean_logits[VOCAB];

static void a_whole_patch_is_the_other_run(void **state) {
  const reference *r = *state;
  static const char *const hooks[] = {"hook_embed", "blocks.0.hook_resid_post",
                                      "blocks.2.hook_resid_pre", "ln_final.hook_normalized"};
  static float logits[VOCAB];
  for (size_t i = 0; i < sizeof hooks / sizeof *hooks; i++) {
    char text[900];
    snprintf(text, sizeof text, "%s=@%s", hooks[i], path);
    logits_of(r, text, N, logits);
    if (strcmp(hooks[i], "ln_final.hook_normalized") == 0 || i > 0)
      assert_memory_equal(logits, clean_logits, sizeof logits);
    logits_of(r, text, 3, logits); /* and in pieces */
    check_close(hooks[i], logits, clean_logits, VOCAB, 2e-6);
  }
}

static void one_head_from_a_file(void **state) {
  const reference *r = *state;
  static copy plain, clean, edited;
  char text[900];
  limn_error err;
  limn_session *s;
  int32_t other[N];
  for (int i = 0; i < N; i++)
    other[i] = (r->ids[i] + 100) % VOCAB;
  CHECK_OK(limn_session_new(r->model, NULL, &s, &err), err);
  CHECK_OK(
      limn_session_observe(s, "blocks.0.attn.hook_z", LIMN_OBSERVE_READ, keep, &clean, NULL, &err),
      err);
  CHECK_OK(limn_session_evaluate(s, other, N, &err), err);
  limn_session_free(s);
  run_edited(r, NULL, "blocks.0.attn.hook_z", N, &plain);
  snprintf(text, sizeof text, "blocks.0.attn.hook_z[::-2,2]=@%s", path);
  run_edited(r, text, "blocks.0.attn.hook_z", N, &edited);
  for (int k = 0; k < N * N_HEAD * D_HEAD; k++) {
    int p = k / (N_HEAD * D_HEAD), h = k / D_HEAD % N_HEAD;
    assert_true(edited.values[k] == (h == 2 && p % 2 == 0 ? clean : plain).values[k]);
  }
}

static void a_direction_is_broadcast(void **state) {
  const reference *r = *state;
  static copy plain, edited;
  char text[900];
  run_edited(r, NULL, "hook_embed", N, &plain);
  snprintf(text, sizeof text, "hook_embed[2:4] += @%s:v", path);
  run_edited(r, text, "hook_embed", N, &edited);
  for (int k = 0; k < N * D_MODEL; k++) {
    int p = k / D_MODEL;
    float want = plain.values[k] + (p == 2 || p == 3 ? (float)(k % D_MODEL) : 0.0f);
    assert_true(edited.values[k] == want);
  }
  /* numpy: embed[1, 9::-2] = short, which runs 0 to 4 */
  snprintf(text, sizeof text, "hook_embed[1,9::-2]=@%s:short", path);
  run_edited(r, text, "hook_embed", N, &edited);
  for (int k = 0; k < N * D_MODEL; k++) {
    int p = k / D_MODEL, d = k % D_MODEL;
    bool is_in = p == 1 && d <= 9 && d % 2 == 1;
    assert_true(edited.values[k] == (is_in ? (float)((9 - d) / 2) : plain.values[k]));
  }
}

/* ---- what is refused
 * ---------------------------------------------------------------------- */

static void refuses_what_does_not_parse(void **state) {
  const reference *r = *state;
  static const struct {
    const char *text;
    limn_status status;
    const char *message;
  } bad[] = {
      {"", LIMN_ERROR_ARGUMENT, "expected HOOK=VALUE"},
      {"hook_embed", LIMN_ERROR_ARGUMENT, "expected HOOK=VALUE"},
      {"=0", LIMN_ERROR_ARGUMENT, "expected HOOK=VALUE"},
      {"[0]=0", LIMN_ERROR_ARGUMENT, "expected HOOK=VALUE"},
      {"*=0", LIMN_ERROR_ARGUMENT, "expected HOOK=VALUE"},
      {"hook_embed[0]", LIMN_ERROR_ARGUMENT, "expected HOOK=VALUE"},
      {"hook_embed[0=0", LIMN_ERROR_ARGUMENT, "the index does not end, expected ]"},
      {"hook_embed[]=0", LIMN_ERROR_ARGUMENT, "expected an integer, a slice"},
      {"hook_embed[0,]=0", LIMN_ERROR_ARGUMENT, "expected an integer, a slice"},
      {"hook_embed[1.5]=0", LIMN_ERROR_ARGUMENT, "the index does not end"},
      {"hook_embed[a]=0", LIMN_ERROR_ARGUMENT, "expected an integer, a slice"},
      {"hook_embed[::0]=0", LIMN_ERROR_ARGUMENT, "a slice has step 0"},
      {"hook_embed[...,...]=0", LIMN_ERROR_ARGUMENT, "a second ... in the index"},
      {"hook_embed[99999999999999999999]=0", LIMN_ERROR_ARGUMENT, "expected an integer"},
      {"hook_embed=", LIMN_ERROR_ARGUMENT, "no value, expected a number, *NUMBER"},
      {"hook_embed=abc", LIMN_ERROR_ARGUMENT, "no value, expected a number, *NUMBER"},
      {"hook_embed=*", LIMN_ERROR_ARGUMENT, "no value, expected a number, *NUMBER"},
      {"hook_embed=@", LIMN_ERROR_ARGUMENT, "no value, expected a number, *NUMBER"},
      {"hook_embed=*mean", LIMN_ERROR_ARGUMENT, "no value, expected a number, *NUMBER"},
      {"hook_embed=0 0", LIMN_ERROR_ARGUMENT, "no value, expected a number, *NUMBER"},
      {"hook_embd=0", LIMN_ERROR_NOT_FOUND, "the nearest is \"hook_embed\""},
      {"blocks.*.hook_nothing=0", LIMN_ERROR_NOT_FOUND, "no hook matches"},
      {"blocks.3.attn.hook_z=0", LIMN_ERROR_RANGE, "the model has layers 0 to 2"},
      {"blocks.0.attn.hook_z[:,4]=0", LIMN_ERROR_RANGE,
       "index 4 is outside axis 1 (n_head, size 4) of blocks.0.attn.hook_z"},
      {"blocks.0.attn.hook_z[:,-5]=0", LIMN_ERROR_RANGE, "index -5 is outside axis 1"},
      {"hook_embed[64]=0", LIMN_ERROR_RANGE, "index 64 is outside axis 0 (position, size 64)"},
      {"hook_embed[0,0,0]=0", LIMN_ERROR_SHAPE,
       "3 indices, but hook_embed has 2 axes (position, d_model)"},
      {"hook_embed[0,0,0,0,0,0,0,0,0,0]=0", LIMN_ERROR_SHAPE, "more indices than any hook"},
      {"blocks.0.attn.hook_pattern=mean", LIMN_ERROR_UNSUPPORTED, "mean is over positions"},
      {"hook_embed=@/nowhere/at/all.safetensors", LIMN_ERROR_NOT_FOUND, "/nowhere/at/all"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    limn_error err = {0};
    limn_edit *e;
    CHECK_FAILS(limn_edit_new(r->model, bad[i].text, &e, &err), bad[i].status, err, bad[i].message);
    assert_null(e);
  }
}

static void refuses_tensors_that_do_not_fit(void **state) {
  const reference *r = *state;
  static const struct {
    const char *text;
    limn_status status;
    const char *message;
  } bad[] = {
      {"hook_embed=@%s:nothing", LIMN_ERROR_NOT_FOUND, "nothing"},
      {"hook_embed=@%s:blocks.0.mlp.hook_pre", LIMN_ERROR_SHAPE,
       "the tensor has shape [7,128], but hook_embed has [7,32] (position, d_model)"},
      {"hook_embed=@%s:blocks.0.attn.hook_z", LIMN_ERROR_SHAPE, "the tensor has shape [7,4,8]"},
      {"hook_embed[:,0]=@%s:v", LIMN_ERROR_SHAPE, "the tensor has shape [32]"},
      {"blocks.*.attn.hook_result=@%s", LIMN_ERROR_NOT_FOUND, "hook_result"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    limn_error err = {0};
    limn_edit *e;
    char text[900];
    snprintf(text, sizeof text, bad[i].text, path);
    CHECK_FAILS(limn_edit_new(r->model, text, &e, &err), bad[i].status, err, bad[i].message);
    assert_null(e);
  }
}

static void refuses_runs_that_do_not_fit(void **state) {
  const reference *r = *state;
  limn_error err;
  limn_session *s;
  limn_edit *e;
  char text[900];
  int id;
  CHECK_OK(limn_session_new(r->model, NULL, &s, &err), err);
  snprintf(text, sizeof text, "hook_embed=@%s", path);
  CHECK_OK(limn_edit_new(r->model, text, &e, &err), err);
  CHECK_OK(limn_edit_attach(e, s, &id, &err), err);
  CHECK_FAILS(limn_session_evaluate(s, r->ids, N + 1, &err), LIMN_ERROR_SHAPE, err,
              "the file has 7 positions of hook_embed, this run has 8");
  assert_int_equal(limn_session_length(s), 0);
  CHECK_OK(limn_session_evaluate(s, r->ids, N, &err), err);
  int64_t count = limn_edit_count(e);
  CHECK_OK(limn_session_evaluate(s, r->ids, 2, &err), err); /* wholly behind: nothing changes */
  assert_int_equal(limn_edit_count(e), count);
  limn_session_unobserve(s, id);
  limn_edit_free(e);
  limn_session_reset(s);
  snprintf(text, sizeof text, "hook_embed[:,:9]=@%s:short", path);
  CHECK_OK(limn_edit_new(r->model, text, &e, &err), err);
  CHECK_OK(limn_edit_attach(e, s, &id, &err), err);
  CHECK_FAILS(limn_session_evaluate(s, r->ids, N, &err), LIMN_ERROR_SHAPE, err,
              "axis 0 of the tensor has size 5, the selected entries of hook_embed have 9 there");
  limn_session_free(s);
  limn_edit_free(e);
}

/* An index that no position reaches is no error of the edit; its count tells. */
static void counts_nothing_where_nothing_is(void **state) {
  const reference *r = *state;
  static copy edited;
  assert_int_equal(run_edited(r, "hook_embed[20]=0", "hook_embed", N, &edited), 0);
  assert_int_equal(run_edited(r, "hook_embed[-20]=0", "hook_embed", N, &edited), 0);
  assert_int_equal(run_edited(r, "hook_embed[5:5]=0", "hook_embed", N, &edited), 0);
  assert_int_equal(
      run_edited(r, "hook_embed[6:0:-9223372036854775808]=0", "hook_embed", N, &edited), D_MODEL);
  assert_int_equal(run_edited(r, "hook_embed[-9223372036854775808:9223372036854775807]=0",
                              "hook_embed", N, &edited),
                   N * D_MODEL);
}

static bool is_local(const reference *r, const char *text) {
  limn_error err;
  limn_edit *e;
  CHECK_OK(limn_edit_new(r->model, text, &e, &err), err);
  bool found = limn_edit_is_local(e);
  limn_edit_free(e);
  return found;
}

static void tells_edits_of_single_positions(void **state) {
  const reference *r = *state;
  static const char *const local[] = {"blocks.*.attn.hook_z[:,1]=0", "hook_embed[3]*=2",
                                      "hook_embed[2:9:3,-1]+=1", "blocks.0.attn.hook_k[:5]=0",
                                      "blocks.0.attn.hook_z[...,::-1]=0"};
  static const char *const others[] = {"blocks.0.attn.hook_z[:,1]=mean",
                                       "hook_embed[-1]=0",
                                       "hook_embed[-3:]=0",
                                       "hook_embed[:-3]=0",
                                       "hook_embed[::-2]=0",
                                       "blocks.0.attn.hook_pattern[1,:,0]=0",
                                       "hook_embed,blocks.0.attn.hook_attn_scores[...]*=2"};
  char text[400];
  for (size_t i = 0; i < sizeof local / sizeof *local; i++)
    if (!is_local(r, local[i])) fail_msg("%s is of single positions", local[i]);
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    if (is_local(r, others[i])) fail_msg("%s is not of single positions", others[i]);
  snprintf(text, sizeof text, "blocks.1.hook_resid_pre=@%s/clean.safetensors", folder);
  assert_false(is_local(r, text));
}

static void every_allocation_may_fail(void **state) {
  (void)state;
  static const char *const forms[] = {"blocks.*.attn.hook_z[:,2]=mean", "hook_embed=@%s"};
  for (size_t f = 0; f < 2; f++) {
    char text[900];
    snprintf(text, sizeof text, forms[f], path);
    for (int64_t k = 0;; k++) {
      limn_error err;
      reference r;
      limn_edit *e;
      fail_allocation(-1);
      reference_open(&r, "f32", NULL);
      fail_allocation(k);
      limn_status status = limn_edit_new(r.model, text, &e, &err);
      if (status != LIMN_OK) {
        assert_int_equal(status, LIMN_ERROR_MEMORY);
        assert_null(e);
      }
      limn_edit_free(e);
      assert_int_equal(allocations_live(), 0);
      fail_allocation(-1);
      reference_close(&r);
      if (status == LIMN_OK) break;
    }
  }
  limn_allocator_set(NULL);
}

static int open_model(void **state) {
  static reference r;
  int32_t other[N];
  reference_open(&r, "f32", NULL);
  make_folder(folder);
  snprintf(path, sizeof path, "%s/clean.safetensors", folder);
  for (int i = 0; i < N; i++)
    other[i] = (r.ids[i] + 100) % VOCAB;
  write_run(&r, other, N, path, clean_logits);
  *state = &r;
  return 0;
}

static int close_model(void **state) {
  reference_close(*state);
  remove_folder(folder);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(slices_are_pythons),
                                     cmocka_unit_test(each_form_does_what_it_says),
                                     cmocka_unit_test(mean_over_positions),
                                     cmocka_unit_test(mean_runs_on),
                                     cmocka_unit_test(a_split_changes_nothing),
                                     cmocka_unit_test(a_whole_patch_is_the_other_run),
                                     cmocka_unit_test(one_head_from_a_file),
                                     cmocka_unit_test(a_direction_is_broadcast),
                                     cmocka_unit_test(refuses_what_does_not_parse),
                                     cmocka_unit_test(refuses_tensors_that_do_not_fit),
                                     cmocka_unit_test(refuses_runs_that_do_not_fit),
                                     cmocka_unit_test(counts_nothing_where_nothing_is),
                                     cmocka_unit_test(tells_edits_of_single_positions),
                                     cmocka_unit_test(every_allocation_may_fail)};
  return cmocka_run_group_tests(tests, open_model, close_model);
}
