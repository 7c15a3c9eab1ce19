/*
 * output = clamp(offset + (x >= 0 ? rescale(x) : rescale(x * slope))), x = a + offset_a, slope = b + offset_b
 *
 * over a box of inputs a and broadcast slopes b; the output is dense. The result may take the place of the input.
 *
 * Defined by BroadcastPrelu4DSlow in tensorflow/lite/kernels/internal/reference/prelu.h.
 */
#include "edgeml_kernels.h"

void edgeml_prelu(const edgeml_prelu_t *layer, const int8_t *a, const int8_t *b, int8_t *output) {
  const int32_t size = layer->box.size[EDGEML_AXES - 1];
  const int32_t step_a = layer->box.step_a[EDGEML_AXES - 1], step_b = layer->box.step_b[EDGEML_AXES - 1];
  for (int32_t row = 0; row < layer->box.rows; ++row, output += size) {
    const edgeml_place_t place = edgeml_row(&layer->box, row);
    const int8_t *from = a + place.a, *slope = b + place.b;
    for (int32_t i = 0; i < size; ++i, from += step_a, slope += step_b) {
      const int32_t x = *from + layer->offset_a;
      const int32_t value =
          x >= 0 ? edgeml_rescale(x, layer->multiplier, layer->shift)
                 : edgeml_rescale(x * (*slope + layer->offset_b), layer->slope_multiplier, layer->slope_shift);
      output[i] = (int8_t)edgeml_clamp(value + layer->offset, -128, 127);
    }
  }
}
