/*
 * collect.h - the values of hooks over many evaluate calls, joined along their positions.
 */
#ifndef LIMN_CLI_COLLECT_H
#define LIMN_CLI_COLLECT_H

#include "cli.h"

typedef struct cli_collector cli_collector;

/*
 * Watches the hooks of a session that will see at most `capacity` positions. What it goes back to
 * and sees again counts as it was last seen. Frees with cli_collector_free, after the session or
 * with it unused.
 */
limn_status cli_collector_new(limn_session *session, const char *hooks, int64_t capacity,
                              cli_collector **out, limn_error *err);
/* After an evaluate call of a session with all_logits: keeps its rows, behind those kept before. */
void cli_collector_add_logits(cli_collector *k);
/*
 * Adds each hook's value over the first n positions, and "logits", as if the first n_prompt of them
 * had been run in one call and each of the others in one of its own. An attention score or weight
 * of a key that its query did not see is -inf or 0; where it was never computed (raw scores), NaN.
 */
limn_status cli_collector_write(cli_collector *k, int64_t n_prompt, int64_t n,
                                limn_safetensors_writer *w, limn_error *err);
void cli_collector_free(cli_collector *k);

#endif
