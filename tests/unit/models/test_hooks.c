/*
 * Names of steps: every name, alias and shorthand finds its hook, patterns match what they say, and
 * what is wrong is answered with what would be right. The names are TransformerLens's, written out
 * here a second time on purpose.
 */
#include "reference.h"

static void finds_names_and_aliases(void **state) {
  reference *r = *state;
  static const char *const same[][2] = {
      {"hook_embed", "hook_embed"},
      {"embed.hook_out", "hook_embed"},
      {"blocks.0.hook_in", "blocks.0.hook_resid_pre"},
      {"blocks.2.hook_out", "blocks.2.hook_resid_post"},
      {"blocks.1.attn.q.hook_out", "blocks.1.attn.hook_q"},
      {"blocks.1.ln1.hook_out", "blocks.1.ln1.hook_normalized"},
      {"blocks.1.mlp.hook_out", "blocks.1.hook_mlp_out"},
      {"k2", "blocks.2.attn.hook_k"},
      {"pattern1", "blocks.1.attn.hook_pattern"},
      {"scale2ln1", "blocks.2.ln1.hook_scale"},
      {"normalized0ln2", "blocks.0.ln2.hook_normalized"},
      {"pre1", "blocks.1.mlp.hook_pre"},
      {"post1", "blocks.1.mlp.hook_post"},
      {"resid_mid0", "blocks.0.hook_resid_mid"},
      {"attn_scores0", "blocks.0.attn.hook_attn_scores"},
      {"scale", "ln_final.hook_scale"},
      {"blocks.0.attn.hook_attn_scores_raw", "blocks.0.attn.hook_attn_scores_raw"},
  };
  for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
    limn_error err;
    limn_hook hook;
    char name[LIMN_HOOK_NAME_SIZE];
    CHECK_OK(limn_hook_find(r->model, same[i][0], &hook, &err), err);
    assert_string_equal(limn_hook_name(hook, name), same[i][1]);
  }
}

static void every_name_finds_itself(void **state) {
  reference *r = *state;
  limn_error err;
  limn_hook *hooks;
  size_t n;
  CHECK_OK(limn_hook_match(r->model,
                           "*,hook_tokens,*.hook_attn_in,*.hook_mlp_in,"
                           "*.hook_result,*.hook_attn_scores_raw,*.hook_q_input,"
                           "*.hook_k_input,*.hook_v_input",
                           &hooks, &n, &err),
           err);
  assert_int_equal(n, 1 + 2 + 3 * (17 + 7) + 2);
  for (size_t i = 0; i < n; i++) {
    char name[LIMN_HOOK_NAME_SIZE];
    limn_hook found;
    CHECK_OK(limn_hook_find(r->model, limn_hook_name(hooks[i], name), &found, &err), err);
    assert_true(found.point == hooks[i].point && found.layer == hooks[i].layer);
  }
  limn_free(hooks);
}

static void patterns(void **state) {
  reference *r = *state;
  static const struct {
    const char *pattern;
    size_t n;
  } cases[] = {
      {"*", 2 + 3 * 17 + 2},         {"blocks.0.*", 17},
      {"*hook_pattern", 3},          {"blocks.*.attn.hook_result", 3},
      {"*.hook_result", 3},          {"blocks.1.attn.hook_*", 6},
      {"k0,k0,blocks.0.attn.*k", 1}, {"blocks.?.hook_resid_post", 3},
      {"blocks.*.hook_out", 27},     {"hook_embed,hook_pos_embed", 2},
      {"*attn_scores*", 3},          {"hook_tokens", 1},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    limn_error err;
    limn_hook *hooks;
    size_t n;
    CHECK_OK(limn_hook_match(r->model, cases[i].pattern, &hooks, &n, &err), err);
    if (n != cases[i].n)
      fail_msg("\"%s\" matches %zu hooks, expected %zu", cases[i].pattern, n, cases[i].n);
    limn_free(hooks);
  }
}

