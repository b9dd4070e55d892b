/*
 * safetensors: files that other programs wrote are read as they stand, files that lie are refused
 * with a message that says what and where, and what limn writes reads back bit for bit. (That
 * Python's safetensors reads it too is checked by tests/peers/check_formats.py.)
 */
#include "folder.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static void put_file(const char *name, const void *bytes, size_t n) {
  limn_error err;
  CHECK_OK(limn_file_write(in_folder(name), bytes, n, &err), err);
}

/* A file with this header and data_size bytes 0, 1, 2 ... behind it. */
static void put_safetensors(const char *name, const char *header, size_t data_size) {
  size_t n = strlen(header), size = 8 + n + data_size;
  unsigned char *bytes = malloc(size);
  assert_non_null(bytes);
  for (size_t i = 0; i < 8; i++)
    bytes[i] = (unsigned char)((uint64_t)n >> 8 * i);
  memcpy(bytes + 8, header, n);
  for (size_t i = 0; i < data_size; i++)
    bytes[8 + n + i] = (unsigned char)i;
  put_file(name, bytes, size);
  free(bytes);
}

/* Touches every byte of every tensor, so that a sanitizer sees a view that leaves the file. */
static unsigned touch(const limn_safetensors *file) {
  unsigned sum = 0;
  for (size_t i = 0; i < limn_safetensors_count(file); i++) {
    limn_stored t;
    if (limn_safetensors_view_at(file, i, &t, NULL) != LIMN_OK) continue;
    const unsigned char *bytes = t.data;
    size_t n = (size_t)limn_stored_count(&t) * limn_dtype_size(t.dtype);
    for (size_t k = 0; k < n; k++)
      sum += bytes[k];
  }
  return sum;
}

/* ---- what others wrote -------------------------------------------------------------------------
 */

static void opens_files_that_pytorch_wrote(void **state) {
  (void)state;
  static const struct {
    const char *name;
    size_t n_tensors;
  } files[] = {{"f32/model", 40},     {"f32/reference", 62},    {"bf16/model", 30},
               {"f32-odd/model", 41}, {"bf16/reference", 43},   {"f16/model", 30},
               {"f16/reference", 43}, {"f32-odd/reference", 62}};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    char path[512];
    snprintf(path, sizeof path, "%s/gpt2-tiny/%s.safetensors", LIMN_TEST_DATA, files[i].name);
    limn_error err;
    limn_safetensors *file;
    CHECK_OK(limn_safetensors_open(path, &file, &err), err);
    assert_int_equal(limn_safetensors_count(file), files[i].n_tensors);
    assert_string_equal(limn_safetensors_path(file), path);
    assert_string_equal(limn_safetensors_metadata(file, "format"), "pt");
    touch(file);
    limn_safetensors_close(file);
  }
}

/* hook_embed of the reference is made of rows of the embedding, which lies at an odd address. */
static void reads_numbers_at_odd_addresses(void **state) {
  (void)state;
  limn_error err;
  limn_safetensors *model, *reference;
  CHECK_OK(limn_safetensors_open_model(LIMN_TEST_DATA "/gpt2-tiny/f32-odd", &model, &err), err);
  CHECK_OK(limn_safetensors_open(LIMN_TEST_DATA "/gpt2-tiny/f32-odd/reference.safetensors",
                                 &reference, &err),
           err);
  limn_stored weight, embedded;
  CHECK_OK(limn_safetensors_view(model, "transformer.wte.weight", &weight, &err), err);
  CHECK_OK(limn_safetensors_view(reference, "hook_embed", &embedded, &err), err);
  assert_int_equal((uintptr_t)weight.data % 2, 1);
  assert_int_equal(weight.shape[0], 512);
  assert_int_equal(weight.shape[1], 32);
  static const int ids[] = {243, 133, 378, 485}; /* reference.json's first input_ids */
  for (int i = 0; i < 4; i++) {
    float found[32], expected[32];
    limn_stored_to_f32(&weight, 32 * ids[i], 32, found);
    limn_stored_to_f32(&embedded, 32 * i, 32, expected);
    assert_memory_equal(found, expected, sizeof found);
  }
  limn_safetensors_close(model);
  limn_safetensors_close(reference);
}

