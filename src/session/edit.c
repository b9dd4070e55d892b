/*
 * edit.c - an edit is a sentence: which hooks, which entries, what becomes of them.
 *
 * It is read once, in three steps: the text into names, index items and a value; the names into
 * hooks; the items against each hook's axes. What stays is, per hook, one arithmetic progression
 * per axis (numpy's slices are nothing else). When the session reaches the hook, the progressions
 * are laid over the tensor that lies there, and an odometer walks over the entries they have in
 * common. Nothing is allocated then.
 */
#include "base/memory.h"

#include <limn/edit.h>
#include <limn/safetensors.h>
#include <math.h>
#include <string.h>

/* ---- what is read ---------------------------------------------------------------------------- */

/* One item of an index. An integer n is the slice n:n+1 that also takes its axis away. */
typedef struct item {
  bool is_integer, is_ellipsis;
  bool has_start, has_stop;
  int64_t start, stop, step;
  size_t offset; /* in the text */
} item;

typedef enum operation { SET, MULTIPLY, ADD, SUBTRACT, DIVIDE } operation;
typedef enum value_kind { NUMBER, MEAN, FROM_FILE } value_kind;

/* One hook of the edit with all that its numbers need. */
typedef struct target {
  limn_hook hook;
  int rank;
  item axes[LIMN_MAX_RANK]; /* one per axis, the ellipsis spelled out */
  bool is_positional[LIMN_MAX_RANK];
  float *values; /* from the file */
  int value_rank;
  int64_t value_shape[LIMN_MAX_RANK];
  double *sums; /* of MEAN: one for each entry of a position */
  int64_t n_summed, next_position;
} target;

struct limn_edit {
  char *text;
  size_t names_end; /* the names are text[0, names_end) */
  item items[LIMN_MAX_RANK + 1];
  int n_items;
  operation operation;
  value_kind kind;
  float number;
  size_t path_offset; /* behind the @ */
  target *targets;
  size_t n_targets;
  int64_t count;
};

static limn_status bad(limn_error *err, limn_status status, const limn_edit *e, size_t offset,
                       const char *what) {
  return limn_error_set(err, status, offset, "edit \"%s\": %s", e->text, what);
}

/* ---- reading the text ------------------------------------------------------------------------ */

static size_t skip_spaces(const char *text, size_t at) {
  return at + strspn(text + at, " \t");
}

/* A decimal integer at *at, when there is one. */
static bool read_integer(const char *text, size_t *at, int64_t *out) {
  size_t n = *at + (text[*at] == '-' || text[*at] == '+');
  size_t first = n;
  while (text[n] >= '0' && text[n] <= '9')
    n++;
  if (n == first) return false;
  const char *begin = text + *at + (text[*at] == '+');
  if (!limn_parse_int(begin, (size_t)(text + n - begin), out)) return false;
  *at = skip_spaces(text, n);
  return true;
}

static limn_status read_step(limn_edit *e, size_t *at, item *out, limn_error *err) {
  *at = skip_spaces(e->text, *at + 1);
  out->has_stop = read_integer(e->text, at, &out->stop);
  if (e->text[*at] != ':') return LIMN_OK;
  *at = skip_spaces(e->text, *at + 1);
  if (read_integer(e->text, at, &out->step) && out->step == 0)
    return bad(err, LIMN_ERROR_ARGUMENT, e, *at, "a slice has step 0, expected another number");
  return LIMN_OK;
}

static limn_status read_item(limn_edit *e, size_t *at, item *out, limn_error *err) {
  *at = skip_spaces(e->text, *at);
  *out = (item){.step = 1, .offset = *at};
  if (strncmp(e->text + *at, "...", 3) == 0) {
    out->is_ellipsis = true;
    *at = skip_spaces(e->text, *at + 3);
    return LIMN_OK;
  }
  out->has_start = read_integer(e->text, at, &out->start);
  if (e->text[*at] == ':') return read_step(e, at, out, err);
  out->is_integer = out->has_start;
  if (out->is_integer) return LIMN_OK;
  return bad(err, LIMN_ERROR_ARGUMENT, e, *at,
             "expected an integer, a slice a:b:c or ... in the index");
}

