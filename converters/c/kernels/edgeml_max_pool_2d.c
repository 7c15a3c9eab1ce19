/*
 * output[b][y][x][c] = clamp(max(window)), over the pixels that lie inside the input.
 *
 * input [batches, input_height, input_width, channels], output [batches, output_height, output_width, channels],
 * of one scale and zero point.
 *
 * Defined by MaxPool in tensorflow/lite/kernels/internal/reference/integer_ops/pooling.h.
 */
#include "edgeml_kernels.h"

#if !defined(EDGEML_MVE)
static inline int32_t larger(int32_t a, int32_t b) { return a > b ? a : b; }

static void pool(const edgeml_pool_2d_t *layer, const int8_t *first, int32_t rows, int32_t columns, int8_t *output) {
  const int32_t channels = layer->channels, step = layer->input_width * channels;
  const int32_t lowest = layer->lowest, highest = layer->highest;
  int32_t c = 0;
  for (; c + 4 <= channels; c += 4, first += 4) {
    int32_t m0 = -128, m1 = -128, m2 = -128, m3 = -128;
    for (int32_t i = 0; i < rows; ++i) {
      const int8_t *at = first + i * step;
      for (int32_t j = columns; j > 0; --j, at += channels) {
        m0 = larger(at[0], m0);
        m1 = larger(at[1], m1);
        m2 = larger(at[2], m2);
        m3 = larger(at[3], m3);
      }
    }
    output[c] = (int8_t)edgeml_clamp(m0, lowest, highest);
    output[c + 1] = (int8_t)edgeml_clamp(m1, lowest, highest);
    output[c + 2] = (int8_t)edgeml_clamp(m2, lowest, highest);
    output[c + 3] = (int8_t)edgeml_clamp(m3, lowest, highest);
  }
  for (; c < channels; ++c, ++first) {
    int32_t largest = -128;
    for (int32_t i = 0; i < rows; ++i) {
      const int8_t *at = first + i * step;
      for (int32_t j = columns; j > 0; --j, at += channels) {
        largest = larger(*at, largest);
      }
    }
    output[c] = (int8_t)edgeml_clamp(largest, lowest, highest);
  }
}

#include "edgeml_pool.h"

void edgeml_max_pool_2d(const edgeml_pool_2d_t *layer, const int8_t *input, int8_t *output) {
  each_window(layer, input, output);
}
#endif