static void lists_tensors_in_the_order_of_the_data(void **state) {
  (void)state;
  put_safetensors("a",
                  "{\"late\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[4,7]},"
                  "\"__metadata__\":{\"k\":\"v \\u00e9\",\"empty\":\"\"},"
                  "\"none\":{\"dtype\":\"F64\",\"shape\":[0,5],\"data_offsets\":[4,4]},"
                  "\"first\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}   ",
                  7);
  limn_error err;
  limn_safetensors *file;
  CHECK_OK(limn_safetensors_open(in_folder("a"), &file, &err), err);
  assert_int_equal(limn_safetensors_count(file), 3);
  assert_string_equal(limn_safetensors_name_at(file, 0), "first");
  assert_string_equal(limn_safetensors_name_at(file, 1), "none");
  assert_string_equal(limn_safetensors_name_at(file, 2), "late");
  limn_stored t;
  CHECK_OK(limn_safetensors_view(file, "late", &t, &err), err);
  assert_memory_equal(t.data, "\x04\x05\x06", 3);
  CHECK_OK(limn_safetensors_view(file, "first", &t, &err), err);
  assert_int_equal(t.rank, 0);
  assert_int_equal(limn_stored_count(&t), 1);
  CHECK_OK(limn_safetensors_view(file, "none", &t, &err), err);
  assert_int_equal(limn_stored_count(&t), 0);
  CHECK_FAILS(limn_safetensors_view(file, "nome", &t, &err), LIMN_ERROR_NOT_FOUND, err,
              "has no tensor \"nome\"");
  assert_int_equal(limn_safetensors_metadata_count(file), 2);
  assert_string_equal(limn_safetensors_metadata(file, "k"), "v \xc3\xa9");
  assert_string_equal(limn_safetensors_metadata(file, "empty"), "");
  assert_null(limn_safetensors_metadata(file, "nothing"));
  assert_string_equal(limn_safetensors_metadata_key_at(file, 0), "k");
  assert_string_equal(limn_safetensors_metadata_value_at(file, 0), "v \xc3\xa9");
  limn_safetensors_close(file);
}

static void opens_a_file_with_a_tensor_it_cannot_read(void **state) {
  (void)state;
  put_safetensors("a",
                  "{\"odd\":{\"dtype\":\"F8_E4M3\",\"shape\":[4],\"data_offsets\":[0,4]},"
                  "\"deep\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],"
                  "\"data_offsets\":[4,5]},"
                  "\"good\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[5,6]}}",
                  6);
  limn_error err;
  limn_safetensors *file;
  limn_stored t;
  CHECK_OK(limn_safetensors_open(in_folder("a"), &file, &err), err);
  assert_true(limn_safetensors_has(file, "odd"));
  CHECK_FAILS(limn_safetensors_view(file, "odd", &t, &err), LIMN_ERROR_UNSUPPORTED, err,
              "tensor \"odd\" has number format \"F8_E4M3\"");
  assert_null(t.data);
  CHECK_FAILS(limn_safetensors_view(file, "deep", &t, &err), LIMN_ERROR_UNSUPPORTED, err,
              "tensor \"deep\" has 9 axes, expected at most 8");
  CHECK_OK(limn_safetensors_view(file, "good", &t, &err), err);
  limn_safetensors_close(file);
}

/* ---- files that lie ----------------------------------------------------------------------------
 */

/* One tensor "x" with this dtype, shape and data_offsets, as JSON text. */
#define ONE(dtype, shape, offsets)                                                                 \
  "{\"x\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
#define X(offsets) "\"x\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" offsets "}"
#define Y(offsets) "\"y\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" offsets "}"

static const struct bad_header {
  const char *header;
  size_t data_size;
  const char *message;
  int64_t offset; /* behind the header, -1 for none, -2 for not looked at */
} bad_headers[] = {
    {"", 4, "does not open with \"{\"", -2},
    {" {}", 0, "does not open with \"{\"", -2},
    {"[]", 0, "does not open with \"{\"", -2},
    {"{", 0, "is not valid JSON: line 1", -2},
    {"{}x", 0, "is not valid JSON: line 1, column 3", -2},
    {"{\"x\":NaN}", 0, "is not valid JSON: line 1, column 8: invalid token near 'NaN'", -2},
    {"{\"x\":1e999}", 0, "is not valid JSON: line 1", -2},
    {"{\"\xff\":{}}", 0, "is not valid JSON: line 1", -2},
    {"{\"a\\u0000b\":{}}", 0, "NUL", -2},
    {"{" X("[0,4]") "," X("[0,4]") "}", 4, "duplicate object key", -2},
    {"{" X("[0,4]") "," X("[4,8]") "}", 8, "duplicate object key", -2},
    {"{\"x\":3}", 0, "tensor \"x\" is an integer in the header, expected an object", -1},
    {"{\"x\":{}}", 0, "tensor \"x\" has nothing as \"dtype\", expected a string", -1},
    {ONE("5", "[4]", "[0,4]"), 4, "tensor \"x\" has an integer as \"dtype\"", -1},
    {ONE("\"U8\"", "4", "[0,4]"), 4, "tensor \"x\" has an integer as \"shape\"", -1},
    {ONE("\"U8\"", "[-4]", "[0,4]"), 4, "has a size in its shape that is no whole number", -1},
    {ONE("\"U8\"", "[4.0]", "[0,4]"), 4, "has a size in its shape that is no whole number", -1},
    {ONE("\"U8\"", "[\"4\"]", "[0,4]"), 4, "has a size in its shape that is no whole number", -1},
    {ONE("\"U8\"", "[9223372036854775808]", "[0,4]"), 4, "too big integer", -2},
    {ONE("\"U8\"", "[4294967296,4294967296]", "[0,0]"), 0, "product is beyond 64 bits", -1},
    {ONE("\"U8\"", "[0,4294967296,4294967296]", "[0,0]"), 0, "product is beyond 64 bits", -1},
    {ONE("\"F32\"", "[4611686018427387904]", "[0,0]"), 0, "more bytes than 64 bits can count", -1},
    {ONE("\"F32\"", "[4611686018427387905]", "[0,4]"), 4, "more bytes than 64 bits can count", -1},
    {ONE("\"U8\"", "[4]", "[0]"), 4, "has no \"data_offsets\" of two whole numbers", -1},
    {ONE("\"U8\"", "[4]", "[0,4,4]"), 4, "has no \"data_offsets\" of two whole numbers", -1},
    {ONE("\"U8\"", "[4]", "[-4,0]"), 4, "has no \"data_offsets\" of two whole numbers", -1},
    {ONE("\"U8\"", "[4]", "[0,4.0]"), 4, "has no \"data_offsets\" of two whole numbers", -1},
    {ONE("\"U8\"", "[4]", "null"), 4, "has no \"data_offsets\" of two whole numbers", -1},
    {ONE("\"U8\"", "[4]", "[4,0]"), 4, "has data_offsets [4,0], expected the end behind", -1},
    {ONE("\"U8\"", "[3]", "[0,4]"), 4, "has data_offsets of 4 bytes, expected 3 for shape [3]", 0},
    {ONE("\"F32\"", "[2,3]", "[0,4]"), 4, "expected 24 for shape [2,3] of F32", 0},
    {ONE("\"U8\"", "[4]", "[0,4]"), 3, "ends at byte 4 of the data, but the file holds only 3", 3},
    {ONE("\"U8\"", "[4]", "[0,4]"), 5, "holds 5 bytes of data, but its tensors end at 4", 4},
    {ONE("\"U8\"", "[4]", "[4,8]"), 8, "bytes between belong to no tensor", 0},
    {ONE("\"U8\"", "[4]", "[9223372036854775803,9223372036854775807]"), 4, "belong to no tensor",
     0},
    {"{" X("[0,4]") "," Y("[2,6]") "}", 6,
     "tensor \"y\" opens at byte 2 of the data and overlaps the one before it, which ends at 4", 4},
    {"{" X("[0,4]") "," Y("[0,4]") "}", 4, "tensor \"y\" opens at byte 0 of the data and overlaps",
     4},
    {"{" X("[0,4]") "," Y("[5,9]") "}", 9,
     "tensor \"y\" opens at byte 5 of the data, expected 4: bytes between belong to no tensor", 4},
    {"{}", 1, "holds 1 bytes of data, but its tensors end at 0", 0},
    {"{\"__metadata__\":[]}", 0, "has an array as \"__metadata__\", expected an object", -2},
    {"{\"__metadata__\":{\"k\":1}}", 0, "has an integer as metadata \"k\", expected a string", -2},
};

