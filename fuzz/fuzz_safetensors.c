/*
 * Any bytes as a .safetensors file: it is refused with a message, or every view lies in it.
 */
#include "fuzz.h"

#define PAGE ((uintptr_t)4096)

/*
 * That the tensor's bytes are those of the input at the same place. A mapping starts on a page's
 * edge, so the place is known where the file is smaller than a page.
 */
static void check_view(const limn_stored *t, const uint8_t *data, size_t size) {
  int64_t count = limn_stored_count(t);
  size_t n = (size_t)count * limn_dtype_size(t->dtype), at = (uintptr_t)t->data % PAGE;
  REQUIRE(n <= size);
  if (size < PAGE) {
    REQUIRE(at <= size && n <= size - at);
    REQUIRE(n == 0 || memcmp(t->data, data + at, n) == 0);
  }
  float numbers[8];
  limn_stored_to_f32(t, 0, count < 8 ? count : 8, numbers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  limn_safetensors *file;
  limn_error err;
  limn_status status = limn_safetensors_open(fuzz_file(data, size), &file, &err);
  if (status != LIMN_OK) {
    REQUIRE(!file);
    fuzz_check_error(status, &err);
    return 0;
  }
  REQUIRE(limn_safetensors_mapped_size(file) == size);
  for (size_t i = 0; i < limn_safetensors_count(file); i++) {
    REQUIRE(limn_safetensors_has(file, limn_safetensors_name_at(file, i)));
    limn_stored t;
    status = limn_safetensors_view_at(file, i, &t, &err);
    if (status == LIMN_OK) {
      check_view(&t, data, size);
    } else {
      REQUIRE(status == LIMN_ERROR_UNSUPPORTED);
      fuzz_check_error(status, &err);
    }
  }
  for (size_t i = 0; i < limn_safetensors_metadata_count(file); i++) {
    const char *key = limn_safetensors_metadata_key_at(file, i);
    REQUIRE(limn_safetensors_metadata(file, key) == limn_safetensors_metadata_value_at(file, i));
  }
  limn_safetensors_close(file);
  return 0;
}
