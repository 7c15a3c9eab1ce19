/*
 * edgeml_add for cores with vectors: four elements at once.
 */
#include "edgeml_kernels.h"

#if defined(EDGEML_MVE)
#include "edgeml_mve.h"

/* What becomes of four elements of each operand, within the limits of int8. */
static inline int32x4_t four(const edgeml_add_t *layer, int32x4_t a, int32x4_t b) {
  const int32x4_t from_a = vshlq_n_s32(vaddq_n_s32(a, layer->offset_a), 20);
  const int32x4_t from_b = vshlq_n_s32(vaddq_n_s32(b, layer->offset_b), 20);
  const int32x4_t one = edgeml_rescale_by(from_a, layer->multiplier_a, layer->shift_a);
  const int32x4_t two = edgeml_rescale_by(from_b, layer->multiplier_b, layer->shift_b);
  const int32x4_t sum = layer->sign > 0 ? vaddq_s32(one, two) : vsubq_s32(one, two);
  return edgeml_int8(vaddq_n_s32(edgeml_rescale_by(sum, layer->multiplier, layer->shift), layer->offset));
}

void edgeml_add(const edgeml_add_t *layer, const int8_t *a, const int8_t *b, int8_t *output) {
  const edgeml_add_t here = *layer; /* which no store to the output can change */
  const int32_t size = here.box.size[EDGEML_AXES - 1];
  const int32_t step_a = here.box.step_a[EDGEML_AXES - 1], step_b = here.box.step_b[EDGEML_AXES - 1];
  const uint32x4_t each = vidupq_n_u32(0, 1);
  const uint32x4_t places_a = vmulq_n_u32(each, (uint32_t)step_a), places_b = vmulq_n_u32(each, (uint32_t)step_b);
  int8_t *y = output;
  for (int32_t row = 0; row < here.box.rows; ++row) {
    const edgeml_place_t place = edgeml_row(&layer->box, row);
    const int8_t *at_a = a + place.a, *at_b = b + place.b;
    int32_t left = size;
    if (step_a == 1 && step_b == 1) {
      for (; left >= 4; left -= 4, at_a += 4, at_b += 4, y += 4) {
        vstrbq_s32(y, four(&here, vldrbq_s32(at_a), vldrbq_s32(at_b)));
      }
    }
    for (; left > 0; left -= 4, at_a += 4 * step_a, at_b += 4 * step_b) {
      const mve_pred16_t lanes = vctp32q((uint32_t)left);
      const int32x4_t from_a = vldrbq_gather_offset_z_s32(at_a, places_a, lanes);
      const int32x4_t from_b = vldrbq_gather_offset_z_s32(at_b, places_b, lanes);
      vstrbq_p_s32(y, four(&here, from_a, from_b), lanes);
      y += left < 4 ? left : 4;
    }
  }
  edgeml_limit(here.lowest, here.highest, output, (int32_t)(y - output));
}
#endif