static void refuses_headers_that_lie(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof bad_headers / sizeof *bad_headers; i++) {
    const struct bad_header *bad = &bad_headers[i];
    put_safetensors("a", bad->header, bad->data_size);
    limn_error err = {0};
    limn_safetensors *file = (limn_safetensors *)&err;
    CHECK_FAILS(limn_safetensors_open(in_folder("a"), &file, &err), LIMN_ERROR_FORMAT, err,
                bad->message);
    assert_null(file);
    if (!strstr(err.text, in_folder("a"))) fail_msg("\"%s\" does not name the file", err.text);
    uint64_t data_start = 8 + strlen(bad->header);
    if (bad->offset == -1 && err.offset != LIMN_NO_OFFSET) fail_msg("%s: an offset", bad->header);
    if (bad->offset >= 0 && err.offset != data_start + (uint64_t)bad->offset)
      fail_msg("%s: offset %lld, expected %lld", bad->header, (long long)err.offset,
               (long long)data_start + (long long)bad->offset);
    assert_int_equal(limn_safetensors_open(in_folder("a"), &file, NULL), LIMN_ERROR_FORMAT);
  }
}

static void refuses_lengths_that_lie(void **state) {
  (void)state;
  static const struct {
    const char *bytes;
    size_t n;
    const char *message;
  } files[] = {
      {"", 0, "has 0 bytes, expected at least 8"},
      {"\x02\x00\x00\x00\x00\x00\x00", 7, "has 7 bytes, expected at least 8"},
      {"\x00\x00\x00\x00\x00\x00\x00\x00", 8, "does not open with \"{\""},
      {"\x03\x00\x00\x00\x00\x00\x00\x00{}", 10,
       "announces a header of 3 bytes, but the file holds only 2"},
      {"\xff\xff\xff\xff\xff\xff\xff\xff{}", 10,
       "announces a header of 18446744073709551615 bytes, but none may exceed 100000000"},
      {"\xf8\xff\xff\xff\xff\xff\xff\xff{}", 10, "but none may exceed 100000000"},
      {"\x02\x00\x00\x00\x00\x00\x00\x80{}", 10, "but none may exceed 100000000"},
  };
  limn_error err;
  limn_safetensors *file;
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    put_file("a", files[i].bytes, files[i].n);
    CHECK_FAILS(limn_safetensors_open(in_folder("a"), &file, &err), LIMN_ERROR_FORMAT, err,
                files[i].message);
  }
  /* A file that is as large as it says, but whose header is larger than any may be. */
  put_file("a", "\x01\xe1\xf5\x05\x00\x00\x00\x00{", 9);
  assert_int_equal(truncate(in_folder("a"), 200000000), 0);
  CHECK_FAILS(limn_safetensors_open(in_folder("a"), &file, &err), LIMN_ERROR_FORMAT, err,
              "announces a header of 100000001 bytes, but none may exceed 100000000");
}

