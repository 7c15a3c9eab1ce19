/*
 * output[b][y][x][c] = clamp(max(window)), over the pixels that lie inside the input.
 *
 * input [batches, input_height, input_width, channels], output [batches, output_height, output_width, channels],
 * of one scale and zero point.
 *
 * Defined by MaxPool in tensorflow/lite/kernels/internal/reference/integer_ops/pooling.h.
 */
#include "edgeml_kernels.h"

static void window(const edgeml_pool_2d_t *layer, const int8_t *input, int32_t y, int32_t x_out, int8_t *output) {
  const int32_t from_row = y * layer->stride_height - layer->padding_top;
  const int32_t from_column = x_out * layer->stride_width - layer->padding_left;
  const int32_t top = from_row > 0 ? from_row : 0, left = from_column > 0 ? from_column : 0;
  const int32_t bottom = edgeml_clamp(from_row + layer->kernel_height, 0, layer->input_height);
  const int32_t right = edgeml_clamp(from_column + layer->kernel_width, 0, layer->input_width);
  for (int32_t c = 0; c < layer->channels; ++c) {
    int32_t largest = -128;
    for (int32_t row = top; row < bottom; ++row) {
      const int8_t *x = input + (row * layer->input_width + left) * layer->channels + c;
      for (int32_t column = left; column < right; ++column, x += layer->channels) {
        largest = *x > largest ? *x : largest;
      }
    }
    output[c] = (int8_t)edgeml_clamp(largest, layer->lowest, layer->highest);
  }
}

void edgeml_max_pool_2d(const edgeml_pool_2d_t *layer, const int8_t *input, int8_t *output) {
  for (int32_t batch = 0; batch < layer->batches; ++batch) {
    for (int32_t y = 0; y < layer->output_height; ++y) {
      for (int32_t x = 0; x < layer->output_width; ++x, output += layer->channels) {
        window(layer, input, y, x, output);
      }
    }
    input += layer->input_height * layer->input_width * layer->channels;
  }
}
