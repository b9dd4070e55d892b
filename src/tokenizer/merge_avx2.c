/*
 * merge_avx2.c - merging windows of bytes (merge.h), compiled for AVX2.
 */
#define LIMN_MERGER     limn_merger_avx2
#define LIMN_MERGER_ISA "avx2"
#include "tokenizer/merge.h"
