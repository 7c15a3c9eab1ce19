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

static inline int8_t finish(const edgeml_fully_connected_t *layer, int32_t o, int32_t sum) {
  const int32_t which = o * layer->per_channel;
  const int32_t value =
      edgeml_rescale(edgeml_sum(sum, layer->bias[o]), layer->multiplier[which], layer->shift[which]);
  return (int8_t)edgeml_clamp(value + layer->output_zero_point, layer->lowest, layer->highest);
}

/* Outputs of one row from `o` on, four by four. */
static inline void one_row(const edgeml_fully_connected_t *layer, const int8_t *x, int32_t o, int8_t *y) {
  while (o < layer->outputs) {
    int32_t sums[4];
    sums_from(layer, x, o, sums);
    for (int32_t i = 0; i < 4 && o < layer->outputs; ++i, ++o) {
      y[o] = finish(layer, o, sums[i]);
    }
  }
}

/* Outputs of two rows, two by two; returns how many. */
static inline int32_t two_rows(const edgeml_fully_connected_t *layer, const int8_t *x, int8_t *y) {
  int32_t o = 0;
  for (; o + 2 <= layer->outputs; o += 2) {
    int32_t sums[4];
    edgeml_dot_two_by_two(x, layer->weights + o * layer->inputs, layer->inputs, sums);
    y[o] = finish(layer, o, sums[0]);
    y[o + 1] = finish(layer, o + 1, sums[1]);
    y[layer->outputs + o] = finish(layer, o, sums[2]);
    y[layer->outputs + o + 1] = finish(layer, o + 1, sums[3]);
  }
  return o;
}

void edgeml_fully_connected(const edgeml_fully_connected_t *layer, const int8_t *input, int8_t *output) {
  const edgeml_fully_connected_t here = *layer; /* which no store to the output can change */
  int32_t row = 0;
  while (row < here.rows) {
    const int8_t *x = input + row * here.inputs;
    int8_t *y = output + row * here.outputs;
    const int32_t rows = row + 2 <= here.rows ? 2 : 1;
    const int32_t done = rows == 2 ? two_rows(&here, x, y) : 0;
    for (int32_t i = 0; i < rows; ++i) {
      one_row(&here, x + i * here.inputs, done, y + i * here.outputs);
    }
    row += rows;
  }
}

#endif
