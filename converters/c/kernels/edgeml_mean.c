/*
 * output[o][i] = clamp(output_zero_point + rescale(sum_r input[o][r][i] - reduced * input_zero_point))
 *
 * input [outer, reduced, inner], output [outer, inner]; the multiplier holds the division by their number.
 * reduced < 2^23, so that no sum overflows.
 *
 * Defined by QuantizedMeanOrSum in tensorflow/lite/kernels/internal/reference/reduce.h.
 */
#include "edgeml_kernels.h"

static int8_t finish(const edgeml_reduce_t *layer, int32_t sum) {
  const int32_t value = edgeml_rescale(sum, layer->multiplier, layer->shift) + layer->output_zero_point;
  return (int8_t)edgeml_clamp(value, -128, 127);
}

void edgeml_mean(const edgeml_reduce_t *layer, const int8_t *input, int8_t *output) {
  const edgeml_reduce_t here = *layer; /* which no store to the output can change */
  const int32_t inner = here.inner, nothing = -here.reduced * here.input_zero_point;
  for (int32_t o = 0; o < here.outer; ++o, input += here.reduced * inner) {
    int32_t i = 0;
    for (; i + 4 <= inner; i += 4, output += 4) {
      const int8_t *x = input + i;
      int32_t s0 = nothing, s1 = nothing, s2 = nothing, s3 = nothing;
      for (int32_t r = here.reduced; r > 0; --r, x += inner) {
        s0 += x[0];
        s1 += x[1];
        s2 += x[2];
        s3 += x[3];
      }
      output[0] = finish(&here, s0);
      output[1] = finish(&here, s1);
      output[2] = finish(&here, s2);
      output[3] = finish(&here, s3);
    }
    for (; i < inner; ++i) {
      const int8_t *x = input + i;
      int32_t sum = nothing;
      for (int32_t r = here.reduced; r > 0; --r, x += inner) {
        sum += *x;
      }
      *output++ = finish(&here, sum);
    }
  }
}
