/*
 * merge_avx512.c - merging windows of bytes (merge.h), compiled for AVX512.
 */
#define LIMN_MERGER     limn_merger_avx512
#define LIMN_MERGER_ISA "avx512"
#include "tokenizer/merge.h"
