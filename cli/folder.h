/*
 * folder.h - writing into the folder of --out. Each file appears whole or not at all.
 */
#ifndef LIMN_CLI_FOLDER_H
#define LIMN_CLI_FOLDER_H

#include "cli.h"

#include <limn/plot.h>

/* "FOLDER/NAME", from limn_alloc; NULL without memory. */
char *cli_path_in(const char *folder, const char *name);
/* Makes the folder where it is not there yet. IO */
limn_status cli_make_folder(const char *folder, limn_error *err);
/* What `write` writes, as a JSON file. */
limn_status cli_write_json(const char *path, void (*write)(const void *user, limn_json *j),
                           const void *user, limn_error *err);
/* The figure as NAME.png and NAME.svg. */
limn_status cli_write_figure(const limn_figure *f, const char *folder, const char *name,
                             limn_error *err);

#endif