static limn_status read_index(limn_edit *e, size_t *at, limn_error *err) {
  bool has_ellipsis = false;
  do {
    item *next = &e->items[e->n_items];
    if (e->n_items == LIMN_MAX_RANK + 1)
      return bad(err, LIMN_ERROR_SHAPE, e, *at, "more indices than any hook has axes");
    ++*at; /* the bracket or the comma */
    limn_status status = read_item(e, at, next, err);
    if (status != LIMN_OK) return status;
    if (next->is_ellipsis && has_ellipsis)
      return bad(err, LIMN_ERROR_ARGUMENT, e, next->offset, "a second ... in the index");
    has_ellipsis |= next->is_ellipsis;
    e->n_items++;
  } while (e->text[*at] == ',');
  if (e->text[*at] != ']')
    return bad(err, LIMN_ERROR_ARGUMENT, e, *at, "the index does not end, expected ]");
  *at = skip_spaces(e->text, *at + 1);
  return LIMN_OK;
}

static bool read_operation(char sign, operation *out) {
  static const char signs[] = "*+-/";
  const char *found = sign ? strchr(signs, sign) : NULL;
  if (found) *out = (operation)(MULTIPLY + (found - signs));
  return found != NULL;
}

static limn_status read_value(limn_edit *e, size_t at, limn_error *err) {
  static const char wanted[] =
      "no value, expected a number, *NUMBER, +NUMBER, /NUMBER, mean, @FILE or @FILE:NAME";
  at = skip_spaces(e->text, at);
  /* A sign belongs to the number where it can: "-1" is a number, "+1" adds. */
  if (e->operation == SET && e->text[at] != '-' && read_operation(e->text[at], &e->operation))
    at = skip_spaces(e->text, at + 1);
  const char *text = e->text + at;
  size_t n = strlen(text);
  while (n > 0 && (text[n - 1] == ' ' || text[n - 1] == '\t'))
    n--;
  double x;
  if (n == 4 && memcmp(text, "mean", 4) == 0 && e->operation == SET) {
    e->kind = MEAN;
  } else if (n > 1 && *text == '@') {
    e->kind = FROM_FILE;
    e->path_offset = at + 1;
  } else if (limn_parse_double(text, n, &x)) {
    e->number = (float)x;
  } else {
    return bad(err, LIMN_ERROR_ARGUMENT, e, at, wanted);
  }
  return LIMN_OK;
}

/* HOOKS, then perhaps [INDEX], then perhaps an operator, then = and a value. */
static limn_status read_text(limn_edit *e, limn_error *err) {
  size_t at = strcspn(e->text, "[=+-/ \t");
  /* In "hook_embed*=2" the star is the operator's, as everywhere before a "=". */
  if (e->text[at] == '=' && at > 0 && e->text[at - 1] == '*') at--;
  e->names_end = at;
  at = skip_spaces(e->text, at);
  limn_status status = e->text[at] == '[' ? read_index(e, &at, err) : LIMN_OK;
  if (status != LIMN_OK) return status;
  if (e->text[at] && e->text[at + 1] == '=' && read_operation(e->text[at], &e->operation)) at++;
  if (e->text[at] != '=' || e->names_end == 0)
    return bad(err, LIMN_ERROR_ARGUMENT, e, at,
               "expected HOOK=VALUE or HOOK[INDEX]=VALUE, as in blocks.3.attn.hook_z[:,2]=0");
  return read_value(e, at + 1, err);
}

/* ---- fitting the index to a hook
 * ---------------------------------------------------------- */