static void refuses_deep_nesting_and_long_names(void **state) {
  (void)state;
  char header[20000];
  limn_error err;
  limn_safetensors *file;
  strcpy(header, "{\"x\":");
  memset(header + 5, '[', 10000);
  header[10005] = '\0';
  put_safetensors("a", header, 0);
  CHECK_FAILS(limn_safetensors_open(in_folder("a"), &file, &err), LIMN_ERROR_FORMAT, err,
              "maximum parsing depth reached");
  strcpy(header, "{\"");
  memset(header + 2, 'n', 10000);
  strcpy(header + 10002, "\":3}");
  put_safetensors("a", header, 0);
  CHECK_FAILS(limn_safetensors_open(in_folder("a"), &file, &err), LIMN_ERROR_FORMAT, err,
              "is an integer in the header, expected an object");
}

static void refuses_what_is_no_file(void **state) {
  (void)state;
  limn_error err;
  limn_safetensors *file;
  CHECK_FAILS(limn_safetensors_open(in_folder("absent"), &file, &err), LIMN_ERROR_NOT_FOUND, err,
              "cannot open \"");
  CHECK_FAILS(limn_safetensors_open(folder, &file, &err), LIMN_ERROR_IO, err, "directory");
  CHECK_FAILS(limn_safetensors_open_model(folder, &file, &err), LIMN_ERROR_NOT_FOUND, err,
              "holds neither model.safetensors nor model.safetensors.index.json");
  CHECK_FAILS(limn_safetensors_open_model(in_folder("absent"), &file, &err), LIMN_ERROR_NOT_FOUND,
              err, "holds neither");
}

/* Whatever single byte of a header is changed, the file opens with views inside it, or not. */
static void survives_every_changed_byte(void **state) {
  (void)state;
  static const char header[] = "{\"x\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
                               "\"y\":{\"dtype\":\"U8\",\"shape\":[9],\"data_offsets\":[24,33]}}";
  unsigned char bytes[8 + sizeof header - 1 + 33] = {sizeof header - 1};
  memcpy(bytes + 8, header, sizeof header - 1);
  int n_opened = 0, n_refused = 0;
  for (size_t i = 0; i < 8 + sizeof header - 1; i++) {
    for (int change = 1; change < 256; change += i < 8 ? 1 : 7) {
      unsigned char before = bytes[i];
      bytes[i] = (unsigned char)(before + change);
      put_file("a", bytes, sizeof bytes);
      limn_safetensors *file;
      limn_error err;
      if (limn_safetensors_open(in_folder("a"), &file, &err) == LIMN_OK) {
        touch(file);
        n_opened++;
      } else {
        assert_true(err.text[0] != '\0');
        n_refused++;
      }
      limn_safetensors_close(file);
      bytes[i] = before;
    }
  }
  assert_true(n_opened > 0); /* a changed letter of a name, say */
  assert_true(n_refused > n_opened);
}

/* ---- shards ------------------------------------------------------------------------------------
 */

#define SHARD_1 "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}"
#define SHARD_2                                                                                    \
  "{\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"                                \
  "\"c\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[1,4]}}"

static void put_index(const char *json) {
  put_file("model.safetensors.index.json", json, strlen(json));
}

static void opens_shards(void **state) {
  (void)state;
  put_safetensors("m-1.safetensors", SHARD_1, 2);
  put_safetensors("m-2.safetensors", SHARD_2, 4);
  put_index("{\"metadata\":{\"total_size\":6},\"weight_map\":{\"c\":\"m-2.safetensors\","
            "\"a\":\"m-1.safetensors\",\"b\":\"m-2.safetensors\"}}");
  limn_error err;
  limn_safetensors *file;
  CHECK_OK(limn_safetensors_open_model(folder, &file, &err), err);
  assert_int_equal(limn_safetensors_count(file), 3);
  assert_string_equal(limn_safetensors_name_at(file, 0), "a");
  assert_string_equal(limn_safetensors_name_at(file, 2), "c");
  limn_stored t;
  CHECK_OK(limn_safetensors_view(file, "c", &t, &err), err);
  assert_memory_equal(t.data, "\x01\x02\x03", 3);
  assert_int_equal(limn_safetensors_mapped_size(file), 16 + strlen(SHARD_1 SHARD_2) + 6);
  limn_safetensors_close(file);
}

