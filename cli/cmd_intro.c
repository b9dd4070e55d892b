/*
 * cmd_intro.c - limn intro: the introduction, section by section.
 *
 * The sections are the lessons under lessons/, each of them a program of its own too; here they
 * write on a board that remembers.
 */
#include "folder.h"
#include "intro.h"

#include <stdlib.h>

static const cli_option options[] = {
    {"seed", 's', CLI_INT, "N", "0", 0, CLI_NO_MAX,
     "Start the random numbers here, as torch.manual_seed(N)"},
    {"section", 0, CLI_INT, "N", NULL, 0, INTRO_N_SECTIONS - 1,
     "Run this section only, from 0 to 6; it gives what it gives among the others"},
    {"out", 'o', CLI_TEXT, "DIR", NULL, 0, 0,
     "Write intro.html, the figures and the numbers into this folder"},
    CLI_OPTIONS_JSON,
    CLI_OPTIONS_END};

static const cli_example examples[] = {
    {"limn intro", "All sections, with shapes and values."},
    {"limn intro --out intro", "And a page to read: open intro/intro.html in a browser."},
    {"limn intro --section 3 --seed 42", "Attention, from other random numbers."},
    {"limn intro --json", "Every tensor, for another program."},
    {NULL, NULL}};

/* ---- a board that remembers ---------------------------------------------------------------------
 */

/* A new record, NULL without memory. */
static intro_record *add_record(introduction *in, intro_kind kind, int line, const char *name,
                                const char *text) {
  if (in->n == in->capacity) {
    size_t capacity = in->capacity ? 2 * in->capacity : 64;
    intro_record *grown = limn_resize(in->records, capacity, sizeof *grown);
    in->is_out_of_memory |= !grown;
    if (!grown) return NULL;
    in->records = grown;
    in->capacity = capacity;
  }
  intro_record *r = &in->records[in->n];
  *r = (intro_record){.kind = kind, .section = in->section, .line = line};
  in->n++;
  r->name = strdup(name);
  r->text = strdup(text);
  in->is_out_of_memory |= !r->name || !r->text;
  return r;
}

static void on_show(board *b, const lesson_value *v) {
  introduction *in = b->user;
  intro_record *r = add_record(in, INTRO_VALUE, v->line, v->name, v->note);
  size_t n = (size_t)limn_tensor_count(&v->values);
  if (!r) return;
  r->value = *v;
  r->value.name = r->name;
  r->value.note = r->text;
  r->value.values.data = limn_alloc(n * sizeof(float));
  if (r->value.values.data)
    memcpy(r->value.values.data, v->values.data, n * sizeof(float));
  else
    in->is_out_of_memory = true;
}

static void on_say(board *b, int line, const char *text) {
  add_record(b->user, INTRO_TEXT, line, "", text);
}

/* Into the folder, and as data for the page. */
static limn_status on_draw(board *b, int line, const char *name, const char *says,
                           const limn_figure *f) {
  introduction *in = b->user;
  char file[128];
  limn_status status = cli_write_figure(f, in->folder, name, &b->err);
  if (status != LIMN_OK) return status;
  intro_record *r = add_record(in, INTRO_PICTURE, line, name, says);
  snprintf(file, sizeof file, "%s.svg", name);
  char *path = r ? cli_path_in(in->folder, file) : NULL;
  status = path ? limn_file_read(path, 0, &r->svg, &r->n_svg, &b->err) : cli_no_memory(&b->err);
  limn_free(path);
  return status;
}

static void forget(introduction *in) {
  for (size_t i = 0; i < in->n; i++) {
    intro_record *r = &in->records[i];
    free(r->name);
    free(r->text);
    limn_free(r->value.values.data);
    limn_free(r->svg);
  }
  limn_free(in->records);
}

static limn_status run_sections(introduction *in, limn_error *err) {
  board b = {.seed = in->seed,
             .user = in,
             .show = on_show,
             .say = on_say,
             .draw = in->folder ? on_draw : NULL};
  limn_status status = LIMN_OK;
  for (in->section = in->first; status == LIMN_OK && in->section <= in->last; in->section++)
    status = intro_lessons[in->section].lesson->teach(&b);
  if (status != LIMN_OK) {
    *err = b.err;
    return status;
  }
  return in->is_out_of_memory ? cli_no_memory(err) : LIMN_OK;
}

/* ---- JSON ---------------------------------------------------------------------------------------
 */

