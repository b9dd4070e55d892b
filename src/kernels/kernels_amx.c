/*
 * kernels_amx.c - the tile instructions of processors with AMX, and what they need of AVX-512.
 *
 * As assembly, because gcc 12's intrinsics do not say that they read a whole configuration, or
 * memory at all. The compiler never uses tiles itself, so none is named as changed.
 */
#if defined(__x86_64__)

#include "kernels/kernels.h"

#include <immintrin.h>

#define PLAIN (&limn_kernels_avx512_vnni)

#define TILE_CONFIGURE(p)                                                                          \
  __asm__ volatile("ldtilecfg %0" : : "m"(*(const tile_config *)(p)) : "memory")
#define TILE_RELEASE() __asm__ volatile("tilerelease" : : : "memory")
#define TILE_ZERO(t)   __asm__ volatile("tilezero %%tmm" #t : : : "memory")
#define TILE_LOAD(t, p, step)                                                                      \
  __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #t                                                 \
                   :                                                                               \
                   : "r"((const void *)(p)), "r"((int64_t)(step))                                  \
                   : "memory")
#define TILE_STORE(t, p, step)                                                                     \
  __asm__ volatile("tilestored %%tmm" #t ", (%0,%1,1)"                                             \
                   :                                                                               \
                   : "r"((void *)(p)), "r"((int64_t)(step))                                        \
                   : "memory")
#define TILE_BF16(c, a, b)                                                                         \
  __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c : : : "memory")
#define TILE_BYTES(c, a, b)                                                                        \
  __asm__ volatile("tdpbssd %%tmm" #b ", %%tmm" #a ", %%tmm" #c : : : "memory")

typedef __m512 V;
#define V_LOAD(p)      _mm512_loadu_ps(p)
#define V_LOAD_INTS(p) _mm512_cvtepi32_ps(_mm512_loadu_si512(p))
#define V_STORE(p, v)  _mm512_storeu_ps(p, v)
#define V_SET(x)       _mm512_set1_ps(x)
#define V_MUL(a, b)    _mm512_mul_ps(a, b)
#define V_FMA(a, b, c) _mm512_fmadd_ps(a, b, c)

#include "kernels/tiles.h"

const limn_tiles limn_tiles_amx = TILES;

void limn_amx_product_q8(int64_t n, int64_t k, limn_quantized a, int64_t a_step, const void *panel,
                         const float *start, float *c, int64_t c_step, int64_t width) {
  tile_product_q8(n, k, a, a_step, panel, start, c, c_step, width);
}

void limn_amx_product_q4(int64_t n, int64_t k, limn_quantized a, int64_t a_step, const void *panel,
                         const float *start, float *c, int64_t c_step, int64_t width) {
  tile_product_q4(n, k, a, a_step, panel, start, c, c_step, width);
}

#else
typedef int limn_no_amx_here; /* a file must not be empty */
#endif
