/*
 * output[b][y][x][c] = clamp(output_zero_point +
 *     rescale(bias[c] + sum_ij input[b][y'][x'][c / depth_multiplier] * weights[i][j][c]))
 *
 * with y' = y * stride - padding + i * dilation, and x' likewise. input [batches, input_height, input_width,
 * input_channels], weights [kernel_height, kernel_width, channels], output [batches, output_height,
 * output_width, channels], channels = input_channels * depth_multiplier. scratch: a pointer for each place of
 * the kernel, and a pixel. Outside of the input there is its zero point; the bias holds what that contributes.
 *
 * Defined by DepthwiseConvPerChannel in tensorflow/lite/kernels/internal/reference/integer_ops/
 * depthwise_conv.h.
 */
#include "edgeml_processor.h"

static inline int8_t finish(const edgeml_depthwise_conv_2d_t *layer, int32_t channel, int32_t sum, int32_t narrow) {
  const edgeml_range_t range = {layer->output_zero_point, layer->lowest, layer->highest};
  const int32_t whole = edgeml_sum(sum, layer->bias[channel]);
  const int32_t multiplier = layer->multiplier[channel], shift = layer->shift[channel];
  return narrow ? edgeml_narrow(whole, multiplier, shift, range) : edgeml_wide(whole, multiplier, shift, range);
}

/* Where the pixel under each place of the kernel lies; outside of the input it is `outside`. */
static inline void look(const edgeml_depthwise_conv_2d_t *layer, const int8_t *image, int32_t y, int32_t x,
                 const int8_t *outside, const int8_t **taps) {
  int32_t row = y * layer->stride_height - layer->padding_top;
  for (int32_t i = 0; i < layer->kernel_height; ++i, row += layer->dilation_height) {
    int32_t column = x * layer->stride_width - layer->padding_left;
    for (int32_t j = 0; j < layer->kernel_width; ++j, column += layer->dilation_width) {
      const int32_t inside = row >= 0 && row < layer->input_height && column >= 0 && column < layer->input_width;
      *taps++ = inside ? image + (row * layer->input_width + column) * layer->input_channels : outside;
    }
  }
}