static void refuses_indices_that_lie(void **state) {
  (void)state;
  static const struct {
    const char *index;
    limn_status status;
    const char *message;
  } bad[] = {
      {"", LIMN_ERROR_FORMAT, "is not valid JSON"},
      {"[]", LIMN_ERROR_FORMAT, "holds an array, expected an object"},
      {"{}", LIMN_ERROR_FORMAT, "has nothing as \"weight_map\", expected an object"},
      {"{\"weight_map\":{}}", LIMN_ERROR_FORMAT, "names no tensor"},
      {"{\"weight_map\":{\"a\":1}}", LIMN_ERROR_FORMAT,
       "has an integer as the shard of \"a\", expected a string"},
      {"{\"weight_map\":{\"a\":\"../m-1.safetensors\"}}", LIMN_ERROR_FORMAT,
       "has \"../m-1.safetensors\" as the shard of \"a\", expected a file of this folder"},
      {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", LIMN_ERROR_FORMAT, "expected a file of this"},
      {"{\"weight_map\":{\"a\":\"x/../../y\"}}", LIMN_ERROR_FORMAT, "expected a file of this"},
      {"{\"weight_map\":{\"a\":\"..\"}}", LIMN_ERROR_FORMAT, "expected a file of this folder"},
      {"{\"weight_map\":{\"a\":\"\"}}", LIMN_ERROR_FORMAT, "expected a file of this folder"},
      {"{\"weight_map\":{\"a\":\"m-9.safetensors\"}}", LIMN_ERROR_NOT_FOUND, "m-9.safetensors"},
      {"{\"weight_map\":{\"a\":\"m-1.safetensors\",\"b\":\"m-1.safetensors\"}}", LIMN_ERROR_FORMAT,
       "says that \"m-1.safetensors\" holds tensor \"b\", but no shard does"},
      {"{\"weight_map\":{\"a\":\"m-2.safetensors\",\"b\":\"m-1.safetensors\"}}", LIMN_ERROR_FORMAT,
       "says that \"m-2.safetensors\" holds tensor \"a\", but m-1.safetensors does"},
      {"{\"weight_map\":{\"a\":\"m-1.safetensors\",\"b\":\"m-3.safetensors\"}}", LIMN_ERROR_FORMAT,
       "tensor \"a\" lies in two files"},
      {"{\"weight_map\":{\"a\":\"m-1.safetensors\",\"a\":\"m-2.safetensors\"}}", LIMN_ERROR_FORMAT,
       "duplicate object key"},
  };
  put_safetensors("m-1.safetensors", SHARD_1, 2);
  put_safetensors("m-2.safetensors", SHARD_2, 4);
  put_safetensors("m-3.safetensors", SHARD_1, 2);
  limn_error err;
  limn_safetensors *file;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    put_index(bad[i].index);
    CHECK_FAILS(limn_safetensors_open_model(folder, &file, &err), bad[i].status, err,
                bad[i].message);
    assert_null(file);
  }
}

/* ---- writing -----------------------------------------------------------------------------------
 */

static const struct {
  const char *name;
  limn_dtype dtype;
  int rank;
  int64_t shape[3];
} samples[] = {{"bytes", LIMN_U8, 1, {3}},     {"half \"quoted\"", LIMN_F16, 2, {3, 5}},
               {"none", LIMN_F32, 2, {0, 4}},  {"scalar", LIMN_F64, 0, {0}},
               {"flags", LIMN_BOOL, 1, {1}},   {"caf\xc3\xa9\n", LIMN_F32, 3, {2, 3, 4}},
               {"wide", LIMN_I64, 1, {5}},     {"brain", LIMN_BF16, 1, {7}},
               {"", LIMN_I32, 2, {1, 1}},      {"u16", LIMN_U16, 1, {2}},
               {"big", LIMN_U32, 2, {300, 40}}};

#define N_SAMPLES (sizeof samples / sizeof *samples)

static unsigned char sample_bytes[N_SAMPLES][48000];

static limn_stored sample(size_t i) {
  limn_stored t = {sample_bytes[i], samples[i].dtype, samples[i].rank, {0}};
  memcpy(t.shape, samples[i].shape, sizeof samples[i].shape);
  return t;
}

static void fill_samples(void) {
  uint32_t random = 1;
  for (size_t i = 0; i < N_SAMPLES; i++) {
    for (size_t k = 0; k < sizeof sample_bytes[i]; k++) {
      random = random * 1664525 + 1013904223;
      sample_bytes[i][k] = (unsigned char)(random >> 24);
    }
  }
}

static limn_status write_samples(const char *path, size_t memory_limit, limn_error *err) {
  limn_safetensors_writer *w;
  limn_status status = limn_safetensors_writer_open(path, memory_limit, &w, err);
  if (status != LIMN_OK) return status;
  status = limn_safetensors_writer_metadata(w, "made by", "\"limn\"", err);
  for (size_t i = 0; status == LIMN_OK && i < N_SAMPLES; i++) {
    limn_stored t = sample(i);
    status = limn_safetensors_writer_add(w, samples[i].name, &t, err);
  }
  if (status == LIMN_OK) return limn_safetensors_writer_commit(w, err);
  limn_safetensors_writer_discard(w);
  return status;
}

static void check_samples(const char *path) {
  limn_error err;
  limn_safetensors *file;
  CHECK_OK(limn_safetensors_open(path, &file, &err), err);
  assert_int_equal(limn_safetensors_count(file), N_SAMPLES);
  for (size_t i = 0; i < N_SAMPLES; i++) {
    limn_stored expected = sample(i), t;
    CHECK_OK(limn_safetensors_view(file, samples[i].name, &t, &err), err);
    assert_int_equal(t.dtype, expected.dtype);
    assert_int_equal(t.rank, expected.rank);
    for (int k = 0; k < t.rank; k++)
      assert_int_equal(t.shape[k], expected.shape[k]);
    size_t width = limn_dtype_size(t.dtype);
    assert_memory_equal(t.data, expected.data, (size_t)limn_stored_count(&t) * width);
    assert_int_equal((uintptr_t)t.data % width, 0);
  }
  assert_string_equal(limn_safetensors_metadata(file, "made by"), "\"limn\"");
  limn_safetensors_close(file);
}

