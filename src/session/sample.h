/*
 * sample.h - inside the library: drawing without what only a reader wants to know.
 */
#ifndef LIMN_SRC_SESSION_SAMPLE_H
#define LIMN_SRC_SESSION_SAMPLE_H

#include <limn/sample.h>

/*
 * limn_sample, but log_probability stays 0, which saves a softmax over the model's own logits.
 * `probabilities` (vocab_size), where not NULL, become those it was drawn from.
 */
limn_status limn_sample_unscored(limn_sampler *s, const float *logits, const int32_t *ids, size_t n,
                                 float *probabilities, limn_choice *out, limn_error *err);

#endif
