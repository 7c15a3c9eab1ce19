/*
 * edgeml_max_pool_2d for cores with vectors: sixteen channels at once.
 */
#include "edgeml_kernels.h"

#if defined(EDGEML_MVE)
#include "edgeml_mve.h"

static void pool(const edgeml_pool_2d_t *layer, const int8_t *first, int32_t rows, int32_t columns, int8_t *output) {
  const int32_t channels = layer->channels, step = layer->input_width * channels;
  const int8x16_t lowest = vdupq_n_s8((int8_t)layer->lowest), highest = vdupq_n_s8((int8_t)layer->highest);
  for (int32_t left = channels; left > 0; left -= 16, first += 16, output += 16) {
    const mve_pred16_t lanes = vctp8q((uint32_t)left);
    int8x16_t largest = lowest;
    for (int32_t i = 0; i < rows; ++i) {
      const int8_t *at = first + i * step;
      for (int32_t j = columns; j > 0; --j, at += channels) {
        largest = vmaxq_s8(largest, vldrbq_z_s8(at, lanes));
      }
    }
    vstrbq_p_s8(output, vminq_s8(largest, highest), lanes);
  }
}

#include "edgeml_pool.h"

void edgeml_max_pool_2d(const edgeml_pool_2d_t *layer, const int8_t *input, int8_t *output) {
  each_window(layer, input, output);
}
#endif
