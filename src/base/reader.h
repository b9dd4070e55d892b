/*
 * reader.h - inside the library: the one way to take numbers out of untrusted bytes.
 */
#ifndef LIMN_SRC_BASE_READER_H
#define LIMN_SRC_BASE_READER_H

#include <limn/base.h>

/*
 * A bounded little-endian reader. A read past the end returns 0 (or NULL), sets `failed`, and
 * every later read fails too, so that a parser may check once after several reads.
 */
typedef struct limn_reader {
  const unsigned char *data;
  size_t size;
  size_t at;
  bool failed;
} limn_reader;

limn_reader limn_reader_of(const void *data, size_t size);
uint8_t limn_read_u8(limn_reader *r);
uint16_t limn_read_u16(limn_reader *r);
uint32_t limn_read_u32(limn_reader *r);
uint64_t limn_read_u64(limn_reader *r);
float limn_read_f32(limn_reader *r);
/* The next n bytes where they lie, or NULL. */
const void *limn_read_bytes(limn_reader *r, uint64_t n);
size_t limn_reader_left(const limn_reader *r);

#endif
