/*
 * npy.c - one array in NumPy's format.
 *
 * After the magic "\x93NUMPY" and a version come the length of a header and the header: a Python
 * dictionary written out, {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }, padded so
 * that the numbers start at a multiple of 64 (NumPy Enhancement Proposal 1, and
 * numpy.lib.format's documentation for versions 2 and 3). Only the form that NumPy itself writes is
 * read: these three keys, in any order, with values of these three kinds.
 */
#include <limn/npy.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/reader.h"

#include <assert.h>
#include <limn/io.h>
#include <string.h>

#define MAGIC      "\x93NUMPY"
#define MAGIC_SIZE 6
#define ALIGNMENT  64
#define MAX_HEADER 65536 /* a header is a line; version 2 could announce 4 GB */

struct limn_npy {
  limn_file file;
  limn_stored view;
};

/* ---- the header, as text -----------------------------------------------------------------------
 */

/* A place in the header; what is wrong with it is told by fail(). */
typedef struct scanner {
  const char *path;
  const unsigned char *file;
  size_t at, end; /* in the file */
  limn_error *err;
} scanner;

static limn_status fail(const scanner *s, limn_status status, const char *what) {
  return limn_error_set(s->err, status, s->at, "\"%s\": %s", s->path, what);
}

static void skip_space(scanner *s) {
  while (s->at < s->end && (s->file[s->at] == ' ' || s->file[s->at] == '\n'))
    s->at++;
}

/* Takes `c` when it comes next. */
static bool take(scanner *s, char c) {
  skip_space(s);
  if (s->at >= s->end || s->file[s->at] != (unsigned char)c) return false;
  s->at++;
  return true;
}

/* Takes a quoted string without escapes into `out`, which has room for `size`. */
static bool take_string(scanner *s, char *out, size_t size) {
  skip_space(s);
  if (s->at >= s->end || (s->file[s->at] != '\'' && s->file[s->at] != '"')) return false;
  unsigned char quote = s->file[s->at++];
  size_t n = 0;
  while (s->at < s->end && s->file[s->at] != quote && n + 1 < size)
    out[n++] = (char)s->file[s->at++];
  out[n] = '\0';
  return take(s, (char)quote);
}

static bool take_word(scanner *s, const char *word) {
  size_t n = strlen(word);
  skip_space(s);
  if (s->end - s->at < n || memcmp(s->file + s->at, word, n) != 0) return false;
  s->at += n;
  return true;
}

static bool take_natural(scanner *s, int64_t *out) {
  skip_space(s);
  size_t start = s->at;
  int64_t n = 0;
  for (; s->at < s->end && s->file[s->at] >= '0' && s->file[s->at] <= '9'; s->at++) {
    if (__builtin_mul_overflow(n, 10, &n) ||
        __builtin_add_overflow(n, (int64_t)(s->file[s->at] - '0'), &n))
      return false;
  }
  *out = n;
  return s->at > start;
}

/* "<f4" and its like; a single byte has no order, "|u1". */
static bool dtype_of_descr(const char *descr, limn_dtype *out) {
  static const struct {
    const char *descr;
    limn_dtype dtype;
  } known[] = {{"<f4", LIMN_F32}, {"<f8", LIMN_F64}, {"<f2", LIMN_F16}, {"|b1", LIMN_BOOL},
               {"|i1", LIMN_I8},  {"<i2", LIMN_I16}, {"<i4", LIMN_I32}, {"<i8", LIMN_I64},
               {"|u1", LIMN_U8},  {"<u2", LIMN_U16}, {"<u4", LIMN_U32}, {"<u8", LIMN_U64}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (strcmp(descr, known[i].descr) != 0) continue;
    *out = known[i].dtype;
    return true;
  }
  return false;
}

static limn_status read_descr(scanner *s, limn_stored *view) {
  char descr[16];
  if (!take_string(s, descr, sizeof descr))
    return fail(s, LIMN_ERROR_UNSUPPORTED, "\"descr\" is not the name of one number format");
  if (dtype_of_descr(descr, &view->dtype)) return LIMN_OK;
  return limn_error_set(s->err, LIMN_ERROR_UNSUPPORTED, s->at,
                        "\"%s\" holds numbers of format \"%s\", expected \"<f4\" or another float, "
                        "integer or boolean in little-endian order",
                        s->path, descr);
}

static limn_status read_shape(scanner *s, limn_stored *view) {
  if (!take(s, '(')) return fail(s, LIMN_ERROR_FORMAT, "\"shape\" is not a tuple");
  while (!take(s, ')')) {
    int64_t size;
    if (!take_natural(s, &size))
      return fail(s, LIMN_ERROR_FORMAT, "a size in \"shape\" is not a whole number of 64 bits");
    if (view->rank == LIMN_MAX_RANK)
      return fail(s, LIMN_ERROR_UNSUPPORTED, "the array has more than 8 axes");
    view->shape[view->rank++] = size;
    if (take(s, ',')) continue;
    if (take(s, ')')) break;
    return fail(s, LIMN_ERROR_FORMAT, "\"shape\" is not a tuple");
  }
  return LIMN_OK;
}

