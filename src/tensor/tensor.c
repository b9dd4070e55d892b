/*
 * tensor.c - a view is an address, a shape and a stride for each axis (as in NumPy): fixing an
 * index, cutting a range or exchanging axes changes those few numbers and never moves an element.
 */
#include <assert.h>
#include <limn/tensor.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

limn_tensor limn_tensor_view(float *data, int rank, const int64_t *shape) {
  assert(rank >= 0 && rank <= LIMN_MAX_RANK);
  limn_tensor t = {.data = data, .rank = rank};
  int64_t stride = 1;
  for (int i = rank - 1; i >= 0; i--) {
    assert(shape[i] >= 0);
    t.shape[i] = shape[i];
    t.stride[i] = stride;
    stride *= shape[i];
  }
  return t;
}

int64_t limn_tensor_count(const limn_tensor *t) {
  int64_t n = 1;
  for (int i = 0; i < t->rank; i++)
    n *= t->shape[i];
  return n;
}

bool limn_tensor_is_contiguous(const limn_tensor *t) {
  int64_t expected = 1;
  for (int i = t->rank - 1; i >= 0; i--) {
    if (t->shape[i] == 0) return true;
    if (t->shape[i] != 1 && t->stride[i] != expected) return false;
    expected *= t->shape[i];
  }
  return true;
}

limn_tensor limn_tensor_select(const limn_tensor *t, int axis, int64_t index) {
  assert(axis >= 0 && axis < t->rank && index >= 0 && index < t->shape[axis]);
  limn_tensor view = {.data = t->data + index * t->stride[axis], .rank = t->rank - 1};
  for (int i = 0; i < view.rank; i++) {
    int from = i < axis ? i : i + 1;
    view.shape[i] = t->shape[from];
    view.stride[i] = t->stride[from];
  }
  return view;
}

limn_tensor limn_tensor_narrow(const limn_tensor *t, int axis, int64_t start, int64_t size) {
  assert(axis >= 0 && axis < t->rank && start >= 0 && size >= 0 && start + size <= t->shape[axis]);
  limn_tensor view = *t;
  view.shape[axis] = size;
  if (size > 0) view.data += start * t->stride[axis];
  return view;
}

limn_tensor limn_tensor_transpose(const limn_tensor *t, int axis_a, int axis_b) {
  assert(axis_a >= 0 && axis_a < t->rank && axis_b >= 0 && axis_b < t->rank);
  limn_tensor view = *t;
  view.shape[axis_a] = t->shape[axis_b];
  view.shape[axis_b] = t->shape[axis_a];
  view.stride[axis_a] = t->stride[axis_b];
  view.stride[axis_b] = t->stride[axis_a];
  return view;
}

float *limn_tensor_at(const limn_tensor *t, const int64_t *index) {
  float *at = t->data;
  for (int i = 0; i < t->rank; i++) {
    assert(index[i] >= 0 && index[i] < t->shape[i]);
    at += index[i] * t->stride[i];
  }
  return at;
}

/* Steps to the next index in row-major order. */
static void advance(const limn_tensor *t, int64_t *index) {
  for (int axis = t->rank - 1; axis >= 0 && ++index[axis] == t->shape[axis]; axis--)
    index[axis] = 0;
}

void limn_tensor_gather(const limn_tensor *from, float *to) {
  int64_t n = limn_tensor_count(from);
  if (n == 0) return;
  if (limn_tensor_is_contiguous(from)) {
    memcpy(to, from->data, (size_t)n * sizeof *to);
    return;
  }
  int64_t index[LIMN_MAX_RANK] = {0};
  for (int64_t i = 0; i < n; i++, advance(from, index))
    to[i] = *limn_tensor_at(from, index);
}

void limn_tensor_scatter(const float *from, const limn_tensor *to) {
  int64_t index[LIMN_MAX_RANK] = {0};
  int64_t n = limn_tensor_count(to);
  for (int64_t i = 0; i < n; i++, advance(to, index))
    *limn_tensor_at(to, index) = from[i];
}

char *limn_shape_text(char *out, size_t size, int rank, const int64_t *shape) {
  size_t used = (size_t)snprintf(out, size, "[");
  for (int i = 0; i < rank && used < size; i++)
    used += (size_t)snprintf(out + used, size - used, i ? ",%lld" : "%lld", (long long)shape[i]);
  if (used < size) snprintf(out + used, size - used, "]");
  return out;
}

limn_agreement limn_compare(const float *a, const float *b, int64_t n) {
  limn_agreement result = {.worst = -1};
  double largest = 0;
  for (int64_t i = 0; i < n; i++) {
    double x = (double)a[i], y = (double)b[i];
    if (isfinite(y) && fabs(y) > largest) largest = fabs(y);
    if (!isfinite(x) || !isfinite(y)) {
      bool is_same = isnan(x) ? isnan(y) : x == y;
      if (!is_same) result.n_mismatched++;
      continue;
    }
    double difference = fabs(x - y);
    if (result.worst < 0 || difference > result.max_abs) {
      result.max_abs = difference;
      result.worst = i;
    }
  }
  result.relative = result.max_abs == 0 ? 0 : result.max_abs / largest;
  return result;
}
