/*
 * safetensors: files that other programs wrote are read as they stand, files that lie are refused
 * with a message that says where, and what is written can be read.
 */
#include "check.h"

static void opens_files_that_pytorch_wrote(void **state) {
  (void)state;
  static const char *const files[] = {"f32/model",      "f32/reference",     "bf16/model",
                                      "bf16/reference", "f16/model",         "f16/reference",
                                      "f32-odd/model",  "f32-odd/reference", NULL};
  for (size_t i = 0; files[i]; i++) {
    char path[512];
    snprintf(path, sizeof path, "%s/gpt2-tiny/%s.safetensors", LIMN_TEST_DATA, files[i]);
    limn_error err;
    limn_safetensors *file;
    CHECK_OK(limn_safetensors_open(path, &file, &err), err);
    assert_true(limn_safetensors_count(file) > 20);
    for (size_t k = 0; k < limn_safetensors_count(file); k++) {
      limn_stored tensor;
      CHECK_OK(limn_safetensors_view_at(file, k, &tensor, &err), err);
      assert_true(limn_safetensors_has(file, limn_safetensors_name_at(file, k)));
    }
    limn_safetensors_close(file);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(opens_files_that_pytorch_wrote)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
