/*
 * .npy: what limn writes is, byte for byte, what NumPy writes; what NumPy writes is read; the rest
 * is refused with its place. (NumPy itself reads limn's files in tests/peers/check_formats.py.)
 */
#include "folder.h"

static char path[512];

static int enter(void **state) {
  enter_folder(state);
  snprintf(path, sizeof path, "%s/a.npy", folder);
  return 0;
}

/* A file of version 1.0 with this dictionary and n bytes 0, 1, 2 ... */
static void put_npy(const char *dictionary, size_t n) {
  unsigned char bytes[1024] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0};
  size_t length = strlen(dictionary);
  assert_true(10 + length + n <= sizeof bytes);
  bytes[8] = (unsigned char)(length & 255);
  bytes[9] = (unsigned char)(length >> 8);
  memcpy(bytes + 10, dictionary, length);
  for (size_t i = 0; i < n; i++)
    bytes[10 + length + i] = (unsigned char)i;
  limn_error err;
  CHECK_OK(limn_file_write(path, bytes, 10 + length + n, &err), err);
}

/* The expected header is numpy 2's for numpy.zeros((2, 3), "<f4"). */
static void writes_as_numpy_does(void **state) {
  (void)state;
  static const char header[] = "\x93NUMPY\x01\x00\x76\x00"
                               "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"
                               "                                                          \n";
  float numbers[] = {0, 1, 2, 3, 4, 5};
  limn_tensor t = limn_tensor_view(numbers, 2, (int64_t[]){2, 3});
  limn_error err;
  CHECK_OK(limn_npy_write(path, &t, &err), err);
  char *bytes;
  size_t n;
  CHECK_OK(limn_file_read(path, 0, &bytes, &n, &err), err);
  assert_int_equal(sizeof header - 1, 128);
  assert_int_equal(n, 128 + 24);
  assert_memory_equal(bytes, header, 128);
  assert_memory_equal(bytes + 128, numbers, 24);
  limn_free(bytes);
}

static void reads_what_it_wrote(void **state) {
  (void)state;
  static float numbers[720];
  for (int i = 0; i < 720; i++)
    numbers[i] = (float)i / 7;
  static const struct {
    int rank;
    int64_t shape[LIMN_MAX_RANK];
  } shapes[] = {{0, {0}},
                {1, {5}},
                {1, {0}},
                {2, {0, 7}},
                {2, {3, 4}},
                {3, {4, 5, 6}},
                {8, {1, 2, 1, 3, 1, 2, 1, 60}}};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    limn_tensor t = limn_tensor_view(numbers, shapes[i].rank, shapes[i].shape);
    limn_error err;
    limn_npy *file;
    CHECK_OK(limn_npy_write(path, &t, &err), err);
    CHECK_OK(limn_npy_open(path, &file, &err), err);
    limn_stored read = limn_npy_view(file);
    assert_int_equal(read.dtype, LIMN_F32);
    assert_int_equal(read.rank, shapes[i].rank);
    for (int k = 0; k < read.rank; k++)
      assert_int_equal(read.shape[k], shapes[i].shape[k]);
    assert_memory_equal(read.data, numbers, 4 * (size_t)limn_tensor_count(&t));
    limn_npy_close(file);
  }
}

static void writes_strided_views(void **state) {
  (void)state;
  float numbers[] = {0, 1, 2, 3, 4, 5};
  limn_tensor rows = limn_tensor_view(numbers, 2, (int64_t[]){2, 3});
  limn_tensor columns = limn_tensor_transpose(&rows, 0, 1);
  limn_error err;
  limn_npy *file;
  CHECK_OK(limn_npy_write(path, &columns, &err), err);
  CHECK_OK(limn_npy_open(path, &file, &err), err);
  assert_memory_equal(limn_npy_view(file).data, ((float[]){0, 3, 1, 4, 2, 5}), 24);
  limn_npy_close(file);
}

