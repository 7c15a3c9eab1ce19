/*
 * output[o][i] = min_r input[o][r][i]
 *
 * input [outer, reduced, inner], output [outer, inner], of one scale and zero point.
 *
 * Defined by EvalMinHelper in tensorflow/lite/micro/kernels/reduce_common.cc.
 */
#include "edgeml_kernels.h"

void edgeml_reduce_min(const edgeml_reduce_t *layer, const int8_t *input, int8_t *output) {
  for (int32_t o = 0; o < layer->outer; ++o, input += layer->reduced * layer->inner) {
    for (int32_t i = 0; i < layer->inner; ++i) {
      const int8_t *x = input + i;
      int8_t smallest = *x;
      for (int32_t r = 1; r < layer->reduced; ++r) {
        x += layer->inner;
        smallest = *x < smallest ? *x : smallest;
      }
      *output++ = smallest;
    }
  }
}
