/*
 * output[b][y][x][o] = clamp(output_zero_point + rescale(bias[o] +
 *     sum_ijc (input[b][(y + padding - i) / stride][(x + padding - j) / stride][c] - input_zero_point) *
 *     weights[o][i][j][c]))
 *
 * over the i and j that divide without remainder and lie inside the input [batches, input_height, input_width,
 * input_channels]. weights [output_channels, kernel_height, kernel_width, input_channels], output [batches,
 * output_height, output_width, output_channels].
 *
 * Defined by TransposeConv in tensorflow/lite/kernels/internal/reference/integer_ops/transpose_conv.h, which
 * scatters what is gathered here, so that no sums of the whole output have to be kept.
 */
#include "edgeml_kernels.h"

/* Which input place output place `at` sees through tap `tap` of the kernel, or -1. */
static int32_t source(int32_t at, int32_t tap, int32_t stride, int32_t size) {
  const int32_t distance = at - tap;
  return distance >= 0 && distance % stride == 0 && distance / stride < size ? distance / stride : -1;
}

static int32_t pixel(const edgeml_transpose_conv_t *layer, const int8_t *image, int32_t y, int32_t x,
                     int32_t output_channel) {
  const int32_t channels = layer->input_channels;
  const int8_t *w = layer->weights + output_channel * layer->kernel_height * layer->kernel_width * channels;
  int32_t sum = 0;
  for (int32_t i = 0; i < layer->kernel_height; ++i) {
    const int32_t row = source(y + layer->padding_top, i, layer->stride_height, layer->input_height);
    for (int32_t j = 0; j < layer->kernel_width; ++j, w += channels) {
      const int32_t column = source(x + layer->padding_left, j, layer->stride_width, layer->input_width);
      if (row >= 0 && column >= 0) {
        const int8_t *from = image + (row * layer->input_width + column) * channels;
        for (int32_t c = 0; c < channels; ++c) {
          sum += (from[c] - layer->input_zero_point) * w[c];
        }
      }
    }
  }
  return sum;
}

void edgeml_transpose_conv(const edgeml_transpose_conv_t *layer, const int8_t *input, int8_t *output) {
  for (int32_t batch = 0; batch < layer->batches; ++batch) {
    for (int32_t y = 0; y < layer->output_height; ++y) {
      for (int32_t x = 0; x < layer->output_width; ++x) {
        for (int32_t o = 0; o < layer->output_channels; ++o) {
          const int32_t sum = edgeml_sum(pixel(layer, input, y, x, o), layer->bias[o]);
          const int32_t value =
              edgeml_rescale(sum, layer->multiplier[o], layer->shift[o]) + layer->output_zero_point;
          *output++ = (int8_t)edgeml_clamp(value, layer->lowest, layer->highest);
        }
      }
    }
    input += layer->input_height * layer->input_width * layer->input_channels;
  }
}
