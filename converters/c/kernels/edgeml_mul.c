/*
 * output = clamp(offset + rescale((a + offset_a) * (b + offset_b)))
 *
 * over a box of broadcast operands; the output is dense. The result may take the place of an
 * operand that is not broadcast.
 *
 * Defined by MulElementwise in tensorflow/lite/kernels/internal/reference/integer_ops/mul.h.
 */
#include "edgeml_kernels.h"

void edgeml_mul(const edgeml_mul_t *layer, const int8_t *a, const int8_t *b, int8_t *output) {
  const int32_t size = layer->box.size[EDGEML_AXES - 1];
  const int32_t step_a = layer->box.step_a[EDGEML_AXES - 1], step_b = layer->box.step_b[EDGEML_AXES - 1];
  for (int32_t row = 0; row < layer->box.rows; ++row, output += size) {
    const edgeml_place_t place = edgeml_row(&layer->box, row);
    const int8_t *x = a + place.a, *y = b + place.b;
    for (int32_t i = 0; i < size; ++i, x += step_a, y += step_b) {
      const int32_t product = (*x + layer->offset_a) * (*y + layer->offset_b);
      const int32_t value = edgeml_rescale(product, layer->multiplier, layer->shift) + layer->offset;
      output[i] = (int8_t)edgeml_clamp(value, layer->lowest, layer->highest);
    }
  }
}
