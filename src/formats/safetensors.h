/*
 * safetensors.h - inside the library: the mapped files behind the tensors.
 */
#ifndef LIMN_SRC_FORMATS_SAFETENSORS_H
#define LIMN_SRC_FORMATS_SAFETENSORS_H

#include <limn/safetensors.h>

/* The numbers will be read again and again where they lie: in huge pages where there are any. */
void limn_safetensors_want_huge_pages(const limn_safetensors *file);

/*
 * What lies between is not needed now: its pages leave this process's memory, and come back when
 * they are read. `start` is in one of the file's tensors.
 */
void limn_safetensors_release(const limn_safetensors *file, const void *start, size_t n);

/*
 * The SHA-256 of the file as 64 hexadecimal digits and a NUL, as sha256sum prints it; of shards,
 * that of all of them behind one another in the order of their names.
 */
void limn_safetensors_sha256(const limn_safetensors *file, char out[65]);

#endif
