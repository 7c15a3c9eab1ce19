/*
 * output[b][y][x][c] = clamp(output_zero_point + rescale(bias[c] + sum_ij input[b][y'][x'][c / m] * weights[i][j][c]))
 *
 * with y' = y * stride - padding + i * dilation, and x' likewise. input [batches, input_height, input_width,
 * input_channels], weights [kernel_height, kernel_width, channels], output [batches, output_height,
 * output_width, channels], channels = input_channels * depth_multiplier (m). Outside of the input there is its
 * zero point; the bias already holds what that contributes.
 *
 * Defined by DepthwiseConvPerChannel in tensorflow/lite/kernels/internal/reference/integer_ops/
 * depthwise_conv.h.
 */
#include "edgeml_kernels.h"

#if !defined(EDGEML_DSP) && !defined(EDGEML_MVE)
#include "edgeml_finish.h"

static inline int8_t finish(const edgeml_depthwise_conv_2d_t *layer, int32_t channel, int32_t sum) {
  const edgeml_range_t range = {layer->output_zero_point, layer->lowest, layer->highest};
  return edgeml_finish(layer->narrow, edgeml_sum(sum, layer->bias[channel]), layer->multiplier[channel],
                       layer->shift[channel], range);
}

EDGEML_APART static void pixel(const edgeml_depthwise_conv_2d_t *layer, const int8_t *const *taps, int8_t *output) {
  const int32_t multiplier = layer->depth_multiplier, channels = layer->input_channels * multiplier;
  const int8_t *const *const end = taps + layer->kernel_height * layer->kernel_width;
  int32_t c = 0;
  for (; multiplier == 1 && c + 4 <= channels; c += 4) {
    const int8_t *w = layer->weights + c;
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (const int8_t *const *tap = taps; tap != end; ++tap, w += channels) {
      const int8_t *x = *tap + c;
      s0 += x[0] * w[0];
      s1 += x[1] * w[1];
      s2 += x[2] * w[2];
      s3 += x[3] * w[3];
    }
    output[c] = finish(layer, c, s0);
    output[c + 1] = finish(layer, c + 1, s1);
    output[c + 2] = finish(layer, c + 2, s2);
    output[c + 3] = finish(layer, c + 3, s3);
  }
  for (; c < channels; ++c) {
    const int8_t *w = layer->weights + c;
    int32_t sum = 0;
    for (const int8_t *const *tap = taps; tap != end; ++tap, w += channels) {
      sum += (*tap)[c / multiplier] * *w;
    }
    output[c] = finish(layer, c, sum);
  }
}

static inline void advance(const int8_t **taps, int32_t count, int32_t step) {
  for (const int8_t **const end = taps + count; taps != end; ++taps) {
    *taps += step;
  }
}

#include "edgeml_taps.h"

void edgeml_depthwise_conv_2d(const edgeml_depthwise_conv_2d_t *layer, const int8_t *input, int8_t *output,
                              int8_t *scratch) {
  each_pixel(layer, input, output, scratch);
}
#endif
