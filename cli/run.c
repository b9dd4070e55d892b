/*
 * run.c - from the command line to a session that is ready to run.
 */
#include "run.h"

#include <string.h>

/* ---- the model ----------------------------------------------------------------------------------
 */

limn_status cli_open_model(const cli *c, cli_model *m, limn_error *err) {
  *m = (cli_model){0};
  limn_status status = cli_find_model(cli_value(c, "model"), &m->folder, err);
  if (status == LIMN_OK) status = limn_pool_new((int)cli_int(c, "threads", 0), &m->pool, err);
  if (status == LIMN_OK) status = limn_model_open(m->folder, m->pool, &m->model, err);
  if (status != LIMN_OK) cli_close_model(m);
  return status;
}

void cli_close_model(cli_model *m) {
  limn_model_close(m->model);
  limn_pool_free(m->pool);
  limn_free(m->folder);
  *m = (cli_model){0};
}

/* ---- tokens -------------------------------------------------------------------------------------
 */

limn_status cli_read_tokens(const cli *c, const cli_model *m, int32_t **ids, size_t *n,
                            limn_error *err) {
  const char *list = cli_value(c, "ids");
  *ids = NULL;
  *n = 0;
  if (list && (cli_argument(c, 0) || cli_is_given(c, "file")))
    return limn_error_set(err, LIMN_ERROR_ARGUMENT, LIMN_NO_OFFSET,
                          "a text and --ids are given, expected one of them");
  if (list) return cli_parse_ids(list, ids, n, err);
  return limn_error_set(err, LIMN_ERROR_NOT_FOUND, LIMN_NO_OFFSET,
                        "the model in \"%s\" has no tokenizer, expected --ids", m->folder);
}

/* ---- the session --------------------------------------------------------------------------------
 */

static limn_status attach_edits(const cli *c, const cli_model *m, cli_session *s, limn_error *err) {
  int n = 0;
  while (cli_list_at(c, "edit", n))
    n++;
  if (n == 0) return LIMN_OK;
  s->edits = limn_alloc_zeroed((size_t)n, sizeof *s->edits);
  if (!s->edits) return limn_error_set(err, LIMN_ERROR_MEMORY, LIMN_NO_OFFSET, "out of memory");
  for (int i = 0; i < n; i++) {
    limn_status status = limn_edit_new(m->model, cli_list_at(c, "edit", i), &s->edits[i], err);
    if (status == LIMN_OK) {
      s->n_edits++;
      status = limn_edit_attach(s->edits[i], s->session, NULL, err);
    }
    if (status != LIMN_OK) return status;
  }
  return LIMN_OK;
}

limn_status cli_open_session(const cli *c, const cli_model *m, limn_session_options options,
                             cli_session *s, limn_error *err) {
  *s = (cli_session){0};
  options.pool = m->pool;
  if (strcmp(cli_value(c, "overflow"), "slide") == 0) options.overflow = LIMN_OVERFLOW_SLIDE;
  limn_status status = limn_session_new(m->model, &options, &s->session, err);
  if (status == LIMN_OK) status = attach_edits(c, m, s, err);
  if (status != LIMN_OK) cli_close_session(s);
  return status;
}

limn_status cli_check_edits(const cli_session *s, limn_error *err) {
  for (int i = 0; i < s->n_edits; i++) {
    if (limn_edit_count(s->edits[i]) == 0)
      return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                            "edit \"%s\" changed nothing: the run reached none of its entries",
                            limn_edit_text(s->edits[i]));
  }
  return LIMN_OK;
}

void cli_close_session(cli_session *s) {
  limn_session_free(s->session);
  for (int i = 0; i < s->n_edits; i++)
    limn_edit_free(s->edits[i]);
  limn_free(s->edits);
  *s = (cli_session){0};
}
