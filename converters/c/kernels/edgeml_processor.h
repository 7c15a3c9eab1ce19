/*
 * What the processor has: EDGEML_MVE on cores with vectors (Cortex-M55, M85), EDGEML_SMLAD on those with products
 * of halves of words (Cortex-M4, M7, M33). Any other takes the plain C beside it; all give the same bits.
 */
#ifndef EDGEML_PROCESSOR_H
#define EDGEML_PROCESSOR_H

#include "edgeml_kernels.h"

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)
#define EDGEML_MVE 1
#include <arm_mve.h>
#elif defined(__ARM_FEATURE_SIMD32)
#define EDGEML_SMLAD 1
#include <arm_acle.h>
#endif

#if defined(EDGEML_SMLAD)

/* Four bytes, wherever they lie. */
static inline int8x4_t edgeml_word(const int8_t *at) {
  int8x4_t word;
  memcpy(&word, at, sizeof word);
  return word;
}

/* Bytes 0 and 2 of a word as two int16. */
static inline int16x2_t edgeml_even(int8x4_t word) { return __sxtb16(word); }

/* Bytes 1 and 3: one instruction, which the intrinsic takes two for. */
static inline int16x2_t edgeml_odd(int8x4_t word) {
  int16x2_t pair;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(word));
  return pair;
}

#endif

#if defined(EDGEML_MVE)

/* edgeml_rescale of four values, each with a multiplier and a shift of its own. */
static inline int32x4_t edgeml_rescale_four(int32x4_t value, int32x4_t multiplier, int32x4_t shift) {
  const int32x4_t zero = vdupq_n_s32(0), right = vminq_s32(shift, zero);
  const int32x4_t high = vqrdmulhq_s32(vshlq_s32(value, vmaxq_s32(shift, zero)), multiplier);
  /* vrshl rounds halves up: one less where the value is negative, and shifted at all. */
  return vrshlq_s32(vaddq_s32(high, vshrq_n_s32(vandq_s32(high, right), 31)), right);
}

#endif

/* What an output may be. */
typedef struct {
  int32_t zero_point, lowest, highest;
} edgeml_range_t;

/* a * b * 2^-32, rounded half up */
static inline int32_t edgeml_high_product(int32_t a, int32_t b) {
#if defined(EDGEML_SMLAD)
  int32_t high;
  __asm__("smmulr %0, %1, %2" : "=r"(high) : "r"(a), "r"(b));
  return high;
#else
  return (int32_t)(((int64_t)a * b + 0x80000000LL) >> 32);
#endif
}

/*
 * clamp(zero_point + edgeml_rescale(sum, multiplier, shift)) in half of its instructions, for layers that are
 * `narrow`: |sum| < 2^30 and shift < 0.
 */
static inline int8_t edgeml_narrow(int32_t sum, int32_t multiplier, int32_t shift, edgeml_range_t range) {
  const int32_t high = edgeml_high_product(2 * sum, multiplier);
  const int32_t value = (((high + (high >> 31)) >> ~shift) + 1 + 2 * range.zero_point) >> 1;
  return (int8_t)edgeml_clamp(value, range.lowest, range.highest);
}

/* The same for any layer. */
static inline int8_t edgeml_wide(int32_t sum, int32_t multiplier, int32_t shift, edgeml_range_t range) {
  const int32_t value = edgeml_rescale(sum, multiplier, shift) + range.zero_point;
  return (int8_t)edgeml_clamp(value, range.lowest, range.highest);
}

/* memcpy of a few bytes, without its call; returns the end of the copy. */
static inline int8_t *edgeml_put(int8_t *to, const int8_t *from, int32_t count) {
  for (; count >= 4; count -= 4, from += 4, to += 4) {
    memcpy(to, from, 4);
  }
  for (; count > 0; --count) {
    *to++ = *from++;
  }
  return to;
}

#endif /* EDGEML_PROCESSOR_H */
