/*
 * output[i] = scale * (input[i] - zero_point), float32. From the last to the first, so that the output may
 * begin where the input does.
 *
 * Defined by Dequantize in tensorflow/lite/kernels/internal/reference/dequantize.h.
 */
#include "edgeml_kernels.h"

void edgeml_dequantize(const edgeml_affine_t *layer, const int8_t *input, float *output) {
  for (int32_t i = layer->elements - 1; i >= 0; --i) {
    output[i] = layer->scale * (float)(input[i] - layer->zero_point);
  }
}