static void wrong_names(void **state) {
  reference *r = *state;
  static const struct {
    const char *name;
    limn_status status;
    const char *message;
  } cases[] = {
      {"blocks.1.attn.hook_patern", LIMN_ERROR_NOT_FOUND,
       "no hook is named \"blocks.1.attn.hook_patern\"; the nearest is "
       "\"blocks.1.attn.hook_pattern\""},
      {"hook_patern", LIMN_ERROR_NOT_FOUND, "the nearest is \"blocks.0.attn.hook_pattern\""},
      {"blocks.9.hook_q", LIMN_ERROR_NOT_FOUND, "the nearest is \"blocks.0.attn.hook_q\""},
      {"resid_port2", LIMN_ERROR_NOT_FOUND, "the nearest is \"resid_post2\""},
      {"blocks.3.hook_resid_pre", LIMN_ERROR_RANGE,
       "hook \"blocks.3.hook_resid_pre\" names layer 3, the model has layers 0 to 2"},
      {"blocks.99999999999999999999.hook_resid_pre", LIMN_ERROR_NOT_FOUND, "no hook is named"},
      {"blocks.-1.hook_resid_pre", LIMN_ERROR_NOT_FOUND, "no hook is named"},
      {"nothing*", LIMN_ERROR_NOT_FOUND, "no hook matches \"nothing*\""},
      {"", LIMN_ERROR_ARGUMENT, "an empty name in the list of hooks"},
      {"k0,", LIMN_ERROR_ARGUMENT, "an empty name in the list of hooks \"k0,\""},
      {"k0,k9", LIMN_ERROR_RANGE, "\"k9\" names layer 9"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    limn_error err;
    limn_hook *hooks;
    size_t n;
    CHECK_FAILS(limn_hook_match(r->model, cases[i].name, &hooks, &n, &err), cases[i].status, err,
                cases[i].message);
    assert_null(hooks);
    assert_int_equal(n, 0);
  }
  char long_name[5000];
  memset(long_name, 'x', sizeof long_name - 1);
  long_name[sizeof long_name - 1] = '\0';
  limn_error err;
  limn_hook hook;
  CHECK_FAILS(limn_hook_find(r->model, long_name, &hook, &err), LIMN_ERROR_NOT_FOUND, err, "xxx");
  /* What is near nothing gets no suggestion. */
  CHECK_FAILS(limn_hook_find(r->model, "nosuch", &hook, &err), LIMN_ERROR_NOT_FOUND, err, "nosuch");
  assert_string_equal(err.text, "no hook is named \"nosuch\"");
}

static void shapes(void **state) {
  reference *r = *state;
  static const struct {
    const char *name, *shape;
  } cases[] = {
      {"hook_tokens", "[5]"},
      {"hook_embed", "[5,32]"},
      {"q0", "[5,4,8]"},
      {"pattern0", "[4,5,9]"},
      {"scale0ln1", "[5,1]"},
      {"pre0", "[5,128]"},
      {"blocks.0.attn.hook_result", "[5,4,32]"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    limn_error err;
    limn_hook hook;
    char text[64];
    int64_t shape[LIMN_MAX_RANK];
    CHECK_OK(limn_hook_find(r->model, cases[i].name, &hook, &err), err);
    int rank = limn_hook_shape(r->model, hook, 5, 9, shape);
    assert_string_equal(limn_shape_text(text, sizeof text, rank, shape), cases[i].shape);
  }
}

static void matching_may_run_out_of_memory(void **state) {
  reference *r = *state;
  for (int64_t k = 0;; k++) {
    limn_hook *hooks;
    size_t n;
    fail_allocation(k);
    limn_status status = limn_hook_match(r->model, "*", &hooks, &n, NULL);
    limn_free(hooks);
    assert_int_equal(allocations_live(), 0);
    if (status == LIMN_OK) break;
    assert_int_equal(status, LIMN_ERROR_MEMORY);
  }
  limn_allocator_set(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(finds_names_and_aliases),
                                     cmocka_unit_test(every_name_finds_itself),
                                     cmocka_unit_test(patterns),
                                     cmocka_unit_test(wrong_names),
                                     cmocka_unit_test(shapes),
                                     cmocka_unit_test(matching_may_run_out_of_memory)};
  return cmocka_run_group_tests(tests, reference_set_up, reference_tear_down);
}
