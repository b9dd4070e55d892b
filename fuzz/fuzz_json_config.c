/*
 * Any bytes as a config.json: refused with a message, or a configuration whose sizes make sense.
 */
#include "fuzz.h"

#include "models/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  limn_config c;
  limn_error err;
  limn_status status = limn_gpt2_read_config(fuzz_file(data, size), &c, &err);
  if (status != LIMN_OK) {
    fuzz_check_error(status, &err);
    return 0;
  }
  REQUIRE(c.n_layer > 0 && c.n_head > 0 && c.n_ctx > 0 && c.vocab_size > 0 && c.d_mlp > 0);
  REQUIRE(c.d_head > 0 && c.d_head * c.n_head == c.d_model);
  REQUIRE(c.layer_norm_eps >= 0 && c.layer_norm_eps <= 1);
  REQUIRE(limn_activation_name(c.activation) != NULL);
  return 0;
}
