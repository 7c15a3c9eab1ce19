/*
 * output = clamp(offset + rescale((a + offset_a) * (b + offset_b)))
 *
 * over a box of broadcast operands; the output is dense. The result may take the place of an
 * operand that is not broadcast.
 *
 * Defined by MulElementwise in tensorflow/lite/kernels/internal/reference/integer_ops/mul.h.
 */
#include "edgeml_kernels.h"

#if !defined(EDGEML_MVE)
void edgeml_mul(const edgeml_mul_t *layer, const int8_t *a, const int8_t *b, int8_t *output) {
  const edgeml_mul_t here = *layer; /* which no store to the output can change */
  const int32_t size = here.box.size[EDGEML_AXES - 1];
  const int32_t step_a = here.box.step_a[EDGEML_AXES - 1], step_b = here.box.step_b[EDGEML_AXES - 1];
  for (int32_t row = 0; row < here.box.rows; ++row, output += size) {
    const edgeml_place_t place = edgeml_row(&here.box, row);
    const int8_t *x = a + place.a, *y = b + place.b;
    for (int32_t i = 0; i < size; ++i, x += step_a, y += step_b) {
      const int32_t product = (*x + here.offset_a) * (*y + here.offset_b);
      const int32_t value = edgeml_rescale(product, here.multiplier, here.shift) + here.offset;
      output[i] = (int8_t)edgeml_clamp(value, here.lowest, here.highest);
    }
  }
}
#endif
