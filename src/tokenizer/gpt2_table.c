/*
 * gpt2_table.c - GPT-2's tokenizer out of a table of 233 kB that is part of the library.
 *
 * The table holds the merges, and how the pairs of them are displaced (symbols.c), which takes a
 * third of the time to find. Ids 0 to 255 are the bytes in GPT-2's order (first those that
 * print, then the rest), merge r makes id 256 + r out of two earlier ones, and the last id is
 * <|endoftext|>: so each token's bytes are those of its two halves, put together.
 */
#include "base/utf8.h"
#include "tokenizer/tokenizer.h"

#include <stdio.h>
#include <string.h>

#define N_MERGES  50000
#define N_BUCKETS 16384
#define END_TEXT  "<|endoftext|>"

/* The file's bytes, put into the object file by the assembler. */
__asm__(".section .rodata\n"
        ".hidden limn_gpt2_merges\n"
        ".global limn_gpt2_merges\n"
        ".balign 4\n"
        "limn_gpt2_merges:\n"
        ".incbin \"" LIMN_GPT2_MERGES "\"\n"
        ".byte 0\n"
        ".previous\n");
extern const unsigned char limn_gpt2_merges[4 * N_MERGES + 2 * N_BUCKETS];

static int32_t half(size_t rank, size_t which) {
  const unsigned char *at = limn_gpt2_merges + 4 * rank + 2 * which;
  return at[0] | at[1] << 8;
}

/* The byte of id 0 to 255. */
static unsigned char byte_of(int32_t id) {
  if (id < 94) return (unsigned char)(id + 33);
  if (id < 94 + 12) return (unsigned char)(id - 94 + 161);
  if (id < 188) return (unsigned char)(id - 106 + 174);
  return (unsigned char)limn_printable_to_byte((uint32_t)(256 + id - 188));
}

/* What all tokens have together, and room to copy 16 bytes at a time. */
#define N_BYTES 330000

/* Copies n bytes of the vocabulary to its end, 16 at a time. */
static void copy_to_end(limn_bytes *all, uint32_t from, uint32_t n) {
  for (uint32_t done = 0; done < n; done += 16) {
    char some[16];
    memcpy(some, all->data + from + done, 16);
    memcpy(all->data + all->size + done, some, 16);
  }
  all->size += n;
}

/* Two earlier tokens, put together, are the next. */
static void add_pair(limn_tokenizer *t, size_t rank, const uint8_t symbols_of_bytes[256]) {
  int32_t a = half(rank, 0), b = half(rank, 1), id = t->vocab_size++;
  uint32_t n_a = t->starts[a + 1] - t->starts[a], n_b = t->starts[b + 1] - t->starts[b];
  copy_to_end(&t->bytes, t->starts[a], n_a);
  copy_to_end(&t->bytes, t->starts[b], n_b);
  t->kinds[id] = LIMN_TOKEN_NORMAL;
  t->starts[id + 1] = (uint32_t)t->bytes.size;
  t->symbols.of_ids[id] = (uint32_t)id;
  limn_symbols_add(&t->symbols, a < 256 ? symbols_of_bytes[a] : (uint32_t)a,
                   b < 256 ? symbols_of_bytes[b] : (uint32_t)b, id, n_a + n_b);
}

static limn_status start_gpt2(limn_tokenizer *t, uint8_t symbols_of_bytes[256], limn_error *err) {
  int32_t byte_ids[256];
  limn_status status = limn_tokenizer_start(t, 256 + N_MERGES + 1, err);
  if (status == LIMN_OK && !limn_bytes_reserve(&t->bytes, N_BYTES))
    status = limn_out_of_memory(err, "a vocabulary");
  for (int32_t id = 0; status == LIMN_OK && id < 256; id++) {
    symbols_of_bytes[id] = byte_of(id);
    byte_ids[symbols_of_bytes[id]] = id;
    status = limn_tokenizer_add(t, &symbols_of_bytes[id], 1, LIMN_TOKEN_NORMAL, err);
  }
  if (status == LIMN_OK)
    status = limn_symbols_start(&t->symbols, "GPT-2's tokenizer", 256 + N_MERGES,
                                256 + N_MERGES + 1, byte_ids, err);
  for (int32_t id = 0; status == LIMN_OK && id < 256; id++)
    t->symbols.of_ids[id] = symbols_of_bytes[id];
  return status;
}

