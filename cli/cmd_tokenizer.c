/*
 * cmd_tokenizer.c - limn tokenizer: what one does with tokenizers as a whole.
 */
#include "tokenizer.h"

static const cli_command *const subcommands[] = {&cli_tokenizer_train, &cli_tokenizer_compare,
                                                 NULL};

static const cli_example examples[] = {
    {"limn tokenizer train book.txt --vocab-size 8000 -o mine", "Learns an encoding from a book."},
    {"limn tokenizer compare gpt2 mine --file book.txt", "Shows where it cuts otherwise."},
    {NULL, NULL}};

const cli_command cmd_tokenizer = {
    .name = "tokenizer",
    .group = CLI_LOOK,
    .rank = 6,
    .summary = "learn an encoding from text, compare two encodings",
    .usage = "COMMAND [OPTION]... [ARGUMENT]...",
    .description =
        "limn tokenizer COMMAND --help shows how to use each of the commands. To see the "
        "tokens of a text, use limn tokenize.",
    .examples = examples,
    .max_arguments = -1,
    .subcommands = subcommands,
};
