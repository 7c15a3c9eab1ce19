/*
 * output = clamp(offset + rescale(rescale((a + offset_a) * 2^20) + sign * rescale((b + offset_b) * 2^20)))
 *
 * over a box of broadcast operands; the output is dense. The result may take the place of an
 * operand that is not broadcast.
 *
 * Defined by AddElementwise in tensorflow/lite/kernels/internal/reference/integer_ops/add.h and by
 * SubElementwise in tensorflow/lite/kernels/internal/reference/sub.h.
 */
#include "edgeml_kernels.h"

#if !defined(EDGEML_MVE)
/* An operand in the scale of both: the shift is never to the left, and no value needs more than 29 bits. */
static inline int32_t scaled(int32_t value, int32_t offset, int32_t multiplier, int32_t shift) {
  const int32_t high = (int32_t)(((int64_t)((value + offset) * (1 << 21)) * multiplier + 0x80000000LL) >> 32);
  return shift == 0 ? high : (((high + (high >> 31)) >> ~shift) + 1) >> 1;
}

void edgeml_add(const edgeml_add_t *layer, const int8_t *a, const int8_t *b, int8_t *output) {
  const edgeml_add_t here = *layer; /* which no store to the output can change */
  const int32_t size = here.box.size[EDGEML_AXES - 1];
  const int32_t step_a = here.box.step_a[EDGEML_AXES - 1], step_b = here.box.step_b[EDGEML_AXES - 1];
  for (int32_t row = 0; row < here.box.rows; ++row, output += size) {
    const edgeml_place_t place = edgeml_row(&layer->box, row);
    const int8_t *x = a + place.a, *y = b + place.b;
    for (int32_t i = 0; i < size; ++i, x += step_a, y += step_b) {
      const int32_t one = scaled(*x, here.offset_a, here.multiplier_a, here.shift_a);
      const int32_t two = scaled(*y, here.offset_b, here.multiplier_b, here.shift_b);
      const int32_t sum = edgeml_rescale(one + here.sign * two, here.multiplier, here.shift);
      output[i] = (int8_t)edgeml_clamp(sum + here.offset, here.lowest, here.highest);
    }
  }
}
#endif
