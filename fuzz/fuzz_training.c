/*
 * Any bytes as a text to learn from, in chunks: the merges are those of the plainest algorithm
 * there is, which counts all pairs again before each merge.
 *
 * The first four bytes choose pattern, size, frequency and chunks.
 */
#include "fuzz.h"
#include "tokenizer/tokenizer.h"

#include <limn/tokenizer_training.h>

#define MOST_BYTES 600
#define N_IDS      400

static const struct {
  const char *name;
  limn_pattern pattern;
} patterns[] = {{"gpt2", LIMN_PATTERN_GPT2},           {"llama3", LIMN_PATTERN_LLAMA3},
                {"qwen2", LIMN_PATTERN_QWEN2},         {"qwen3.5", LIMN_PATTERN_QWEN35},
                {"o200k", LIMN_PATTERN_O200K},         {"tekken", LIMN_PATTERN_TEKKEN},
                {"starcoder", LIMN_PATTERN_STARCODER}, {"falcon", LIMN_PATTERN_FALCON},
                {"deepseek", LIMN_PATTERN_DEEPSEEK}};

/* The text as ids, a -1 behind each piece. */
static int32_t ids[2 * MOST_BYTES];
static size_t n_ids;
static int counts[N_IDS][N_IDS];

static void start(limn_pattern pattern, const limn_trainer *t, const uint8_t *text, size_t n) {
  int32_t of_byte[256];
  for (int32_t id = 0; id < 256; id++) {
    size_t size;
    const char *bytes = limn_trainer_bytes(t, id, &size);
    REQUIRE(size == 1);
    of_byte[(unsigned char)*bytes] = id;
  }
  n_ids = 0;
  for (size_t at = 0; at < n;) {
    size_t end = limn_split_next(pattern, text, n, at);
    for (; at < end; at++)
      ids[n_ids++] = of_byte[text[at]];
    ids[n_ids++] = -1;
  }
}

static bool is_pair(size_t i) {
  return i + 1 < n_ids && ids[i] >= 0 && ids[i + 1] >= 0;
}

/* The most frequent pair, of equals the one with the smallest ids. */
static limn_trained_merge best_pair(int32_t n_tokens) {
  limn_trained_merge best = {-1, -1, n_tokens, 0};
  for (size_t i = 0; i < n_ids; i++)
    if (is_pair(i)) counts[ids[i]][ids[i + 1]]++;
  for (size_t i = 0; i < n_ids; i++) {
    if (!is_pair(i)) continue;
    int32_t a = ids[i], b = ids[i + 1];
    bool is_smaller = a < best.left || (a == best.left && b < best.right);
    if (counts[a][b] > best.count || (counts[a][b] == best.count && is_smaller))
      best = (limn_trained_merge){a, b, n_tokens, counts[a][b]};
  }
  for (size_t i = 0; i < n_ids; i++)
    if (is_pair(i)) counts[ids[i]][ids[i + 1]] = 0;
  return best;
}

static void merge(const limn_trained_merge *m) {
  size_t n = 0;
  for (size_t i = 0; i < n_ids; i++) {
    bool is_here = i + 1 < n_ids && ids[i] == m->left && ids[i + 1] == m->right;
    ids[n++] = is_here ? m->result : ids[i];
    i += is_here;
  }
  n_ids = n;
}

static limn_trainer *learn(const limn_trainer_options *options, const uint8_t *text, size_t n,
                           size_t chunk) {
  limn_trainer *t;
  limn_error err;
  REQUIRE(limn_trainer_new(options, &t, &err) == LIMN_OK);
  for (size_t at = 0; at < n; at += chunk)
    REQUIRE(limn_trainer_feed(t, text + at, n - at < chunk ? n - at : chunk, &err) == LIMN_OK);
  REQUIRE(limn_trainer_learn(t, &err) == LIMN_OK);
  return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 4) return 0;
  size_t which = data[0] % (sizeof patterns / sizeof *patterns);
  limn_trainer_options options = {.pattern = patterns[which].name,
                                  .vocab_size = 256 + data[1] % (N_IDS - 256 + 1),
                                  .min_frequency = data[2] % 4};
  size_t chunk = data[3] ? data[3] : 1000, n = size - 4 < MOST_BYTES ? size - 4 : MOST_BYTES;
  limn_trainer *t = learn(&options, data + 4, n, chunk);
  start(patterns[which].pattern, t, data + 4, n);
  size_t n_merges = limn_trainer_n_merges(t);
  int64_t least = options.min_frequency > 1 ? options.min_frequency : 1;
  for (size_t i = 0;; i++) {
    int32_t n_tokens = 256 + (int32_t)i;
    limn_trained_merge wanted = {.count = 0};
    if (n_tokens < options.vocab_size) wanted = best_pair(n_tokens);
    if (wanted.count < least) {
      REQUIRE(i == n_merges);
      break;
    }
    REQUIRE(i < n_merges);
    limn_trained_merge found = limn_trainer_merge(t, i);
    REQUIRE(found.left == wanted.left && found.right == wanted.right);
    REQUIRE(found.result == wanted.result);
    merge(&wanted);
  }
  limn_trainer_free(t);
  return 0;
}
