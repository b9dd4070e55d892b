/*
 * readers.h - inside the library: one function for each kind of file that holds a tokenizer.
 */
#ifndef LIMN_SRC_TOKENIZER_READERS_H
#define LIMN_SRC_TOKENIZER_READERS_H

#include "base/file.h"
#include "formats/json_file.h"
#include "tokenizer/encodings.h"
#include "tokenizer/tokenizer.h"

/* tokenizer.json */
limn_status limn_tokenizer_read_json(const char *path, const limn_file *file, limn_tokenizer *t,
                                     limn_error *err);
/* Mistral's tekken.json, which a reader of JSON comes upon, and whether it is one. */
limn_status limn_tokenizer_read_tekken(const char *path, const json_t *root, limn_tokenizer *t,
                                       limn_error *err);
bool limn_looks_like_tekken(const json_t *root);
/* vocab.json with merges.txt */
limn_status limn_tokenizer_read_pair(const char *vocab_path, const char *merges_path,
                                     limn_tokenizer *t, limn_error *err);
/* A file of ranks */
limn_status limn_tokenizer_read_ranks(const char *path, const limn_encoding *encoding,
                                      const limn_file *file, limn_tokenizer *t, limn_error *err);
/* SentencePiece's .model */
limn_status limn_tokenizer_read_model(const char *path, const limn_file *file, limn_tokenizer *t,
                                      limn_error *err);
/* The metadata of a GGUF file */
limn_status limn_tokenizer_read_gguf(const char *path, const limn_file *file, limn_tokenizer *t,
                                     limn_error *err);

/* Whether the bytes open like a file of ranks, or like a SentencePiece model. */
bool limn_looks_like_ranks(const unsigned char *data, size_t n);
bool limn_looks_like_model(const unsigned char *data, size_t n);

/* Merges for a byte-level vocabulary whose ids are ranks; sets t->whole_pieces where it is needed.
 */
limn_status limn_build_from_ranks(limn_tokenizer *t, limn_error *err);

#endif
