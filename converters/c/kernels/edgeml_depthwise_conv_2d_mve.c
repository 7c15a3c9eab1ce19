/*
 * edgeml_depthwise_conv_2d for cores with vectors: sixteen channels at once, eight, or four.
 */
#include "edgeml_kernels.h"

#if defined(EDGEML_MVE)
#include "edgeml_mve.h"

/*
 * 16 channels. The products of two taps fit into 16 bits, for no weight is -128; lane i of the sums is of channel
 * 4 i + 0, 2, 1 and 3.
 */
static void sixteen(const edgeml_depthwise_conv_2d_t *layer, const int8_t *const *taps, int32_t count,
                    int32_t channels, int32_t c, int8_t *output) {
  const int8_t *w = layer->weights + c;
  int32x4_t s0 = vdupq_n_s32(0), s1 = s0, s2 = s0, s3 = s0;
  for (int32_t pairs = count / 2; pairs > 0; --pairs, taps += 2, w += 2 * channels) {
    const int8x16_t a = vldrbq_s8(taps[0] + c), b = vldrbq_s8(w);
    const int8x16_t a1 = vldrbq_s8(taps[1] + c), b1 = vldrbq_s8(w + channels);
    const int16x8_t bottom = vaddq_s16(vmullbq_int_s8(a, b), vmullbq_int_s8(a1, b1));
    const int16x8_t top = vaddq_s16(vmulltq_int_s8(a, b), vmulltq_int_s8(a1, b1));
    s0 = vaddq_s32(s0, vmovlbq_s16(bottom));
    s1 = vaddq_s32(s1, vmovlbq_s16(top));
    s2 = vaddq_s32(s2, vmovltq_s16(bottom));
    s3 = vaddq_s32(s3, vmovltq_s16(top));
  }
  if (count & 1) {
    const int8x16_t a = vldrbq_s8(taps[0] + c), b = vldrbq_s8(w);
    const int16x8_t bottom = vmullbq_int_s8(a, b), top = vmulltq_int_s8(a, b);
    s0 = vaddq_s32(s0, vmovlbq_s16(bottom));
    s1 = vaddq_s32(s1, vmovlbq_s16(top));
    s2 = vaddq_s32(s2, vmovltq_s16(bottom));
    s3 = vaddq_s32(s3, vmovltq_s16(top));
  }
  const uint32x4_t places = vshlq_n_u32(vidupq_n_u32(0, 1), 2);
  const int32_t zero_point = layer->output_zero_point;
  const int32_t *bias = layer->bias + c, *multiplier = layer->multiplier + c;
  const int8_t *shift = layer->shift + c;
#define FINISH(sums, lane)                                                                                  \
  vstrbq_scatter_offset_s32(                                                                                \
      output + c + (lane), places,                                                                          \
      edgeml_finish_narrow(vaddq_s32(sums, vldrwq_gather_shifted_offset_s32(bias + (lane), places)),        \
                           vldrwq_gather_shifted_offset_s32(multiplier + (lane), places),                   \
                           vldrbq_gather_offset_s32(shift + (lane), places), zero_point))
  FINISH(s0, 0);
  FINISH(s1, 1);
  FINISH(s2, 2);
  FINISH(s3, 3);
#undef FINISH
}

/* Eight channels; the sums are of every second one, and of those between. */
static void eight(const edgeml_depthwise_conv_2d_t *layer, const int8_t *const *taps, int32_t count,
                  int32_t channels, int32_t c, int8_t *output) {
  const int8_t *w = layer->weights + c;
  const int32x4x2_t bias = vld2q_s32(layer->bias + c), multiplier = vld2q_s32(layer->multiplier + c);
  const int16x8_t shift = vldrbq_s16(layer->shift + c);
  int32x4_t even = bias.val[0], odd = bias.val[1];
  for (int32_t t = 0; t < count; ++t, w += channels) {
    const int16x8_t a = vldrbq_s16(taps[t] + c), b = vldrbq_s16(w);
    even = vaddq_s32(even, vmullbq_int_s16(a, b));
    odd = vaddq_s32(odd, vmulltq_int_s16(a, b));
  }
  even = edgeml_finish(even, multiplier.val[0], vmovlbq_s16(shift), layer->output_zero_point);
  odd = edgeml_finish(odd, multiplier.val[1], vmovltq_s16(shift), layer->output_zero_point);
  vstrbq_s16(output + c, vmovntq_s32(vreinterpretq_s16_s32(even), odd));
}

EDGEML_APART static void pixel(const edgeml_depthwise_conv_2d_t *layer, const int8_t *const *taps, int8_t *output) {
  const int32_t multiplier = layer->depth_multiplier, channels = layer->input_channels * multiplier;
  const int32_t count = layer->kernel_height * layer->kernel_width;
  int32_t c = 0;
  for (; layer->narrow && multiplier == 1 && c + 16 <= channels; c += 16) {
    sixteen(layer, taps, count, channels, c, output);
  }
  for (; multiplier == 1 && c + 8 <= channels; c += 8) {
    eight(layer, taps, count, channels, c, output);
  }
  for (; c < channels; c += 4) {
    const mve_pred16_t lanes = vctp32q((uint32_t)(channels - c));
    const int8_t *w = layer->weights + c;
    int32x4_t sums = vldrwq_z_s32(layer->bias + c, lanes);
    if (multiplier == 1) {
      for (int32_t t = 0; t < count; ++t, w += channels) {
        sums = vaddq_s32(sums, vmulq_s32(vldrbq_z_s32(taps[t] + c, lanes), vldrbq_z_s32(w, lanes)));
      }
    } else {
      const uint32x4_t places = vreinterpretq_u32_s32(edgeml_vector(
          c / multiplier, (c + 1) / multiplier, (c + 2) / multiplier, (c + 3) / multiplier));
      for (int32_t t = 0; t < count; ++t, w += channels) {
        const int32x4_t x = vldrbq_gather_offset_z_s32(taps[t], places, lanes);
        sums = vaddq_s32(sums, vmulq_s32(x, vldrbq_z_s32(w, lanes)));
      }
    }
    const int32x4_t values =
        edgeml_finish(sums, vldrwq_z_s32(layer->multiplier + c, lanes), vldrbq_z_s32(layer->shift + c, lanes),
                      layer->output_zero_point);
    vstrbq_p_s32(output + c, values, lanes);
  }
  edgeml_limit(layer->lowest, layer->highest, output, channels);
}

#include "edgeml_taps.h"

void edgeml_depthwise_conv_2d(const edgeml_depthwise_conv_2d_t *layer, const int8_t *input, int8_t *output,
                              int8_t *scratch) {
  each_pixel(layer, input, output, scratch);
}
#endif
