/* Views: every way to cut and turn one shows the elements that index arithmetic says. */
#include "check.h"

#include <limn/tensor.h>
#include <math.h>

#define VIEW(data, ...)                                                                            \
  limn_tensor_view(data, (int)(sizeof(int64_t[]){__VA_ARGS__} / sizeof(int64_t)),                  \
                   (int64_t[]){__VA_ARGS__})

/* data[i] = i, so that an element's value is its place. */
static void count_up(float *data, int n) {
  for (int i = 0; i < n; i++)
    data[i] = (float)i;
}

static void row_major(void **state) {
  (void)state;
  float data[24];
  count_up(data, 24);
  limn_tensor t = VIEW(data, 2, 3, 4);
  assert_int_equal(limn_tensor_count(&t), 24);
  assert_true(limn_tensor_is_contiguous(&t));
  for (int64_t i = 0; i < 2; i++)
    for (int64_t j = 0; j < 3; j++)
      for (int64_t k = 0; k < 4; k++)
        assert_true(*limn_tensor_at(&t, (int64_t[]){i, j, k}) == (float)(12 * i + 4 * j + k));
}

static void scalars_and_nothing(void **state) {
  (void)state;
  float x = 5, out = 0;
  limn_tensor scalar = limn_tensor_view(&x, 0, NULL);
  assert_int_equal(limn_tensor_count(&scalar), 1);
  assert_true(limn_tensor_is_contiguous(&scalar));
  limn_tensor_gather(&scalar, &out);
  assert_true(out == 5);
  out = 7;
  limn_tensor_scatter(&out, &scalar);
  assert_true(x == 7);
  limn_tensor none = VIEW(NULL, 3, 0, 2);
  assert_int_equal(limn_tensor_count(&none), 0);
  assert_true(limn_tensor_is_contiguous(&none));
  limn_tensor_gather(&none, NULL);
  limn_tensor_scatter(NULL, &none);
}

static void cut_and_turned(void **state) {
  (void)state;
  float data[60], got[60];
  count_up(data, 60);
  limn_tensor t = VIEW(data, 3, 4, 5);
  limn_tensor turned = limn_tensor_transpose(&t, 0, 2);    /* (5, 4, 3) */
  limn_tensor part = limn_tensor_narrow(&turned, 1, 1, 2); /* (5, 2, 3): the middle axis 1, 2 */
  assert_false(limn_tensor_is_contiguous(&part));
  assert_int_equal(limn_tensor_count(&part), 30);
  limn_tensor_gather(&part, got);
  for (int i = 0; i < 5; i++)
    for (int j = 0; j < 2; j++)
      for (int k = 0; k < 3; k++)
        assert_true(got[(i * 2 + j) * 3 + k] == (float)(20 * k + 5 * (j + 1) + i));
  for (int axis = 0; axis < 3; axis++) {
    for (int64_t at = 0; at < part.shape[axis]; at++) {
      limn_tensor slice = limn_tensor_select(&part, axis, at);
      assert_int_equal(slice.rank, 2);
      int64_t index[3];
      for (int64_t a = 0; a < slice.shape[0]; a++)
        for (int64_t b = 0; b < slice.shape[1]; b++) {
          int n = 0;
          for (int i = 0; i < 3; i++)
            index[i] = i == axis ? at : n++ == 0 ? a : b;
          assert_ptr_equal(limn_tensor_at(&slice, (int64_t[]){a, b}), limn_tensor_at(&part, index));
        }
    }
  }
}

