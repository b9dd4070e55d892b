/*
 * train_write.c - what was learned as the files of Hugging Face's library: tokenizer.json, and
 * vocab.json with merges.txt. Each byte of a token is written as a printable character
 * (vocabulary.c).
 */
#include "base/file.h"
#include "base/utf8.h"
#include "tokenizer/train.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* ---- tokens ---------------------------------------------------------------------------------- */

/* The printable form of a token in `out`, with a NUL; false without memory. */
static bool printable(const limn_trainer *t, int32_t id, limn_bytes *out) {
  size_t n;
  const char *bytes = limn_trainer_bytes(t, id, &n);
  out->size = 0;
  if ((size_t)id < t->n_specials) return limn_bytes_append(out, bytes, n);
  if (!limn_bytes_reserve(out, 2 * n + 1)) return false;
  for (size_t i = 0; i < n; i++) {
    unsigned char character[4];
    size_t size = limn_utf8_encode(limn_byte_to_printable((unsigned char)bytes[i]), character);
    limn_bytes_append(out, character, size);
  }
  return true;
}

/* All tokens as an object from printable form to id. */
static bool put_vocab(limn_json *j, const limn_trainer *t, limn_bytes *text) {
  limn_json_begin_object(j);
  for (int32_t id = 0; id < t->vocab.n; id++) {
    if (!printable(t, id, text)) return false;
    limn_json_key(j, text->data);
    limn_json_int(j, id);
  }
  limn_json_end_object(j);
  return true;
}

static bool put_merges(limn_json *j, const limn_trainer *t, limn_bytes *text) {
  limn_json_begin_array(j);
  for (size_t i = 0; i < t->n_merges; i++) {
    limn_json_begin_array(j);
    if (!printable(t, t->merges[i].left, text)) return false;
    limn_json_string(j, text->data, text->size);
    if (!printable(t, t->merges[i].right, text)) return false;
    limn_json_string(j, text->data, text->size);
    limn_json_end_array(j);
  }
  limn_json_end_array(j);
  return true;
}

/* ---- tokenizer.json -------------------------------------------------------------------------- */

static void put_flag(limn_json *j, const char *key, bool value) {
  limn_json_key(j, key);
  limn_json_bool(j, value);
}

static void put_null(limn_json *j, const char *key) {
  limn_json_key(j, key);
  limn_json_null(j);
}

static void put_text(limn_json *j, const char *key, const char *text) {
  limn_json_key(j, key);
  limn_json_cstring(j, text);
}

static void put_added(limn_json *j, const limn_trainer *t) {
  limn_json_key(j, "added_tokens");
  limn_json_begin_array(j);
  for (size_t id = 0; id < t->n_specials; id++) {
    limn_json_begin_object(j);
    limn_json_key(j, "id");
    limn_json_int(j, (int64_t)id);
    put_text(j, "content", t->specials[id]);
    put_flag(j, "single_word", false);
    put_flag(j, "lstrip", false);
    put_flag(j, "rstrip", false);
    put_flag(j, "normalized", false);
    put_flag(j, "special", true);
    limn_json_end_object(j);
  }
  limn_json_end_array(j);
}

static bool put_model(limn_json *j, const limn_trainer *t, limn_bytes *text) {
  limn_json_key(j, "model");
  limn_json_begin_object(j);
  put_text(j, "type", "BPE");
  put_null(j, "dropout");
  put_null(j, "unk_token");
  put_null(j, "continuing_subword_prefix");
  put_null(j, "end_of_word_suffix");
  put_flag(j, "fuse_unk", false);
  put_flag(j, "byte_fallback", false);
  put_flag(j, "ignore_merges", false);
  limn_json_key(j, "vocab");
  if (!put_vocab(j, t, text)) return false;
  limn_json_key(j, "merges");
  if (!put_merges(j, t, text)) return false;
  limn_json_end_object(j);
  return true;
}

static void put_normalizer(limn_json *j, const limn_trainer *t) {
  if (!t->is_nfc) {
    put_null(j, "normalizer");
    return;
  }
  limn_json_key(j, "normalizer");
  limn_json_begin_object(j);
  put_text(j, "type", "NFC");
  limn_json_end_object(j);
}

