/*
 * ik_llama.c - ik_llama.cpp's C functions with arguments that ctypes can pass.
 *
 * Its parameters are structures that change from version to version; compiled against its own
 * header they are what they are. bench/engines/ik_llama.py compiles this on the spot.
 */
#include <llama.h>
#include <stdlib.h>

typedef struct engine {
  struct llama_model *model;
  struct llama_context *context;
  struct llama_batch batch;
} engine;

void ik_close(engine *e) {
  if (!e) return;
  if (e->context) llama_free(e->context);
  if (e->model) llama_free_model(e->model);
  free(e);
}

/* NULL where it cannot be opened. */
engine *ik_open(const char *path, int n_ctx, int n_threads, int repacks) {
  engine *e = calloc(1, sizeof *e);
  if (!e) return NULL;
  llama_backend_init();
  struct llama_model_params m = llama_model_default_params();
  m.repack_tensors = repacks; /* as -rtr does */
  m.use_mmap = !repacks;
  e->model = llama_model_load_from_file(path, m);
  struct llama_context_params c = llama_context_default_params();
  c.n_ctx = c.n_batch = c.n_ubatch = (uint32_t)n_ctx;
  c.n_threads = c.n_threads_batch = (uint32_t)n_threads;
  c.type_k = c.type_v = GGML_TYPE_F16; /* it has no other that works for GPT-2 */
  if (e->model) e->context = llama_init_from_model(e->model, c);
  if (e->context) {
    e->batch = llama_batch_init(n_ctx, 0, 1);
    return e;
  }
  ik_close(e);
  return NULL;
}

void ik_clear(engine *e) {
  llama_kv_cache_clear(e->context);
}

/* The logits behind the last of n tokens that stand from `position` on; NULL on failure. */
const float *ik_evaluate(engine *e, const int *ids, int n, int position) {
  e->batch.n_tokens = n;
  for (int i = 0; i < n; i++) {
    e->batch.token[i] = ids[i];
    e->batch.pos[i] = position + i;
    e->batch.n_seq_id[i] = 1;
    e->batch.seq_id[i][0] = 0;
    e->batch.logits[i] = i + 1 == n;
  }
  if (llama_decode(e->context, e->batch) != 0) return NULL;
  return llama_get_logits_ith(e->context, n - 1);
}
