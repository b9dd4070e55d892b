/*
 * cmd_hooks.c - limn hooks: every step of a model, from the table that the engine runs by.
 */
#include "run.h"

#include <string.h>

static const cli_option options[] = {
    CLI_OPTIONS_MODEL,
    {"names", 'n', CLI_FLAG, NULL, NULL, 0, 0, "Print names only, one a line"},
    CLI_OPTIONS_JSON,
    CLI_OPTIONS_END};

static const cli_example examples[] = {
    {"limn hooks", "Each point of the bundled model: name, shape, what it is, its formula."},
    {"limn hooks 'blocks.0.*'", "The hooks of the first layer, with their sizes."},
    {"limn hooks 'blocks.*.attn.hook_result'", "A point on request, spelled out."},
    {NULL, NULL}};

/* ---- the points as a page
 * ----------------------------------------------------------------- */

static void print_line(const char *sign, const char *text, int width) {
  if (*text == '\0') return;
  printf("    %s%-5s", cli_sgr(CLI_DIM), sign);
  cli_print_wrapped(stdout, text, 9, 9, width);
  fputs(cli_sgr(CLI_PLAIN), stdout);
}

static void print_point(const limn_hook_point *point, int width) {
  int name_width = width >= 100 ? 44 : 40;
  printf("  %s%-*s%s %s", cli_sgr(CLI_ACCENT), name_width - 2, point->name, cli_sgr(CLI_PLAIN),
         point->shape);
  printf("%s\n", point->is_on_request ? "   on request" : "");
  printf("    ");
  cli_print_wrapped(stdout, point->meaning, 4, 4, width);
  print_line("=", point->formula, width);
  print_line("from", point->made_from, width);
}

/* Where a point belongs: 0 before the layers, 1 in each, 2 after them. */
static void print_points(const limn_model *model) {
  const limn_config *config = limn_model_config(model);
  int width = cli_width() > 110 ? 110 : cli_width(), part = -1;
  for (size_t i = 0; i < limn_hook_point_count(model); i++) {
    const limn_hook_point *point = limn_hook_point_at(model, i);
    int here = point->is_per_layer ? 1 : part >= 1 ? 2 : 0;
    if (here != part) {
      printf("%s%s", part >= 0 ? "\n" : "", cli_sgr(CLI_BOLD));
      if (here == 1)
        printf("In each layer, {i} = 0 to %d", config->n_layer - 1);
      else
        printf("%s", here == 0 ? "Before the layers" : "After the layers");
      printf("%s\n", cli_sgr(CLI_PLAIN));
    }
    part = here;
    print_point(point, width);
  }
  fputc('\n', stdout);
  cli_print_wrapped(stdout,
                    "A glob (*, ?) matches points on request only where it spells out the last "
                    "part of their name. limn hooks 'blocks.0.*' lists hooks with their sizes.",
                    0, 0, width);
}

static void write_words(limn_json *j, const char *text, const char *separators) {
  limn_json_begin_inline_array(j);
  for (text += strspn(text, separators); *text; text += strspn(text, separators)) {
    size_t n = strcspn(text, separators);
    limn_json_string(j, text, n);
    text += n;
  }
  limn_json_end_array(j);
}

static void write_point(limn_json *j, const limn_hook_point *point) {
  limn_json_key(j, "shape");
  write_words(j, point->shape, ", ");
  limn_json_key(j, "formula");
  limn_json_cstring(j, point->formula);
  limn_json_key(j, "made_from");
  limn_json_cstring(j, point->made_from);
  limn_json_key(j, "meaning");
  limn_json_cstring(j, point->meaning);
  limn_json_key(j, "aliases");
  write_words(j, point->aliases, " ");
  limn_json_key(j, "per_layer");
  limn_json_bool(j, point->is_per_layer);
  limn_json_key(j, "on_request");
  limn_json_bool(j, point->is_on_request);
}

/* ---- hooks that match
 * --------------------------------------------------------------------- */

