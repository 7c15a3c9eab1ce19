/*
 * output[o][i] = clamp(output_zero_point + rescale(sum_r input[o][r][i] - reduced * input_zero_point))
 *
 * input [outer, reduced, inner], output [outer, inner]; the multiplier holds the division by their number.
 * reduced < 2^23, so that no sum overflows.
 *
 * Defined by QuantizedMeanOrSum in tensorflow/lite/kernels/internal/reference/reduce.h.
 */
#include "edgeml_kernels.h"

void edgeml_mean(const edgeml_reduce_t *layer, const int8_t *input, int8_t *output) {
  for (int32_t o = 0; o < layer->outer; ++o, input += layer->reduced * layer->inner) {
    for (int32_t i = 0; i < layer->inner; ++i) {
      const int8_t *x = input + i;
      int32_t sum = -layer->reduced * layer->input_zero_point;
      for (int32_t r = 0; r < layer->reduced; ++r, x += layer->inner) {
        sum += *x;
      }
      const int32_t value = edgeml_rescale(sum, layer->multiplier, layer->shift) + layer->output_zero_point;
      *output++ = (int8_t)edgeml_clamp(value, -128, 127);
    }
  }
}
