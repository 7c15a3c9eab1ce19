/*
 * output[b][y][x][c] = clamp(output_zero_point + rescale(bias[c] + sum_ij input[b][y'][x'][c / m] * weights[i][j][c]))
 *
 * with y' = y * stride - padding + i * dilation, and x' likewise. input [batches, input_height, input_width,
 * input_channels], weights [kernel_height, kernel_width, channels], output [batches, output_height,
 * output_width, channels], channels = input_channels * depth_multiplier (m). Outside of the input there is its
 * zero point; the bias already holds what that contributes.
 *
 * Defined by DepthwiseConvPerChannel in tensorflow/lite/kernels/internal/reference/integer_ops/
 * depthwise_conv.h; where the window lies inside, four channels are summed at once.
 */
#include "edgeml_kernels.h"

static inline int8_t finish(const edgeml_depthwise_conv_2d_t *layer, int32_t channel, int32_t sum) {
  const int32_t value = edgeml_rescale(edgeml_sum(sum, layer->bias[channel]), layer->multiplier[channel],
                                       layer->shift[channel]);
  return (int8_t)edgeml_clamp(value + layer->output_zero_point, layer->lowest, layer->highest);
}

/* Sums of four neighbouring channels over a window that lies inside the input. */
static inline void four_inside(const edgeml_depthwise_conv_2d_t *layer, const int8_t *input, int32_t channel,
                               int8_t *output) {
  const int32_t channels = layer->input_channels;
  const int32_t column_step = layer->dilation_width * channels;
  const int32_t row_step = layer->dilation_height * layer->input_width * channels;
  const int8_t *w = layer->weights + channel;
  int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  for (int32_t i = 0; i < layer->kernel_height; ++i, input += row_step) {
    const int8_t *x = input + channel;
    for (int32_t j = 0; j < layer->kernel_width; ++j, x += column_step, w += channels) {
      s0 += x[0] * w[0];
      s1 += x[1] * w[1];
      s2 += x[2] * w[2];
      s3 += x[3] * w[3];
    }
  }
  output[channel] = finish(layer, channel, s0);
  output[channel + 1] = finish(layer, channel + 1, s1);
  output[channel + 2] = finish(layer, channel + 2, s2);
  output[channel + 3] = finish(layer, channel + 3, s3);
}

/* The sum of one channel, wherever its window lies. */
static int32_t anywhere(const edgeml_depthwise_conv_2d_t *layer, const int8_t *image, int32_t top, int32_t left,
                        int32_t channel) {
  const int32_t channels = layer->input_channels * layer->depth_multiplier;
  const int8_t *w = layer->weights + channel;
  const int8_t *from = image + channel / layer->depth_multiplier;
  int32_t sum = 0;
  for (int32_t i = 0; i < layer->kernel_height; ++i) {
    const int32_t row = top + i * layer->dilation_height;
    for (int32_t j = 0; j < layer->kernel_width; ++j, w += channels) {
      const int32_t column = left + j * layer->dilation_width;
      const int32_t inside =
          row >= 0 && row < layer->input_height && column >= 0 && column < layer->input_width;
      sum += *w * (inside ? from[(row * layer->input_width + column) * layer->input_channels]
                          : layer->input_zero_point);
    }
  }
  return sum;
}

void edgeml_depthwise_conv_2d(const edgeml_depthwise_conv_2d_t *layer, const int8_t *input, int8_t *output) {
  const int32_t channels = layer->input_channels * layer->depth_multiplier;
  const int32_t reach_height = (layer->kernel_height - 1) * layer->dilation_height;
  const int32_t reach_width = (layer->kernel_width - 1) * layer->dilation_width;
  for (int32_t batch = 0; batch < layer->batches; ++batch) {
    for (int32_t y = 0; y < layer->output_height; ++y) {
      const int32_t top = y * layer->stride_height - layer->padding_top;
      for (int32_t x = 0; x < layer->output_width; ++x, output += channels) {
        const int32_t left = x * layer->stride_width - layer->padding_left;
        int32_t channel = 0;
        if (layer->depth_multiplier == 1 && top >= 0 && top + reach_height < layer->input_height && left >= 0 &&
            left + reach_width < layer->input_width) {
          const int8_t *window = input + (top * layer->input_width + left) * layer->input_channels;
          for (; channel + 4 <= channels; channel += 4) {
            four_inside(layer, window, channel, output);
          }
        }
        for (; channel < channels; ++channel) {
          output[channel] = finish(layer, channel, anywhere(layer, input, top, left, channel));
        }
      }
    }
    input += layer->input_height * layer->input_width * layer->input_channels;
  }
}
