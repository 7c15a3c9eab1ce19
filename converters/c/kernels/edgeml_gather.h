/*
 * The window of one output pixel of a convolution as one row, in runs of neighbouring bytes. Who includes this
 * defines before it, for bytes from place `at` of a row on:
 *
 *   static inline void put(int8_t *row, int32_t at, const int8_t *from, int32_t count);
 *   static inline void fill(int8_t *row, int32_t at, int32_t value, int32_t count);
 */
#ifndef EDGEML_GATHER_H
#define EDGEML_GATHER_H

#include "edgeml_kernels.h"

static void gather(const edgeml_conv_2d_t *layer, const int8_t *image, int32_t y, int32_t x, int8_t *row) {
  const int32_t channels = layer->input_channels, width = layer->input_width, value = layer->input_zero_point;
  const int32_t columns = layer->kernel_width, dilation = layer->dilation_width;
  const int32_t left = x * layer->stride_width - layer->padding_left;
  int32_t from_row = y * layer->stride_height - layer->padding_top, at = 0;
  for (int32_t i = 0; i < layer->kernel_height; ++i, from_row += layer->dilation_height) {
    const int8_t *from = image + from_row * width * channels;
    if (from_row < 0 || from_row >= layer->input_height) {
      fill(row, at, value, columns * channels);
      at += columns * channels;
    } else if (dilation == 1) {
      const int32_t first = edgeml_clamp(-left, 0, columns), last = edgeml_clamp(width - left, first, columns);
      fill(row, at, value, first * channels);
      put(row, at + first * channels, from + (left + first) * channels, (last - first) * channels);
      fill(row, at + last * channels, value, (columns - last) * channels);
      at += columns * channels;
    } else {
      for (int32_t j = 0, column = left; j < columns; ++j, column += dilation, at += channels) {
        if (column < 0 || column >= width) {
          fill(row, at, value, channels);
        } else {
          put(row, at, from + column * channels, channels);
        }
      }
    }
  }
}

#endif /* EDGEML_GATHER_H */