/* The name of axis i in a shape text "position, n_head, d_head". */
static const char *axis_name(const char *shape, int i, size_t *n) {
  for (; i > 0; i--) {
    shape += strcspn(shape, ",");
    shape += strspn(shape, ", ");
  }
  *n = strcspn(shape, ",");
  return shape;
}

static bool names_positions(const char *name, size_t n) {
  return (n == 8 && memcmp(name, "position", n) == 0) ||
         (n == 5 && memcmp(name, "query", n) == 0) || (n == 3 && memcmp(name, "key", n) == 0);
}

/* Integers are checked as numpy does; on an axis of positions against the context window, since
   how many there will be is not known. */
static limn_status check_integer(const limn_edit *e, const target *t, int axis, int64_t size,
                                 limn_error *err) {
  const item *it = &t->axes[axis];
  if (!it->is_integer || (it->start >= -size && it->start < size)) return LIMN_OK;
  char name[LIMN_HOOK_NAME_SIZE];
  size_t n;
  const char *axis_text = axis_name(t->hook.point->shape, axis, &n);
  return limn_error_set(err, LIMN_ERROR_RANGE, it->offset,
                        "edit \"%s\": index %lld is outside axis %d (%.*s, size %lld) of %s",
                        e->text, (long long)it->start, axis, (int)n, axis_text, (long long)size,
                        limn_hook_name(t->hook, name));
}

static limn_status fit_index(const limn_model *model, const limn_edit *e, target *t,
                             limn_error *err) {
  int64_t shape[LIMN_MAX_RANK], n_ctx = limn_model_config(model)->n_ctx;
  char name[LIMN_HOOK_NAME_SIZE];
  int given = 0, axis = 0;
  t->rank = limn_hook_shape(model, t->hook, n_ctx, n_ctx, shape);
  for (int i = 0; i < e->n_items; i++)
    given += !e->items[i].is_ellipsis;
  if (given > t->rank)
    return limn_error_set(err, LIMN_ERROR_SHAPE, e->items[0].offset,
                          "edit \"%s\": %d indices, but %s has %d axes (%s)", e->text, given,
                          limn_hook_name(t->hook, name), t->rank, t->hook.point->shape);
  for (int i = 0; i < e->n_items; i++) {
    int n = e->items[i].is_ellipsis ? t->rank - given : 1;
    for (; n > 0; n--)
      t->axes[axis++] = e->items[i].is_ellipsis ? (item){.step = 1} : e->items[i];
  }
  for (; axis < t->rank; axis++)
    t->axes[axis] = (item){.step = 1};
  for (axis = 0; axis < t->rank; axis++) {
    size_t n;
    const char *axis_text = axis_name(t->hook.point->shape, axis, &n);
    t->is_positional[axis] = names_positions(axis_text, n);
    limn_status status = check_integer(e, t, axis, shape[axis], err);
    if (status != LIMN_OK) return status;
  }
  return LIMN_OK;
}

/* ---- values from a file
 * ------------------------------------------------------------------- */

/* Whether the tensor is the hook's value of some run, or else broadcasts to what is selected. */
static bool shape_fits(const limn_model *model, const target *t) {
  int64_t shape[LIMN_MAX_RANK], n_positions = -1;
  limn_hook_shape(model, t->hook, 1, 1, shape);
  if (t->value_rank == t->rank) {
    for (int i = 0; i < t->rank; i++) {
      bool is_first = t->is_positional[i] && n_positions < 0;
      if (is_first) n_positions = t->value_shape[i];
      if (t->value_shape[i] != (t->is_positional[i] ? n_positions : shape[i])) return false;
    }
    return true;
  }
  int axis = t->rank - 1;
  for (int i = t->value_rank - 1; i >= 0; i--, axis--) {
    while (axis >= 0 && t->axes[axis].is_integer)
      axis--;
    if (axis < 0) return false;
    if (t->value_shape[i] == 1) continue;
    /* A slice of a broadcast axis is counted when it is met; positions are not known yet. */
    if (t->is_positional[axis]) return false;
  }
  return true;
}

