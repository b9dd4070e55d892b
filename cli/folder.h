/*
 * folder.h - writing into the folder of --out. Each file appears whole or not at all, and no new
 * folder stays empty.
 */
#ifndef LIMN_CLI_FOLDER_H
#define LIMN_CLI_FOLDER_H

#include "run.h"

#include <limn/plot.h>

/* "FOLDER/NAME", from limn_alloc; NULL without memory. */
char *cli_path_in(const char *folder, const char *name);
/* Makes the folder where it is not there yet; if it is still empty when the command fails or a
   signal ends it, it goes again. One folder in a command. IO */
limn_status cli_make_folder(const char *folder, limn_error *err);
/* Until cli_folder_is_whole, these files in it are half of something and go too. `names` lasts, and
   ends with NULL. */
void cli_folder_is_half(const char *const *names);
void cli_folder_is_whole(void);
/* Takes away what is half. Safe in a signal handler. */
void cli_discard_folder(void);
/* What `write` writes, as a JSON file. */
limn_status cli_write_json(const char *path, void (*write)(const void *user, limn_json *j),
                           const void *user, limn_error *err);
/* The figure as NAME.png and NAME.svg. */
limn_status cli_write_figure(const limn_figure *f, const char *folder, const char *name,
                             limn_error *err);
/* n tokens as labels of a figure, for cli_free_labels; NULL without memory. */
char **cli_token_labels(const cli_model *m, const int32_t *ids, size_t n);
void cli_free_labels(char **labels);

#endif
