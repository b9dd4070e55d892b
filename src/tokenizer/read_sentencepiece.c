/*
 * read_sentencepiece.c - SentencePiece's .model: a ModelProto (sentencepiece_model.proto) in the
 * encoding of protocol buffers.
 *
 * A message is a row of fields, each a number and a kind, then its value: a number of up to ten
 * bytes of seven bits, four or eight bytes, or a length and so many bytes, which may be a message
 * again. Fields that are not asked for are passed over, as that encoding wants it.
 */
#include "base/reader.h"
#include "tokenizer/readers.h"
#include "tokenizer/scored.h"

#include <string.h>

#define MOST_BYTES ((size_t)1 << 28)

typedef struct model {
  const char *path;
  const unsigned char *start; /* of the file, for offsets */
  limn_scored *pieces;
  size_t n_pieces, capacity;
  uint64_t type; /* 1 unigram, 2 BPE, 3 words, 4 characters */
  bool byte_fallback, suffix;
  limn_sp_normal normal;
  const unsigned char *map; /* precompiled_charsmap */
  size_t n_map;
  bool has_denormalizer;
  limn_error *err;
} model;

/* ---- fields -----------------------------------------------------------------------------------
 */

typedef enum wire { WIRE_NUMBER = 0, WIRE_EIGHT = 1, WIRE_BYTES = 2, WIRE_FOUR = 5 } wire;

typedef struct field {
  uint64_t number;
  wire kind;
  uint64_t value;             /* of a number */
  const unsigned char *bytes; /* of the others */
  size_t n;
} field;

static limn_status malformed(const model *m, const limn_reader *r, const char *what) {
  size_t offset = (size_t)(r->data - m->start) + r->at;
  return limn_error_set(m->err, LIMN_ERROR_FORMAT, offset,
                        "\"%s\" is not a SentencePiece model: %s at byte %zu", m->path, what,
                        offset);
}

static uint64_t read_number(limn_reader *r) {
  uint64_t x = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    uint8_t byte = limn_read_u8(r);
    x |= (uint64_t)(byte & 127) << shift;
    if (byte < 128) return x;
  }
  r->failed = true;
  return 0;
}

static limn_status read_field(const model *m, limn_reader *r, field *f) {
  uint64_t key = read_number(r);
  *f = (field){.number = key >> 3, .kind = (wire)(key & 7)};
  if (!r->failed && f->number == 0) return malformed(m, r, "a field without a number");
  switch ((int)(key & 7)) {
  case WIRE_NUMBER:
    f->value = read_number(r);
    break;
  case WIRE_EIGHT:
    f->n = 8;
    break;
  case WIRE_FOUR:
    f->n = 4;
    break;
  case WIRE_BYTES: {
    uint64_t n = read_number(r);
    f->n = n > limn_reader_left(r) ? SIZE_MAX : (size_t)n;
    break;
  }
  default:
    return malformed(m, r, "a field of an unknown kind");
  }
  if (f->kind != WIRE_NUMBER) f->bytes = limn_read_bytes(r, f->n);
  return r->failed ? malformed(m, r, "a field that does not end") : LIMN_OK;
}

static bool is_field(const field *f, uint64_t number, wire kind) {
  return f->number == number && f->kind == kind;
}

/* ---- messages ---------------------------------------------------------------------------------
 */

static limn_status read_piece(model *m, const field *message) {
  limn_reader r = limn_reader_of(message->bytes, message->n);
  limn_scored piece = {.text = "", .type = LIMN_PIECE_NORMAL};
  while (limn_reader_left(&r) > 0) {
    field f;
    limn_status status = read_field(m, &r, &f);
    if (status != LIMN_OK) return status;
    if (is_field(&f, 1, WIRE_BYTES)) {
      piece.text = (const char *)f.bytes;
      piece.n = f.n;
    } else if (is_field(&f, 2, WIRE_FOUR)) {
      limn_reader bytes = limn_reader_of(f.bytes, 4);
      piece.score = limn_read_f32(&bytes);
    } else if (is_field(&f, 3, WIRE_NUMBER)) {
      piece.type = f.value > LIMN_PIECE_BYTE ? 0 : (limn_piece_type)f.value;
    }
  }
  if (m->n_pieces == m->capacity) {
    size_t capacity = m->capacity ? 2 * m->capacity : 256;
    limn_scored *pieces = limn_resize(m->pieces, capacity, sizeof *pieces);
    if (!pieces) return limn_out_of_memory(m->err, "a vocabulary");
    m->pieces = pieces;
    m->capacity = capacity;
  }
  m->pieces[m->n_pieces++] = piece;
  return LIMN_OK;
}

static limn_status read_trainer(model *m, const field *message) {
  limn_reader r = limn_reader_of(message->bytes, message->n);
  limn_status status = LIMN_OK;
  while (status == LIMN_OK && limn_reader_left(&r) > 0) {
    field f;
    status = read_field(m, &r, &f);
    if (status == LIMN_OK && is_field(&f, 3, WIRE_NUMBER)) m->type = f.value;
    if (status == LIMN_OK && is_field(&f, 24, WIRE_NUMBER)) m->suffix = f.value != 0;
    if (status == LIMN_OK && is_field(&f, 35, WIRE_NUMBER)) m->byte_fallback = f.value != 0;
  }
  return status;
}