/* With limits at which everything, something and nothing goes through the temporary file. */
static void reads_what_it_wrote(void **state) {
  (void)state;
  fill_samples();
  static const size_t limits[] = {0, 1, 2, 7, 100, 47999, 48000, 49000, 1 << 20};
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
    limn_error err;
    CHECK_OK(write_samples(in_folder("a"), limits[i], &err), err);
    check_samples(in_folder("a"));
  }
}

static void writes_a_file_without_tensors(void **state) {
  (void)state;
  limn_error err;
  limn_safetensors_writer *w;
  CHECK_OK(limn_safetensors_writer_open(in_folder("a"), 0, &w, &err), err);
  CHECK_OK(limn_safetensors_writer_commit(w, &err), err);
  char *bytes;
  size_t n;
  CHECK_OK(limn_file_read(in_folder("a"), 0, &bytes, &n, &err), err);
  assert_int_equal(n, 16);
  assert_memory_equal(bytes, "\x08\x00\x00\x00\x00\x00\x00\x00{}      ", 16);
  limn_free(bytes);
}

static void writes_strided_views(void **state) {
  (void)state;
  float numbers[] = {0, 1, 2, 3, 4, 5};
  limn_tensor rows = limn_tensor_view(numbers, 2, (int64_t[]){2, 3});
  limn_tensor columns = limn_tensor_transpose(&rows, 0, 1);
  limn_error err;
  limn_safetensors_writer *w;
  CHECK_OK(limn_safetensors_writer_open(in_folder("a"), 0, &w, &err), err);
  CHECK_OK(limn_safetensors_writer_add_f32(w, "rows", &rows, &err), err);
  CHECK_OK(limn_safetensors_writer_add_f32(w, "columns", &columns, &err), err);
  CHECK_OK(limn_safetensors_writer_commit(w, &err), err);
  limn_safetensors *file;
  limn_stored t;
  CHECK_OK(limn_safetensors_open(in_folder("a"), &file, &err), err);
  CHECK_OK(limn_safetensors_view(file, "columns", &t, &err), err);
  assert_int_equal(t.shape[0], 3);
  assert_memory_equal(t.data, ((float[]){0, 3, 1, 4, 2, 5}), 24);
  CHECK_OK(limn_safetensors_view(file, "rows", &t, &err), err);
  assert_memory_equal(t.data, numbers, 24);
  limn_safetensors_close(file);
}

static void refuses_bad_declarations(void **state) {
  (void)state;
  limn_error err;
  limn_safetensors_writer *w;
  const int64_t shape[] = {4};
  CHECK_OK(limn_safetensors_writer_open(in_folder("a"), 0, &w, &err), err);
  CHECK_OK(limn_safetensors_writer_begin(w, "x", LIMN_U8, 1, shape, &err), err);
  CHECK_OK(limn_safetensors_writer_write(w, "ab", 2, &err), err);
  CHECK_FAILS(limn_safetensors_writer_begin(w, "y", LIMN_U8, 1, shape, &err), LIMN_ERROR_SHAPE, err,
              "tensor \"x\" of \"");
  CHECK_FAILS(limn_safetensors_writer_write(w, "abc", 3, &err), LIMN_ERROR_SHAPE, err,
              "3 bytes for a tensor of \"");
  CHECK_OK(limn_safetensors_writer_write(w, "cd", 2, &err), err);
  CHECK_FAILS(limn_safetensors_writer_begin(w, "x", LIMN_U8, 1, shape, &err), LIMN_ERROR_ARGUMENT,
              err, "tensor name \"x\" is there already");
  CHECK_FAILS(limn_safetensors_writer_begin(w, "\xff", LIMN_U8, 1, shape, &err),
              LIMN_ERROR_ARGUMENT, err, "tensor name \"\\xff\" is not UTF-8");
  CHECK_FAILS(limn_safetensors_writer_begin(w, "__metadata__", LIMN_U8, 1, shape, &err),
              LIMN_ERROR_ARGUMENT, err, "is kept for the metadata");
  CHECK_FAILS(limn_safetensors_writer_begin(w, "z", LIMN_F64, 1, (int64_t[]){INT64_MAX}, &err),
              LIMN_ERROR_RANGE, err, "more bytes than 64 bits can count");
  CHECK_OK(limn_safetensors_writer_metadata(w, "k", "v", &err), err);
  CHECK_FAILS(limn_safetensors_writer_metadata(w, "k", "w", &err), LIMN_ERROR_ARGUMENT, err,
              "metadata \"k\" is there already");
  CHECK_FAILS(limn_safetensors_writer_metadata(w, "k2", "\x80", &err), LIMN_ERROR_ARGUMENT, err,
              "is not UTF-8");
  CHECK_OK(limn_safetensors_writer_commit(w, &err), err);
  limn_safetensors *file;
  CHECK_OK(limn_safetensors_open(in_folder("a"), &file, &err), err);
  assert_int_equal(limn_safetensors_count(file), 1);
  limn_safetensors_close(file);
}

