/*
 * passes.c - times of the tokenizer without Python: first passes, further passes, prompts, batches.
 *
 *     cc -O2 -Iinclude bench/passes.c -o build/passes -ldl
 *     build/passes TOKENIZER TEXT build/release/liblimn.so [OTHER.so...]
 *
 * Several libraries take turns, so that two builds can be compared on a machine that others use.
 * The least of a few times counts: processor time, for batches the wall's beside it. MB is a
 * million bytes.
 */
#include <limn/tokenizer.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MOST_LIBRARIES 8
#define CACHE          ((size_t)32 << 20)

typedef struct library {
  const char *path;
  limn_tokenizer *t;
  limn_encoder *e;
  __typeof__(&limn_tokenizer_open) open;
  __typeof__(&limn_tokenizer_close) close;
  __typeof__(&limn_encoder_new) make;
  __typeof__(&limn_encoder_free) free;
  __typeof__(&limn_encoder_encode) encode;
  __typeof__(&limn_batch_encoder_new) batch_new;
  __typeof__(&limn_batch_encoder_free) batch_free;
  __typeof__(&limn_batch_encoder_encode) batch_encode;
  __typeof__(&limn_pool_new) pool_new;
  limn_pool *pool;                /* of two threads */
  limn_batch_encoder *batches[2]; /* on one thread, on two */
  limn_batch found;
} library;

static const char *text;
static size_t n_text, size_of_prompt;
static int32_t *ids;

static double now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void *name_in(void *handle, const char *path, const char *name) {
  void *found = dlsym(handle, name);
  if (found) return found;
  fprintf(stderr, "%s: no %s\n", path, name);
  exit(2);
}

static void open_library(library *l, const char *path, const char *tokenizer) {
  void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    fprintf(stderr, "%s\n", dlerror());
    exit(2);
  }
  l->path = path;
#define TAKE(member, name) *(void **)&l->member = name_in(handle, path, name)
  TAKE(open, "limn_tokenizer_open");
  TAKE(close, "limn_tokenizer_close");
  TAKE(make, "limn_encoder_new");
  TAKE(free, "limn_encoder_free");
  TAKE(encode, "limn_encoder_encode");
  TAKE(batch_new, "limn_batch_encoder_new");
  TAKE(batch_free, "limn_batch_encoder_free");
  TAKE(batch_encode, "limn_batch_encoder_encode");
  TAKE(pool_new, "limn_pool_new");
  limn_error err;
  if (l->open(tokenizer, &l->t, &err) != LIMN_OK || l->pool_new(2, &l->pool, &err) != LIMN_OK) {
    fprintf(stderr, "%s\n", err.text);
    exit(2);
  }
}

static void renew(library *l) {
  l->free(l->e);
  if (l->make(l->t, CACHE, &l->e, NULL) != LIMN_OK) exit(2);
}

static size_t encode(library *l, const char *from, size_t n) {
  size_t n_ids;
  if (l->encode(l->e, from, n, LIMN_SPECIAL_AS_TEXT, ids, n_text, &n_ids, NULL, NULL) != LIMN_OK)
    exit(2);
  return n_ids;
}

static double cold(library *l) {
  double start = now(CLOCK_PROCESS_CPUTIME_ID);
  renew(l);
  encode(l, text, n_text);
  return now(CLOCK_PROCESS_CPUTIME_ID) - start;
}

static double warm(library *l) {
  double start = now(CLOCK_PROCESS_CPUTIME_ID);
  encode(l, text, n_text);
  return now(CLOCK_PROCESS_CPUTIME_ID) - start;
}

/* A megabyte of prompts from all over the text. */
static double prompts(library *l) {
  double start = now(CLOCK_PROCESS_CPUTIME_ID);
  size_t step = n_text / (1000000 / size_of_prompt), n = 1000000 / size_of_prompt;
  for (size_t i = 0; i + 1 < n; i++)
    encode(l, text + i * step, size_of_prompt);
  return now(CLOCK_PROCESS_CPUTIME_ID) - start;
}

