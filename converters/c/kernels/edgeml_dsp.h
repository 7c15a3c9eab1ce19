/*
 * For cores with SMLAD, which adds two products of halves of words at once: how four bytes become such halves, and
 * how a sum becomes an output.
 */
#ifndef EDGEML_DSP_H
#define EDGEML_DSP_H

#include <arm_acle.h>

#include "edgeml_kernels.h"

static inline uint32_t edgeml_four(const int8_t *at) {
  uint32_t word;
  memcpy(&word, at, sizeof word);
  return word;
}

/* The last bytes of a row, fewer than four, and zeros. */
static inline uint32_t edgeml_rest(const int8_t *at, int32_t count) {
  uint32_t word = 0;
  for (int32_t i = 0; i < count; ++i) {
    word |= (uint32_t)(uint8_t)at[i] << 8 * i;
  }
  return word;
}

/* Bytes 0 and 2 as halves. */
static inline int16x2_t edgeml_even(uint32_t word) { return __sxtb16((int8x4_t)word); }

/* Bytes 1 and 3 as halves, in one instruction, which compilers do not find. */
static inline int16x2_t edgeml_odd(uint32_t word) {
  int16x2_t halves;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(halves) : "r"(word));
  return halves;
}

/* value * multiplier * 2^-32, rounded half up. */
static inline int32_t edgeml_high(int32_t value, int32_t multiplier) {
  int32_t high;
  __asm__("smmulr %0, %1, %2" : "=r"(high) : "r"(value), "r"(multiplier));
  return high;
}

/* value / 2, rounded down, within the limits of int8. */
static inline int8_t edgeml_half(int32_t value) {
  int32_t within;
  __asm__("ssat %0, #8, %1, asr #1" : "=r"(within) : "r"(value) : "cc");
  return (int8_t)within;
}

/* An output from a sum with bias, of a layer that is narrow, and of any. */
static inline int8_t edgeml_narrow(int32_t sum, int32_t multiplier, int32_t shift, int32_t zero_point) {
  const int32_t high = edgeml_high(sum * 2, multiplier);
  return edgeml_half(((high + (high >> 31)) >> ~shift) + 2 * zero_point + 1);
}

static inline int8_t edgeml_wide(int32_t sum, int32_t multiplier, int32_t shift, int32_t zero_point) {
  return (int8_t)edgeml_clamp(edgeml_rescale(sum, multiplier, shift) + zero_point, -128, 127);
}

/* Either; the limits of a fused activation come later, see edgeml_limit. */
static inline int8_t edgeml_finish(int32_t narrow, int32_t sum, int32_t multiplier, int32_t shift,
                                   int32_t zero_point) {
  return narrow ? edgeml_narrow(sum, multiplier, shift, zero_point)
                : edgeml_wide(sum, multiplier, shift, zero_point);
}

/* Limits narrower than those of int8 on what is finished. */
static inline void edgeml_limit(int32_t lowest, int32_t highest, int8_t *values, int32_t count) {
  if (lowest > -128 || highest < 127) {
    for (int32_t i = 0; i < count; ++i) {
      values[i] = (int8_t)edgeml_clamp(values[i], lowest, highest);
    }
  }
}

#endif /* EDGEML_DSP_H */
