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

/* The first weight along one axis that meets the input, and which place of the input; the next are a stride on. */
typedef struct {
  int32_t tap, place;
} meeting_t;

static inline meeting_t first(int32_t at, int32_t stride) { return (meeting_t){at % stride, at / stride}; }

static inline int32_t pixel(const edgeml_transpose_conv_t *layer, const int8_t *image, meeting_t row,
                            meeting_t column, const int8_t *weights) {
  const int32_t channels = layer->input_channels, zero_point = layer->input_zero_point;
  int32_t sum = 0;
  for (; row.tap < layer->kernel_height && row.place >= 0; row.tap += layer->stride_height, --row.place) {
    if (row.place >= layer->input_height) {
      continue;
    }
    meeting_t at = column;
    for (; at.tap < layer->kernel_width && at.place >= 0; at.tap += layer->stride_width, --at.place) {
      if (at.place < layer->input_width) {
        const int8_t *x = image + (row.place * layer->input_width + at.place) * channels;
        const int8_t *w = weights + (row.tap * layer->kernel_width + at.tap) * channels;
        for (int32_t c = 0; c < channels; ++c) {
          sum += (x[c] - zero_point) * w[c];
        }
      }
    }
  }
  return sum;
}

void edgeml_transpose_conv(const edgeml_transpose_conv_t *layer, const int8_t *input, int8_t *output) {
  const edgeml_transpose_conv_t here = *layer; /* which no store to the output can change */
  const int32_t kernel = here.kernel_height * here.kernel_width * here.input_channels;
  for (int32_t batch = 0; batch < here.batches; ++batch) {
    for (int32_t y = 0; y < here.output_height; ++y) {
      const meeting_t row = first(y + here.padding_top, here.stride_height);
      for (int32_t x = 0; x < here.output_width; ++x) {
        const meeting_t column = first(x + here.padding_left, here.stride_width);
        for (int32_t o = 0; o < here.output_channels; ++o) {
          const int32_t sum = edgeml_sum(pixel(&here, input, row, column, here.weights + o * kernel), here.bias[o]);
          const int32_t value = edgeml_rescale(sum, here.multiplier[o], here.shift[o]) + here.output_zero_point;
          *output++ = (int8_t)edgeml_clamp(value, here.lowest, here.highest);
        }
      }
    }
    input += here.input_height * here.input_width * here.input_channels;
  }
}
