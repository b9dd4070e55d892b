/*
 * input.c - where a command's text, ids and model come from, and how what it prints goes out.
 */
#include "cli.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

limn_status cli_no_memory(limn_error *err) {
  return limn_error_set(err, LIMN_ERROR_MEMORY, LIMN_NO_OFFSET, "out of memory");
}

/* ---- text and ids ---------------------------------------------------------------------------- */

static limn_status copy_text(const char *from, char **text, size_t *n, limn_error *err) {
  *n = strlen(from);
  *text = limn_alloc(*n + 1);
  if (!*text) return cli_no_memory(err);
  memcpy(*text, from, *n + 1);
  return LIMN_OK;
}

limn_status cli_read_text(const cli *c, char **text, size_t *n, limn_error *err) {
  return cli_read_text_at(c, 0, text, n, err);
}

limn_status cli_read_text_at(const cli *c, int i, char **text, size_t *n, limn_error *err) {
  const char *argument = cli_argument(c, i), *file = cli_value(c, "file");
  *text = NULL;
  *n = 0;
  if (argument && file)
    return limn_error_set(err, LIMN_ERROR_ARGUMENT, LIMN_NO_OFFSET,
                          "a text and --file are given, expected one of them");
  if (argument) return copy_text(argument, text, n, err);
  if (!file && isatty(STDIN_FILENO) == 1)
    return limn_error_set(err, LIMN_ERROR_ARGUMENT, LIMN_NO_OFFSET,
                          "no text given, expected a text, --file FILE or text on standard input");
  return limn_file_read(file ? file : "-", 0, text, n, err);
}

/* Between ids; files of Windows end lines with two of it. */
#define WHITE " \t\r\n"

static size_t count_separators(const char *list) {
  size_t n = 0;
  for (; *list; list++)
    n += strchr("," WHITE, *list) != NULL;
  return n;
}

limn_status cli_parse_ids(const char *list, int32_t **ids, size_t *n, limn_error *err) {
  *n = 0;
  *ids = limn_alloc_zeroed(count_separators(list) + 1, sizeof **ids);
  if (!*ids) return cli_no_memory(err);
  for (const char *at = list + strspn(list, WHITE);;) {
    size_t length = strcspn(at, "," WHITE);
    int64_t id;
    bool is_number = limn_parse_int(at, length, &id);
    if (!is_number || id < 0 || id > INT32_MAX) {
      limn_free(*ids);
      *ids = NULL;
      return limn_error_set(err, is_number ? LIMN_ERROR_RANGE : LIMN_ERROR_ARGUMENT,
                            (uint64_t)(at - list),
                            "token id %zu is \"%.*s\", expected a whole number from 0 to %d",
                            *n + 1, (int)(length < 40 ? length : 40), at, INT32_MAX);
    }
    (*ids)[(*n)++] = (int32_t)id;
    at += length;
    at += strspn(at, WHITE);
    if (*at == '\0') return LIMN_OK;
    if (*at == ',') at += 1 + strspn(at + 1, WHITE);
  }
}

/* ---- models ---------------------------------------------------------------------------------- */

static bool has_config(const char *folder) {
  char path[4096];
  struct stat info;
  int n = snprintf(path, sizeof path, "%s/config.json", folder);
  return n > 0 && (size_t)n < sizeof path && stat(path, &info) == 0;
}

/* A packed model may be a file of its own. */
bool cli_is_model_file_name(const char *name) {
  size_t n = strlen(name), n_ending = strlen(".safetensors");
  return n > n_ending && strcmp(name + n - n_ending, ".safetensors") == 0;
}

static bool is_model_file(const char *name) {
  struct stat info;
  return cli_is_model_file_name(name) && stat(name, &info) == 0 && !S_ISDIR(info.st_mode);
}

/* The folder of the program itself: "" when it cannot be told. */
static void program_folder(char out[4096]) {
  ssize_t n = readlink("/proc/self/exe", out, 4095);
  out[n > 0 ? n : 0] = '\0';
  char *slash = strrchr(out, '/');
  if (slash) *slash = '\0';
}

/* Where models are looked for, in this order: $LIMN_MODELS, beside the installed program, the
   source tree it was built in, where the build was told to install. False after the last. */