/* ---- declared beforehand -----------------------------------------------------------------------
 */

/* All samples, in their own order, the bytes of all cut into pieces of one size. */
static void stream_samples(const char *path, size_t alignment, size_t piece) {
  static unsigned char all[N_SAMPLES * sizeof sample_bytes[0]];
  size_t n = 0;
  limn_error err;
  limn_safetensors_writer *w;
  CHECK_OK(limn_safetensors_writer_open(path, 0, &w, &err), err);
  CHECK_OK(limn_safetensors_writer_metadata(w, "made by", "\"limn\"", &err), err);
  for (size_t width = 8; width > 0; width /= 2) {
    for (size_t i = 0; i < N_SAMPLES; i++) {
      limn_stored t = sample(i);
      if (limn_dtype_size(t.dtype) != width) continue;
      CHECK_OK(limn_safetensors_writer_declare(w, samples[i].name, t.dtype, t.rank, t.shape, &err),
               err);
      size_t size = (size_t)limn_stored_count(&t) * width;
      memcpy(all + n, t.data, size);
      n += size;
    }
  }
  CHECK_OK(limn_safetensors_writer_start(w, alignment, &err), err);
  for (size_t from = 0; from < n; from += piece) {
    size_t some = n - from < piece ? n - from : piece;
    CHECK_OK(limn_safetensors_writer_write(w, all + from, some, &err), err);
  }
  CHECK_OK(limn_safetensors_writer_commit(w, &err), err);
}

static void streams_what_was_declared(void **state) {
  (void)state;
  static const size_t alignments[] = {8, 64, 4096, 24};
  fill_samples();
  for (size_t i = 0; i < sizeof alignments / sizeof *alignments; i++) {
    limn_error err;
    char *bytes;
    size_t n;
    stream_samples(in_folder("a"), alignments[i], 1000 * i + 7);
    check_samples(in_folder("a"));
    CHECK_OK(limn_file_read(in_folder("a"), 0, &bytes, &n, &err), err);
    size_t header = (size_t)(unsigned char)bytes[0] | (size_t)(unsigned char)bytes[1] << 8;
    assert_int_equal((8 + header) % alignments[i], 0);
    limn_free(bytes);
  }
}

static void refuses_to_stream_what_was_not_declared(void **state) {
  (void)state;
  limn_error err;
  limn_safetensors_writer *w;
  put_file("a", "old", 3);
  CHECK_OK(limn_safetensors_writer_open(in_folder("a"), 0, &w, &err), err);
  CHECK_OK(limn_safetensors_writer_declare(w, "x", LIMN_U8, 1, (int64_t[]){4}, &err), err);
  CHECK_FAILS(limn_safetensors_writer_declare(w, "x", LIMN_U8, 1, (int64_t[]){4}, &err),
              LIMN_ERROR_ARGUMENT, err, "is there already");
  CHECK_FAILS(limn_safetensors_writer_declare(w, "large", LIMN_U8, 1, (int64_t[]){INT64_MAX}, &err),
              LIMN_ERROR_RANGE, err, "more bytes than 63 bits can count");
  limn_safetensors_writer_discard(w);

  CHECK_OK(limn_safetensors_writer_open(in_folder("a"), 0, &w, &err), err);
  CHECK_OK(limn_safetensors_writer_declare(w, "x", LIMN_U8, 1, (int64_t[]){4}, &err), err);
  CHECK_OK(limn_safetensors_writer_declare(w, "y", LIMN_U8, 1, (int64_t[]){2}, &err), err);
  CHECK_OK(limn_safetensors_writer_start(w, 64, &err), err);
  CHECK_FAILS(limn_safetensors_writer_write(w, "1234567", 7, &err), LIMN_ERROR_SHAPE, err,
              "7 bytes for a tensor of");
  CHECK_OK(limn_safetensors_writer_write(w, "12345", 5, &err), err);
  CHECK_FAILS(limn_safetensors_writer_commit(w, &err), LIMN_ERROR_SHAPE, err,
              "lacks 1 of the 6 bytes of its tensors");
  char *bytes;
  size_t n;
  CHECK_OK(limn_file_read(in_folder("a"), 0, &bytes, &n, &err), err);
  assert_int_equal(n, 3);
  limn_free(bytes);
}

static void leaves_the_old_file_when_it_fails(void **state) {
  (void)state;
  limn_error err;
  limn_safetensors_writer *w;
  put_file("a", "old", 3);
  CHECK_OK(limn_safetensors_writer_open(in_folder("a"), 1, &w, &err), err);
  CHECK_OK(limn_safetensors_writer_begin(w, "x", LIMN_U8, 1, (int64_t[]){4}, &err), err);
  CHECK_OK(limn_safetensors_writer_write(w, "ab", 2, &err), err);
  CHECK_FAILS(limn_safetensors_writer_commit(w, &err), LIMN_ERROR_SHAPE, err,
              "lacks 2 of its 4 bytes");
  CHECK_OK(limn_safetensors_writer_open(in_folder("a"), 0, &w, &err), err);
  limn_safetensors_writer_discard(w);
  CHECK_FAILS(limn_safetensors_writer_open(in_folder("absent/a"), 0, &w, &err),
              LIMN_ERROR_NOT_FOUND, err, "cannot write \"");
  assert_null(w);
  fill_samples();
  CHECK_FAILS(write_samples("/dev/full", 0, &err), LIMN_ERROR_IO, err, "/dev/full");
  char *bytes;
  size_t n;
  CHECK_OK(limn_file_read(in_folder("a"), 0, &bytes, &n, &err), err);
  assert_string_equal(bytes, "old");
  limn_free(bytes);
}

