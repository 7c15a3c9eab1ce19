/*
 * output[r][o] = clamp(output_zero_point + rescale(bias[o] + sum_i input[r][i] * weights[o][i]))
 *
 * input [rows, inputs], weights [outputs, inputs], output [rows, outputs]. The bias already holds what the
 * input's zero point contributes. inputs < 131072, so that no sum of products overflows.
 *
 * Defined by FullyConnected in tensorflow/lite/kernels/internal/reference/integer_ops/fully_connected.h.
 */
#include "edgeml_dot.h"

/* Sums of four outputs from `o` on, or of as many as there are. */
static inline void sums_from(const edgeml_fully_connected_t *layer, const int8_t *x, int32_t o, int32_t sums[4]) {
  const int8_t *w = layer->weights + o * layer->inputs;
  if (o + 4 <= layer->outputs) {
    edgeml_dot_four(x, w, layer->inputs, sums);
  } else {
    for (int32_t i = 0; o + i < layer->outputs; ++i, w += layer->inputs) {
      sums[i] = edgeml_dot(x, w, layer->inputs);
    }
  }
}

#if defined(EDGEML_MVE)

/* Four outputs of every row: what belongs to an output is loaded once. */
static inline void four_outputs(const edgeml_fully_connected_t *layer, const int8_t *x, int32_t o, int8_t *output,
                                int32_t all) {
  const mve_pred16_t lanes = vctp32q((uint32_t)(layer->outputs - o));
  const int32_t each = layer->per_channel;
  const int32x4_t bias = vldrwq_z_s32(layer->bias + o, lanes);
  const int32x4_t multiplier =
      each ? vldrwq_z_s32(layer->multiplier + o, lanes) : vdupq_n_s32(layer->multiplier[0]);
  const int32x4_t shift = each ? vldrbq_z_s32(layer->shift + o, lanes) : vdupq_n_s32(layer->shift[0]);
  const int32x4_t lowest = vdupq_n_s32(layer->lowest), highest = vdupq_n_s32(layer->highest);
  int8_t *y = output + o;
  int32_t sums[4] = {0, 0, 0, 0};
  const int8_t *w = layer->weights + o * layer->inputs;
  for (int32_t row = 0; row < layer->rows; ++row, x += layer->inputs, y += layer->outputs) {
    if (all) {
      edgeml_dot_four(x, w, layer->inputs, sums);
    } else {
      sums_from(layer, x, o, sums);
    }
    int32x4_t value = edgeml_rescale_four(vaddq_s32(vldrwq_s32(sums), bias), multiplier, shift);
    value = vmaxq_s32(vaddq_n_s32(value, layer->output_zero_point), lowest);
    vstrbq_p_s32(y, vminq_s32(value, highest), lanes);
  }
}

void edgeml_fully_connected(const edgeml_fully_connected_t *layer, const int8_t *input, int8_t *output) {
  const edgeml_fully_connected_t here = *layer; /* which no store to the output can change */
  int32_t o = 0;
  for (; o + 4 <= here.outputs; o += 4) {
    four_outputs(&here, input, o, output, 1);
  }
  if (o < here.outputs) {
    four_outputs(&here, input, o, output, 0);
  }
}

#else

static inline int8_t finish(int32_t sum, int32_t multiplier, int32_t shift, edgeml_range_t range, int32_t narrow) {
  return narrow ? edgeml_narrow(sum, multiplier, shift, range) : edgeml_wide(sum, multiplier, shift, range);
}

/* Outputs of one row from `o` on, four by four. */
static inline void one_row(const edgeml_fully_connected_t *layer, const int8_t *x, int32_t o, int8_t *y,
                           int32_t narrow) {
  const edgeml_range_t range = {layer->output_zero_point, layer->lowest, layer->highest};
  int32_t sums[4] = {0, 0, 0, 0};
  while (o < layer->outputs) {
    sums_from(layer, x, o, sums);
    for (int32_t i = 0; i < 4 && o < layer->outputs; ++i, ++o) {
      const int32_t which = o * layer->per_channel;
      const int32_t sum = edgeml_sum(sums[i], layer->bias[o]);
      y[o] = finish(sum, layer->multiplier[which], layer->shift[which], range, narrow);
    }
  }
}

/* Outputs of two rows, two by two; returns how many. */
static inline int32_t two_rows(const edgeml_fully_connected_t *layer, const int8_t *x, int8_t *y, int32_t narrow) {
  const edgeml_range_t range = {layer->output_zero_point, layer->lowest, layer->highest};
  int8_t *z = y + layer->outputs;
  int32_t o = 0;
  for (; o + 2 <= layer->outputs; o += 2) {
    int32_t sums[4];
    edgeml_dot_two_by_two(x, layer->weights + o * layer->inputs, layer->inputs, sums);
    for (int32_t i = 0; i < 2; ++i) {
      const int32_t which = (o + i) * layer->per_channel, bias = layer->bias[o + i];
      const int32_t multiplier = layer->multiplier[which], shift = layer->shift[which];
      y[o + i] = finish(edgeml_sum(sums[i], bias), multiplier, shift, range, narrow);
      z[o + i] = finish(edgeml_sum(sums[2 + i], bias), multiplier, shift, range, narrow);
    }
  }
  return o;
}

static inline void every_row(const edgeml_fully_connected_t *layer, const int8_t *x, int8_t *y, int32_t narrow) {
  int32_t left = layer->rows;
  for (; left >= 2; left -= 2, x += 2 * layer->inputs, y += 2 * layer->outputs) {
    const int32_t done = two_rows(layer, x, y, narrow);
    if (done < layer->outputs) {
      one_row(layer, x, done, y, narrow);
      one_row(layer, x + layer->inputs, done, y + layer->outputs, narrow);
    }
  }
  if (left > 0) {
    one_row(layer, x, 0, y, narrow);
  }
}

void edgeml_fully_connected(const edgeml_fully_connected_t *layer, const int8_t *input, int8_t *output) {
  const edgeml_fully_connected_t here = *layer; /* which no store to the output can change */
  if (here.narrow) {
    every_row(&here, input, output, 1);
  } else {
    every_row(&here, input, output, 0);
  }
}

#endif
