/*
 * tokenizer_open.c - from what a user writes to a tokenizer.
 */
#include "tokenizer.h"

#include <string.h>

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

/* cl100k_base=FILE: a file of ranks by the name of its encoding. NOT_FOUND for anything else. */
static limn_status open_named(const char *name, limn_tokenizer **out, limn_error *err) {
  const char *equals = strchr(name, '=');
  char encoding[32];
  size_t n = equals ? (size_t)(equals - name) : 0;
  if (n == 0 || n >= sizeof encoding) return LIMN_ERROR_NOT_FOUND;
  memcpy(encoding, name, n);
  encoding[n] = '\0';
  return limn_tokenizer_open_encoding(equals + 1, encoding, out, err);
}

limn_status cli_open_tokenizer(const char *name, limn_tokenizer **out, limn_error *err) {
  char *folder;
  limn_error unnamed;
  limn_status status = limn_tokenizer_open(name, out, err);
  if (status != LIMN_ERROR_NOT_FOUND) return status;
  status = open_named(name, out, &unnamed);
  if (status != LIMN_ERROR_NOT_FOUND) {
    if (status != LIMN_OK) *err = unnamed;
    return status;
  }
  if (strcmp(name, "gpt2") == 0) return limn_tokenizer_gpt2(out, err);
  status = cli_find_model(name, &folder, err);
  if (status == LIMN_ERROR_NOT_FOUND)
    return limn_error_set(err, LIMN_ERROR_NOT_FOUND, LIMN_NO_OFFSET,
                          "no tokenizer \"%s\", expected gpt2, a file or folder of one, a name of "
                          "ranks and their file (cl100k_base=FILE), or a model's name",
                          name);
  if (status != LIMN_OK) return status;
  status = limn_tokenizer_open(folder, out, err);
  if (status == LIMN_ERROR_NOT_FOUND) status = without_files(folder, out, err);
  limn_free(folder);
  return status;
}
