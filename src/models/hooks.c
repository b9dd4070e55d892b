/*
 * hooks.c - from a name to a step and back.
 *
 * A name, an alias or a glob is compared with the templates of the table in points.c, with the
 * layer put in for "{i}". What matches nothing is answered with the nearest name there is.
 */
#include "models/hooks.h"

#include "base/memory.h"

#include <stdio.h>
#include <string.h>

size_t limn_hook_point_count(const limn_model *model) {
  (void)model;
  return LIMN_POINT_COUNT;
}

const limn_hook_point *limn_hook_point_at(const limn_model *model, size_t i) {
  (void)model;
  return &limn_gpt2_points[i];
}

/* ---- names
 * ----------------------------------------------------------------------------------------- */

/* Writes template `t` of size n with the layer put in; cut to fit. */
static void expand(char out[LIMN_HOOK_NAME_SIZE], const char *t, size_t n, int layer) {
  const char *mark = memmem(t, n, "{i}", 3);
  int head = mark ? (int)(mark - t) : (int)n;
  int tail = mark ? (int)n - head - 3 : 0;
  if (mark)
    snprintf(out, LIMN_HOOK_NAME_SIZE, "%.*s%d%.*s", head, t, layer, tail, mark + 3);
  else
    snprintf(out, LIMN_HOOK_NAME_SIZE, "%.*s", head, t);
}

char *limn_hook_name(limn_hook hook, char out[LIMN_HOOK_NAME_SIZE]) {
  expand(out, hook.point->name, strlen(hook.point->name), hook.layer);
  return out;
}

/* The template number `k` of a point: 0 is its name, then its aliases. NULL behind the last. */
static const char *template_at(const limn_hook_point *point, int k, size_t *n) {
  const char *t = k == 0 ? point->name : point->aliases;
  for (; k > 1 && *t; k--) {
    t += strcspn(t, " ");
    if (*t) t++;
  }
  *n = strcspn(t, " ");
  return *n > 0 ? t : NULL;
}

/* Whether `name` is the template with some decimal number for {i}; *layer is -1 without one. */
static bool fits_template(const char *t, size_t n, const char *name, size_t size, int64_t *layer) {
  const char *mark = memmem(t, n, "{i}", 3);
  *layer = -1;
  if (!mark) return n == size && memcmp(t, name, n) == 0;
  size_t head = (size_t)(mark - t), tail = n - head - 3;
  if (size <= head + tail || memcmp(t, name, head) != 0 ||
      memcmp(mark + 3, name + size - tail, tail) != 0)
    return false;
  const char *digits = name + head;
  if (*digits < '0' || *digits > '9') return false;
  return limn_parse_int(digits, size - head - tail, layer);
}

/* The number of single edits between two names (Levenshtein 1966); n_b < LIMN_HOOK_NAME_SIZE. */
static size_t edits(const char *a, size_t n_a, const char *b, size_t n_b) {
  size_t row[LIMN_HOOK_NAME_SIZE];
  for (size_t j = 0; j <= n_b; j++)
    row[j] = j;
  for (size_t i = 0; i < n_a; i++) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < n_b; j++) {
      size_t change = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      size_t least = row[j] < row[j + 1] ? row[j] + 1 : row[j + 1] + 1;
      row[j + 1] = change < least ? change : least;
    }
  }
  return row[n_b];
}

/* Where the part behind the last dot begins. */
static size_t last_part(const char *name, size_t n) {
  const char *dot = memrchr(name, '.', n);
  return dot ? (size_t)(dot - name) + 1 : 0;
}

/*
 * How far a mistyped name is from one that exists. The last part says what is meant, and those
 * before it are easily left out or numbered wrongly, so that its edits count four times.
 */
static size_t distance(const char *name, size_t size, const char *existing) {
  size_t n = strlen(existing), part = last_part(name, size), existing_part = last_part(existing, n);
  return edits(name, size, existing, n) +
         3 * edits(name + part, size - part, existing + existing_part, n - existing_part);
}

static int layers_of(const limn_model *model, const limn_hook_point *point) {
  return point->is_per_layer ? limn_model_config(model)->n_layer : 1;
}

static limn_hook hook_of(const limn_hook_point *point, int layer) {
  return (limn_hook){point, point->is_per_layer ? layer : -1};
}

typedef struct nearest_name {
  char name[LIMN_HOOK_NAME_SIZE];
  size_t distance;
} nearest_name;

