/*
 * memory.c - all heap memory of the library goes through one pair of functions.
 *
 * That pair can be replaced, which is how the tests make every single allocation fail once. Sizes
 * that come from files are multiplied with a check, because a product that wraps is how a reader is
 * made to write past its memory.
 */
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ALIGNMENT 64

static void *default_resize(void *user, void *memory, size_t size) {
  (void)user;
  return realloc(memory, size);
}

static void default_release(void *user, void *memory) {
  (void)user;
  free(memory);
}

static limn_allocator current = {NULL, default_resize, default_release};

void limn_allocator_set(const limn_allocator *allocator) {
  current = allocator ? *allocator : (limn_allocator){NULL, default_resize, default_release};
}

void *limn_alloc(size_t size) {
  if (size > PTRDIFF_MAX) return NULL;
  return current.resize(current.user, NULL, size ? size : 1);
}

void *limn_alloc_zeroed(size_t count, size_t size) {
  size_t total;
  if (!limn_size_mul(count, size, &total)) return NULL;
  void *memory = limn_alloc(total);
  if (memory) memset(memory, 0, total ? total : 1);
  return memory;
}

void *limn_resize(void *memory, size_t count, size_t size) {
  size_t total;
  if (!limn_size_mul(count, size, &total) || total > PTRDIFF_MAX) return NULL;
  return current.resize(current.user, memory, total ? total : 1);
}

void limn_free(void *memory) {
  if (memory) current.release(current.user, memory);
}

/* The address that the allocator gave lies just before the aligned block. */
void *limn_alloc_aligned(size_t count, size_t size) {
  size_t total;
  if (!limn_size_mul(count, size, &total)) return NULL;
  if (!limn_size_add(total, ALIGNMENT + sizeof(void *), &total)) return NULL;
  unsigned char *raw = limn_alloc(total);
  if (!raw) return NULL;
  uintptr_t start = (uintptr_t)raw + sizeof(void *);
  size_t skip = (ALIGNMENT - start % ALIGNMENT) % ALIGNMENT + sizeof(void *);
  memcpy(raw + skip - sizeof(void *), &raw, sizeof raw);
  return raw + skip;
}

void limn_free_aligned(void *memory) {
  if (!memory) return;
  void *raw;
  memcpy(&raw, (unsigned char *)memory - sizeof raw, sizeof raw);
  limn_free(raw);
}

void limn_want_huge_pages(void *memory, size_t size) {
  enum { PAGE = 4096, HUGE = 2 * 1024 * 1024 };
  /* With all of the first page and the last one: a mapping that is not the same everywhere could
   * no longer grow where it lies (mremap). */
  size_t before = (uintptr_t)memory & (PAGE - 1);
  if (size >= 2 * HUGE)
    (void)madvise((unsigned char *)memory - before,
                  (before + size + PAGE - 1) & ~(size_t)(PAGE - 1), MADV_HUGEPAGE);
}

char *limn_copy_string(const char *text, size_t n) {
  size_t total;
  if (!limn_size_add(n, 1, &total)) return NULL;
  char *copy = limn_alloc(total);
  if (!copy) return NULL;
  if (n) memcpy(copy, text, n);
  copy[n] = '\0';
  return copy;
}

limn_status limn_out_of_memory(limn_error *err, const char *what) {
  return limn_error_set(err, LIMN_ERROR_MEMORY, LIMN_NO_OFFSET, "out of memory for %s", what);
}

bool limn_shape_count(int rank, const int64_t *shape, int64_t limit, int64_t *count) {
  int64_t product = 1;
  bool has_zero = false;
  for (int i = 0; i < rank; i++) {
    if (shape[i] < 0) return false;
    if (shape[i] == 0)
      has_zero = true;
    else if (__builtin_mul_overflow(product, shape[i], &product) || product > limit)
      return false;
  }
  *count = has_zero ? 0 : product;
  return true;
}

/* ---- arena -------------------------------------------------------------------------------------
 */

limn_arena limn_arena_measure(void) {
  return (limn_arena){NULL, SIZE_MAX, 0, false};
}

limn_status limn_arena_init(limn_arena *a, size_t size, limn_error *err) {
  *a = (limn_arena){limn_alloc_aligned(size, 1), size, 0, false};
  if (a->base) return LIMN_OK;
  *a = (limn_arena){0}; /* one that has no room, unlike one that measures */
  return limn_error_set(err, LIMN_ERROR_MEMORY, LIMN_NO_OFFSET,
                        "out of memory for %zu bytes of working space", size);
}

void limn_arena_deinit(limn_arena *a) {
  limn_free_aligned(a->base);
  *a = (limn_arena){0};
}

void *limn_arena_take(limn_arena *a, size_t count, size_t size) {
  size_t total, end;
  if (a->overflowed || !limn_size_mul(count, size, &total) ||
      !limn_size_add(total, ALIGNMENT - 1, &total) ||
      !limn_size_add(a->used, total & ~(size_t)(ALIGNMENT - 1), &end) || end > a->size) {
    a->overflowed = true;
    return NULL;
  }
  void *piece = a->base ? a->base + a->used : NULL;
  a->used = end;
  return piece;
}

size_t limn_arena_mark(const limn_arena *a) {
  return a->used;
}

void limn_arena_release(limn_arena *a, size_t mark) {
  a->used = mark;
}

/* ---- growing bytes ------------------------------------------------------------------------------
 */

bool limn_bytes_reserve(limn_bytes *b, size_t extra) {
  size_t wanted;
  if (!limn_size_add(b->size, extra, &wanted) || !limn_size_add(wanted, 1, &wanted)) return false;
  if (wanted <= b->capacity) return true;
  size_t capacity = b->capacity < 64 ? 64 : b->capacity;
  while (capacity < wanted) {
    if (!limn_size_mul(capacity, 2, &capacity)) return false;
  }
  char *data = limn_resize(b->data, capacity, 1);
  if (!data) return false;
  b->data = data;
  b->capacity = capacity;
  return true;
}

bool limn_bytes_append(limn_bytes *b, const void *from, size_t n) {
  if (!limn_bytes_reserve(b, n)) return false;
  if (n) memcpy(b->data + b->size, from, n);
  b->size += n;
  b->data[b->size] = '\0';
  return true;
}

void limn_bytes_deinit(limn_bytes *b) {
  limn_free(b->data);
  *b = (limn_bytes){0};
}
