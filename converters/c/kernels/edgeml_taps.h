/*
 * A depthwise convolution, pixel by pixel: each window of the input is first a list of its pixels, of which those
 * outside of the input are one of its zero point. Who includes this defines before it what becomes of them:
 *
 *   EDGEML_APART static void pixel(const edgeml_depthwise_conv_2d_t *layer, const int8_t *const *taps, int8_t *output);
 *
 * taps [kernel_height * kernel_width], each a pixel [input_channels]; output [channels].
 */
#ifndef EDGEML_TAPS_H
#define EDGEML_TAPS_H

#include "edgeml_kernels.h"

static void each_pixel(const edgeml_depthwise_conv_2d_t *layer, const int8_t *input, int8_t *output,
                       int8_t *scratch) {
  const edgeml_depthwise_conv_2d_t here = *layer; /* which no store to the output can change */
  const int32_t channels = layer->input_channels, width = layer->input_width;
  const int32_t count = layer->kernel_height * layer->kernel_width;
  const int8_t **const taps = (const int8_t **)(void *)scratch;
  int8_t *const outside = (int8_t *)(void *)(taps + count);
  memset(outside, layer->input_zero_point, (size_t)channels);
  for (int32_t batch = 0; batch < layer->batches; ++batch) {
    for (int32_t y = 0; y < layer->output_height; ++y) {
      for (int32_t x = 0; x < layer->output_width; ++x) {
        const int8_t **tap = taps;
        int32_t row = y * layer->stride_height - layer->padding_top;
        for (int32_t i = 0; i < layer->kernel_height; ++i, row += layer->dilation_height) {
          const int32_t inside = row >= 0 && row < layer->input_height;
          int32_t column = x * layer->stride_width - layer->padding_left;
          for (int32_t j = 0; j < layer->kernel_width; ++j, column += layer->dilation_width) {
            *tap++ = inside && column >= 0 && column < width ? input + (row * width + column) * channels : outside;
          }
        }
        pixel(&here, taps, output);
        output += channels * layer->depth_multiplier;
      }
    }
    input += layer->input_height * width * channels;
  }
}

#endif /* EDGEML_TAPS_H */
