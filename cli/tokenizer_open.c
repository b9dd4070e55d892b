/*
 * tokenizer_open.c - from what a user writes to a tokenizer.
 */
#include "tokenizer.h"

#include <string.h>
#include <sys/stat.h>

#define GPT2_VOCAB_SIZE 50257

/* A GPT-2 whose folder has no tokenizer has the one inside the library, here as where it runs. */
static limn_status without_files(const char *folder, limn_tokenizer **t, limn_error *err) {
  limn_model *model;
  limn_error why = *err;
  limn_status status = limn_model_open(folder, NULL, &model, err);
  if (status != LIMN_OK) return status;
  int64_t vocab_size = limn_model_config(model)->vocab_size;
  limn_model_close(model);
  if (vocab_size == GPT2_VOCAB_SIZE) return limn_tokenizer_gpt2(t, err);
  *err = why;
  return why.status;
}

/* The tokenizer of a model by name. NOT_FOUND where there is no such model. */
static limn_status open_model(const char *name, bool *is_model, limn_tokenizer **out,
                              limn_error *err) {
  char *folder;
  limn_status status = cli_find_model(name, &folder, err);
  *is_model = status == LIMN_OK;
  if (status != LIMN_OK) return status;
  status = limn_tokenizer_open(folder, out, err);
  if (status == LIMN_ERROR_NOT_FOUND) status = without_files(folder, out, err);
  limn_free(folder);
  return status;
}

/* cl100k_base=FILE: a file of ranks by the name of its encoding. False for anything else. */
static bool split_named(const char *name, char encoding[32], const char **file) {
  const char *equals = strchr(name, '=');
  size_t n = equals ? (size_t)(equals - name) : 0;
  if (n == 0 || n >= 32) return false;
  memcpy(encoding, name, n);
  encoding[n] = '\0';
  *file = equals + 1;
  return true;
}

limn_status cli_open_tokenizer(const char *name, limn_tokenizer **out, limn_error *err) {
  bool is_model;
  char encoding[32];
  const char *file;
  struct stat info;
  limn_status status = limn_tokenizer_open(name, out, err);
  if (status != LIMN_ERROR_NOT_FOUND) return status;
  limn_error why = *err;
  if (strcmp(name, "gpt2") == 0) return limn_tokenizer_gpt2(out, err);
  status = open_model(name, &is_model, out, err);
  if (is_model || status != LIMN_ERROR_NOT_FOUND) return status;
  if (split_named(name, encoding, &file))
    return limn_tokenizer_open_encoding(file, encoding, out, err);
  if (stat(name, &info) == 0) {
    *err = why;
    return why.status;
  }
  return limn_error_set(err, LIMN_ERROR_NOT_FOUND, LIMN_NO_OFFSET,
                        "no tokenizer \"%s\", expected gpt2, a file or folder of one, a name of "
                        "ranks and their file (cl100k_base=FILE), or a model's name",
                        name);
}
