/*
 * output[b][y][x] = input[b][rows[y]][columns[x]]
 *
 * input [batches, input_height, input_width] of pixels of `bytes`, output likewise.
 *
 * Which pixel is nearest is computed by the generator, as by ResizeNearestNeighbor in
 * tensorflow/lite/kernels/internal/reference/resize_nearest_neighbor.h.
 */
#include "edgeml_kernels.h"

void edgeml_resize_nearest(const edgeml_resize_nearest_t *layer, const void *input, void *output) {
  const uint8_t *image = (const uint8_t *)input;
  uint8_t *to = (uint8_t *)output;
  for (int32_t batch = 0; batch < layer->batches; ++batch) {
    for (int32_t y = 0; y < layer->output_height; ++y) {
      const uint8_t *from = image + layer->rows[y] * layer->input_width * layer->bytes;
      for (int32_t x = 0; x < layer->output_width; ++x, to += layer->bytes) {
        memcpy(to, from + layer->columns[x] * layer->bytes, (size_t)layer->bytes);
      }
    }
    image += layer->input_height * layer->input_width * layer->bytes;
  }
}