static limn_status read_order(scanner *s, bool *is_fortran) {
  *is_fortran = take_word(s, "True");
  if (*is_fortran || take_word(s, "False")) return LIMN_OK;
  return fail(s, LIMN_ERROR_FORMAT, "\"fortran_order\" is neither True nor False");
}

/* The dictionary. `seen` counts each key. */
static limn_status read_dictionary(scanner *s, limn_stored *view, bool *is_fortran) {
  int seen[3] = {0};
  if (!take(s, '{')) return fail(s, LIMN_ERROR_FORMAT, "the header is not a dictionary");
  while (!take(s, '}')) {
    char key[16];
    if (!take_string(s, key, sizeof key) || !take(s, ':'))
      return fail(s, LIMN_ERROR_FORMAT, "the header is not a dictionary");
    limn_status status;
    if (strcmp(key, "descr") == 0 && !seen[0]++)
      status = read_descr(s, view);
    else if (strcmp(key, "fortran_order") == 0 && !seen[1]++)
      status = read_order(s, is_fortran);
    else if (strcmp(key, "shape") == 0 && !seen[2]++)
      status = read_shape(s, view);
    else
      status = fail(s, LIMN_ERROR_FORMAT, "the header has a key twice or one that is not known");
    if (status != LIMN_OK) return status;
    if (take(s, ',')) continue;
    if (take(s, '}')) break;
    return fail(s, LIMN_ERROR_FORMAT, "the header is not a dictionary");
  }
  skip_space(s);
  if (s->at != s->end) return fail(s, LIMN_ERROR_FORMAT, "the header goes on behind its end");
  if (seen[0] && seen[1] && seen[2]) return LIMN_OK;
  return fail(s, LIMN_ERROR_FORMAT, "the header lacks \"descr\", \"fortran_order\" or \"shape\"");
}

/* ---- reading -----------------------------------------------------------------------------------
 */

/* Finds the header and leaves the scanner on it. */
static limn_status find_header(scanner *s, size_t size) {
  limn_reader r = limn_reader_of(s->file, size);
  const void *magic = limn_read_bytes(&r, MAGIC_SIZE);
  uint8_t major = limn_read_u8(&r), minor = limn_read_u8(&r);
  if (r.failed || memcmp(magic, MAGIC, MAGIC_SIZE) != 0)
    return fail(s, LIMN_ERROR_FORMAT, "the file does not open as a .npy file does");
  s->at = MAGIC_SIZE;
  if (major < 1 || major > 3 || minor != 0)
    return limn_error_set(s->err, LIMN_ERROR_UNSUPPORTED, s->at,
                          "\"%s\" has format version %d.%d, expected 1.0, 2.0 or 3.0", s->path,
                          major, minor);
  s->at = r.at;
  uint32_t length = major == 1 ? limn_read_u16(&r) : limn_read_u32(&r);
  if (r.failed || length > limn_reader_left(&r) || length > MAX_HEADER)
    return limn_error_set(
        s->err, LIMN_ERROR_FORMAT, s->at, "\"%s\" announces a header of %u bytes, but %s %zu",
        s->path, (unsigned)length, length > MAX_HEADER ? "none may exceed" : "the file holds only",
        length > MAX_HEADER ? (size_t)MAX_HEADER : limn_reader_left(&r));
  s->at = r.at;
  s->end = r.at + length;
  return LIMN_OK;
}

static bool has_one_order(const limn_stored *view) {
  int n_long = 0;
  for (int i = 0; i < view->rank; i++)
    n_long += view->shape[i] > 1;
  return n_long < 2;
}

static limn_status check_size(const scanner *s, size_t file_size, const limn_stored *view) {
  int64_t count;
  size_t size, left = file_size - s->end;
  char shape[128];
  limn_shape_text(shape, sizeof shape, view->rank, view->shape);
  if (!limn_shape_count(view->rank, view->shape, INT64_MAX, &count) ||
      !limn_size_mul((size_t)count, limn_dtype_size(view->dtype), &size))
    return limn_error_set(s->err, LIMN_ERROR_FORMAT, s->end,
                          "\"%s\" has shape %s, more bytes than 64 bits can count", s->path, shape);
  if (size == left) return LIMN_OK;
  return limn_error_set(s->err, LIMN_ERROR_FORMAT, s->end,
                        "\"%s\" holds %zu bytes of numbers, expected %zu for shape %s of %s",
                        s->path, left, size, shape, limn_dtype_name(view->dtype));
}