limn_status limn_tokenizer_build_gpt2(limn_tokenizer *t, limn_error *err) {
  uint8_t symbols_of_bytes[256] = {0};
  limn_status status = start_gpt2(t, symbols_of_bytes, err);
  if (status != LIMN_OK) return status;
  for (size_t rank = 0; rank < N_MERGES; rank++)
    add_pair(t, rank, symbols_of_bytes);
  status = limn_symbols_finish(&t->symbols, "GPT-2's tokenizer", limn_gpt2_merges + 4 * N_MERGES,
                               N_BUCKETS, err);
  if (status != LIMN_OK) return status;
  status = limn_tokenizer_add(t, END_TEXT, strlen(END_TEXT), LIMN_TOKEN_SPECIAL, err);
  return status == LIMN_OK ? limn_tokenizer_index(t, err) : status;
}

limn_status limn_tokenizer_gpt2(limn_tokenizer **out, limn_error *err) {
  *out = NULL;
  limn_tokenizer *t = limn_alloc_zeroed(1, sizeof *t);
  if (!t) return limn_out_of_memory(err, "a tokenizer");
  limn_status status = limn_tokenizer_build_gpt2(t, err);
  if (status != LIMN_OK) {
    limn_tokenizer_close(t);
    return status;
  }
  *out = t;
  return LIMN_OK;
}

/* ---- the published files
 * -------------------------------------------------------------------------- */

/* A text that is compared as it is written: whatever differs, or is too short, ends it. */
typedef struct comparison {
  const unsigned char *data;
  size_t n, at;
  bool differs;
} comparison;

static void expect(comparison *c, const void *bytes, size_t n) {
  if (c->differs || n > c->n - c->at || memcmp(c->data + c->at, bytes, n) != 0)
    c->differs = true;
  else
    c->at += n;
}

static void expect_byte(comparison *c, unsigned char byte, bool as_json) {
  char text[8];
  uint32_t code = limn_byte_to_printable(byte);
  size_t n;
  if (!as_json)
    n = limn_utf8_encode(code, (unsigned char *)text);
  else if (code >= 127)
    n = (size_t)snprintf(text, sizeof text, "\\u%04x", (unsigned)code);
  else
    n = (size_t)snprintf(text, sizeof text, code == '"' || code == '\\' ? "\\%c" : "%c", (int)code);
  expect(c, text, n);
}

/* The printable form of an id, as UTF-8 or with JSON's escapes. */
static void expect_token(comparison *c, int32_t id, bool as_json) {
  if (id < 256) {
    expect_byte(c, byte_of(id), as_json);
    return;
  }
  expect_token(c, half((size_t)id - 256, 0), as_json);
  expect_token(c, half((size_t)id - 256, 1), as_json);
}

static bool is_published_merges(comparison c) {
  static const char first[] = "#version: 0.2\n";
  expect(&c, first, sizeof first - 1);
  for (size_t rank = 0; rank < N_MERGES && !c.differs; rank++) {
    expect_token(&c, half(rank, 0), false);
    expect(&c, " ", 1);
    expect_token(&c, half(rank, 1), false);
    expect(&c, "\n", 1);
  }
  return !c.differs && c.at == c.n;
}

static bool is_published_vocab(comparison c) {
  static const char last[] = "\"" END_TEXT "\": 50256}";
  expect(&c, "{", 1);
  for (int32_t id = 0; id < 256 + N_MERGES && !c.differs; id++) {
    char number[24];
    int n = snprintf(number, sizeof number, "\": %d, ", (int)id);
    expect(&c, "\"", 1);
    expect_token(&c, id, true);
    expect(&c, number, (size_t)n);
  }
  expect(&c, last, sizeof last - 1);
  return !c.differs && c.at == c.n;
}

bool limn_is_gpt2_published(const void *merges, size_t n_merges, const void *vocab,
                            size_t n_vocab) {
  return is_published_merges((comparison){merges, n_merges, 0, false}) &&
         is_published_vocab((comparison){vocab, n_vocab, 0, false});
}