/* Channels from `channel` on in steps of four, as long as there are four left; returns the next one. */
static inline int32_t by_fours(const edgeml_depthwise_conv_2d_t *layer, const int8_t *const *taps, int8_t *output,
                               int32_t narrow) {
  const int32_t channels = layer->input_channels, count = layer->kernel_height * layer->kernel_width;
  int32_t channel = 0;
#if defined(EDGEML_MVE)
  (void)narrow; /* of no use to vectors */
  for (; channel + 8 <= channels; channel += 8) {
    const int8_t *w = layer->weights + channel;
    int32x4_t even = vdupq_n_s32(0), odd = even; /* sums of every second channel, and of those between */
    for (int32_t k = 0; k < count; ++k, w += channels) {
      const int16x8_t a = vldrbq_s16(taps[k] + channel), b = vldrbq_s16(w);
      even = vaddq_s32(even, vmullbq_int_s16(a, b));
      odd = vaddq_s32(odd, vmulltq_int_s16(a, b));
    }
    const int32x4x2_t bias = vld2q_s32(layer->bias + channel);
    const int32x4x2_t multiplier = vld2q_s32(layer->multiplier + channel);
    const int16x8_t shift = vldrbq_s16(layer->shift + channel);
    even = edgeml_rescale_four(vaddq_s32(even, bias.val[0]), multiplier.val[0], vmovlbq_s16(shift));
    odd = edgeml_rescale_four(vaddq_s32(odd, bias.val[1]), multiplier.val[1], vmovltq_s16(shift));
    even = vmaxq_s32(vaddq_n_s32(even, layer->output_zero_point), vdupq_n_s32(layer->lowest));
    odd = vmaxq_s32(vaddq_n_s32(odd, layer->output_zero_point), vdupq_n_s32(layer->lowest));
    const int16x8_t low = vreinterpretq_s16_s32(vminq_s32(even, vdupq_n_s32(layer->highest)));
    vstrbq_s16(output + channel, vmovntq_s32(low, vminq_s32(odd, vdupq_n_s32(layer->highest))));
  }
  for (; channel < channels; channel += 4) {
    const mve_pred16_t lanes = vctp32q((uint32_t)(channels - channel));
    const int8_t *w = layer->weights + channel;
    int32x4_t sum = vldrwq_z_s32(layer->bias + channel, lanes);
    for (int32_t k = 0; k < count; ++k, w += channels) {
      sum = vaddq_s32(sum, vmulq_s32(vldrbq_z_s32(taps[k] + channel, lanes), vldrbq_z_s32(w, lanes)));
    }
    const int32x4_t multiplier = vldrwq_z_s32(layer->multiplier + channel, lanes);
    int32x4_t value = edgeml_rescale_four(sum, multiplier, vldrbq_z_s32(layer->shift + channel, lanes));
    value = vmaxq_s32(vaddq_n_s32(value, layer->output_zero_point), vdupq_n_s32(layer->lowest));
    vstrbq_p_s32(output + channel, vminq_s32(value, vdupq_n_s32(layer->highest)), lanes);
  }
#else
  for (; channel + 4 <= channels; channel += 4) {
    const int8_t *w = layer->weights + channel;
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (int32_t k = 0; k < count; ++k, w += channels) {
      const int8_t *x = taps[k] + channel;
#if defined(EDGEML_SMLAD)
      const int8x4_t a = edgeml_word(x), b = edgeml_word(w);
      const int16x2_t even = edgeml_even(a), odd = edgeml_odd(a), e = edgeml_even(b), o = edgeml_odd(b);
      s0 = __smlabb(even, e, s0);
      s1 = __smlabb(odd, o, s1);
      s2 = __smlatt(even, e, s2);
      s3 = __smlatt(odd, o, s3);
#else
      s0 += x[0] * w[0];
      s1 += x[1] * w[1];
      s2 += x[2] * w[2];
      s3 += x[3] * w[3];
#endif
    }
    output[channel] = finish(layer, channel, s0, narrow);
    output[channel + 1] = finish(layer, channel + 1, s1, narrow);
    output[channel + 2] = finish(layer, channel + 2, s2, narrow);
    output[channel + 3] = finish(layer, channel + 3, s3, narrow);
  }
#endif
  return channel;
}

void edgeml_depthwise_conv_2d(const edgeml_depthwise_conv_2d_t *layer, const int8_t *input, int8_t *output,
                              void *scratch) {
  /* A copy, which no store to the output can change: its fields stay in registers. */
  const edgeml_depthwise_conv_2d_t here = *layer;
  const int32_t channels = layer->input_channels * layer->depth_multiplier;
  const int32_t count = layer->kernel_height * layer->kernel_width;
  const int8_t **taps = (const int8_t **)scratch;
  int8_t *outside = (int8_t *)(taps + count);
  memset(outside, layer->input_zero_point, (size_t)layer->input_channels);
  for (int32_t batch = 0; batch < layer->batches; ++batch) {
    for (int32_t y = 0; y < layer->output_height; ++y) {
      for (int32_t x = 0; x < layer->output_width; ++x, output += channels) {
        look(&here, input, y, x, outside, taps);
        int32_t channel = 0;
        if (here.depth_multiplier == 1) {
#if defined(EDGEML_MVE)
          channel = by_fours(&here, taps, output, 0);
#else
          channel = here.narrow ? by_fours(&here, taps, output, 1) : by_fours(&here, taps, output, 0);
#endif
        }
        for (; channel < channels; ++channel) {
          const int8_t *w = layer->weights + channel;
          int32_t sum = 0;
          for (int32_t k = 0; k < count; ++k, w += channels) {
            sum += taps[k][channel / here.depth_multiplier] * *w;
          }
          output[channel] = finish(&here, channel, sum, 0);
        }
      }
    }
    input += layer->input_height * layer->input_width * layer->input_channels;
  }
}
