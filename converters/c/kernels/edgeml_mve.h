/*
 * For cores with vectors of 128 bits (M-profile vector extension): moves, and how four sums become outputs.
 */
#ifndef EDGEML_MVE_H
#define EDGEML_MVE_H

#include <arm_mve.h>

#include "edgeml_kernels.h"

/* What edgeml_gather.h needs. */
static inline void put(int8_t *row, int32_t at, const int8_t *from, int32_t count) {
  int8_t *to = row + at;
  /* In assembly for the loop that needs no rest: its last turn moves only what is left. */
  __asm__ volatile(
      "   wlstp.8 lr, %[count], 2f\n"
      "1: vldrb.8 q0, [%[from]], #16\n"
      "   vstrb.8 q0, [%[to]], #16\n"
      "   letp lr, 1b\n"
      "2:\n"
      : [to] "+r"(to), [from] "+r"(from)
      : [count] "r"(count)
      : "q0", "lr", "memory");
}

static inline void fill(int8_t *row, int32_t at, int32_t value, int32_t count) {
  int8_t *to = row + at;
  __asm__ volatile(
      "   vdup.8 q0, %[value]\n"
      "   wlstp.8 lr, %[count], 2f\n"
      "1: vstrb.8 q0, [%[to]], #16\n"
      "   letp lr, 1b\n"
      "2:\n"
      : [to] "+r"(to)
      : [value] "r"(value), [count] "r"(count)
      : "q0", "lr", "memory");
}

/* The lowest byte of each is the value within the limits of int8. */
static inline int32x4_t edgeml_int8(int32x4_t value) {
  const int16x8_t halves = vqmovnbq_s32(vreinterpretq_s16_s32(value), value);
  return vreinterpretq_s32_s8(vqmovnbq_s16(vreinterpretq_s8_s16(halves), halves));
}

/* edgeml_rescale of four values by one multiplier and shift. */
static inline int32x4_t edgeml_rescale_by(int32x4_t value, int32_t multiplier, int32_t shift) {
  if (shift < 0) {
    value = vqrdmulhq_n_s32(value, multiplier);
    /* One less for what is negative, so that halves round away from zero. */
    return vrshlq_n_s32(vqaddq_s32(value, vshrq_n_s32(value, 31)), shift);
  }
  return vqrdmulhq_n_s32(vshlq_r_s32(value, shift), multiplier);
}

/* edgeml_rescale of four values, each with a multiplier and a shift of its own. */
static inline int32x4_t edgeml_rescale_four(int32x4_t value, int32x4_t multiplier, int32x4_t shift) {
  const int32x4_t none = vdupq_n_s32(0), right = vminq_s32(shift, none);
  const int32x4_t high = vqrdmulhq_s32(vshlq_s32(value, vmaxq_s32(shift, none)), multiplier);
  /* One less for what is negative and shifted, so that halves round away from zero. */
  return vrshlq_s32(vqaddq_s32(high, vshrq_n_s32(vandq_s32(high, right), 31)), right);
}

/* The same, then the zero point and the limits of int8. */
static inline int32x4_t edgeml_finish(int32x4_t sums, int32x4_t multiplier, int32x4_t shift, int32_t zero_point) {
  return edgeml_int8(vaddq_n_s32(edgeml_rescale_four(sums, multiplier, shift), zero_point));
}

static inline int32x4_t edgeml_vector(int32_t a, int32_t b, int32_t c, int32_t d) {
  int32x4_t vector = vdupq_n_s32(a);
  vector = vsetq_lane_s32(b, vector, 1);
  vector = vsetq_lane_s32(c, vector, 2);
  return vsetq_lane_s32(d, vector, 3);
}

/* The same of sums of 31 bits that are shifted to the right, within the limits of int8. */
static inline int32x4_t edgeml_finish_narrow(int32x4_t sums, int32x4_t multiplier, int32x4_t shift,
                                             int32_t zero_point) {
  int32x4_t value = vqrdmulhq_s32(sums, multiplier);
  value = vqaddq_s32(value, vshrq_n_s32(value, 31));
  return edgeml_int8(vaddq_n_s32(vrshlq_s32(value, shift), zero_point));
}

/* Limits narrower than those of int8 on what is finished. */
static inline void edgeml_limit(int32_t lowest, int32_t highest, int8_t *values, int32_t count) {
  if (lowest > -128 || highest < 127) {
    const int8x16_t low = vdupq_n_s8((int8_t)lowest), high = vdupq_n_s8((int8_t)highest);
    for (; count > 0; count -= 16, values += 16) {
      const mve_pred16_t lanes = vctp8q((uint32_t)count);
      vstrbq_p_s8(values, vminq_s8(vmaxq_s8(vldrbq_z_s8(values, lanes), low), high), lanes);
    }
  }
}

#endif /* EDGEML_MVE_H */