/* With a limit on the size of files, as on a full disk, the numbers do not fit into the spool. */
static void keeps_the_first_failure_of_the_spool(void **state) {
  (void)state;
  fill_samples();
  put_file("a", "old", 3);
  limn_error err, again;
  limn_safetensors_writer *w;
  CHECK_OK(limn_safetensors_writer_open(in_folder("a"), 100, &w, &err), err);
  struct rlimit before, small;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  small = before;
  small.rlim_cur = 1000;
  void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  limn_stored big = sample(N_SAMPLES - 1), little = sample(0);
  limn_status status = limn_safetensors_writer_add(w, "big", &big, &err);
  limn_status later = limn_safetensors_writer_add(w, "little", &little, &again);
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, handler);
  assert_int_equal(status, LIMN_ERROR_IO);
  assert_non_null(strstr(err.text, "cannot keep the numbers of"));
  assert_int_equal(later, LIMN_ERROR_IO);
  assert_string_equal(again.text, err.text);
  CHECK_FAILS(limn_safetensors_writer_commit(w, &err), LIMN_ERROR_IO, err, "cannot keep");
  char *bytes;
  size_t n;
  CHECK_OK(limn_file_read(in_folder("a"), 0, &bytes, &n, &err), err);
  assert_string_equal(bytes, "old");
  limn_free(bytes);
}

/* ---- memory ------------------------------------------------------------------------------------
 */

static void survives_every_failed_allocation_reading(void **state) {
  (void)state;
  put_safetensors("m-1.safetensors", "{\"__metadata__\":{\"k\":\"v\"}," X("[0,4]") "}", 4);
  put_safetensors("m-2.safetensors", SHARD_2, 4);
  put_index("{\"weight_map\":{\"c\":\"m-2.safetensors\",\"x\":\"m-1.safetensors\"}}");
  for (int64_t k = 0;; k++) {
    limn_error err;
    limn_safetensors *file;
    fail_allocation(k);
    limn_status status = limn_safetensors_open_model(folder, &file, &err);
    bool was_enough = allocations_asked() <= k;
    if (was_enough) assert_int_equal(status, LIMN_OK);
    if (status != LIMN_OK) assert_int_equal(status, LIMN_ERROR_MEMORY);
    limn_safetensors_close(file);
    assert_int_equal(allocations_live(), 0);
    if (!was_enough) continue;
    assert_true(k > 20);
    break;
  }
  limn_allocator_set(NULL);
}

static void survives_every_failed_allocation_writing(void **state) {
  (void)state;
  fill_samples();
  for (int64_t k = 0;; k++) {
    limn_error err;
    put_file("a", "old", 3);
    fail_allocation(k);
    limn_status status = write_samples(in_folder("a"), 40000, &err);
    bool was_enough = allocations_asked() <= k;
    assert_int_equal(allocations_live(), 0);
    limn_allocator_set(NULL);
    if (status != LIMN_OK) {
      assert_int_equal(status, LIMN_ERROR_MEMORY);
      char *bytes;
      size_t n;
      CHECK_OK(limn_file_read(in_folder("a"), 0, &bytes, &n, &err), err);
      assert_string_equal(bytes, "old");
      limn_free(bytes);
    }
    if (!was_enough) continue;
    assert_int_equal(status, LIMN_OK);
    assert_true(k > 20);
    break;
  }
  check_samples(in_folder("a"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(opens_files_that_pytorch_wrote),
      cmocka_unit_test(reads_numbers_at_odd_addresses),
      IN_FOLDER(lists_tensors_in_the_order_of_the_data),
      IN_FOLDER(opens_a_file_with_a_tensor_it_cannot_read),
      IN_FOLDER(refuses_headers_that_lie),
      IN_FOLDER(refuses_lengths_that_lie),
      IN_FOLDER(refuses_deep_nesting_and_long_names),
      IN_FOLDER(refuses_what_is_no_file),
      IN_FOLDER(survives_every_changed_byte),
      IN_FOLDER(opens_shards),
      IN_FOLDER(refuses_indices_that_lie),
      IN_FOLDER(reads_what_it_wrote),
      IN_FOLDER(writes_a_file_without_tensors),
      IN_FOLDER(writes_strided_views),
      IN_FOLDER(refuses_bad_declarations),
      IN_FOLDER(streams_what_was_declared),
      IN_FOLDER(refuses_to_stream_what_was_not_declared),
      IN_FOLDER(leaves_the_old_file_when_it_fails),
      IN_FOLDER(keeps_the_first_failure_of_the_spool),
      IN_FOLDER(survives_every_failed_allocation_reading),
      IN_FOLDER(survives_every_failed_allocation_writing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
