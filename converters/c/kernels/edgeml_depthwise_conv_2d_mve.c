/*
 * edgeml_depthwise_conv_2d for cores with vectors: sixteen channels at once, eight, or four.
 */
#include "edgeml_kernels.h"

#if defined(EDGEML_MVE)
#include "edgeml_mve.h"

/* Within the limits of the activation, which lie within those of int8. */
static inline int16x8_t limited(const edgeml_depthwise_conv_2d_t *layer, int16x8_t values) {
  return vminq_s16(vmaxq_s16(values, vdupq_n_s16((int16_t)layer->lowest)), vdupq_n_s16((int16_t)layer->highest));
}

/* Sums of a layer that is narrow, times 2^(shift - 31), rounded twice. */
static inline int32x4_t rescaled(int32x4_t sums, int32x4_t multiplier, int32x4_t shift) {
  const int32x4_t high = vqrdmulhq_s32(sums, multiplier);
  return vrshlq_s32(vqaddq_s32(high, vshrq_n_s32(high, 31)), shift);
}

/*
 * 16 channels. The products of two taps fit into 16 bits, for no weight is -128; lane i of the sums is of channel
 * 4 i + 0, 1, 2 and 3. Outputs are narrowed with saturation, which leaves those between the limits as they are.
 */
static inline void sixteen(const edgeml_depthwise_conv_2d_t *layer, const int8_t *const *taps, int32_t count,
                           int32_t channels, int32_t c, int8_t *output) {
  const int8_t *w = layer->weights + c;
  const int32x4x4_t bias = vld4q_s32(layer->bias + c);
  int32x4_t s0 = bias.val[0], s1 = bias.val[1], s2 = bias.val[2], s3 = bias.val[3];
  const int8_t *a, *b;
  /* In assembly, for it needs every vector: compilers would keep some sums in memory. */
  __asm__ volatile(
      "   wls lr, %[pairs], 2f\n"
      "1: ldrd %[a], %[b], [%[taps]], #8\n"
      "   add %[a], %[a], %[c]\n"
      "   vldrb.8 q0, [%[a]]\n"
      "   vldrb.8 q1, [%[w]]\n"
      "   add %[w], %[w], %[channels]\n"
      "   vmullb.s8 q2, q0, q1\n"
      "   vmullt.s8 q0, q0, q1\n"
      "   add %[b], %[b], %[c]\n"
      "   vldrb.8 q1, [%[b]]\n"
      "   vldrb.8 q3, [%[w]]\n"
      "   vmullb.s8 q3, q1, q3\n"
      "   vadd.i16 q2, q2, q3\n"
      "   vldrb.8 q3, [%[w]]\n"
      "   add %[w], %[w], %[channels]\n"
      "   vmullt.s8 q3, q1, q3\n"
      "   vadd.i16 q0, q0, q3\n"
      "   vmovlb.s16 q1, q2\n"
      "   vadd.i32 %q[s0], %q[s0], q1\n"
      "   vmovlb.s16 q3, q0\n"
      "   vadd.i32 %q[s1], %q[s1], q3\n"
      "   vmovlt.s16 q2, q2\n"
      "   vadd.i32 %q[s2], %q[s2], q2\n"
      "   vmovlt.s16 q0, q0\n"
      "   vadd.i32 %q[s3], %q[s3], q0\n"
      "   le lr, 1b\n"
      "2:\n"
      : [s0] "+w"(s0), [s1] "+w"(s1), [s2] "+w"(s2), [s3] "+w"(s3), [taps] "+r"(taps), [w] "+r"(w), [a] "=&r"(a),
        [b] "=&r"(b)
      : [pairs] "r"(count / 2), [c] "r"(c), [channels] "r"(channels)
      : "q0", "q1", "q2", "q3", "lr", "memory");
  if (count & 1) {
    const int8x16_t x = vldrbq_s8(taps[0] + c), y = vldrbq_s8(w);
    const int16x8_t even = vmullbq_int_s8(x, y), odd = vmulltq_int_s8(x, y);
    s0 = vaddq_s32(s0, vmovlbq_s16(even));
    s1 = vaddq_s32(s1, vmovlbq_s16(odd));
    s2 = vaddq_s32(s2, vmovltq_s16(even));
    s3 = vaddq_s32(s3, vmovltq_s16(odd));
  }
  const uint32x4_t places = vshlq_n_u32(vidupq_n_u32(0, 1), 2);
  const int32_t *m = layer->multiplier + c;
  const int8_t *shift = layer->shift + c;
  s0 = rescaled(s0, vldrwq_gather_shifted_offset_s32(m, places), vldrbq_gather_offset_s32(shift, places));
  s1 = rescaled(s1, vldrwq_gather_shifted_offset_s32(m + 1, places), vldrbq_gather_offset_s32(shift + 1, places));
  s2 = rescaled(s2, vldrwq_gather_shifted_offset_s32(m + 2, places), vldrbq_gather_offset_s32(shift + 2, places));
  s3 = rescaled(s3, vldrwq_gather_shifted_offset_s32(m + 3, places), vldrbq_gather_offset_s32(shift + 3, places));
  const int16x8_t zero_point = vdupq_n_s16((int16_t)layer->output_zero_point);
  const int16x8_t even = vqmovntq_s32(vqmovnbq_s32(vreinterpretq_s16_s32(s0), s0), s2);
  const int16x8_t odd = vqmovntq_s32(vqmovnbq_s32(vreinterpretq_s16_s32(s1), s1), s3);
  const int16x8_t values = limited(layer, vqaddq_s16(even, zero_point));
  const int16x8_t others = limited(layer, vqaddq_s16(odd, zero_point));
  vstrbq_s8(output + c, vmovntq_s16(vreinterpretq_s8_s16(values), others));
}

