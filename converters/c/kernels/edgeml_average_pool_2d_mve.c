/*
 * edgeml_average_pool_2d for cores with vectors: four channels at once.
 */
#include "edgeml_kernels.h"

#if defined(EDGEML_MVE)
#include "edgeml_mve.h"

static void pool(const edgeml_pool_2d_t *layer, const int8_t *first, int32_t rows, int32_t columns, int8_t *output) {
  const int32_t channels = layer->channels, step = layer->input_width * channels, count = rows * columns;
  for (int32_t left = channels; left > 0; left -= 4, first += 4) {
    const mve_pred16_t lanes = vctp32q((uint32_t)left);
    int32x4_t sums = vdupq_n_s32(0);
    for (int32_t i = 0; i < rows; ++i) {
      const int8_t *at = first + i * step;
      for (int32_t j = columns; j > 0; --j, at += channels) {
        sums = vaddq_s32(sums, vldrbq_z_s32(at, lanes));
      }
    }
    int32_t four[4];
    vstrwq_s32(four, sums);
    for (int32_t i = 0; i < 4 && i < left; ++i) {
      const int32_t sum = four[i], mean = (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
      *output++ = (int8_t)edgeml_clamp(mean, layer->lowest, layer->highest);
    }
  }
}

#include "edgeml_pool.h"

void edgeml_average_pool_2d(const edgeml_pool_2d_t *layer, const int8_t *input, int8_t *output) {
  each_window(layer, input, output);
}
#endif
