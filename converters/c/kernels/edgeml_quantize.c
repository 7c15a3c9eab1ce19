/*
 * output[i] = clamp(round(input[i] / scale) + zero_point), half away from zero; what is no number gives the
 * lowest. From the first to the last, so that the output may begin where the input does.
 *
 * Defined by AffineQuantize in tensorflow/lite/kernels/internal/reference/quantize.h.
 */
#include "edgeml_kernels.h"

void edgeml_quantize(const edgeml_affine_t *layer, const float *input, int8_t *output) {
  const edgeml_affine_t here = *layer; /* which no store to the output can change */
  for (int32_t i = 0; i < here.elements; ++i) {
    const float steps = input[i] / here.scale;
    int32_t whole = steps >= 512.0f ? 512 : -512;
    if (steps > -512.0f && steps < 512.0f) {
      whole = (int32_t)steps;
      const float rest = steps - (float)whole; /* exact: steps has less than ten bits ahead of its point */
      whole += (int32_t)(rest + rest);         /* 1 from a half on, -1 from minus a half on */
    }
    output[i] = (int8_t)edgeml_clamp(whole + here.zero_point, -128, 127);
  }
}