static bool put_tokenizer(limn_json *j, const limn_trainer *t, limn_bytes *text) {
  limn_json_begin_object(j);
  put_text(j, "version", "1.0");
  put_null(j, "truncation");
  put_null(j, "padding");
  put_added(j, t);
  put_normalizer(j, t);
  limn_json_key(j, "pre_tokenizer");
  limn_pattern_put(j, t->counter.pattern);
  put_null(j, "post_processor");
  limn_json_key(j, "decoder");
  limn_put_byte_level(j, true, true);
  if (!put_model(j, t, text)) return false;
  limn_json_end_object(j);
  return true;
}

/* ---- files ----------------------------------------------------------------------------------- */

static limn_status write_json(const limn_trainer *t, limn_output *o, bool indent,
                              bool (*put)(limn_json *, const limn_trainer *, limn_bytes *),
                              limn_error *err) {
  limn_bytes text = {0};
  limn_json j;
  limn_json_init(&j, limn_write_to_output, o, indent, err);
  bool good = put(&j, t, &text);
  limn_bytes_deinit(&text);
  return good ? limn_json_end(&j) : limn_out_of_memory(err, "tokens to write");
}

static limn_status write_tokenizer(const limn_trainer *t, limn_output *o, limn_error *err) {
  return write_json(t, o, true, put_tokenizer, err);
}

static limn_status write_vocab(const limn_trainer *t, limn_output *o, limn_error *err) {
  return write_json(t, o, false, put_vocab, err);
}

static bool merge_line(const limn_trainer *t, size_t i, limn_bytes *text, limn_bytes *line) {
  line->size = 0;
  return printable(t, t->merges[i].left, text) && limn_bytes_append(line, text->data, text->size) &&
         limn_bytes_append(line, " ", 1) && printable(t, t->merges[i].right, text) &&
         limn_bytes_append(line, text->data, text->size) && limn_bytes_append(line, "\n", 1);
}

static limn_status write_merges(const limn_trainer *t, limn_output *o, limn_error *err) {
  static const char version[] = "#version: 0.2\n";
  limn_bytes text = {0}, line = {0};
  limn_status status = limn_output_write(o, version, sizeof version - 1, err);
  for (size_t i = 0; status == LIMN_OK && i < t->n_merges; i++) {
    status = merge_line(t, i, &text, &line) ? limn_output_write(o, line.data, line.size, err)
                                            : limn_out_of_memory(err, "merges to write");
  }
  limn_bytes_deinit(&text);
  limn_bytes_deinit(&line);
  return status;
}

typedef struct part {
  const char *name;
  limn_status (*write)(const limn_trainer *t, limn_output *o, limn_error *err);
} part;

/* All of it lies in the temporary file then, but the file has not its name yet. */
static limn_status write_part(const limn_trainer *t, const char *folder, const part *p,
                              limn_output **o, limn_error *err) {
  char *path = limn_path_join(folder, p->name);
  if (!path) return limn_out_of_memory(err, "a path");
  limn_status status = limn_output_open(path, o, err);
  limn_free(path);
  if (status == LIMN_OK) status = p->write(t, *o, err);
  if (status == LIMN_OK) status = limn_output_flush(*o, err);
  return status;
}

/* No file takes its name before all are written: where the disk gets full, the folder has no files
   that do not belong together. */
limn_status limn_trainer_write(const limn_trainer *t, const char *folder, limn_error *err) {
  enum { N_PARTS = 3 };
  static const part parts[N_PARTS] = {{"tokenizer.json", write_tokenizer},
                                      {"vocab.json", write_vocab},
                                      {"merges.txt", write_merges}};
  limn_output *outputs[N_PARTS] = {NULL};
  if (mkdir(folder, 0777) != 0 && errno != EEXIST)
    return limn_error_set(err, errno == ENOENT ? LIMN_ERROR_NOT_FOUND : LIMN_ERROR_IO,
                          LIMN_NO_OFFSET, "cannot make the folder \"%s\": %s", folder,
                          strerror(errno));
  limn_status status = LIMN_OK;
  for (int i = 0; i < N_PARTS && status == LIMN_OK; i++)
    status = write_part(t, folder, &parts[i], &outputs[i], err);
  for (int i = 0; i < N_PARTS; i++) {
    if (status == LIMN_OK)
      status = limn_output_commit(outputs[i], err);
    else
      limn_output_discard(outputs[i]);
  }
  return status;
}
