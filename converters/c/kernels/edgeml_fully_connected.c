/*
 * output[r][o] = clamp(output_zero_point + rescale(bias[o] + sum_i input[r][i] * weights[o][i]))
 *
 * input [rows, inputs], weights [outputs, inputs], output [rows, outputs]. The bias already holds what the
 * input's zero point contributes. inputs < 131072, so that no sum of products overflows.
 *
 * Defined by FullyConnected in tensorflow/lite/kernels/internal/reference/integer_ops/fully_connected.h; its
 * sums are taken here four at a time, so that each operand is loaded less often.
 */
#include "edgeml_kernels.h"

#if !defined(EDGEML_DSP) && !defined(EDGEML_MVE)
#include "edgeml_finish.h"

/* sums[2 r + j] = sum_i x[r][i] * w[j][i]: x [2, n], w [2, n] */
static inline void two_by_two(const int8_t *x, const int8_t *w, int32_t n, int32_t sums[4]) {
  int32_t s00 = 0, s01 = 0, s10 = 0, s11 = 0;
  for (const int8_t *end = x + n; x != end; ++x, ++w) {
    s00 += x[0] * w[0];
    s01 += x[0] * w[n];
    s10 += x[n] * w[0];
    s11 += x[n] * w[n];
  }
  sums[0] = s00, sums[1] = s01, sums[2] = s10, sums[3] = s11;
}

/* sums[j] = sum_i x[i] * w[j][i]: x [n], w [4, n] */
static inline void one_by_four(const int8_t *x, const int8_t *w, int32_t n, int32_t sums[4]) {
  int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  const int8_t *v = w + 2 * n;
  for (const int8_t *end = x + n; x != end; ++x, ++w, ++v) {
    s0 += *x * w[0];
    s1 += *x * w[n];
    s2 += *x * v[0];
    s3 += *x * v[n];
  }
  sums[0] = s0, sums[1] = s1, sums[2] = s2, sums[3] = s3;
}

static inline int32_t one_by_one(const int8_t *x, const int8_t *w, int32_t n) {
  int32_t sum = 0;
  for (const int8_t *end = x + n; x != end; ++x, ++w) {
    sum += *x * *w;
  }
  return sum;
}

static inline int8_t finish(const edgeml_fully_connected_t *layer, int32_t o, int32_t sum) {
  const edgeml_range_t range = {layer->output_zero_point, layer->lowest, layer->highest};
  const int32_t which = o * layer->per_channel;
  return edgeml_finish(layer->narrow, edgeml_sum(sum, layer->bias[o]), layer->multiplier[which],
                       layer->shift[which], range);
}

/* Outputs of one row from `o` on. */
static inline void one_row(const edgeml_fully_connected_t *layer, const int8_t *x, int32_t o, int8_t *y) {
  const int8_t *w = layer->weights + o * layer->inputs;
  for (; o + 4 <= layer->outputs; o += 4, w += 4 * layer->inputs) {
    int32_t sums[4];
    one_by_four(x, w, layer->inputs, sums);
    for (int32_t i = 0; i < 4; ++i) {
      y[o + i] = finish(layer, o + i, sums[i]);
    }
  }
  for (; o < layer->outputs; ++o, w += layer->inputs) {
    y[o] = finish(layer, o, one_by_one(x, w, layer->inputs));
  }
}

void edgeml_fully_connected(const edgeml_fully_connected_t *layer, const int8_t *input, int8_t *output) {
  const edgeml_fully_connected_t here = *layer; /* which no store to the output can change */
  const int32_t inputs = here.inputs, outputs = here.outputs;
  int32_t row = 0;
  for (; row + 2 <= here.rows; row += 2, input += 2 * inputs, output += 2 * outputs) {
    int32_t o = 0;
    for (; o + 2 <= outputs; o += 2) {
      int32_t sums[4];
      two_by_two(input, here.weights + o * inputs, inputs, sums);
      output[o] = finish(&here, o, sums[0]);
      output[o + 1] = finish(&here, o + 1, sums[1]);
      output[outputs + o] = finish(&here, o, sums[2]);
      output[outputs + o + 1] = finish(&here, o + 1, sums[3]);
    }
    one_row(&here, input, o, output);
    one_row(&here, input + inputs, o, output + outputs);
  }
  if (row < here.rows) {
    one_row(&here, input, 0, output);
  }
}
#endif