/* "position, 4, 32": sizes where the model fixes them, names where the text does. */
static void sized_shape(const limn_model *model, limn_hook hook, char *out, size_t size) {
  int64_t shape[LIMN_MAX_RANK];
  const char *name = hook.point->shape;
  int rank = limn_hook_shape(model, hook, 1, 1, shape);
  size_t used = 0;
  for (int i = 0; i < rank && used < size; i++) {
    size_t n = strcspn(name, ",");
    bool is_position = strncmp(name, "position", n) == 0 || strncmp(name, "query", n) == 0 ||
                       strncmp(name, "key", n) == 0;
    if (is_position)
      used += (size_t)snprintf(out + used, size - used, "%s%.*s", i ? ", " : "", (int)n, name);
    else
      used +=
          (size_t)snprintf(out + used, size - used, "%s%lld", i ? ", " : "", (long long)shape[i]);
    name += n;
    name += strspn(name, ", ");
  }
}

static void print_hooks(const limn_model *model, const limn_hook *hooks, size_t n) {
  char name[LIMN_HOOK_NAME_SIZE], shape[128];
  for (size_t i = 0; i < n; i++) {
    sized_shape(model, hooks[i], shape, sizeof shape);
    printf("%s%-36s%s  ", cli_sgr(CLI_ACCENT), limn_hook_name(hooks[i], name), cli_sgr(CLI_PLAIN));
    if (cli_width() < 120) {
      puts(shape);
      continue;
    }
    printf("%-20s  %s", shape, cli_sgr(CLI_DIM));
    cli_print_wrapped(stdout, hooks[i].point->meaning, 60, 60, cli_width());
    fputs(cli_sgr(CLI_PLAIN), stdout);
  }
}

/* ---- the command
 * -------------------------------------------------------------------------- */

static int write_json(const cli *c, const limn_model *model, const limn_hook *hooks, size_t n,
                      limn_error *err) {
  limn_json j;
  char name[LIMN_HOOK_NAME_SIZE];
  size_t count = hooks ? n : limn_hook_point_count(model);
  cli_json_begin(&j, err);
  limn_json_begin_array(&j);
  for (size_t i = 0; i < count; i++) {
    const limn_hook_point *point = hooks ? hooks[i].point : limn_hook_point_at(model, i);
    limn_json_begin_object(&j);
    limn_json_key(&j, "name");
    limn_json_cstring(&j, hooks ? limn_hook_name(hooks[i], name) : point->name);
    write_point(&j, point);
    limn_json_end_object(&j);
  }
  limn_json_end_array(&j);
  return cli_json_end(c, &j);
}

static void print_names(const limn_model *model, const limn_hook *hooks, size_t n) {
  char name[LIMN_HOOK_NAME_SIZE];
  size_t count = hooks ? n : limn_hook_point_count(model);
  for (size_t i = 0; i < count; i++)
    printf("%s\n", hooks ? limn_hook_name(hooks[i], name) : limn_hook_point_at(model, i)->name);
}

static int run(cli *c) {
  cli_model m;
  limn_error err;
  limn_hook *hooks = NULL;
  size_t n = 0;
  int result = CLI_OK;
  limn_status status = cli_open_model(c, &m, &err);
  if (status == LIMN_OK && cli_argument(c, 0))
    status = limn_hook_match(m.model, cli_argument(c, 0), &hooks, &n, &err);
  if (status != LIMN_OK)
    result = cli_fail(c, &err);
  else if (cli_flag(c, "json"))
    result = write_json(c, m.model, hooks, n, &err);
  else if (cli_flag(c, "names"))
    print_names(m.model, hooks, n);
  else if (hooks)
    print_hooks(m.model, hooks, n);
  else
    print_points(m.model);
  limn_free(hooks);
  cli_close_model(&m);
  return result;
}

const cli_command cmd_hooks = {
    .name = "hooks",
    .group = CLI_LOOK,
    .rank = 40,
    .summary = "list the named steps of a model",
    .usage = "[OPTION]... [HOOKS]",
    .description =
        "Lists each point of the forward pass: its name, the axes of its value, what it is, the "
        "formula that makes it and the points it is made from. The names are those of "
        "TransformerLens. With HOOKS, names and globs with commas between, it lists the hooks that "
        "match, with their sizes.\n\n"
        "In a glob * matches any characters, dots too, and ? one. Points on request cost extra "
        "work or memory; a glob matches them only where it spells out the last part of their name.",
    .options = options,
    .examples = examples,
    .max_arguments = 1,
    .run = run,
};