static limn_status wrong_shape(const limn_model *model, const limn_edit *e, const target *t,
                               limn_error *err) {
  char found[128], wanted[128], name[LIMN_HOOK_NAME_SIZE];
  int64_t shape[LIMN_MAX_RANK];
  limn_hook_shape(model, t->hook, t->value_shape[0], t->value_shape[0], shape);
  return limn_error_set(err, LIMN_ERROR_SHAPE, e->path_offset,
                        "edit \"%s\": the tensor has shape %s, but %s has %s (%s)", e->text,
                        limn_shape_text(found, sizeof found, t->value_rank, t->value_shape),
                        limn_hook_name(t->hook, name),
                        limn_shape_text(wanted, sizeof wanted, t->rank, shape),
                        t->hook.point->shape);
}

static limn_status read_tensor(const limn_model *model, const limn_edit *e,
                               const limn_safetensors *file, const char *tensor, target *t,
                               limn_error *err) {
  char name[LIMN_HOOK_NAME_SIZE];
  limn_stored stored;
  if (!tensor) tensor = limn_hook_name(t->hook, name);
  limn_status status = limn_safetensors_view(file, tensor, &stored, err);
  if (status != LIMN_OK) return status;
  int64_t count = limn_stored_count(&stored);
  t->value_rank = stored.rank;
  memcpy(t->value_shape, stored.shape, sizeof t->value_shape);
  if (stored.rank > t->rank || !shape_fits(model, t)) return wrong_shape(model, e, t, err);
  size_t size;
  if (limn_size_mul((size_t)count, sizeof *t->values, &size)) t->values = limn_alloc(size);
  if (!t->values) return limn_out_of_memory(err, "the values of an edit");
  limn_stored_to_f32(&stored, 0, count, t->values);
  return LIMN_OK;
}

/* "FILE" or "FILE:NAME": the name stands behind the last ".safetensors:". */
static limn_status read_file(const limn_model *model, limn_edit *e, limn_error *err) {
  static const char mark[] = ".safetensors:";
  const char *path = e->text + e->path_offset, *tensor = NULL;
  size_t n = strlen(path);
  for (const char *at = path; (at = strstr(at, mark)); at++) {
    n = (size_t)(at - path) + sizeof mark - 2;
    tensor = at + sizeof mark - 1;
  }
  char *copy = limn_copy_string(path, n);
  limn_safetensors *file = NULL;
  limn_status status = copy ? limn_safetensors_open(copy, &file, err)
                            : limn_out_of_memory(err, "the path of an edit");
  for (size_t i = 0; status == LIMN_OK && i < e->n_targets; i++)
    status = read_tensor(model, e, file, tensor, &e->targets[i], err);
  limn_safetensors_close(file);
  limn_free(copy);
  return status;
}

/* ---- making and freeing
 * ------------------------------------------------------------------- */

static limn_status prepare_mean(const limn_model *model, const limn_edit *e, target *t,
                                limn_error *err) {
  int64_t shape[LIMN_MAX_RANK], count;
  char name[LIMN_HOOK_NAME_SIZE];
  int rank = limn_hook_shape(model, t->hook, 1, 1, shape);
  if (strncmp(t->hook.point->shape, "position", 8) != 0)
    return limn_error_set(err, LIMN_ERROR_UNSUPPORTED, LIMN_NO_OFFSET,
                          "edit \"%s\": mean is over positions, but %s has the axes %s", e->text,
                          limn_hook_name(t->hook, name), t->hook.point->shape);
  if (limn_shape_count(rank, shape, INT64_MAX, &count))
    t->sums = limn_alloc_zeroed((size_t)count, sizeof *t->sums);
  return t->sums ? LIMN_OK : limn_out_of_memory(err, "the sums of an edit");
}

