/*
 * limn/edit.h - edits of activations, written as one line of text.
 *
 *   HOOKS[INDEX] = VALUE        blocks.3.attn.hook_z[:,2]=0
 *
 * HOOKS is what limn_hook_match takes: a name, an alias, a glob, or several with commas between. A
 * star right before the `=` is the operator's: a glob that ends in one is written
 * blocks.0.*[...]=0.
 *
 * INDEX is as in numpy: integers, slices with a step, `...`, negative ones from the end; left out,
 * it is everything. On an axis of positions (position, query, key) it counts from the beginning of
 * the text, wherever an evaluate call begins, so that an edit does the same however a text is split
 * into calls; negative ones count back from the newest position of the call. Positions that are not
 * part of a call are left alone.
 *
 * VALUE is
 *   a number       0, -1.5, -inf
 *   *2  +1  /2     the old value times, plus, divided by; also written  HOOKS[INDEX] *= 2, += 1,
 *                  -= 1, /= 2. A plain -1 is the number.
 *   mean           for each entry, its mean over the selected positions that the session has seen
 *                  so far, those of this call included (mean ablation over the text). Only where
 *                  the first axis is `position`.
 *   @FILE          the same entries of the tensor named as the hook in a safetensors file, as `limn
 *                  trace` writes it (patching from another run). A call may lie within the
 *                  positions of the file or wholly behind them, where nothing is changed.
 *   @FILE:NAME     the same with a tensor of another name. One of a lower rank than the hook's is
 *                  broadcast to the selected entries, as numpy does.
 * and a file may stand behind an operator too: `hook_resid_post += @direction.safetensors:v`.
 */
#ifndef LIMN_EDIT_H
#define LIMN_EDIT_H

#include <limn/session.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct limn_edit limn_edit;

/*
 * Reads an edit for this model, and the file it names. The text is copied. Fails naming the edit
 * and the place in it (offset): ARGUMENT (does not parse), NOT_FOUND (a hook, with the nearest; a
 * file or tensor), RANGE (an index outside its axis, or beyond the context window), SHAPE (too many
 * indices; a tensor that does not fit), UNSUPPORTED (mean without positions), FORMAT, IO, MEMORY.
 */
LIMN_API limn_status limn_edit_new(const limn_model *model, const char *text, limn_edit **out,
                                   limn_error *err);
/* The sessions it is attached to must be gone or have unsubscribed. NULL is ok. */
LIMN_API void limn_edit_free(limn_edit *e);

/*
 * Makes a session of the same model apply the edit from now on, behind the observers already there.
 * *id (may be NULL) serves to unsubscribe. One session at a time. Fails: MEMORY. Evaluate then
 * fails with SHAPE when a call straddles the end of a file's positions.
 */
LIMN_API limn_status limn_edit_attach(limn_edit *e, limn_session *s, int *id, limn_error *err);

/*
 * Whether what the edit does to a position depends on that position alone, and not on which others
 * are in the call: such an edit goes with guesses that are taken back (limn/speculate.h). Not so
 * are mean, negative positions, a file that has positions, and hooks with an axis of keys.
 */
LIMN_API bool limn_edit_is_local(const limn_edit *e);

/* The text it was made from. */
LIMN_API const char *limn_edit_text(const limn_edit *e);
/* How many numbers it has written so far: 0 after a run says that it met nothing. */
LIMN_API int64_t limn_edit_count(const limn_edit *e);

#ifdef __cplusplus
}
#endif
#endif
