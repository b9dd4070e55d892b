/*
 * Any bytes as a file of ranks: it is refused with a message, or encodes texts. The encoding is one
 * that has any number of ranks.
 */
#include "tokenizer.h"

#include "tokenizer/readers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const limn_encoding_special specials[] = {{"<|end|>", 300, 0, 1}, {NULL, 0, 0, 0}};
  static const limn_encoding any = {"any", LIMN_PATTERN_GPT2, false, 0, specials};
  limn_file file = {data, size, false};
  limn_error err;
  limn_tokenizer *t = limn_alloc_zeroed(1, sizeof *t);
  REQUIRE(t);
  limn_status status = limn_tokenizer_read_ranks("input", &any, &file, t, &err);
  if (status == LIMN_OK) status = limn_tokenizer_finish(t, "input", &err);
  if (status != LIMN_OK) {
    fuzz_check_error(status, &err);
  } else {
    fuzz_encode(t);
    fuzz_look(t);
  }
  limn_tokenizer_close(t);
  return 0;
}
