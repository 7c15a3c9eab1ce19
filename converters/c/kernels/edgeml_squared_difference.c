/*
 * output = clamp(offset + rescale((rescale((a + offset_a) * 2^7) - rescale((b + offset_b) * 2^7))^2))
 *
 * over a box of broadcast operands; the output is dense. The result may take the place of an operand that is not
 * broadcast. No multiplier of an operand is above 1/2, so that the square stays within its 32 bits.
 *
 * Defined by SquaredDifference in tensorflow/lite/micro/kernels/squared_difference.cc.
 */
#include "edgeml_kernels.h"

void edgeml_squared_difference(const edgeml_squared_difference_t *layer, const int8_t *a, const int8_t *b,
                               int8_t *output) {
  const int32_t size = layer->box.size[EDGEML_AXES - 1];
  const int32_t step_a = layer->box.step_a[EDGEML_AXES - 1], step_b = layer->box.step_b[EDGEML_AXES - 1];
  for (int32_t row = 0; row < layer->box.rows; ++row, output += size) {
    const edgeml_place_t place = edgeml_row(&layer->box, row);
    const int8_t *x = a + place.a, *y = b + place.b;
    for (int32_t i = 0; i < size; ++i, x += step_a, y += step_b) {
      const int32_t one = edgeml_rescale((*x + layer->offset_a) * (1 << 7), layer->multiplier_a, layer->shift_a);
      const int32_t two = edgeml_rescale((*y + layer->offset_b) * (1 << 7), layer->multiplier_b, layer->shift_b);
      const int32_t value = edgeml_rescale((one - two) * (one - two), layer->multiplier, layer->shift);
      output[i] = (int8_t)edgeml_clamp(value + layer->offset, -128, 127);
    }
  }
}
