/*
 * edgeml_depthwise_conv_2d for cores with SMLAD: four channels at once, two of them in each word.
 */
#include "edgeml_kernels.h"

#if defined(EDGEML_DSP)
#include "edgeml_dsp.h"

static void four(const edgeml_depthwise_conv_2d_t *layer, const int8_t *const *taps, int32_t channels, int32_t c,
                 int8_t *output) {
  const int8_t *const *const end = taps + layer->kernel_height * layer->kernel_width;
  const int8_t *w = layer->weights + c;
  const int32_t *bias = layer->bias + c, *m = layer->multiplier + c;
  const int8_t *shift = layer->shift + c;
  int32_t s0 = bias[0], s1 = bias[1], s2 = bias[2], s3 = bias[3];
  for (; taps != end; ++taps, w += channels) {
    const uint32_t a = edgeml_four(*taps + c), b = edgeml_four(w);
    const int16x2_t even = edgeml_even(a), odd = edgeml_odd(a), even_w = edgeml_even(b), odd_w = edgeml_odd(b);
    s0 = __smlabb(even, even_w, s0);
    s1 = __smlabb(odd, odd_w, s1);
    s2 = __smlatt(even, even_w, s2);
    s3 = __smlatt(odd, odd_w, s3);
  }
  const int32_t narrow = layer->narrow, zero_point = layer->output_zero_point;
  output[c] = edgeml_finish(narrow, s0, m[0], shift[0], zero_point);
  output[c + 1] = edgeml_finish(narrow, s1, m[1], shift[1], zero_point);
  output[c + 2] = edgeml_finish(narrow, s2, m[2], shift[2], zero_point);
  output[c + 3] = edgeml_finish(narrow, s3, m[3], shift[3], zero_point);
}

EDGEML_APART static void pixel(const edgeml_depthwise_conv_2d_t *layer, const int8_t *const *taps, int8_t *output) {
  const int32_t multiplier = layer->depth_multiplier, channels = layer->input_channels * multiplier;
  const int32_t count = layer->kernel_height * layer->kernel_width;
  int32_t c = 0;
  for (; multiplier == 1 && c + 4 <= channels; c += 4) {
    four(layer, taps, channels, c, output);
  }
  for (; c < channels; ++c) {
    const int8_t *w = layer->weights + c;
    int32_t sum = layer->bias[c];
    for (int32_t t = 0; t < count; ++t, w += channels) {
      sum = edgeml_sum(sum, taps[t][c / multiplier] * *w);
    }
    output[c] = edgeml_finish(layer->narrow, sum, layer->multiplier[c], layer->shift[c],
                              layer->output_zero_point);
  }
  edgeml_limit(layer->lowest, layer->highest, output, channels);
}

static inline void advance(const int8_t **taps, int32_t count, int32_t step) {
  for (const int8_t **const end = taps + count; taps != end; ++taps) {
    *taps += step;
  }
}

#include "edgeml_taps.h"

void edgeml_depthwise_conv_2d(const edgeml_depthwise_conv_2d_t *layer, const int8_t *input, int8_t *output,
                              int8_t *scratch) {
  each_pixel(layer, input, output, scratch);
}
#endif