/* The text in parts as a batch, by an encoder that is new or has seen it. */
static double batch(library *l, int n_threads, bool is_new, clockid_t clock) {
  enum { PART = 50000 };
  static limn_text *texts;
  limn_batch_encoder **b = &l->batches[n_threads - 1];
  size_t n = n_text / PART;
  if (!texts) texts = calloc(n + 1, sizeof *texts);
  for (size_t i = 0; i < n; i++)
    texts[i] = (limn_text){text + i * PART, PART};
  double start = now(clock);
  if (is_new) {
    l->batch_free(*b);
    if (l->batch_new(l->t, n_threads > 1 ? l->pool : NULL, CACHE, b, NULL) != LIMN_OK) exit(2);
  }
  if (l->batch_encode(*b, texts, n, LIMN_SPECIAL_AS_TEXT, &l->found, NULL) != LIMN_OK) exit(2);
  return now(clock) - start;
}

static double batch_one(library *l) {
  return batch(l, 1, true, CLOCK_MONOTONIC);
}
static double batch_two(library *l) {
  return batch(l, 2, true, CLOCK_MONOTONIC);
}
static double batch_one_again(library *l) {
  return batch(l, 1, false, CLOCK_MONOTONIC);
}
static double batch_two_again(library *l) {
  return batch(l, 2, false, CLOCK_MONOTONIC);
}
static double batch_two_processor(library *l) {
  return batch(l, 2, false, CLOCK_PROCESS_CPUTIME_ID);
}

static void row(const char *name, library *all, int n, double (*time)(library *), double bytes,
                int repeats) {
  printf("%-24s", name);
  double best[MOST_LIBRARIES];
  for (int i = 0; i < n; i++)
    best[i] = 1e9;
  for (int r = 0; r < repeats; r++) {
    for (int i = 0; i < n; i++) {
      double seconds = time(&all[i]);
      best[i] = seconds < best[i] ? seconds : best[i];
    }
  }
  for (int i = 0; i < n; i++)
    printf(" %8.0f", bytes / best[i] / 1e6);
  printf("\n");
}

static void read_text(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) {
    perror(path);
    exit(2);
  }
  fseek(file, 0, SEEK_END);
  n_text = (size_t)ftell(file);
  rewind(file);
  char *bytes = malloc(n_text + 1);
  ids = malloc((n_text + 1) * sizeof *ids);
  if (!bytes || !ids || fread(bytes, 1, n_text, file) != n_text) exit(2);
  memset(ids, 0, (n_text + 1) * sizeof *ids);
  fclose(file);
  text = bytes;
}

int main(int argc, char **argv) {
  static library all[MOST_LIBRARIES];
  int n = argc - 3;
  if (n < 1 || n > MOST_LIBRARIES) {
    fprintf(stderr, "usage: passes TOKENIZER TEXT LIBRARY...\n");
    return 2;
  }
  read_text(argv[2]);
  for (int i = 0; i < n; i++)
    open_library(&all[i], argv[3 + i], argv[1]);
  row("first pass", all, n, cold, (double)n_text, 5);
  row("again", all, n, warm, (double)n_text, 9);
  for (size_of_prompt = 128; size_of_prompt <= 32768; size_of_prompt *= 8) {
    char name[40];
    snprintf(name, sizeof name, "prompts of %zu bytes", size_of_prompt);
    row(name, all, n, prompts, 1e6, 9);
  }
  row("batch, one thread", all, n, batch_one, (double)n_text, 15);
  row("batch, two threads", all, n, batch_two, (double)n_text, 15);
  row("again, one thread", all, n, batch_one_again, (double)n_text, 25);
  row("again, two threads", all, n, batch_two_again, (double)n_text, 25);
  row("  by processor time", all, n, batch_two_processor, (double)n_text, 25);
  return 0;
}
