/*
 * run.h - what the commands that run a model share: opening it with its tokenizer and threads, a
 * text or ids as tokens, sessions with the edits from the command line.
 */
#ifndef LIMN_CLI_RUN_H
#define LIMN_CLI_RUN_H

#include "cli.h"

/* For the tables of such commands, behind CLI_OPTIONS_MODEL. */
#define CLI_OPTIONS_EDIT                                                                           \
  {                                                                                                \
    "edit", 'e', CLI_LIST, "EDIT", NULL, 0, 0,                                                     \
        "Change activations: 'blocks.3.attn.hook_z[:,2]=0'; may be repeated"                       \
  }
#define CLI_OPTIONS_INVARIANT                                                                      \
  {                                                                                                \
    "invariant", 0, CLI_FLAG, NULL, NULL, 0, 0,                                                    \
        "Keep off the processor's tiles, so that how many tokens are run at once changes no bit"   \
  }
#define CLI_OPTIONS_RUN                                                                            \
  CLI_OPTIONS_EDIT, CLI_OPTIONS_INVARIANT, {                                                       \
    "overflow", 0, CLI_CHOICE, "error|slide", "error", 0, 0,                                       \
        "What to do with a text beyond the context window: fail, or slide the window along"        \
  }

/* A line of the man pages of all commands that take --edit. */
#define CLI_EDIT_PARAGRAPHS                                                                        \
  "An EDIT is HOOKS[INDEX]=VALUE. HOOKS is a name or a glob, as limn hooks lists them; INDEX is "  \
  "as in numpy, and positions count from the beginning of the text; VALUE is a number, *2, +1, "   \
  "/2, mean (over the positions), or @FILE.safetensors to patch from another run that limn trace " \
  "kept (@FILE.safetensors:NAME for a tensor of another name)."

typedef struct cli_model {
  limn_pool *pool;
  limn_model *model;
  limn_tokenizer *tokenizer; /* NULL: the model has none */
  char *folder;
} cli_model;

/* What the options of these names ask for; their choices are those of --weights and --compute. */
limn_model_options cli_model_options(const cli *c, const char *weights, const char *compute);
limn_weights cli_weights(const cli *c, const char *option);

/* Opens -m MODEL with --threads. On failure there is nothing to close. */
limn_status cli_open_model(const cli *c, cli_model *m, limn_error *err);
void cli_close_model(cli_model *m);

/*
 * The tokens to run: --ids where the command has it, else the text of cli_read_text through the
 * model's tokenizer. At least one. *ids comes from limn_alloc.
 */
limn_status cli_read_tokens(const cli *c, const cli_model *m, int32_t **ids, size_t *n,
                            limn_error *err);

/*
 * The token that an option names, by its text or by its id as #464; -1 where the option is not
 * given. NOT_FOUND, RANGE.
 */
limn_status cli_find_token(const cli *c, const cli_model *m, const char *option, int32_t *out,
                           limn_error *err);

/*
 * Prints a token between quotes so that it can be seen, as cli_print_visible does; "#17" without a
 * tokenizer. Returns the columns taken.
 */
int cli_print_token(FILE *to, const cli_model *m, int32_t id, int min_width, int max_width);
/* Members "id" and "text" (null without a tokenizer) of the object that is open. */
void cli_json_token(limn_json *j, const cli_model *m, int32_t id);
/* A member of each kind in the object that is open. */
void cli_json_int(limn_json *j, const char *key, int64_t value);
void cli_json_double(limn_json *j, const char *key, double value);
void cli_json_text(limn_json *j, const char *key, const char *value);

/* A session and the edits of the command line. */
typedef struct cli_session {
  limn_session *session;
  limn_edit **edits;
  int n_edits;
} cli_session;

/* `options` gets the pool and (where the command has them) --overflow and --invariant. On failure
 * there is nothing to close. */
limn_status cli_open_session(const cli *c, const cli_model *m, limn_session_options options,
                             cli_session *s, limn_error *err);
/* Whether edits are given. One that meets nothing is known when all has been computed, and then
 * nothing is to have been printed. */
bool cli_has_edits(const cli *c);
/* After a run: an edit that met no number is an error that names it. */
limn_status cli_check_edits(const cli_session *s, limn_error *err);
void cli_close_session(cli_session *s);

#endif
