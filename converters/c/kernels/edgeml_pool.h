/*
 * A pool, window by window: each is cut at the edges of the input. Who includes this defines before it what becomes
 * of one, `rows` of `columns` pixels from `first` on, of which each writes channels in their order:
 *
 *   static void pool(const edgeml_pool_2d_t *layer, const int8_t *first, int32_t rows, int32_t columns, int8_t *output);
 */
#ifndef EDGEML_POOL_H
#define EDGEML_POOL_H

#include "edgeml_kernels.h"

static void each_window(const edgeml_pool_2d_t *layer, const int8_t *input, int8_t *output) {
  const edgeml_pool_2d_t here = *layer; /* which no store to the output can change */
  for (int32_t batch = 0; batch < here.batches; ++batch) {
    for (int32_t y = 0; y < here.output_height; ++y) {
      const int32_t from_row = y * here.stride_height - here.padding_top, top = from_row > 0 ? from_row : 0;
      const int32_t rows = edgeml_clamp(from_row + here.kernel_height, 0, here.input_height) - top;
      int32_t from_column = -here.padding_left;
      for (int32_t x = 0; x < here.output_width; ++x, from_column += here.stride_width) {
        const int32_t left = from_column > 0 ? from_column : 0;
        const int32_t columns = edgeml_clamp(from_column + here.kernel_width, 0, here.input_width) - left;
        pool(&here, input + (top * here.input_width + left) * here.channels, rows, columns, output);
        output += here.channels;
      }
    }
    input += here.input_height * here.input_width * here.channels;
  }
}

#endif /* EDGEML_POOL_H */
