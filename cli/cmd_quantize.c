/*
 * cmd_quantize.c - limn quantize: a model packed once, in fewer bits or in its own, so that opening
 * it later copies nothing.
 *
 * OUT is a folder as MODEL is one: the packed weights, the configuration, the tokenizer. The
 * configuration goes last, because a folder without it is no model; so OUT is one when it is whole.
 * Or OUT is a single file, which holds the configuration but no tokenizer.
 */
#include "folder.h"
#include "run.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const cli_option options[] = {
    {"model", 'm', CLI_TEXT, "MODEL", "tales", 0, 0,
     "A folder, or the name of one in $LIMN_MODELS or among the installed models"},
    {"weights", 'w', CLI_CHOICE, "file|f32|f16|bf16|q8|q4", "q8", 0, 0,
     "How to store the matrices; file: in the number format that they have"},
    {"compact", 0, CLI_FLAG, NULL, NULL, 0, 0,
     "Round the token embedding too, where the unembedding is the same matrix: the file holds it "
     "once"},
    {"output", 'o', CLI_TEXT, "OUT", NULL, 0, 0,
     "The folder to write, made where it is not there; or a file, NAME.safetensors"},
    {"threads", 't', CLI_INT, "N", NULL, 1, 1024,
     "Threads that pack; as many as this process may use when not given"},
    CLI_OPTIONS_JSON,
    CLI_OPTIONS_END};

static const cli_example examples[] = {
    {"limn quantize -m ~/models/gpt2 --weights q8 -o ~/models/gpt2-q8", "8.5 bits a weight."},
    {"limn generate -m ~/models/gpt2-q8 'Once upon a time'", "What it is for."},
    {"limn quantize -m gpt2 --weights file -o gpt2-packed", "The same numbers, opened faster."},
    {NULL, NULL}};

#define ENDING     ".safetensors"
#define MODEL_FILE "model.safetensors"

/* What OUT is made of; behind the first, what is copied from folder to folder where it is there. */
static const char *const parts[] = {MODEL_FILE,
                                    "tokenizer.json",
                                    "tokenizer_config.json",
                                    "special_tokens_map.json",
                                    "vocab.json",
                                    "merges.txt",
                                    "tokenizer.model",
                                    "added_tokens.json",
                                    "LICENSE",
                                    "generation_config.json",
                                    "config.json",
                                    NULL};

typedef struct job {
  const cli *c;
  char *model;               /* the folder */
  const char *out;           /* as given */
  char *file;                /* that the weights go to */
  bool is_folder, was_empty; /* or is new */
} job;

/* ---- where to ---------------------------------------------------------------------------------
 */

