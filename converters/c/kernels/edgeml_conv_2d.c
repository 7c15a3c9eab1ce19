/*
 * output[b][y][x] = fully_connected(window of the input at y * stride - padding, x * stride - padding)
 *
 * input [batches, input_height, input_width, input_channels], weights [outputs, kernel_height, kernel_width,
 * input_channels], output [batches, output_height, output_width, outputs]. Windows are gathered in the scratch;
 * outside of the input there is its zero point, which contributes nothing.
 *
 * Defined by ConvPerChannel in tensorflow/lite/kernels/internal/reference/integer_ops/conv.h.
 */
#include "edgeml_kernels.h"

#if !defined(EDGEML_DSP)
#if defined(EDGEML_MVE)
#include "edgeml_mve.h"
#else
static inline void put(int8_t *row, int32_t at, const int8_t *from, int32_t count) {
  int8_t *to = row + at;
  for (; count >= 4; count -= 4, from += 4, to += 4) {
    memcpy(to, from, 4); /* a word; a call would take longer */
  }
  for (; count > 0; --count) {
    *to++ = *from++;
  }
}

static inline void fill(int8_t *row, int32_t at, int32_t value, int32_t count) {
  memset(row + at, value, (size_t)count);
}
#endif

#include "edgeml_gather.h"

void edgeml_conv_2d(const edgeml_conv_2d_t *layer, const int8_t *input, int8_t *output, int8_t *scratch) {
  edgeml_fully_connected_t patch = layer->patch;
  if (layer->kernel_height * layer->kernel_width * layer->stride_height * layer->stride_width == 1) {
    edgeml_fully_connected(&patch, input, output);
    return;
  }
  patch.rows = 0;
  for (int32_t batch = 0; batch < layer->batches; ++batch) {
    for (int32_t y = 0; y < layer->output_height; ++y) {
      for (int32_t x = 0; x < layer->output_width; ++x) {
        gather(layer, input, y, x, scratch + patch.rows * patch.inputs);
        if (++patch.rows == EDGEML_CONV_2D_ROWS) {
          edgeml_fully_connected(&patch, scratch, output);
          output += patch.rows * patch.outputs;
          patch.rows = 0;
        }
      }
    }
    input += layer->input_height * layer->input_width * layer->input_channels;
  }
  edgeml_fully_connected(&patch, scratch, output);
}
#endif