/* What is scattered into a view changes its elements and no others. */
static void scatter_is_the_reverse(void **state) {
  (void)state;
  float data[20], from[6] = {-1, -2, -3, -4, -5, -6}, back[6];
  count_up(data, 20);
  limn_tensor t = VIEW(data, 4, 5);
  limn_tensor rows = limn_tensor_narrow(&t, 0, 1, 2), part = limn_tensor_narrow(&rows, 1, 2, 3);
  limn_tensor_scatter(from, &part);
  limn_tensor_gather(&part, back);
  assert_memory_equal(back, from, sizeof from);
  for (int i = 0; i < 20; i++) {
    int row = i / 5, column = i % 5;
    bool is_inside = row >= 1 && row < 3 && column >= 2;
    assert_true(data[i] == (is_inside ? from[(row - 1) * 3 + column - 2] : (float)i));
  }
}

static void contiguous_or_not(void **state) {
  (void)state;
  float data[24] = {0};
  limn_tensor t = VIEW(data, 2, 3, 4);
  limn_tensor first = limn_tensor_narrow(&t, 0, 1, 1), column = limn_tensor_narrow(&t, 2, 0, 1);
  assert_true(limn_tensor_is_contiguous(&first));
  assert_false(limn_tensor_is_contiguous(&column));
  /* The stride of an axis of size 1 does not matter. */
  limn_tensor thin = VIEW(data, 4, 1), turned = limn_tensor_transpose(&thin, 0, 1);
  assert_true(limn_tensor_is_contiguous(&turned));
  limn_tensor nothing = limn_tensor_narrow(&t, 1, 3, 0);
  assert_int_equal(limn_tensor_count(&nothing), 0);
}

static void shapes_as_text(void **state) {
  (void)state;
  char out[32];
  assert_string_equal(limn_shape_text(out, sizeof out, 0, NULL), "[]");
  assert_string_equal(limn_shape_text(out, sizeof out, 3, (int64_t[]){2, 0, 50257}), "[2,0,50257]");
  static const int64_t large[] = {INT64_MAX, INT64_MAX, INT64_MAX};
  const char whole[] = "[9223372036854775807,9223372036854775807,9223372036854775807]";
  for (size_t size = 1; size <= sizeof out; size++) {
    memset(out, '?', sizeof out);
    limn_shape_text(out, size, 3, large);
    assert_int_equal(strlen(out), size - 1);
    assert_memory_equal(out, whole, size - 1);
  }
}

static void agreement(void **state) {
  (void)state;
  static const struct {
    float a[3], b[3];
    double max_abs, relative;
    int64_t worst, n_mismatched;
  } cases[] = {
      {{1, 2, 3}, {1, 2, 3}, 0, 0, 0, 0},
      {{1, 2, 3}, {1, 2, 4}, 1, 0.25, 2, 0},
      {{1, 0, 0}, {1, 0, -8}, 8, 1, 2, 0},
      {{0, 0, 0}, {0, 0, 0}, 0, 0, 0, 0},
      {{1, 0, 0}, {0, 0, 0}, 1, (double)INFINITY, 0, 0},
      {{INFINITY, 1, 2}, {INFINITY, 1, 2}, 0, 0, 1, 0},
      {{INFINITY, 1, 2}, {-INFINITY, 1, 2}, 0, 0, 1, 1},
      {{NAN, NAN, 2}, {NAN, 1, 2}, 0, 0, 2, 1},
      {{1, 1, 2}, {1, NAN, INFINITY}, 0, 0, 0, 2},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    limn_agreement got = limn_compare(cases[i].a, cases[i].b, 3);
    assert_true(got.max_abs == cases[i].max_abs);
    assert_true(got.relative == cases[i].relative);
    assert_int_equal(got.worst, cases[i].worst);
    assert_int_equal(got.n_mismatched, cases[i].n_mismatched);
  }
  limn_agreement none = limn_compare(NULL, NULL, 0);
  assert_int_equal(none.worst, -1);
  assert_true(none.relative == 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(row_major),         cmocka_unit_test(scalars_and_nothing),
      cmocka_unit_test(cut_and_turned),    cmocka_unit_test(scatter_is_the_reverse),
      cmocka_unit_test(contiguous_or_not), cmocka_unit_test(shapes_as_text),
      cmocka_unit_test(agreement),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
