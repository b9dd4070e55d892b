/*
 * reader.c - a bounded reader: bytes from a file are never trusted to be there.
 */
#include "base/reader.h"

#include <string.h>

limn_reader limn_reader_of(const void *data, size_t size) {
  /* No bytes may come as NULL, to which not even 0 may be added. */
  return (limn_reader){data ? data : "", size, 0, false};
}

const void *limn_read_bytes(limn_reader *r, uint64_t n) {
  if (r->failed || n > r->size - r->at) {
    r->failed = true;
    return NULL;
  }
  const void *here = r->data + r->at;
  r->at += (size_t)n;
  return here;
}

/* Assembled byte by byte, so that neither alignment nor the machine's byte order matters. */
static uint64_t read_little_endian(limn_reader *r, size_t n) {
  const unsigned char *bytes = limn_read_bytes(r, n);
  uint64_t x = 0;
  for (size_t i = 0; bytes && i < n; i++)
    x |= (uint64_t)bytes[i] << (8 * i);
  return x;
}

uint8_t limn_read_u8(limn_reader *r) {
  return (uint8_t)read_little_endian(r, 1);
}

uint16_t limn_read_u16(limn_reader *r) {
  return (uint16_t)read_little_endian(r, 2);
}

uint32_t limn_read_u32(limn_reader *r) {
  return (uint32_t)read_little_endian(r, 4);
}

uint64_t limn_read_u64(limn_reader *r) {
  return read_little_endian(r, 8);
}

float limn_read_f32(limn_reader *r) {
  uint32_t bits = limn_read_u32(r);
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

size_t limn_reader_left(const limn_reader *r) {
  return r->failed ? 0 : r->size - r->at;
}
