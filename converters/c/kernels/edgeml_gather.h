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

/* A window that does not lie within the input as a whole, or whose columns are apart. */
EDGEML_APART static void gather_some(const edgeml_conv_2d_t *layer, const int8_t *image, int32_t top, int32_t left,
                                     int8_t *row) {
  const int32_t channels = layer->input_channels, width = layer->input_width, value = layer->input_zero_point;
  const int32_t columns = layer->kernel_width, dilation = layer->dilation_width, whole = columns * channels;
  const int32_t first = edgeml_clamp(-left, 0, columns), last = edgeml_clamp(width - left, first, columns);
  int32_t from_row = top, at = 0;
  for (int32_t i = 0; i < layer->kernel_height; ++i, from_row += layer->dilation_height) {
    const int8_t *from = image + from_row * width * channels;
    if (from_row < 0 || from_row >= layer->input_height) {
      fill(row, at, value, whole);
      at += whole;
    } else if (dilation == 1) {
      fill(row, at, value, first * channels);
      put(row, at + first * channels, from + (left + first) * channels, (last - first) * channels);
      fill(row, at + last * channels, value, (columns - last) * channels);
      at += whole;
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

static inline void gather(const edgeml_conv_2d_t *layer, const int8_t *image, int32_t y, int32_t x, int8_t *row) {
  const int32_t channels = layer->input_channels, width = layer->input_width;
  const int32_t columns = layer->kernel_width, rows = layer->kernel_height, dilation = layer->dilation_height;
  const int32_t left = x * layer->stride_width - layer->padding_left;
  const int32_t top = y * layer->stride_height - layer->padding_top;
  const int32_t right = left + columns, bottom = top + (rows - 1) * dilation;
  if (left < 0 || right > width || top < 0 || bottom >= layer->input_height || layer->dilation_width > 1) {
    gather_some(layer, image, top, left, row);
    return;
  }
  const int32_t whole = columns * channels, step = dilation * width * channels;
  const int8_t *from = image + (top * width + left) * channels;
  int32_t at = 0;
  for (int32_t i = rows; i > 0; --i, at += whole, from += step) {
    put(row, at, from, whole);
  }
}

#endif /* EDGEML_GATHER_H */