static void keep_nearer(nearest_name *best, const limn_hook_point *point, int layer,
                        const char *name, size_t size) {
  char here[LIMN_HOOK_NAME_SIZE];
  size_t n;
  const char *t;
  for (int k = 0; (t = template_at(point, k, &n)); k++) {
    expand(here, t, n, layer);
    size_t d = distance(name, size, here);
    if (d >= best->distance) continue;
    best->distance = d;
    memcpy(best->name, here, sizeof here);
  }
}

static limn_status no_such_hook(const limn_model *model, const char *name, size_t size,
                                limn_error *err) {
  nearest_name best = {"", SIZE_MAX};
  for (int p = 0; p < LIMN_POINT_COUNT && size < 2 * LIMN_HOOK_NAME_SIZE; p++) {
    const limn_hook_point *point = &limn_gpt2_points[p];
    for (int layer = 0; layer < layers_of(model, point); layer++)
      keep_nearer(&best, point, layer, name, size);
  }
  int shown = size > 200 ? 200 : (int)size;
  bool is_near = best.distance <= 2 * size + 3; /* else it would be a guess */
  return limn_error_set(err, LIMN_ERROR_NOT_FOUND, LIMN_NO_OFFSET,
                        is_near ? "no hook is named \"%.*s\"; the nearest is \"%s\""
                                : "no hook is named \"%.*s\"%s",
                        shown, name, is_near ? best.name : "");
}

/* 1 when a template of the point is the name, -1 when it would be with a layer that exists. */
static int fits_point(const limn_model *model, const limn_hook_point *point, const char *name,
                      size_t size, int64_t *layer) {
  size_t n;
  const char *t;
  for (int k = 0; (t = template_at(point, k, &n)); k++) {
    if (fits_template(t, n, name, size, layer))
      return *layer < limn_model_config(model)->n_layer ? 1 : -1;
  }
  return 0;
}

static limn_status find(const limn_model *model, const char *name, size_t size, limn_hook *out,
                        limn_error *err) {
  *out = (limn_hook){NULL, -1};
  for (int p = 0; p < LIMN_POINT_COUNT; p++) {
    int64_t layer;
    int fit = fits_point(model, &limn_gpt2_points[p], name, size, &layer);
    if (fit < 0)
      return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                            "hook \"%.*s\" names layer %lld, the model has layers 0 to %d",
                            (int)size, name, (long long)layer,
                            limn_model_config(model)->n_layer - 1);
    if (fit == 0) continue;
    *out = hook_of(&limn_gpt2_points[p], (int)layer);
    return LIMN_OK;
  }
  return no_such_hook(model, name, size, err);
}

limn_status limn_hook_find(const limn_model *model, const char *name, limn_hook *out,
                           limn_error *err) {
  return find(model, name, strlen(name), out, err);
}

/* ---- patterns
 * ---------------------------------------------------------------------------------------- */

/* `*` any characters, `?` one. On a mismatch the last star takes one character more. */
static bool glob_matches(const char *pattern, size_t n, const char *text) {
  size_t p = 0, star = SIZE_MAX;
  const char *resume = text;
  while (*text) {
    if (p < n && pattern[p] == '*') {
      star = p++;
      resume = text;
    } else if (p < n && (pattern[p] == '?' || pattern[p] == *text)) {
      p++, text++;
    } else if (star != SIZE_MAX) {
      p = star + 1;
      text = ++resume;
    } else {
      return false;
    }
  }
  while (p < n && pattern[p] == '*')
    p++;
  return p == n;
}

static bool ends_with_last_part(const char *pattern, size_t n, const char *name) {
  const char *dot = strrchr(name, '.');
  const char *part = dot ? dot + 1 : name;
  size_t size = strlen(part);
  return n >= size && memcmp(pattern + n - size, part, size) == 0;
}

/* Whether a glob matches the hook's name, or (by_alias) one of its aliases. */
static bool glob_matches_hook(const char *glob, size_t n, limn_hook hook, bool by_alias) {
  char name[LIMN_HOOK_NAME_SIZE];
  size_t size;
  const char *t;
  for (int k = by_alias ? 1 : 0; (t = template_at(hook.point, k, &size)); k++) {
    expand(name, t, size, hook.layer);
    bool is_wanted = !hook.point->is_on_request || ends_with_last_part(glob, n, name);
    if (is_wanted && glob_matches(glob, n, name)) return true;
    if (!by_alias) return false;
  }
  return false;
}

/* All hooks in the order of the forward pass are numbered 0 to count - 1. */
enum { N_BEFORE = LIMN_POINT_RESID_PRE, PER_LAYER = LIMN_POINT_RESID_POST - N_BEFORE + 1 };

