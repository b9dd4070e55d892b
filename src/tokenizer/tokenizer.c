/*
 * tokenizer.c - a tokenizer as a thing: opened from a path, asked about its vocabulary, closed.
 */
#include "tokenizer/tokenizer.h"

#include "base/file.h"
#include "base/utf8.h"
#include "formats/gguf.h"
#include "tokenizer/pipeline.h"
#include "tokenizer/readers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- opening
 * ------------------------------------------------------------------------------------- */

/* Not NOT_FOUND: a caller with a tokenizer of its own must not take it for a folder without one. */
static limn_status half_a_pair(const char *folder, bool has_vocab, limn_error *err) {
  return limn_error_set(err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
                        "\"%s\" has \"%s\" but no \"%s\", expected both or a tokenizer.json",
                        folder, has_vocab ? "vocab.json" : "merges.txt",
                        has_vocab ? "merges.txt" : "vocab.json");
}

static limn_status read_ranks(const char *path, const char *name, const limn_file *file,
                              limn_tokenizer *t, limn_error *err) {
  const limn_encoding *encoding = limn_encoding_find(name, path);
  if (encoding) return limn_tokenizer_read_ranks(path, encoding, file, t, err);
  char names[256];
  limn_encoding_names(names, sizeof names);
  return limn_error_set(err, LIMN_ERROR_ARGUMENT, LIMN_NO_OFFSET,
                        "\"%s\" is a file of ranks: \"%s\" names no encoding, expected one of %s",
                        path, name ? name : path, names);
}

/* What a file is, its first bytes say. */
static limn_status read_file(const char *path, const char *encoding, limn_tokenizer *t,
                             limn_error *err) {
  limn_file file;
  limn_status status = limn_file_open(path, &file, err);
  if (status != LIMN_OK) return status;
  size_t at = 0;
  while (at < file.size && strchr(" \t\r\n", file.data[at]) && file.data[at])
    at++;
  if (at == file.size)
    status = limn_error_set(err, LIMN_ERROR_FORMAT, 0,
                            "\"%s\" is empty, expected JSON, ranks, a SentencePiece model or GGUF",
                            path);
  else if (limn_gguf_is(file.data, file.size))
    status = limn_tokenizer_read_gguf(path, &file, t, err);
  else if (file.data[at] == '{')
    status = limn_tokenizer_read_json(path, &file, t, err);
  else if (encoding || limn_looks_like_ranks(file.data, file.size))
    status = read_ranks(path, encoding, &file, t, err);
  else if (limn_looks_like_model(file.data, file.size))
    status = limn_tokenizer_read_model(path, &file, t, err);
  else
    status = limn_error_set(err, LIMN_ERROR_FORMAT, 0,
                            "\"%s\" is no tokenizer: neither JSON nor ranks nor a SentencePiece "
                            "model nor GGUF",
                            path);
  limn_file_close(&file);
  return status;
}

static limn_status read_folder(const char *folder, limn_tokenizer *t, limn_error *err) {
  char *json = limn_path_join(folder, "tokenizer.json");
  char *vocab = limn_path_join(folder, "vocab.json");
  char *merges = limn_path_join(folder, "merges.txt");
  char *tekken = limn_path_join(folder, "tekken.json");
  char *model = limn_path_join(folder, "tokenizer.model");
  limn_status status = LIMN_OK;
  if (!json || !vocab || !merges || !tekken || !model)
    status = limn_out_of_memory(err, "a path");
  else if (limn_path_exists(json))
    status = read_file(json, NULL, t, err);
  else if (limn_path_exists(vocab) != limn_path_exists(merges))
    status = half_a_pair(folder, limn_path_exists(vocab), err);
  else if (limn_path_exists(vocab))
    status = limn_tokenizer_read_pair(vocab, merges, t, err);
  else if (limn_path_exists(tekken))
    status = read_file(tekken, NULL, t, err);
  else if (limn_path_exists(model))
    status = read_file(model, NULL, t, err);
  else if (access(folder, X_OK) != 0)
    status = limn_error_set(err, LIMN_ERROR_IO, LIMN_NO_OFFSET, "cannot open \"%s\": %s", folder,
                            strerror(errno));
  else
    status = limn_error_set(err, LIMN_ERROR_NOT_FOUND, LIMN_NO_OFFSET,
                            "no tokenizer in \"%s\": neither tokenizer.json nor vocab.json and "
                            "merges.txt nor tekken.json nor tokenizer.model",
                            folder);
  limn_free(json);
  limn_free(vocab);
  limn_free(merges);
  limn_free(tekken);
  limn_free(model);
  return status;
}

