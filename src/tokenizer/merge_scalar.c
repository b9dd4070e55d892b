/*
 * merge_scalar.c - merging windows of bytes (merge.h) on any processor.
 */
#define LIMN_MERGER     limn_merger_scalar
#define LIMN_MERGER_ISA "scalar"
#include "tokenizer/merge.h"
