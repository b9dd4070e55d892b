/*
 * Any bytes as a tokenizer.json: it is refused with a message, or encodes texts.
 */
#include "tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz_tokenizer(fuzz_file(data, size), NULL);
  return 0;
}
