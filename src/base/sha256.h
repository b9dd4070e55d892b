/*
 * sha256.h - inside the library: the SHA-256 of bytes that come piece by piece.
 */
#ifndef LIMN_SRC_BASE_SHA256_H
#define LIMN_SRC_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef struct limn_sha256 {
  uint32_t state[8];
  uint64_t size;           /* bytes so far */
  unsigned char block[64]; /* those of the block that is not whole yet */
} limn_sha256;

void limn_sha256_init(limn_sha256 *hash);
void limn_sha256_add(limn_sha256 *hash, const void *bytes, size_t n);
/* Ends it: 64 hexadecimal digits and a NUL. */
void limn_sha256_text(limn_sha256 *hash, char out[65]);

#endif
