/*
 * output[b][y][x][c] = the four nearest pixels, each times how near it is, in steps of 2^-10, rounded half away from 0
 *
 * input [batches, input_height, input_width, channels], output likewise, of one scale and zero point. For each row of
 * the output: the row of the input above, the one below, and how far below the first it lies; likewise for columns.
 *
 * Which and how far is computed by the generator, as by ResizeBilinearInteger in
 * tensorflow/lite/kernels/internal/reference/resize_bilinear.h.
 */
#include "edgeml_kernels.h"

void edgeml_resize_bilinear(const edgeml_resize_bilinear_t *layer, const int8_t *input, int8_t *output) {
  const int32_t channels = layer->channels, stride = layer->input_width * channels;
  for (int32_t batch = 0; batch < layer->batches; ++batch, input += layer->input_height * stride) {
    for (int32_t y = 0; y < layer->output_height; ++y) {
      const int16_t *row = layer->rows + 3 * y;
      const int8_t *above = input + row[0] * stride, *below = input + row[1] * stride;
      for (int32_t x = 0; x < layer->output_width; ++x) {
        const int16_t *column = layer->columns + 3 * x;
        const int32_t left = column[0] * channels, right = column[1] * channels;
        for (int32_t c = 0; c < channels; ++c) {
          /* Not a weight of each corner: of a window that goes beyond an edge, distances are below zero. */
          const int32_t top = above[left + c] * (1024 - column[2]) + above[right + c] * column[2];
          const int32_t bottom = below[left + c] * (1024 - column[2]) + below[right + c] * column[2];
          const int32_t sum = top * (1024 - row[2]) + bottom * row[2];
          *output++ = (int8_t)((sum > 0 ? sum + (1 << 19) : sum - (1 << 19)) / (1 << 20));
        }
      }
    }
  }
}
