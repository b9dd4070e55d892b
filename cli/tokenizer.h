/*
 * tokenizer.h - what the commands on tokenizers share.
 */
#ifndef LIMN_CLI_TOKENIZER_H
#define LIMN_CLI_TOKENIZER_H

#include "cli.h"

extern const cli_command cli_tokenizer_train, cli_tokenizer_compare;

/*
 * The tokenizer of this name: "gpt2", which is in the library; a file or folder that
 * limn_tokenizer_open reads; or a model by name or folder, that model's.
 */
limn_status cli_open_tokenizer(const char *name, limn_tokenizer **out, limn_error *err);

/* Numbers of a JSON object, with their keys. */
typedef struct cli_number {
  const char *key;
  int64_t value;
} cli_number;
void cli_put_numbers(limn_json *j, const cli_number *rows, size_t n);

/* Views of limn tokenize; each returns an exit status. */
int cli_tokenize_merges(const cli *c, const limn_tokenizer *t, const char *text);
int cli_tokenize_stats(const cli *c, const limn_tokenizer *t, const limn_tokens *tokens,
                       const char *text, size_t n);
/* One text a line (with --null: between NULs). */
int cli_tokenize_batch(const cli *c, const limn_tokenizer *t, limn_special special,
                       const char *text, size_t n);

#endif