/* Eight channels; the sums are of every second one, and of those between. */
static inline void eight(const edgeml_depthwise_conv_2d_t *layer, const int8_t *const *taps, int32_t count,
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
  if (layer->narrow) {
    even = rescaled(even, multiplier.val[0], vmovlbq_s16(shift));
    odd = rescaled(odd, multiplier.val[1], vmovltq_s16(shift));
  } else {
    even = edgeml_rescale_four(even, multiplier.val[0], vmovlbq_s16(shift));
    odd = edgeml_rescale_four(odd, multiplier.val[1], vmovltq_s16(shift));
  }
  const int16x8_t zero_point = vdupq_n_s16((int16_t)layer->output_zero_point);
  const int16x8_t values = vqmovntq_s32(vqmovnbq_s32(zero_point, even), odd);
  vstrbq_s16(output + c, limited(layer, vqaddq_s16(values, zero_point)));
}

/* Four channels, or as many as are left, which several may share one of the input. */
static inline void four(const edgeml_depthwise_conv_2d_t *layer, const int8_t *const *taps, int32_t count,
                        int32_t channels, int32_t c, int8_t *output) {
  const int32_t multiplier = layer->depth_multiplier;
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
  edgeml_limit(layer->lowest, layer->highest, output + c, channels - c < 4 ? channels - c : 4);
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
    four(layer, taps, count, channels, c, output);
  }
}

/* Pointers are words here. */
static inline void advance(const int8_t **taps, int32_t count, int32_t step) {
  __asm__ volatile(
      "   wlstp.32 lr, %[count], 2f\n"
      "1: vldrw.32 q0, [%[taps]]\n"
      "   vadd.i32 q0, q0, %[step]\n"
      "   vstrw.32 q0, [%[taps]], #16\n"
      "   letp lr, 1b\n"
      "2:\n"
      : [taps] "+r"(taps)
      : [step] "r"(step), [count] "r"(count)
      : "q0", "lr", "memory");
}

#include "edgeml_taps.h"

void edgeml_depthwise_conv_2d(const edgeml_depthwise_conv_2d_t *layer, const int8_t *input, int8_t *output,
                              int8_t *scratch) {
  each_pixel(layer, input, output, scratch);
}
#endif