static limn_status find_targets(const limn_model *model, limn_edit *e, limn_error *err) {
  limn_hook *hooks = NULL;
  char *names = limn_copy_string(e->text, e->names_end);
  limn_status status = names ? limn_hook_match(model, names, &hooks, &e->n_targets, err)
                             : limn_out_of_memory(err, "an edit");
  limn_free(names);
  if (status != LIMN_OK) {
    e->n_targets = 0;
    return status;
  }
  e->targets = limn_alloc_zeroed(e->n_targets, sizeof *e->targets);
  if (!e->targets) {
    e->n_targets = 0;
    status = limn_out_of_memory(err, "an edit");
  }
  for (size_t i = 0; status == LIMN_OK && i < e->n_targets; i++) {
    e->targets[i].hook = hooks[i];
    status = fit_index(model, e, &e->targets[i], err);
    if (status == LIMN_OK && e->kind == MEAN) status = prepare_mean(model, e, &e->targets[i], err);
  }
  limn_free(hooks);
  return status;
}

limn_status limn_edit_new(const limn_model *model, const char *text, limn_edit **out,
                          limn_error *err) {
  *out = NULL;
  limn_edit *e = limn_alloc_zeroed(1, sizeof *e);
  if (e) e->text = limn_copy_string(text, strlen(text));
  if (!e || !e->text) {
    limn_edit_free(e);
    return limn_out_of_memory(err, "an edit");
  }
  limn_status status = read_text(e, err);
  if (status == LIMN_OK) status = find_targets(model, e, err);
  if (status == LIMN_OK && e->kind == FROM_FILE) status = read_file(model, e, err);
  if (status == LIMN_OK)
    *out = e;
  else
    limn_edit_free(e);
  return status;
}

void limn_edit_free(limn_edit *e) {
  if (!e) return;
  for (size_t i = 0; i < e->n_targets; i++) {
    limn_free(e->targets[i].values);
    limn_free(e->targets[i].sums);
  }
  limn_free(e->targets);
  limn_free(e->text);
  limn_free(e);
}

const char *limn_edit_text(const limn_edit *e) {
  return e->text;
}

int64_t limn_edit_count(const limn_edit *e) {
  return e->count;
}

/* ---- applying
 * ----------------------------------------------------------------------------- */

/* The indices first, first + step, ... of one axis, `count` of them; `base` is the index of the
   tensor's first entry. */
typedef struct progression {
  int64_t first, step, count, base;
} progression;

static int64_t clamp(int64_t x, int64_t low, int64_t high) {
  return x < low ? low : x > high ? high : x;
}

/* Python's slice.indices(size). */
static progression resolve(const item *it, int64_t size) {
  progression p = {.step = it->step};
  int64_t start = it->start, stop = it->stop;
  if (start < 0) start = start < -size ? -1 : start + size;
  if (stop < 0) stop = stop < -size ? -1 : stop + size;
  if (it->is_integer) {
    p.first = start;
    p.count = start >= 0 && start < size;
  } else if (it->step > 0) {
    p.first = it->has_start ? clamp(start, 0, size) : 0;
    stop = it->has_stop ? clamp(stop, 0, size) : size;
    p.count = stop > p.first ? (stop - p.first - 1) / it->step + 1 : 0;
  } else {
    p.first = it->has_start ? clamp(start, -1, size - 1) : size - 1;
    stop = it->has_stop ? clamp(stop, -1, size - 1) : -1;
    p.count = p.first > stop ? (stop - p.first + 1) / it->step + 1 : 0;
  }
  if (p.count == 1) p.step = 1; /* whatever it was, and however large */
  return p;
}

/* Leaves the indices in [base, base + n): neighbours, since a progression is monotonic. */
static progression restrict_to(progression p, int64_t base, int64_t n) {
  p.base = base;
  int64_t skip = 0, last = p.count;
  while (skip < last && (p.first + skip * p.step < base || p.first + skip * p.step >= base + n))
    skip++;
  while (last > skip &&
         (p.first + (last - 1) * p.step < base || p.first + (last - 1) * p.step >= base + n))
    last--;
  p.first += skip * p.step;
  p.count = last - skip;
  return p;
}

