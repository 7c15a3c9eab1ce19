/*
 * output[start_b + sum_n i_n * step_b[n]] = input[start_a + sum_n i_n * step_a[n]] for every i in the box
 *
 * Elements of `bytes`, whatever their type. The places must not overlap.
 *
 * What it stands for are TRANSPOSE, STRIDED_SLICE, SPLIT, UNPACK, CONCATENATION and PAD of
 * tensorflow/lite/kernels/internal/reference.
 */
#include "edgeml_kernels.h"

void edgeml_copy(const edgeml_copy_t *layer, const void *input, void *output) {
  const int32_t size = layer->box.size[EDGEML_AXES - 1], bytes = layer->bytes;
  const int32_t step_a = layer->box.step_a[EDGEML_AXES - 1] * bytes;
  const int32_t step_b = layer->box.step_b[EDGEML_AXES - 1] * bytes;
  for (int32_t row = 0; row < layer->box.rows; ++row) {
    const edgeml_place_t place = edgeml_row(&layer->box, row);
    const uint8_t *from = (const uint8_t *)input + (layer->start_a + place.a) * bytes;
    uint8_t *to = (uint8_t *)output + (layer->start_b + place.b) * bytes;
    if (step_a == bytes && step_b == bytes) {
      memcpy(to, from, (size_t)(size * bytes));
    } else {
      for (int32_t i = 0; i < size; ++i) {
        memcpy(to + i * step_b, from + i * step_a, (size_t)bytes);
      }
    }
  }
}