static limn_status parse(const char *path, limn_npy *npy, limn_error *err) {
  scanner s = {.path = path, .file = npy->file.data, .err = err};
  bool is_fortran = false;
  limn_status status = find_header(&s, npy->file.size);
  if (status == LIMN_OK) status = read_dictionary(&s, &npy->view, &is_fortran);
  if (status != LIMN_OK) return status;
  if (is_fortran && !has_one_order(&npy->view))
    return fail(&s, LIMN_ERROR_UNSUPPORTED, "the array is in Fortran order, expected C order");
  npy->view.data = npy->file.data + s.end;
  return check_size(&s, npy->file.size, &npy->view);
}

limn_status limn_npy_open(const char *path, limn_npy **out, limn_error *err) {
  assert(path && out);
  *out = NULL;
  limn_npy *npy = limn_alloc_zeroed(1, sizeof *npy);
  if (!npy) return limn_out_of_memory(err, path);
  limn_status status = limn_file_open(path, &npy->file, err);
  if (status == LIMN_OK) status = parse(path, npy, err);
  if (status != LIMN_OK) {
    limn_npy_close(npy);
    return status;
  }
  *out = npy;
  return LIMN_OK;
}

void limn_npy_close(limn_npy *npy) {
  if (!npy) return;
  limn_file_close(&npy->file);
  limn_free(npy);
}

limn_stored limn_npy_view(const limn_npy *npy) {
  return npy->view;
}

/* ---- writing -----------------------------------------------------------------------------------
 */

/* "(3, 4)", "(3,)", "()" */
static bool put_shape(limn_bytes *text, const limn_tensor *t) {
  bool ok = limn_bytes_append(text, "(", 1);
  for (int i = 0; i < t->rank; i++) {
    char size[24], *digit = size + sizeof size;
    uint64_t rest = (uint64_t)t->shape[i];
    do {
      *--digit = (char)('0' + rest % 10);
      rest /= 10;
    } while (rest);
    ok = ok && limn_bytes_append(text, digit, (size_t)(size + sizeof size - digit));
    bool is_last = i == t->rank - 1;
    if (is_last && t->rank > 1) break;
    ok = ok && limn_bytes_append(text, is_last ? "," : ", ", is_last ? 1 : 2);
  }
  return ok && limn_bytes_append(text, ")", 1);
}

/* Magic, version 1.0, length and dictionary, padded with spaces and ended by a line feed. */
static bool make_header(const limn_tensor *t, limn_bytes *header) {
  static const char opening[] = "{'descr': '<f4', 'fortran_order': False, 'shape': ";
  bool ok = limn_bytes_append(header, MAGIC "\x01\x00\x00\x00", MAGIC_SIZE + 4) &&
            limn_bytes_append(header, opening, sizeof opening - 1) && put_shape(header, t) &&
            limn_bytes_append(header, ", }", 3);
  while (ok && (header->size + 1) % ALIGNMENT)
    ok = limn_bytes_append(header, " ", 1);
  if (!ok || !limn_bytes_append(header, "\n", 1)) return false;
  size_t length = header->size - MAGIC_SIZE - 4; /* at most 512: LIMN_MAX_RANK sizes */
  header->data[MAGIC_SIZE + 2] = (char)(length & 0xff);
  header->data[MAGIC_SIZE + 3] = (char)(length >> 8);
  return true;
}

static limn_status write_numbers(limn_output *o, const limn_tensor *t, limn_error *err) {
  size_t count = (size_t)limn_tensor_count(t);
  if (count == 0) return LIMN_OK;
  if (limn_tensor_is_contiguous(t)) return limn_output_write(o, t->data, 4 * count, err);
  float *rows = limn_alloc_zeroed(count, sizeof *rows);
  if (!rows) return limn_out_of_memory(err, "the numbers of a .npy file");
  limn_tensor_gather(t, rows);
  limn_status status = limn_output_write(o, rows, 4 * count, err);
  limn_free(rows);
  return status;
}

limn_status limn_npy_write(const char *path, const limn_tensor *tensor, limn_error *err) {
  assert(path && tensor);
  limn_bytes header = {0};
  limn_output *o = NULL;
  limn_status status = LIMN_OK;
  if (!make_header(tensor, &header)) status = limn_out_of_memory(err, path);
  if (status == LIMN_OK) status = limn_output_open(path, &o, err);
  if (status == LIMN_OK) status = limn_output_write(o, header.data, header.size, err);
  if (status == LIMN_OK) status = write_numbers(o, tensor, err);
  limn_bytes_deinit(&header);
  if (status == LIMN_OK) return limn_output_commit(o, err);
  limn_output_discard(o);
  return status;
}