static bool is_key(const target *t, int axis) {
  size_t n;
  return axis_name(t->hook.point->shape, axis, &n)[0] == 'k';
}

/* The selected entries of this call. False when there are none. */
static bool select_entries(const target *t, const limn_observation *seen, progression *p) {
  for (int i = 0; i < t->rank; i++) {
    int64_t size = t->is_positional[i] ? seen->n_key : seen->value.shape[i];
    int64_t base = t->is_positional[i] && !is_key(t, i) ? seen->position : 0;
    p[i] = restrict_to(resolve(&t->axes[i], size), base, seen->value.shape[i]);
    if (p[i].count == 0) return false;
  }
  return true;
}

/* How far the file's tensor moves for one step along each axis of the hook. */
static void value_strides(const target *t, const progression *p, int64_t *stride, int64_t *start) {
  int64_t step = 1;
  int axis = t->rank - 1;
  *start = 0;
  memset(stride, 0, LIMN_MAX_RANK * sizeof *stride);
  for (int i = t->value_rank - 1; i >= 0; i--, axis--) {
    if (t->value_rank == t->rank) {
      stride[axis] = step * p[axis].step;
      *start += step * p[axis].first;
    } else {
      while (t->axes[axis].is_integer)
        axis--;
      stride[axis] = t->value_shape[i] == 1 ? 0 : step;
    }
    step *= t->value_shape[i];
  }
}

/* A value of full rank must reach as far as the positions of the call, one of lower rank must have
   as many entries as are selected. *is_behind: the call begins where the file has ended. */
static limn_status check_extent(const limn_edit *e, const target *t, const limn_observation *seen,
                                const progression *p, bool *is_behind, limn_error *err) {
  int axis = t->rank - 1;
  *is_behind = false;
  for (int i = t->value_rank - 1; i >= 0; i--, axis--) {
    while (t->value_rank < t->rank && t->axes[axis].is_integer)
      axis--;
    if (t->value_rank == t->rank && t->is_positional[i] && seen->n_key > t->value_shape[i]) {
      *is_behind = seen->position >= t->value_shape[i];
      if (*is_behind) return LIMN_OK;
      return limn_error_set(err, LIMN_ERROR_SHAPE, LIMN_NO_OFFSET,
                            "edit \"%s\": the file has %lld positions of %s, this run has %lld",
                            e->text, (long long)t->value_shape[i], seen->name,
                            (long long)seen->n_key);
    }
    if (t->value_rank < t->rank && t->value_shape[i] != 1 && t->value_shape[i] != p[axis].count)
      return limn_error_set(err, LIMN_ERROR_SHAPE, LIMN_NO_OFFSET,
                            "edit \"%s\": axis %d of the tensor has size %lld, the selected "
                            "entries of %s have %lld there",
                            e->text, i, (long long)t->value_shape[i], seen->name,
                            (long long)p[axis].count);
  }
  return LIMN_OK;
}

static float combine(operation how, float old, float x) {
  switch (how) {
  case MULTIPLY:
    return old * x;
  case ADD:
    return old + x;
  case SUBTRACT:
    return old - x;
  case DIVIDE:
    return old / x;
  default:
    return x;
  }
}

/* Steps the odometer k; false after the last entry. */
static bool advance(int64_t *k, const progression *p, int rank) {
  for (int axis = rank - 1; axis >= 0; axis--) {
    if (++k[axis] < p[axis].count) return true;
    k[axis] = 0;
  }
  return false;
}

static float *entry_at(const limn_tensor *value, const progression *p, const int64_t *k) {
  float *at = value->data;
  for (int i = 0; i < value->rank; i++)
    at += (p[i].first + k[i] * p[i].step - p[i].base) * value->stride[i];
  return at;
}

