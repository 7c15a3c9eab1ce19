/*
 * output[r][i] = exp(input[r][i] - max) / sum_j exp(input[r][j] - max), in units of 1/256 from -128
 *
 * input and output [rows, depth], which may share one place. Exponentials come from the table, which is 0 where
 * the reference leaves an element out; their sum has 19 fractional bits; its reciprocal takes three steps of
 * Newton's.
 *
 * Defined by Softmax in tensorflow/lite/kernels/internal/reference/softmax.h and by
 * one_over_one_plus_x_for_x_in_0_1 in gemmlowp/fixedpoint/fixedpoint.h.
 */
#include "edgeml_kernels.h"

/* a * b * 2^-31, rounded; neither is the lowest of all. */
static int32_t product(int32_t a, int32_t b) { return (int32_t)(((int64_t)a * b + (1 << 30)) >> 31); }

/* a * 2^-bits, rounded, a >= 0 */
static int32_t halved(int32_t a, int32_t bits) { return bits > 0 ? ((a >> (bits - 1)) + 1) >> 1 : a; }

/* a * 2^bits, which stays within its 32 bits */
static int32_t doubled(int32_t a, int32_t bits) {
  const int32_t most = INT32_MAX >> bits;
  return a > most ? INT32_MAX : a < -most - 1 ? INT32_MIN : a * (1 << bits);
}

/* 1 / (1 + x) for x from 0 to 1, both in units of 2^-31 */
static int32_t reciprocal(int32_t x) {
  const int32_t half = (int32_t)(((int64_t)x + INT32_MAX + 1) / 2);
  int32_t y = 1515870810 + product(half, -1010580540); /* 48/17 - 32/17 half, in units of 2^-29 */
  for (int32_t i = 0; i < 3; ++i) {
    y += doubled(product(y, (1 << 29) - product(half, y)), 2);
  }
  return doubled(y, 1);
}

void edgeml_softmax(const edgeml_softmax_t *layer, const int8_t *input, int8_t *output) {
  for (int32_t row = 0; row < layer->rows; ++row, input += layer->depth, output += layer->depth) {
    int32_t largest = -128, sum = 0, zeros = 0;
    for (int32_t i = 0; i < layer->depth; ++i) {
      largest = input[i] > largest ? input[i] : largest;
    }
    for (int32_t i = 0; i < layer->depth; ++i) {
      sum += halved(layer->exponential[largest - input[i]], 12);
    }
    while (((uint32_t)sum << zeros & 0x80000000u) == 0) {
      ++zeros;
    }
    const int32_t scale = reciprocal((int32_t)(((uint32_t)sum << zeros) - 0x80000000u));
    for (int32_t i = 0; i < layer->depth; ++i) {
      const int32_t share = product(scale, layer->exponential[largest - input[i]]);
      output[i] = (int8_t)edgeml_clamp(halved(share, 12 - zeros + 31 - 8) - 128, -128, 127);
    }
  }
}
