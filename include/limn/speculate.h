/*
 * limn/speculate.h - several tokens for the price of one: guess what comes, and check the guesses
 * in one pass.
 *
 * Decoding reads every weight for each token; a pass over a few tokens reads them once. So guesses
 * are run behind the newest token, and those that the model would have chosen itself are kept.
 * Since a token's logits do not depend on how a text is split into calls (the session is made
 * invariant: limn_session_options), the result is exact:
 * greedy gives the very tokens of decoding one by one; sampled, with guesses looked up in the text,
 * the very tokens that the same seed draws; with guesses of a draft model, the same distribution.
 */
#ifndef LIMN_SPECULATE_H
#define LIMN_SPECULATE_H

#include <limn/sample.h>
#include <limn/session.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct limn_speculator limn_speculator;

/* All zero looks guesses up in the text. */
typedef struct limn_speculation {
  int n_ahead; /* guesses in a pass at most; 0 for 8 */
  int n_gram;  /* the longest end of the text that is looked up; 0 for 3 */
  /* A session of a model with the same vocabulary that makes the guesses instead, or NULL.
     Borrowed, empty, and nobody else's until the speculator is freed. Where its window is full,
     none is guessed. */
  limn_session *draft;
} limn_speculation;

/*
 * Continues the text ids (n), which are copied and not yet evaluated, behind what the session
 * holds, by at most max_new tokens. The session has max_logits of n_ahead + 1 or more (or
 * all_logits); sampler, session and draft must outlive it. `sampling` is what the sampler was made
 * with. `options` may be NULL. The session is invariant from now on. Observers of the session see
 * guesses that are then taken back; edits of it take part in every check, and a local one
 * (limn_edit_is_local) does what it does in decoding one by one. The draft session is not edited by
 * them. Fails: RANGE (a number below 0, no token, too few max_logits), SHAPE (the draft's
 * vocabulary), MEMORY.
 */
LIMN_API limn_status limn_speculator_new(limn_session *session, limn_sampler *sampler,
                                         const limn_sampling *sampling, const int32_t *ids,
                                         size_t n, size_t max_new, const limn_speculation *options,
                                         limn_speculator **out, limn_error *err);
LIMN_API void limn_speculator_free(limn_speculator *s);

/*
 * The next token; allocates nothing. *logits (may be NULL) are those it was chosen from,
 * (vocab_size), valid until the next call. Calls beyond max_new are CONTEXT. Fails as
 * limn_session_evaluate and limn_sample do, and can then only be freed. The session is ahead of
 * what was given by the tokens that are already certain; its logits are those of the last pass's
 * tokens that are.
 */
LIMN_API limn_status limn_speculator_next(limn_speculator *s, limn_choice *out,
                                          const float **logits, limn_error *err);

/* What came of it: passes, guesses, and how many of these were kept. */
typedef struct limn_speculation_count {
  int64_t n_passes, n_guessed, n_kept;
} limn_speculation_count;
LIMN_API limn_speculation_count limn_speculator_count(const limn_speculator *s);

#ifdef __cplusplus
}
#endif
#endif