static void write_values(limn_edit *e, const target *t, const limn_tensor *value,
                         const progression *p) {
  int64_t k[LIMN_MAX_RANK] = {0}, stride[LIMN_MAX_RANK], start = 0;
  if (t->values) value_strides(t, p, stride, &start);
  do {
    float x = e->number, *at = entry_at(value, p, k);
    if (t->values) {
      int64_t from = start;
      for (int i = 0; i < t->rank; i++)
        from += k[i] * stride[i];
      x = t->values[from];
    }
    *at = combine(e->operation, *at, x);
    e->count++;
  } while (advance(k, p, t->rank));
}

/* Where the sum of an entry stands: its place among the entries of one position. */
static int64_t sum_index(const limn_tensor *value, const progression *p, const int64_t *k) {
  int64_t index = 0;
  for (int i = 1; i < value->rank; i++)
    index = index * value->shape[i] + p[i].first + k[i] * p[i].step;
  return index;
}

static void write_mean(limn_edit *e, target *t, const limn_observation *seen,
                       const progression *p) {
  int64_t k[LIMN_MAX_RANK] = {0};
  if (seen->position < t->next_position) {
    /* The session went back: it was reset, or slid. */
    int64_t n = 1;
    for (int i = 1; i < t->rank; i++)
      n *= seen->value.shape[i];
    memset(t->sums, 0, (size_t)n * sizeof *t->sums);
    t->n_summed = 0;
  }
  t->next_position = seen->n_key;
  t->n_summed += p[0].count;
  do
    t->sums[sum_index(&seen->value, p, k)] += (double)*entry_at(&seen->value, p, k);
  while (advance(k, p, t->rank));
  do {
    double sum = t->sums[sum_index(&seen->value, p, k)];
    *entry_at(&seen->value, p, k) = (float)(sum / (double)t->n_summed);
    e->count++;
  } while (advance(k, p, t->rank));
}

static limn_status apply(void *user, const limn_observation *seen, limn_error *err) {
  limn_edit *e = user;
  target *t = e->targets;
  while (t->hook.point != seen->hook.point || t->hook.layer != seen->hook.layer)
    t++;
  progression p[LIMN_MAX_RANK];
  bool is_behind = false;
  if (!select_entries(t, seen, p)) return LIMN_OK;
  if (e->kind == MEAN) {
    write_mean(e, t, seen, p);
    return LIMN_OK;
  }
  limn_status status = t->values ? check_extent(e, t, seen, p, &is_behind, err) : LIMN_OK;
  if (status == LIMN_OK && !is_behind) write_values(e, t, &seen->value, p);
  return status;
}

limn_status limn_edit_attach(limn_edit *e, limn_session *s, int *id, limn_error *err) {
  if (id) *id = 0;
  char *names = limn_copy_string(e->text, e->names_end);
  if (!names) return limn_out_of_memory(err, "an edit");
  limn_status status = limn_session_observe(s, names, LIMN_OBSERVE_EDIT, apply, e, id, err);
  limn_free(names);
  return status;
}

/* ---- alone or among others --------------------------------------------------------------------
 */

static bool counts_from_the_end(const item *it) {
  return it->step < 0 || ((it->is_integer || it->has_start) && it->start < 0) ||
         (it->has_stop && it->stop < 0);
}

static bool is_local(const target *t) {
  for (int i = 0; i < t->rank; i++) {
    if (!t->is_positional[i]) continue;
    if (is_key(t, i) || counts_from_the_end(&t->axes[i])) return false;
    if (t->values && t->value_rank == t->rank) return false;
  }
  return true;
}

bool limn_edit_is_local(const limn_edit *e) {
  for (size_t i = 0; i < e->n_targets; i++)
    if (e->kind == MEAN || !is_local(&e->targets[i])) return false;
  return true;
}