limn_status limn_tokenizer_open_encoding(const char *path, const char *encoding,
                                         limn_tokenizer **out, limn_error *err) {
  *out = NULL;
  limn_tokenizer *t = limn_alloc_zeroed(1, sizeof *t);
  if (!t) return limn_out_of_memory(err, "a tokenizer");
  limn_status status =
      limn_path_is_folder(path) ? read_folder(path, t, err) : read_file(path, encoding, t, err);
  if (status == LIMN_OK) status = limn_tokenizer_finish(t, path, err);
  if (status != LIMN_OK) {
    limn_tokenizer_close(t);
    return status;
  }
  *out = t;
  return LIMN_OK;
}

limn_status limn_tokenizer_open(const char *path, limn_tokenizer **out, limn_error *err) {
  return limn_tokenizer_open_encoding(path, NULL, out, err);
}

void limn_tokenizer_close(limn_tokenizer *t) {
  if (!t) return;
  limn_bytes_deinit(&t->bytes);
  limn_free(t->starts);
  limn_free(t->kinds);
  limn_free(t->by_bytes);
  limn_free(t->merges);
  limn_added_deinit(&t->specials);
  limn_symbols_deinit(&t->symbols);
  limn_pipeline_free(t->pipeline);
  limn_free(t);
}

/* ---- the vocabulary
 * ------------------------------------------------------------------------------------ */

int32_t limn_tokenizer_vocab_size(const limn_tokenizer *t) {
  return t->vocab_size;
}

bool limn_tokenizer_is_special(const limn_tokenizer *t, int32_t id) {
  return id >= 0 && id < t->vocab_size && t->kinds[id] == LIMN_TOKEN_SPECIAL;
}

int32_t limn_tokenizer_eos(const limn_tokenizer *t) {
  return t->eos;
}

limn_status limn_no_such_id(const limn_tokenizer *t, int32_t id, limn_error *err) {
  return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                        "no token has the id %d, the vocabulary has %d", (int)id,
                        (int)t->vocab_size);
}

/* A piece as SentencePiece's files have it: U+2581 for a space, <0x41> for a byte. */
static limn_status printable_piece(const limn_tokenizer *t, int32_t id, const char *bytes, size_t n,
                                   char **out, limn_error *err) {
  size_t size = 0;
  char *text = limn_alloc_zeroed(3 * n + 8, 1);
  if (!text) return limn_out_of_memory(err, "a token");
  *out = text;
  if (t->kinds[id] == LIMN_TOKEN_BYTE) {
    snprintf(text, 8, "<0x%02X>", (unsigned)(unsigned char)*bytes);
    return LIMN_OK;
  }
  for (size_t i = 0; i < n; i++) {
    size_t width = bytes[i] == ' ' ? 3 : 1;
    memcpy(text + size, bytes[i] == ' ' ? "\xe2\x96\x81" : bytes + i, width);
    size += width;
  }
  return LIMN_OK;
}

limn_status limn_tokenizer_printable(const limn_tokenizer *t, int32_t id, char **out,
                                     limn_error *err) {
  size_t n;
  *out = NULL;
  const char *bytes = limn_tokenizer_bytes(t, id, &n);
  if (!bytes) return limn_no_such_id(t, id, err);
  if (limn_tokenizer_is_special(t, id)) {
    *out = limn_copy_string(bytes, n);
    return *out ? LIMN_OK : limn_out_of_memory(err, "a token");
  }
  if (t->pipeline && !t->pipeline->is_byte_level && !t->pipeline->has_visible)
    return printable_piece(t, id, bytes, n, out, err);
  unsigned char *text = limn_alloc_zeroed(2 * n + 1, 1);
  if (!text) return limn_out_of_memory(err, "a token");
  size_t size = 0;
  for (size_t i = 0; i < n; i++)
    size += limn_utf8_encode(limn_byte_to_printable((unsigned char)bytes[i]), text + size);
  *out = (char *)text;
  return LIMN_OK;
}