static void reads_other_number_formats(void **state) {
  (void)state;
  static const struct {
    const char *descr;
    limn_dtype dtype;
  } formats[] = {{"<f4", LIMN_F32}, {"<f8", LIMN_F64}, {"<f2", LIMN_F16}, {"|b1", LIMN_BOOL},
                 {"|i1", LIMN_I8},  {"<i2", LIMN_I16}, {"<i4", LIMN_I32}, {"<i8", LIMN_I64},
                 {"|u1", LIMN_U8},  {"<u2", LIMN_U16}, {"<u4", LIMN_U32}, {"<u8", LIMN_U64}};
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
    char dictionary[128];
    snprintf(dictionary, sizeof dictionary,
             "{\"shape\":(3,),'fortran_order': True , 'descr':'%s'}\n", formats[i].descr);
    put_npy(dictionary, 3 * limn_dtype_size(formats[i].dtype));
    limn_error err;
    limn_npy *file;
    CHECK_OK(limn_npy_open(path, &file, &err), err);
    limn_stored read = limn_npy_view(file);
    assert_int_equal(read.dtype, formats[i].dtype);
    assert_int_equal(limn_stored_count(&read), 3);
    assert_memory_equal(read.data, "\0\1\2", 3);
    limn_npy_close(file);
  }
}

#define DICTIONARY(descr, order, shape)                                                            \
  "{'descr': " descr ", 'fortran_order': " order ", 'shape': " shape ", }\n"

static void refuses_what_lies(void **state) {
  (void)state;
  static const struct {
    const char *dictionary;
    size_t n;
    limn_status status;
    const char *message;
  } bad[] = {
      {"", 0, LIMN_ERROR_FORMAT, "the header is not a dictionary"},
      {"{}\n", 0, LIMN_ERROR_FORMAT, "the header lacks \"descr\""},
      {"{'descr': '<f4'}\n", 0, LIMN_ERROR_FORMAT, "the header lacks"},
      {"{'descr': '<f4', 'descr': '<f4'}\n", 0, LIMN_ERROR_FORMAT, "has a key twice or one that"},
      {"{'what': '<f4'}\n", 0, LIMN_ERROR_FORMAT, "has a key twice or one that is not known"},
      {"{'descr'", 0, LIMN_ERROR_FORMAT, "the header is not a dictionary"},
      {DICTIONARY("'<f4'", "False", "(2,)") "x", 8, LIMN_ERROR_FORMAT, "goes on behind its end"},
      {DICTIONARY("'>f4'", "False", "(2,)"), 8, LIMN_ERROR_UNSUPPORTED, "of format \">f4\""},
      {DICTIONARY("'<c8'", "False", "(1,)"), 8, LIMN_ERROR_UNSUPPORTED, "of format \"<c8\""},
      {DICTIONARY("'|O'", "False", "(1,)"), 8, LIMN_ERROR_UNSUPPORTED, "of format \"|O\""},
      {DICTIONARY("[('a', '<f4')]", "False", "(2,)"), 8, LIMN_ERROR_UNSUPPORTED,
       "is not the name of one number format"},
      {DICTIONARY("'<f4<f4<f4<f4<f4<f4'", "False", "(2,)"), 8, LIMN_ERROR_UNSUPPORTED,
       "is not the name of one number format"},
      {DICTIONARY("'<f4'", "0", "(2,)"), 8, LIMN_ERROR_FORMAT, "neither True nor False"},
      {DICTIONARY("'<f4'", "True", "(2, 1, 2)"), 16, LIMN_ERROR_UNSUPPORTED, "Fortran order"},
      {DICTIONARY("'<f4'", "False", "[2]"), 8, LIMN_ERROR_FORMAT, "\"shape\" is not a tuple"},
      {DICTIONARY("'<f4'", "False", "(2"), 8, LIMN_ERROR_FORMAT, "is not a whole number"},
      {DICTIONARY("'<f4'", "False", "(-2,)"), 8, LIMN_ERROR_FORMAT, "is not a whole number"},
      {DICTIONARY("'<f4'", "False", "(2.0,)"), 8, LIMN_ERROR_FORMAT, "\"shape\" is not a tuple"},
      {DICTIONARY("'<f4'", "False", "(9223372036854775808,)"), 8, LIMN_ERROR_FORMAT,
       "is not a whole number of 64 bits"},
      {DICTIONARY("'<f4'", "False", "(4294967296, 4294967296)"), 0, LIMN_ERROR_FORMAT,
       "more bytes than 64 bits can count"},
      {DICTIONARY("'<f4'", "False", "(4611686018427387904,)"), 0, LIMN_ERROR_FORMAT,
       "more bytes than 64 bits can count"},
      {DICTIONARY("'<f4'", "False", "(1, 1, 1, 1, 1, 1, 1, 1, 1)"), 4, LIMN_ERROR_UNSUPPORTED,
       "more than 8 axes"},
      {DICTIONARY("'<f4'", "False", "(2,)"), 7, LIMN_ERROR_FORMAT,
       "holds 7 bytes of numbers, expected 8 for shape [2] of F32"},
      {DICTIONARY("'<f4'", "False", "(2,)"), 9, LIMN_ERROR_FORMAT, "holds 9 bytes of numbers"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    put_npy(bad[i].dictionary, bad[i].n);
    limn_error err;
    limn_npy *file;
    CHECK_FAILS(limn_npy_open(path, &file, &err), bad[i].status, err, bad[i].message);
    assert_null(file);
    if (!strstr(err.text, path)) fail_msg("\"%s\" does not name the file", err.text);
    assert_true(err.offset <= 10 + strlen(bad[i].dictionary));
  }
}

static void refuses_other_openings(void **state) {
  (void)state;
  static const struct {
    const char *bytes;
    size_t n;
    limn_status status;
    const char *message;
  } bad[] = {
      {"", 0, LIMN_ERROR_FORMAT, "does not open as a .npy file does"},
      {"\x93NUMPY\x01", 7, LIMN_ERROR_FORMAT, "does not open as a .npy file does"},
      {"PK\x03\x04..........", 14, LIMN_ERROR_FORMAT, "does not open as a .npy file does"},
      {"\x93NUMPY\x04\x00\x00\x00", 10, LIMN_ERROR_UNSUPPORTED, "has format version 4.0"},
      {"\x93NUMPY\x01\x00\x03\x00{}", 12, LIMN_ERROR_FORMAT,
       "announces a header of 3 bytes, but the file holds only 2"},
      {"\x93NUMPY\x02\x00\xff\xff\xff\xff{}", 14, LIMN_ERROR_FORMAT,
       "announces a header of 4294967295 bytes, but none may exceed 65536"},
      {"\x93NUMPY\x02\x00\x01\x00", 10, LIMN_ERROR_FORMAT, "announces a header"},
  };
  limn_error err;
  limn_npy *file;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    CHECK_OK(limn_file_write(path, bad[i].bytes, bad[i].n, &err), err);
    CHECK_FAILS(limn_npy_open(path, &file, &err), bad[i].status, err, bad[i].message);
  }
  CHECK_FAILS(limn_npy_open(folder, &file, &err), LIMN_ERROR_IO, err, "directory");
  CHECK_FAILS(limn_npy_open("/absent", &file, &err), LIMN_ERROR_NOT_FOUND, err, "/absent");
}

