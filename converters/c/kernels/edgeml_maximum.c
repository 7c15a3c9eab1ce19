/*
 * output = max(a, b)
 *
 * over a box of broadcast operands, all of one scale and zero point; the output is dense. The result may take the
 * place of an operand that is not broadcast.
 *
 * Defined by MaximumMinimumBroadcastSlow in tensorflow/lite/kernels/internal/reference/maximum_minimum.h.
 */
#include "edgeml_kernels.h"

void edgeml_maximum(const edgeml_box_t *layer, const int8_t *a, const int8_t *b, int8_t *output) {
  const int32_t size = layer->size[EDGEML_AXES - 1];
  const int32_t step_a = layer->step_a[EDGEML_AXES - 1], step_b = layer->step_b[EDGEML_AXES - 1];
  for (int32_t row = 0; row < layer->rows; ++row, output += size) {
    const edgeml_place_t place = edgeml_row(layer, row);
    const int8_t *x = a + place.a, *y = b + place.b;
    for (int32_t i = 0; i < size; ++i, x += step_a, y += step_b) {
      output[i] = *x > *y ? *x : *y;
    }
  }
}
