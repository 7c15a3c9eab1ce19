/*
 * output[r][i] = clamp(x_i / sqrt(sum_j x_j^2)), x = input[r] - zero_point, in units of 1/128
 *
 * input and output [rows, depth], which may share one place. depth < 33026, so that no sum overflows. The root's
 * reciprocal takes five steps of Newton's, with 28 fractional bits.
 *
 * Defined by L2Normalization in tensorflow/lite/kernels/internal/reference/integer_ops/l2normalization.h and by
 * GetInvSqrtQuantizedMultiplierExp in tensorflow/lite/kernels/internal/common.h.
 */
#include "edgeml_kernels.h"

/* a * b * 2^-31, rounded; neither is the lowest of all. */
static int32_t product(int32_t a, int32_t b) { return (int32_t)(((int64_t)a * b + (1 << 30)) >> 31); }

/* a * 2^bits, which stays within its 32 bits */
static int32_t doubled(int32_t a, int32_t bits) {
  const int32_t most = INT32_MAX >> bits;
  return a > most ? INT32_MAX : a < -most - 1 ? INT32_MIN : a * (1 << bits);
}

/* A factor as edgeml_rescale takes it. */
typedef struct {
  int32_t multiplier, shift;
} factor_t;

/* 1 / sqrt(value) */
static factor_t reciprocal_root(int32_t value) {
  if (value <= 1) {
    return (factor_t){INT32_MAX, 0};
  }
  int32_t right = 11;
  for (; value >= 1 << 29; value /= 4) {
    ++right;
  }
  for (; value < 1 << 27; value *= 4) {
    --right;
  }
  const int32_t half = ((value >> 1) + 1) >> 1;
  int32_t root = 1 << 28;
  for (int32_t i = 0; i < 5; ++i) {
    const int32_t cube = doubled(product(product(root, root), root), 6);
    root = doubled(product(3 << 27, root) - product(half, cube), 3);
  }
  root = product(root, 1518500250); /* by the root of a half */
  return right < 0 ? (factor_t){root * (1 << -right), 0} : (factor_t){root, -right};
}

void edgeml_l2_normalization(const edgeml_l2_normalization_t *layer, const int8_t *input, int8_t *output) {
  for (int32_t row = 0; row < layer->rows; ++row, input += layer->depth, output += layer->depth) {
    int32_t sum = 0;
    for (int32_t i = 0; i < layer->depth; ++i) {
      const int32_t x = input[i] - layer->zero_point;
      sum += x * x;
    }
    const factor_t factor = reciprocal_root(sum);
    for (int32_t i = 0; i < layer->depth; ++i) {
      const int32_t value = edgeml_rescale(input[i] - layer->zero_point, factor.multiplier, factor.shift + 7);
      output[i] = (int8_t)edgeml_clamp(value, -128, 127);
    }
  }
}