static void survives_every_failed_allocation(void **state) {
  (void)state;
  float numbers[] = {0, 1, 2, 3, 4, 5};
  limn_tensor rows = limn_tensor_view(numbers, 2, (int64_t[]){2, 3});
  limn_tensor columns = limn_tensor_transpose(&rows, 0, 1);
  for (int64_t k = 0;; k++) {
    limn_error err;
    limn_npy *file = NULL;
    fail_allocation(k);
    limn_status status = limn_npy_write(path, &columns, &err);
    if (status == LIMN_OK) status = limn_npy_open(path, &file, &err);
    limn_npy_close(file);
    assert_int_equal(allocations_live(), 0);
    if (allocations_asked() <= k) {
      assert_int_equal(status, LIMN_OK);
      assert_true(k > 3);
      break;
    }
    assert_int_equal(status, LIMN_ERROR_MEMORY);
  }
  limn_allocator_set(NULL);
}

int main(void) {
#define IN_PATH(test) cmocka_unit_test_setup_teardown(test, enter, leave_folder)
  const struct CMUnitTest tests[] = {
      IN_PATH(writes_as_numpy_does),
      IN_PATH(reads_what_it_wrote),
      IN_PATH(writes_strided_views),
      IN_PATH(reads_other_number_formats),
      IN_PATH(refuses_what_lies),
      IN_PATH(refuses_other_openings),
      IN_PATH(survives_every_failed_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