static void write_value(limn_json *j, const lesson_value *v) {
  limn_json_key(j, v->name);
  limn_json_begin_inline_object(j);
  limn_json_key(j, "shape");
  limn_json_begin_array(j);
  for (int i = 0; i < v->values.rank; i++)
    limn_json_int(j, v->values.shape[i]);
  limn_json_end_array(j);
  limn_json_key(j, "data");
  limn_json_begin_array(j);
  for (int64_t i = 0; i < limn_tensor_count(&v->values); i++)
    limn_json_float(j, v->values.data[i]);
  limn_json_end_array(j);
  limn_json_end_object(j);
}

static void write_json(const void *user, limn_json *j) {
  const introduction *in = user;
  limn_json_begin_object(j);
  for (size_t i = 0; i < in->n; i++) {
    const intro_record *r = &in->records[i];
    if (r->kind == INTRO_VALUE && r->value.kind != LESSON_ASIDE) write_value(j, &r->value);
  }
  limn_json_end_object(j);
}

static int print_json(const cli *c, const introduction *in) {
  limn_error err;
  limn_json j;
  cli_json_begin(&j, &err);
  write_json(in, &j);
  return cli_json_end(c, &j);
}

/* ---- the terminal -------------------------------------------------------------------------------
 */

static void print_record(const introduction *in, const intro_record *r) {
  size_t width = (size_t)cli_width();
  if (r->kind == INTRO_VALUE)
    lesson_print_value(stdout, &r->value);
  else if (r->kind == INTRO_TEXT)
    lesson_print_text(stdout, r->text, width < 80 ? width : 80);
  else
    printf("\n  %s%s/%s.png%s  %s\n", cli_sgr(CLI_ACCENT), in->folder, r->name, cli_sgr(CLI_PLAIN),
           r->text);
}

static void print_all(const introduction *in) {
  int section = -1;
  for (size_t i = 0; i < in->n; i++) {
    const intro_record *r = &in->records[i];
    if (r->section != section)
      printf("%s%s%s%s\n", i ? "\n\n" : "", cli_sgr(CLI_BOLD),
             intro_lessons[r->section].lesson->title, cli_sgr(CLI_PLAIN));
    section = r->section;
    print_record(in, r);
  }
  if (in->folder)
    printf("\nThe page is %s/intro.html.\n", in->folder);
  else
    printf("\nlimn intro --out DIR makes a page of it: text, the C of each step, pictures.\n");
}

/* ---- the command --------------------------------------------------------------------------------
 */

static limn_status write_files(const introduction *in, limn_error *err) {
  char *page = cli_path_in(in->folder, "intro.html"), *json = cli_path_in(in->folder, "intro.json");
  limn_status status =
      page && json ? cli_write_json(json, write_json, in, err) : cli_no_memory(err);
  if (status == LIMN_OK) status = intro_write_page(in, page, err);
  limn_free(page);
  limn_free(json);
  return status;
}

static int run(cli *c) {
  limn_error err;
  introduction in = {.seed = (uint64_t)cli_int(c, "seed", 0),
                     .first = (int)cli_int(c, "section", 0),
                     .last = (int)cli_int(c, "section", INTRO_N_SECTIONS - 1),
                     .folder = cli_value(c, "out")};
  limn_status status = in.folder ? cli_make_folder(in.folder, &err) : LIMN_OK;
  if (status == LIMN_OK) status = run_sections(&in, &err);
  if (status == LIMN_OK && in.folder) status = write_files(&in, &err);
  int result = CLI_OK;
  if (status != LIMN_OK)
    result = cli_fail(c, &err);
  else if (cli_flag(c, "json"))
    result = print_json(c, &in);
  else
    print_all(&in);
  forget(&in);
  return result;
}

const cli_command cmd_intro = {
    .name = "intro",
    .group = CLI_LEARN,
    .rank = 0,
    .summary = "learn the steps from tokens to a transformer layer, in C",
    .usage = "[OPTION]...",
    .description =
        "Runs the introduction from top to bottom: the random numbers it starts from (section 0), "
        "softmax (1), tokens and embeddings (2), attention and feed-forward (3), positions (4), a "
        "transformer layer (5) and the way back to tokens (6). Everything is shown with its shape "
        "and values, which are those of PyTorch for the same seed.\n\n"
        "With --out it writes a page, intro.html, that has the text, the C of each step, what it "
        "computed and its pictures, all in one file; each figure as PNG and SVG; and "
        "intro.json.\n\n"
        "Each section is a short C file over the public headers, and a program of its own; they "
        "are installed beside the documentation.",
    .options = options,
    .examples = examples,
    .run = run,
};