static bool is_same_file(const char *a, const char *b) {
  struct stat x, y;
  return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Whether the file is one that this command wrote: nothing else is written over. */
static bool is_packed(const char *path) {
  limn_safetensors *file;
  if (limn_safetensors_open(path, &file, NULL) != LIMN_OK) return false;
  bool is = limn_safetensors_metadata(file, "limn.layout") != NULL;
  limn_safetensors_close(file);
  return is;
}

static bool is_empty_folder(const char *path) {
  DIR *folder = opendir(path);
  if (!folder) return false;
  int n = 0;
  while (readdir(folder))
    n++;
  closedir(folder);
  return n <= 2; /* itself and its parent */
}

static limn_status refuse(const job *j, const char *why, limn_error *err) {
  return limn_error_set(err, LIMN_ERROR_ARGUMENT, LIMN_NO_OFFSET, "\"%s\" %s", j->out, why);
}

static limn_status check_folder(job *j, limn_error *err) {
  struct stat info;
  j->was_empty = stat(j->out, &info) != 0;
  if (j->was_empty) return LIMN_OK;
  if (!S_ISDIR(info.st_mode))
    return refuse(j, "is no folder, expected one, or a file NAME" ENDING, err);
  if (is_same_file(j->out, j->model))
    return refuse(j, "is the model itself, expected another place", err);
  j->was_empty = is_empty_folder(j->out);
  if (j->was_empty || is_packed(j->file)) return LIMN_OK;
  return refuse(
      j, "holds something else, expected a new or empty folder, or one with a packed model", err);
}

static limn_status check_place(job *j, limn_error *err) {
  struct stat info;
  if (!*j->out) return refuse(j, "is no place, expected a folder", err);
  if (j->is_folder) return check_folder(j, err);
  bool is_there = stat(j->out, &info) == 0;
  if (is_there && S_ISDIR(info.st_mode))
    return refuse(j, "is a folder, expected a file of this name", err);
  if (is_there && S_ISREG(info.st_mode) && !is_packed(j->out))
    return refuse(j, "holds something else, expected a new file, or one with a packed model", err);
  return LIMN_OK;
}

/* ---- what goes there --------------------------------------------------------------------------
 */

/* What OUT has of an earlier model goes where this one has none. */
static limn_status copy_one(const char *from, const char *to, limn_error *err) {
  char *bytes;
  size_t n;
  struct stat info;
  if (stat(from, &info) != 0) {
    unlink(to);
    return LIMN_OK;
  }
  limn_status status = limn_file_read(from, 0, &bytes, &n, err);
  if (status != LIMN_OK) return status;
  status = limn_file_write(to, bytes, n, err);
  limn_free(bytes);
  return status;
}

static limn_status copy_companions(const job *j, limn_error *err) {
  limn_status status = LIMN_OK;
  for (const char *const *name = parts + 1; *name && status == LIMN_OK; name++) {
    char *from = cli_path_in(j->model, *name), *to = cli_path_in(j->out, *name);
    status = from && to ? copy_one(from, to, err) : cli_no_memory(err);
    limn_free(from);
    limn_free(to);
  }
  return status;
}

static bool show_progress(void *user, int64_t done, int64_t total) {
  (void)user;
  cli_progress("Packing: MB", done / 1000000, total / 1000000);
  return false;
}

static limn_status pack(const job *j, limn_error *err) {
  limn_pack_options o = {.weights = cli_weights(j->c, "weights"),
                         .is_compact = cli_flag(j->c, "compact"),
                         .progress = show_progress};
  limn_pool *pool;
  limn_status status = limn_pool_new((int)cli_int(j->c, "threads", 0), &pool, err);
  if (status != LIMN_OK) return status;
  status = limn_model_pack(j->model, j->file, &o, pool, err);
  cli_progress_end();
  limn_pool_free(pool);
  return status;
}

static limn_status write_model(const job *j, limn_error *err) {
  if (!j->is_folder) return pack(j, err);
  limn_status status = cli_make_folder(j->out, err);
  if (status != LIMN_OK) return status;
  if (j->was_empty) cli_folder_is_half(parts);
  status = pack(j, err);
  if (status == LIMN_OK) status = copy_companions(j, err);
  if (status == LIMN_OK) cli_folder_is_whole();
  return status;
}

/* ---- what was made ----------------------------------------------------------------------------
 */

static int64_t size_of(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 ? (int64_t)info.st_size : 0;
}

static int report(const job *j, limn_error *err) {
  limn_model *model;
  limn_json json;
  char packed[32], all[32];
  limn_status status = limn_model_open(j->out, NULL, &model, err);
  if (status != LIMN_OK) return cli_fail(j->c, err);
  const limn_packed_info *info = limn_model_packed(model);
  int64_t size = size_of(j->file), matrices = (int64_t)limn_model_packed_size(model);
  if (cli_flag(j->c, "json")) {
    cli_json_begin(&json, err);
    limn_json_begin_object(&json);
    cli_json_text(&json, "model", j->model);
    cli_json_text(&json, "output", j->out);
    cli_json_text(&json, "weights", info->weights);
    cli_json_double(&json, "bits", info->bits);
    cli_json_int(&json, "packed_bytes", matrices);
    cli_json_int(&json, "file_bytes", size);
    cli_json_text(&json, "source_sha256", info->sha256);
    limn_json_end_object(&json);
  } else {
    printf("%s: %s, %g bits a weight; matrices %s, file %s\n", j->out, info->weights, info->bits,
           cli_size_text(packed, (uint64_t)matrices), cli_size_text(all, (uint64_t)size));
  }
  limn_model_close(model);
  return cli_flag(j->c, "json") ? cli_json_end(j->c, &json) : CLI_OK;
}

static int run(cli *c) {
  limn_error err;
  job j = {.c = c, .out = cli_value(c, "output")};
  if (!j.out) return cli_bad(c, "no -o OUT given, expected a folder to write");
  j.is_folder = !cli_is_model_file_name(j.out);
  limn_status status = cli_find_model(cli_value(c, "model"), &j.model, &err);
  if (status == LIMN_OK) {
    j.file = cli_path_in(j.out, MODEL_FILE);
    if (j.file && !j.is_folder) strcpy(j.file, j.out);
    status = j.file ? check_place(&j, &err) : cli_no_memory(&err);
  }
  if (status == LIMN_OK) status = write_model(&j, &err);
  int result = status == LIMN_OK ? report(&j, &err) : cli_fail(c, &err);
  limn_free(j.model);
  limn_free(j.file);
  return result;
}

const cli_command cmd_quantize = {
    .name = "quantize",
    .group = CLI_RUN,
    .rank = 30,
    .summary = "pack a model once, in fewer bits, so that it opens at once",
    .usage = "[OPTION]... -o OUT",
    .description =
        "Writes a model as the kernels read it. What --weights does each time a model is opened is "
        "done once: opening OUT is a map of its file, nothing is packed again and nothing copied, "
        "and what it computes is the same to the bit. Processes that run the same OUT share its "
        "memory.\n\n"
        "OUT is a folder with model.safetensors, config.json and the tokenizer of MODEL; every "
        "command takes it as -m OUT. It must be new or empty, or hold a packed model, which is "
        "replaced. Where OUT ends in .safetensors it is that file alone, without a tokenizer. It "
        "is an ordinary safetensors file, whose metadata and layout docs/formats.md describes.\n\n"
        "q8 takes 8.5 bits a weight, q4 4.5, scales included. The token embedding is read by row "
        "and stays as it is, beside the unembedding that is packed, unless both have the same "
        "numbers; --compact keeps the packed one only, so that the file is small and a text's "
        "tokens are rounded too. What fewer bits cost: limn eval FILE --compare.",
    .options = options,
    .examples = examples,
    .run = run,
};
