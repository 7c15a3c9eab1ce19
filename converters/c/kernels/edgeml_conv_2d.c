/*
 * output[b][y][x] = fully_connected(window of the input at y * stride - padding, x * stride - padding)
 *
 * input [batches, input_height, input_width, input_channels], weights [outputs, kernel_height, kernel_width,
 * input_channels], output [batches, output_height, output_width, outputs]. scratch [EDGEML_CONV_2D_ROWS,
 * patch.inputs]. Outside of the input there is its zero point, which contributes nothing.
 *
 * Defined by ConvPerChannel in tensorflow/lite/kernels/internal/reference/integer_ops/conv.h.
 */
#include "edgeml_processor.h"

/* Copies the window of one output pixel; returns the end of the copy. */
static int8_t *gather(const edgeml_conv_2d_t *layer, const int8_t *image, int32_t y, int32_t x, int8_t *to) {
  const int32_t channels = layer->input_channels, width = layer->input_width;
  const int32_t row_bytes = layer->kernel_width * channels;
  const int32_t left = x * layer->stride_width - layer->padding_left;
  const int32_t right = left + (layer->kernel_width - 1) * layer->dilation_width;
  int32_t row = y * layer->stride_height - layer->padding_top;
  for (int32_t i = 0; i < layer->kernel_height; ++i, row += layer->dilation_height) {
    if (row < 0 || row >= layer->input_height) {
      memset(to, layer->input_zero_point, (size_t)row_bytes);
      to += row_bytes;
    } else if (layer->dilation_width == 1 && left >= 0 && right < width) {
      to = edgeml_put(to, image + (row * width + left) * channels, row_bytes);
    } else {
      int32_t column = left;
      for (int32_t j = 0; j < layer->kernel_width; ++j, column += layer->dilation_width) {
        if (column < 0 || column >= width) {
          memset(to, layer->input_zero_point, (size_t)channels);
          to += channels;
        } else {
          to = edgeml_put(to, image + (row * width + column) * channels, channels);
        }
      }
    }
  }
  return to;
}

void edgeml_conv_2d(const edgeml_conv_2d_t *layer, const int8_t *input, int8_t *output, int8_t *scratch) {
  edgeml_fully_connected_t patch = layer->patch;
  int8_t *end = scratch;
  patch.rows = 0;
  for (int32_t batch = 0; batch < layer->batches; ++batch) {
    for (int32_t y = 0; y < layer->output_height; ++y) {
      for (int32_t x = 0; x < layer->output_width; ++x) {
        end = gather(layer, input, y, x, end);
        if (++patch.rows == EDGEML_CONV_2D_ROWS) {
          edgeml_fully_connected(&patch, scratch, output);
          output += patch.rows * patch.outputs;
          patch.rows = 0;
          end = scratch;
        }
      }
    }
    input += layer->input_height * layer->input_width * layer->input_channels;
  }
  edgeml_fully_connected(&patch, scratch, output);
}
