/*
 * output[b][y][x][c] = clamp(sum(window) / count), rounded half away from zero, count of the pixels that lie inside the input.
 *
 * input [batches, input_height, input_width, channels], output [batches, output_height, output_width, channels],
 * of one scale and zero point.
 *
 * Defined by AveragePool in tensorflow/lite/kernels/internal/reference/integer_ops/pooling.h.
 */
#include "edgeml_kernels.h"

#if !defined(EDGEML_MVE)
static int8_t mean(const edgeml_pool_2d_t *layer, int32_t sum, int32_t count) {
  return (int8_t)edgeml_clamp((sum > 0 ? sum + count / 2 : sum - count / 2) / count, layer->lowest, layer->highest);
}

static void pool(const edgeml_pool_2d_t *layer, const int8_t *first, int32_t rows, int32_t columns, int8_t *output) {
  const int32_t channels = layer->channels, step = layer->input_width * channels, count = rows * columns;
  int32_t c = 0;
  for (; c + 4 <= channels; c += 4, first += 4) {
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (int32_t i = 0; i < rows; ++i) {
      const int8_t *at = first + i * step;
      for (int32_t j = columns; j > 0; --j, at += channels) {
        s0 += at[0];
        s1 += at[1];
        s2 += at[2];
        s3 += at[3];
      }
    }
    output[c] = mean(layer, s0, count);
    output[c + 1] = mean(layer, s1, count);
    output[c + 2] = mean(layer, s2, count);
    output[c + 3] = mean(layer, s3, count);
  }
  for (; c < channels; ++c, ++first) {
    int32_t sum = 0;
    for (int32_t i = 0; i < rows; ++i) {
      const int8_t *at = first + i * step;
      for (int32_t j = columns; j > 0; --j, at += channels) {
        sum += *at;
      }
    }
    output[c] = mean(layer, sum, count);
  }
}

#include "edgeml_pool.h"

void edgeml_average_pool_2d(const edgeml_pool_2d_t *layer, const int8_t *input, int8_t *output) {
  each_window(layer, input, output);
}
#endif