static bool models_folder(int i, char out[4096]) {
  const char *list = getenv("LIMN_MODELS");
  for (; list && *list; i--) {
    size_t n = strcspn(list, ":");
    if (i == 0) {
      snprintf(out, 4096, "%.*s", (int)n, list);
      return true;
    }
    list += n + (list[n] == ':');
  }
  char program[4096];
  switch (i) {
  case 0:
    program_folder(program);
    snprintf(out, 4096, "%.4000s/../share/limn/models", program);
    return true;
  case 1:
    snprintf(out, 4096, "%s", LIMN_SOURCE_DIR "/models");
    return true;
  case 2:
    snprintf(out, 4096, "%s", LIMN_DATA_DIR "/models");
    return true;
  default:
    return false;
  }
}

/* Adds the names of models in one folder to the list of those that can be had. */
static void list_models(const char *folder, char *out, size_t size) {
  DIR *dir = opendir(folder);
  const struct dirent *entry;
  while (dir && (entry = readdir(dir))) {
    char path[4096 + 512];
    snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    size_t used = strlen(out), n = strlen(entry->d_name), comma = used ? 2 : 0;
    if (entry->d_name[0] == '.' || !has_config(path) || strstr(out, entry->d_name)) continue;
    if (used + comma + n + 1 > size) continue;
    memcpy(out + used, ", ", comma);
    memcpy(out + used + comma, entry->d_name, n + 1);
  }
  if (dir) closedir(dir);
}

static limn_status no_such_model(const char *name, limn_error *err) {
  char folder[4096], names[256] = "";
  for (int i = 0; models_folder(i, folder); i++)
    list_models(folder, names, sizeof names);
  if (strchr(name, '/'))
    return limn_error_set(err, LIMN_ERROR_NOT_FOUND, LIMN_NO_OFFSET,
                          "no model in \"%s\", expected a folder with a config.json", name);
  return limn_error_set(err, LIMN_ERROR_NOT_FOUND, LIMN_NO_OFFSET,
                        "no model \"%s\", expected a folder or one of the names found (%s)", name,
                        *names ? names : "none");
}

limn_status cli_find_model(const char *name, char **folder, limn_error *err) {
  char base[4096], path[4096 + 256];
  size_t n;
  *folder = NULL;
  if (!name) name = "tales";
  if (has_config(name) || is_model_file(name)) return copy_text(name, folder, &n, err);
  if (strchr(name, '/') || strlen(name) > 200) return no_such_model(name, err);
  for (int i = 0; models_folder(i, base); i++) {
    snprintf(path, sizeof path, "%s/%s", base, name);
    if (has_config(path)) return copy_text(path, folder, &n, err);
  }
  return no_such_model(name, err);
}

/* ---- output ---------------------------------------------------------------------------------- */

static limn_status cannot_write(const FILE *to, limn_error *err) {
  return limn_error_set(err, LIMN_ERROR_IO, LIMN_NO_OFFSET, "cannot write %s: %s",
                        to == stdout ? "standard output" : "a temporary file", strerror(errno));
}

static limn_status write_json(void *user, const void *bytes, size_t n, limn_error *err) {
  FILE *to = user;
  return fwrite(bytes, 1, n, to) == n ? LIMN_OK : cannot_write(to, err);
}

void cli_json_begin(limn_json *j, limn_error *err) {
  cli_json_begin_in(j, stdout, err);
}

void cli_json_begin_in(limn_json *j, FILE *to, limn_error *err) {
  limn_json_init(j, write_json, to, true, err);
}

int cli_json_end(const cli *c, limn_json *j) {
  limn_status status = limn_json_end(j);
  if (status == LIMN_OK || status == LIMN_ERROR_IO) return CLI_OK; /* main sees stdout's errors */
  return cli_fail(c, j->err);
}

limn_status cli_hold_output(FILE **held, limn_error *err) {
  *held = tmpfile();
  return *held ? LIMN_OK : cannot_write(*held, err);
}

/* A write that failed long ago has left no reason behind; one more fails with the same. */
limn_status cli_print_held(FILE *held, limn_error *err) {
  char block[1 << 14];
  size_t n;
  bool failed = ferror(held) != 0;
  if (failed) {
    clearerr(held);
    fputc('\n', held);
  }
  failed = fflush(held) != 0 || failed;
  limn_status status = failed ? cannot_write(held, err) : LIMN_OK;
  rewind(held);
  while (!failed && (n = fread(block, 1, sizeof block, held)) > 0)
    fwrite(block, 1, n, stdout);
  fclose(held);
  return status;
}
