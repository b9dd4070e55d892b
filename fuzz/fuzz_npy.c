/*
 * Any bytes as a .npy file: it is refused with a message, or its numbers end where the file ends.
 */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  limn_npy *file;
  limn_error err;
  limn_status status = limn_npy_open(fuzz_file(data, size), &file, &err);
  if (status != LIMN_OK) {
    REQUIRE(!file);
    fuzz_check_error(status, &err);
    return 0;
  }
  limn_stored t = limn_npy_view(file);
  size_t n = (size_t)limn_stored_count(&t) * limn_dtype_size(t.dtype);
  REQUIRE(n < size);
  REQUIRE(n == 0 || memcmp(t.data, data + size - n, n) == 0);
  limn_npy_close(file);
  return 0;
}