static limn_status read_normalizer(model *m, const field *message) {
  limn_reader r = limn_reader_of(message->bytes, message->n);
  limn_status status = LIMN_OK;
  while (status == LIMN_OK && limn_reader_left(&r) > 0) {
    field f;
    status = read_field(m, &r, &f);
    if (status != LIMN_OK) break;
    if (is_field(&f, 2, WIRE_BYTES)) {
      m->map = f.bytes;
      m->n_map = f.n;
    }
    if (is_field(&f, 3, WIRE_NUMBER)) m->normal.add_dummy_prefix = f.value != 0;
    if (is_field(&f, 4, WIRE_NUMBER)) m->normal.remove_extra_whitespaces = f.value != 0;
    if (is_field(&f, 5, WIRE_NUMBER)) m->normal.escape_whitespaces = f.value != 0;
  }
  return status;
}

static limn_status read_denormalizer(model *m, const field *message) {
  limn_reader r = limn_reader_of(message->bytes, message->n);
  limn_status status = LIMN_OK;
  while (status == LIMN_OK && limn_reader_left(&r) > 0) {
    field f;
    status = read_field(m, &r, &f);
    if (status == LIMN_OK && is_field(&f, 2, WIRE_BYTES) && f.n > 0) m->has_denormalizer = true;
  }
  return status;
}

static limn_status read_model(model *m, limn_reader *r) {
  limn_status status = LIMN_OK;
  while (status == LIMN_OK && limn_reader_left(r) > 0) {
    field f;
    status = read_field(m, r, &f);
    if (status != LIMN_OK || f.kind != WIRE_BYTES) continue;
    if (f.number == 1) status = read_piece(m, &f);
    if (f.number == 2) status = read_trainer(m, &f);
    if (f.number == 3) status = read_normalizer(m, &f);
    if (f.number == 5) status = read_denormalizer(m, &f);
  }
  return status;
}

/* ---- the tokenizer ----------------------------------------------------------------------------
 */

static limn_status unsupported(const model *m, const char *what, const char *found,
                               const char *wanted) {
  return limn_error_set(m->err, LIMN_ERROR_UNSUPPORTED, LIMN_NO_OFFSET,
                        "\"%s\": %s is %s, expected %s", m->path, what, found, wanted);
}

static limn_status check(const model *m) {
  static const char *const types[] = {"of no known kind", "Unigram", "BPE", "Word", "Char"};
  if (m->type != 2) return unsupported(m, "the model", types[m->type < 5 ? m->type : 0], "BPE");
  if (m->suffix) return unsupported(m, "treat_whitespace_as_suffix", "true", "false");
  if (m->has_denormalizer) return unsupported(m, "the denormalizer", "set", "none");
  return LIMN_OK;
}

static limn_status build(model *m, limn_tokenizer *t) {
  limn_pipeline *p = t->pipeline = limn_pipeline_new();
  if (!p) return limn_out_of_memory(m->err, "a tokenizer");
  p->normal[p->n_normal++] = (limn_step){.kind = LIMN_STEP_SENTENCEPIECE};
  p->sp_normal = m->normal;
  t->drops = m->normal.remove_extra_whitespaces ? LIMN_DROPS_ALL
             : m->normal.add_dummy_prefix       ? LIMN_DROPS_ONE
                                                : LIMN_DROPS_NONE;
  limn_status status = LIMN_OK;
  if (m->n_map > 0)
    status = limn_sp_normal_set_map(&p->sp_normal, m->path, m->map, m->n_map, m->err);
  if (status != LIMN_OK) return status;
  return limn_build_scored(t, m->path, m->pieces, m->n_pieces, m->byte_fallback, true, m->err);
}

bool limn_looks_like_model(const unsigned char *data, size_t n) {
  return n > 2 && data[0] == 0x0a; /* the first field of the first piece */
}

limn_status limn_tokenizer_read_model(const char *path, const limn_file *file, limn_tokenizer *t,
                                      limn_error *err) {
  model m = {.path = path,
             .start = file->data,
             .type = 1,
             .normal = {.add_dummy_prefix = true,
                        .remove_extra_whitespaces = true,
                        .escape_whitespaces = true},
             .err = err};
  limn_reader r = limn_reader_of(file->data, file->size);
  if (file->size > MOST_BYTES)
    return limn_error_set(err, LIMN_ERROR_RANGE, MOST_BYTES,
                          "\"%s\" has %zu bytes, more than the %zu allowed", path, file->size,
                          MOST_BYTES);
  limn_status status = read_model(&m, &r);
  if (status == LIMN_OK) status = check(&m);
  if (status == LIMN_OK) status = build(&m, t);
  limn_free(m.pieces);
  return status;
}