static limn_hook hook_at(const limn_model *model, size_t i) {
  size_t n_layer = (size_t)limn_model_config(model)->n_layer;
  if (i < N_BEFORE) return hook_of(&limn_gpt2_points[i], 0);
  i -= N_BEFORE;
  if (i < n_layer * PER_LAYER)
    return hook_of(&limn_gpt2_points[N_BEFORE + i % PER_LAYER], (int)(i / PER_LAYER));
  return hook_of(&limn_gpt2_points[N_BEFORE + PER_LAYER + (i - n_layer * PER_LAYER)], 0);
}

static size_t hook_count(const limn_model *model) {
  return LIMN_POINT_COUNT - PER_LAYER + (size_t)limn_model_config(model)->n_layer * PER_LAYER;
}

static size_t mark_glob(const limn_model *model, const char *glob, size_t n, bool by_alias,
                        uint8_t *is_marked) {
  size_t found = 0;
  for (size_t i = 0; i < hook_count(model); i++) {
    if (!glob_matches_hook(glob, n, hook_at(model, i), by_alias)) continue;
    is_marked[i] = 1;
    found++;
  }
  return found;
}

static limn_status mark_name(const limn_model *model, const char *name, size_t n,
                             uint8_t *is_marked, limn_error *err) {
  limn_hook hook;
  limn_status status = find(model, name, n, &hook, err);
  for (size_t i = 0; status == LIMN_OK && i < hook_count(model); i++) {
    limn_hook here = hook_at(model, i);
    if (here.point == hook.point && here.layer == hook.layer) is_marked[i] = 1;
  }
  return status;
}

static limn_status mark_item(const limn_model *model, const char *item, size_t n,
                             uint8_t *is_marked, limn_error *err) {
  if (!memchr(item, '*', n) && !memchr(item, '?', n))
    return mark_name(model, item, n, is_marked, err);
  if (mark_glob(model, item, n, false, is_marked) || mark_glob(model, item, n, true, is_marked))
    return LIMN_OK;
  return limn_error_set(err, LIMN_ERROR_NOT_FOUND, LIMN_NO_OFFSET, "no hook matches \"%.*s\"",
                        n > 200 ? 200 : (int)n, item);
}

static limn_status mark_list(const limn_model *model, const char *patterns, uint8_t *is_marked,
                             limn_error *err) {
  for (const char *item = patterns;;) {
    size_t n = strcspn(item, ",");
    if (n == 0)
      return limn_error_set(err, LIMN_ERROR_ARGUMENT, (uint64_t)(item - patterns),
                            "an empty name in the list of hooks \"%s\"", patterns);
    limn_status status = mark_item(model, item, n, is_marked, err);
    if (status != LIMN_OK || item[n] == '\0') return status;
    item += n + 1;
  }
}

limn_status limn_hook_match(const limn_model *model, const char *patterns, limn_hook **hooks,
                            size_t *n, limn_error *err) {
  *hooks = NULL;
  *n = 0;
  size_t count = hook_count(model);
  uint8_t *is_marked = limn_alloc_zeroed(count, 1);
  limn_hook *list = limn_alloc_zeroed(count, sizeof *list);
  limn_status status = is_marked && list ? mark_list(model, patterns, is_marked, err)
                                         : limn_out_of_memory(err, "a list of hooks");
  if (status == LIMN_OK) {
    for (size_t i = 0; i < count; i++) {
      if (is_marked[i]) list[(*n)++] = hook_at(model, i);
    }
    *hooks = list;
  } else {
    limn_free(list);
  }
  limn_free(is_marked);
  return status;
}

/* ---- shapes
 * -------------------------------------------------------------------------------------------- */

/* One axis of a shape text, as a number. */
static int64_t axis_size(const limn_config *c, const char *axis, size_t n, int64_t n_query,
                         int64_t n_key) {
  const struct {
    const char *name;
    int64_t size;
  } axes[] = {{"position", n_query},   {"query", n_query},    {"key", n_key},
              {"d_model", c->d_model}, {"n_head", c->n_head}, {"d_head", c->d_head},
              {"d_mlp", c->d_mlp}};
  for (size_t i = 0; i < sizeof axes / sizeof *axes; i++) {
    if (strlen(axes[i].name) == n && memcmp(axes[i].name, axis, n) == 0) return axes[i].size;
  }
  return 1; /* the axis "1" */
}

int limn_hook_shape(const limn_model *model, limn_hook hook, int64_t n_query, int64_t n_key,
                    int64_t shape[LIMN_MAX_RANK]) {
  int rank = 0;
  for (const char *axis = hook.point->shape; *axis; rank++) {
    size_t n = strcspn(axis, ",");
    shape[rank] = axis_size(limn_model_config(model), axis, n, n_query, n_key);
    axis += n;
    axis += strspn(axis, ", ");
  }
  return rank;
}
