/*
 * output[r][o] = clamp(output_zero_point + rescale(bias[o] + sum_i input[r][i] * weights[o][i]))
 *
 * input [rows, inputs], weights [outputs, inputs], output [rows, outputs]. The bias already holds what the
 * input's zero point contributes. inputs < 131072, so that no sum of products overflows.
 *
 * Defined by FullyConnected in tensorflow/lite/kernels/internal/reference/integer_ops/fully_connected.h; its
 * sums are taken here for two rows and two outputs at once, so that each operand is loaded half as often.
 */
#include "edgeml_kernels.h"

typedef struct {
  int32_t of[2][2]; /* [row][output] */
} tile_t;

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)
#include <arm_mve.h>

static inline tile_t two_rows(const int8_t *x0, const int8_t *x1, const int8_t *w0, const int8_t *w1, int32_t n) {
  int32_t s00 = 0, s01 = 0, s10 = 0, s11 = 0;
  for (; n > 0; n -= 16, x0 += 16, x1 += 16, w0 += 16, w1 += 16) {
    const mve_pred16_t lanes = vctp8q((uint32_t)n);
    const int8x16_t a0 = vldrbq_z_s8(x0, lanes), a1 = vldrbq_z_s8(x1, lanes);
    const int8x16_t b0 = vldrbq_z_s8(w0, lanes), b1 = vldrbq_z_s8(w1, lanes);
    s00 = vmladavaq_s8(s00, a0, b0);
    s01 = vmladavaq_s8(s01, a0, b1);
    s10 = vmladavaq_s8(s10, a1, b0);
    s11 = vmladavaq_s8(s11, a1, b1);
  }
  return (tile_t){{{s00, s01}, {s10, s11}}};
}

static inline tile_t one_row(const int8_t *x, const int8_t *w0, const int8_t *w1, int32_t n) {
  int32_t s0 = 0, s1 = 0;
  for (; n > 0; n -= 16, x += 16, w0 += 16, w1 += 16) {
    const mve_pred16_t lanes = vctp8q((uint32_t)n);
    const int8x16_t a = vldrbq_z_s8(x, lanes);
    s0 = vmladavaq_s8(s0, a, vldrbq_z_s8(w0, lanes));
    s1 = vmladavaq_s8(s1, a, vldrbq_z_s8(w1, lanes));
  }
  return (tile_t){{{s0, s1}, {0, 0}}};
}

#else

#if defined(__ARM_FEATURE_SIMD32)
#include <arm_acle.h>

/* Bytes 0 and 2 of four, and bytes 1 and 3, each sign-extended to a half of a word. */
#define EVEN(word) __sxtb16(word)
#define ODD(word) __sxtb16((int8x4_t)(((uint32_t)(word) >> 8) | ((uint32_t)(word) << 24)))

static inline int8x4_t four(const int8_t *at) {
  int8x4_t word;
  memcpy(&word, at, sizeof word);
  return word;
}

#endif

static inline tile_t two_rows(const int8_t *x0, const int8_t *x1, const int8_t *w0, const int8_t *w1, int32_t n) {
  int32_t s00 = 0, s01 = 0, s10 = 0, s11 = 0;
#if defined(__ARM_FEATURE_SIMD32)
  for (; n >= 4; n -= 4, x0 += 4, x1 += 4, w0 += 4, w1 += 4) {
    const int8x4_t a0 = four(x0), a1 = four(x1), b0 = four(w0), b1 = four(w1);
    const int16x2_t a0e = EVEN(a0), a0o = ODD(a0), a1e = EVEN(a1), a1o = ODD(a1);
    const int16x2_t b0e = EVEN(b0), b0o = ODD(b0), b1e = EVEN(b1), b1o = ODD(b1);
    s00 = __smlad(a0o, b0o, __smlad(a0e, b0e, s00));
    s01 = __smlad(a0o, b1o, __smlad(a0e, b1e, s01));
    s10 = __smlad(a1o, b0o, __smlad(a1e, b0e, s10));
    s11 = __smlad(a1o, b1o, __smlad(a1e, b1e, s11));
  }
#endif
  for (; n > 0; --n) {
    const int32_t a0 = *x0++, a1 = *x1++, b0 = *w0++, b1 = *w1++;
    s00 += a0 * b0;
    s01 += a0 * b1;
    s10 += a1 * b0;
    s11 += a1 * b1;
  }
  return (tile_t){{{s00, s01}, {s10, s11}}};
}

static inline tile_t one_row(const int8_t *x, const int8_t *w0, const int8_t *w1, int32_t n) {
  int32_t s0 = 0, s1 = 0;
#if defined(__ARM_FEATURE_SIMD32)
  for (; n >= 4; n -= 4, x += 4, w0 += 4, w1 += 4) {
    const int8x4_t a = four(x), b0 = four(w0), b1 = four(w1);
    const int16x2_t ae = EVEN(a), ao = ODD(a);
    s0 = __smlad(ao, ODD(b0), __smlad(ae, EVEN(b0), s0));
    s1 = __smlad(ao, ODD(b1), __smlad(ae, EVEN(b1), s1));
  }
#endif
  for (; n > 0; --n) {
    const int32_t a = *x++;
    s0 += a * *w0++;
    s1 += a * *w1++;
  }
  return (tile_t){{{s0, s1}, {0, 0}}};
}

#endif

static inline int8_t finish(const edgeml_fully_connected_t *layer, int32_t o, int32_t sum) {
  const int32_t which = o * layer->per_channel;
  const int32_t value =
      edgeml_rescale(edgeml_sum(sum, layer->bias[o]), layer->multiplier[which], layer->shift[which]);
  return (int8_t)edgeml_clamp(value + layer->output_zero_point, layer->lowest, layer->highest);
}

void edgeml_fully_connected(const edgeml_fully_connected_t *layer, const int8_t *input, int8_t *output) {
  const int32_t inputs = layer->inputs, outputs = layer->outputs;
  int32_t row = 0;
  for (; row < layer->rows; row += 2) {
    const int32_t pair = row + 1 < layer->rows;
    const int8_t *x = input + row * inputs;
    int8_t *y = output + row * outputs;
    for (int32_t o = 0; o < outputs; o += 2) {
      /* The last of an odd number is computed twice and kept once. */
      const int32_t next = o + 1 < outputs ? o + 1 : o;
      const int8_t *w0 = layer->weights + o * inputs, *w1 = layer->weights + next * inputs;
      const tile_t sums = pair ? two_rows(x, x + inputs, w0, w1, inputs) : one_row(x, w0, w1, inputs);
      y[o] = finish(layer, o, sums.of[0][0]);
      y[next] = finish(layer, next, sums.of[0][1]);
      if (pair) {
        y[outputs + o] = finish(layer, o, sums.of[1][0]);
        y[outputs + next] = finish(layer, next, sums.of[1][1]);
      }
    }
  }
}
