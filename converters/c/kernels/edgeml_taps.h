/*
 * A depthwise convolution, pixel by pixel: each window of the input is first a list of its pixels, of which those
 * outside of the input are one of its zero point. Who includes this defines before it what becomes of them:
 *
 *   EDGEML_APART static void pixel(const edgeml_depthwise_conv_2d_t *layer, const int8_t *const *taps, int8_t *output);
 *   static inline void advance(const int8_t **taps, int32_t count, int32_t step);
 *
 * taps [kernel_height * kernel_width], each a pixel [input_channels]; output [channels]. `advance` adds the step to
 * some of the taps.
 */
#ifndef EDGEML_TAPS_H
#define EDGEML_TAPS_H

#include "edgeml_kernels.h"

/* Taps that lie in rows of the input. */
typedef struct {
  const int8_t **first;
  int32_t count;
} inside_t;

/* The list of a window's pixels. */
EDGEML_APART static inside_t look(const edgeml_depthwise_conv_2d_t *layer, const int8_t *input, int32_t top,
                                  int32_t left, const int8_t **tap, const int8_t *outside) {
  inside_t found = {tap, 0};
  int32_t row = top;
  for (int32_t i = 0; i < layer->kernel_height; ++i, row += layer->dilation_height) {
    const int32_t inside = row >= 0 && row < layer->input_height;
    if (inside) {
      found.first = found.count == 0 ? tap : found.first;
      found.count += layer->kernel_width;
    }
    int32_t column = left;
    for (int32_t j = 0; j < layer->kernel_width; ++j, column += layer->dilation_width) {
      *tap++ = inside && column >= 0 && column < layer->input_width
                   ? input + (row * layer->input_width + column) * layer->input_channels
                   : outside;
    }
  }
  return found;
}

static void each_pixel(const edgeml_depthwise_conv_2d_t *layer, const int8_t *input, int8_t *output,
                       int8_t *scratch) {
  const edgeml_depthwise_conv_2d_t here = *layer; /* which no store to the output can change */
  const int32_t channels = layer->input_channels, stride = layer->stride_width;
  const int8_t **const taps = (const int8_t **)(void *)scratch;
  int8_t *const outside = (int8_t *)(void *)(taps + layer->kernel_height * layer->kernel_width);
  /* From the leftmost window within the input to the rightmost, all taps in its rows move on by the stride. */
  const int32_t right = layer->input_width - (layer->kernel_width - 1) * layer->dilation_width;
  memset(outside, layer->input_zero_point, (size_t)channels);
  for (int32_t batch = 0; batch < layer->batches; ++batch) {
    for (int32_t y = 0; y < layer->output_height; ++y) {
      const int32_t top = y * layer->stride_height - layer->padding_top;
      int32_t left = -layer->padding_left;
      inside_t inside = {taps, 0};
      for (int32_t x = 0; x < layer->output_width; ++x, left += stride) {
        if (x > 0 && left >= stride && left < right) {
          advance(inside.first, inside.count, stride * channels);
        } else {
          inside = look(&here, input, top, left, taps, outside);
        }
        pixel(&here, taps, output);
        output += channels * layer->depth_multiplier;
      }
    }
    input += layer->input_height * layer->input_width * channels;
  }
}

#endif /* EDGEML_TAPS_H */
