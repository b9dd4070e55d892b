/*
 * keep.c - an observer that keeps what it sees, as bench/watch needs it: each value is copied out.
 *
 * In C, because a callback into Python costs as much as some of the steps that are watched.
 */
#include <limn/session.h>

#include <string.h>

typedef struct keeper {
  float *data; /* room for `room` floats, the caller's */
  size_t room;
  size_t used; /* since the caller last set it to 0 */
  size_t seen; /* how many values */
} keeper;

LIMN_API limn_status keep(void *user, const limn_observation *o, limn_error *err);

/* Copies the value row by row; a row that is contiguous at once. Returns how many floats. */
static size_t copy(const float *from, const limn_tensor *t, int axis, float *to) {
  if (axis == t->rank) {
    *to = *from;
    return 1;
  }
  size_t n = (size_t)t->shape[axis], done = 0;
  if (axis == t->rank - 1 && t->stride[axis] == 1) {
    memcpy(to, from, n * sizeof *to);
    return n;
  }
  for (size_t i = 0; i < n; i++)
    done += copy(from + (int64_t)i * t->stride[axis], t, axis + 1, to + done);
  return done;
}

limn_status keep(void *user, const limn_observation *o, limn_error *err) {
  keeper *k = user;
  size_t n = 1;
  for (int i = 0; i < o->value.rank; i++)
    n *= (size_t)o->value.shape[i];
  if (n > k->room - k->used)
    return limn_error_set(err, LIMN_ERROR_MEMORY, LIMN_NO_OFFSET, "no room left to keep %s",
                          o->name);
  k->used += copy(o->value.data, &o->value, 0, k->data + k->used);
  k->seen++;
  return LIMN_OK;
}
