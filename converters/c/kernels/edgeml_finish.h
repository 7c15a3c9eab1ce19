/*
 * How the sum of an output becomes its int8, in plain C.
 */
#ifndef EDGEML_FINISH_H
#define EDGEML_FINISH_H

#include "edgeml_kernels.h"

/* What an output may be. */
typedef struct {
  int32_t zero_point, lowest, highest;
} edgeml_range_t;

/*
 * clamp(zero_point + edgeml_rescale(sum, multiplier, shift)); in half of its instructions for layers that are
 * `narrow`: |sum| < 2^30 and shift < 0.
 */
static inline int8_t edgeml_finish(int32_t narrow, int32_t sum, int32_t multiplier, int32_t shift,
                                   edgeml_range_t range) {
  if (narrow) {
    const int32_t high = (int32_t)(((int64_t)(2 * sum) * multiplier + 0x80000000LL) >> 32);
    const int32_t value = (((high + (high >> 31)) >> ~shift) + 1 + 2 * range.zero_point) >> 1;
    return (int8_t)edgeml_clamp(value, range.lowest, range.highest);
  }
  const int32_t value = edgeml_rescale(sum, multiplier, shift) + range.zero_point;
  return (int8_t)edgeml_clamp(value, range.lowest, range.highest);
}

#endif /* EDGEML_FINISH_H */
