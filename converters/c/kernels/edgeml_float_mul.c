/*
 * output = clamp(a * b), float32
 *
 * over a box of broadcast operands; the output is dense. The result may take the place of an
 * operand that is not broadcast. Equal to the reference but for the last bit where a compiler contracts.
 *
 * Defined by Mul in tensorflow/lite/kernels/internal/reference/mul.h.
 */
#include "edgeml_kernels.h"

void edgeml_float_mul(const edgeml_float_t *layer, const float *a, const float *b, float *output) {
  const int32_t size = layer->box.size[EDGEML_AXES - 1];
  const int32_t step_a = layer->box.step_a[EDGEML_AXES - 1], step_b = layer->box.step_b[EDGEML_AXES - 1];
  for (int32_t row = 0; row < layer->box.rows; ++row, output += size) {
    const edgeml_place_t place = edgeml_row(&layer->box, row);
    const float *x = a + place.a, *y = b + place.b;
    for (int32_t i = 0; i < size; ++i, x += step_a, y += step_b) {
      const float value = *x * *y;
      output[i] = value < layer->lowest ? layer->lowest : value > layer->highest ? layer->highest : value;
    }
  }
}
