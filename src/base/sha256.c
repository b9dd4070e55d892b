/*
 * sha256.c - a name for a file's content (FIPS 180-4, "Secure Hash Standard", sections 4.1.2, 5 and
 * 6.2). It says what a packed file was made from; no secret depends on it.
 */
#include "base/sha256.h"

#include <string.h>

/* The first 32 bits of the fractions of the cube roots of the first 64 primes. */
static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t turn(uint32_t x, int n) {
  return x >> n | x << (32 - n);
}

static uint32_t big_endian(const unsigned char *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The 64 words that a block becomes. */
static void spread(const unsigned char *block, uint32_t w[64]) {
  for (int i = 0; i < 16; i++)
    w[i] = big_endian(block + 4 * i);
  for (int i = 16; i < 64; i++) {
    uint32_t near = turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10;
    uint32_t far = turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3;
    w[i] = near + w[i - 7] + far + w[i - 16];
  }
}

/* One of 64 rounds; the names of the eight words move on by one each time. */
#define ROUND(a, b, c, d, e, f, g, h, i)                                                           \
  do {                                                                                             \
    uint32_t sum = (h) + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + (((e) & (f)) ^ (~(e) & (g))) + \
                   constants[i] + w[i];                                                            \
    (d) += sum;                                                                                    \
    (h) = sum + (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) +                                         \
          (((a) & (b)) ^ ((a) & (c)) ^ ((b) & (c)));                                               \
  } while (0)

static void take_block(uint32_t state[8], const unsigned char *block) {
  uint32_t w[64], s[8];
  spread(block, w);
  memcpy(s, state, sizeof s);
  for (int i = 0; i < 64; i += 8) {
    ROUND(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], i);
    ROUND(s[7], s[0], s[1], s[2], s[3], s[4], s[5], s[6], i + 1);
    ROUND(s[6], s[7], s[0], s[1], s[2], s[3], s[4], s[5], i + 2);
    ROUND(s[5], s[6], s[7], s[0], s[1], s[2], s[3], s[4], i + 3);
    ROUND(s[4], s[5], s[6], s[7], s[0], s[1], s[2], s[3], i + 4);
    ROUND(s[3], s[4], s[5], s[6], s[7], s[0], s[1], s[2], i + 5);
    ROUND(s[2], s[3], s[4], s[5], s[6], s[7], s[0], s[1], i + 6);
    ROUND(s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[0], i + 7);
  }
  for (int i = 0; i < 8; i++)
    state[i] += s[i];
}

/* The first 32 bits of the fractions of the square roots of the first 8 primes. */
void limn_sha256_init(limn_sha256 *hash) {
  *hash = (limn_sha256){{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c,
                         0x1f83d9ab, 0x5be0cd19},
                        0,
                        {0}};
}

void limn_sha256_add(limn_sha256 *hash, const void *bytes, size_t n) {
  const unsigned char *from = bytes;
  size_t used = (size_t)(hash->size % 64);
  hash->size += n;
  if (used > 0) {
    size_t some = n < 64 - used ? n : 64 - used;
    if (some) memcpy(hash->block + used, from, some);
    if (used + some < 64) return;
    take_block(hash->state, hash->block);
    from += some;
    n -= some;
  }
  for (; n >= 64; n -= 64, from += 64)
    take_block(hash->state, from);
  if (n) memcpy(hash->block, from, n);
}

void limn_sha256_text(limn_sha256 *hash, char out[65]) {
  static const char digits[] = "0123456789abcdef";
  static const unsigned char padding[64] = {0x80};
  unsigned char size[8];
  for (int i = 0; i < 8; i++)
    size[i] = (unsigned char)(hash->size * 8 >> (56 - 8 * i));
  limn_sha256_add(hash, padding, (size_t)(1 + (119 - hash->size % 64) % 64));
  limn_sha256_add(hash, size, sizeof size);
  for (int i = 0; i < 64; i++)
    out[i] = digits[hash->state[i / 8] >> (28 - i % 8 * 4) & 15];
  out[64] = '\0';
}
