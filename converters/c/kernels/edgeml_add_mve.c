/*
 * edgeml_add for cores with vectors: four elements at once.
 */
#include "edgeml_kernels.h"

#if defined(EDGEML_MVE)
#include "edgeml_mve.h"

/* edgeml_rescale of four values by one multiplier and shift. */
static inline int32x4_t rescale(int32x4_t value, int32_t multiplier, int32_t shift) {
  if (shift < 0) {
    value = vqrdmulhq_n_s32(value, multiplier);
    /* One less for what is negative, so that halves round away from zero. */
    return vrshlq_n_s32(vqaddq_s32(value, vshrq_n_s32(value, 31)), shift);
  }
  return vqrdmulhq_n_s32(vshlq_r_s32(value, shift), multiplier);
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
    for (int32_t left = size; left > 0; left -= 4, at_a += 4 * step_a, at_b += 4 * step_b) {
      const mve_pred16_t lanes = vctp32q((uint32_t)left);
      const int32x4_t from_a = vaddq_n_s32(vldrbq_gather_offset_z_s32(at_a, places_a, lanes), here.offset_a);
      const int32x4_t from_b = vaddq_n_s32(vldrbq_gather_offset_z_s32(at_b, places_b, lanes), here.offset_b);
      const int32x4_t one = rescale(vshlq_n_s32(from_a, 20), here.multiplier_a, here.shift_a);
      const int32x4_t two = rescale(vshlq_n_s32(from_b, 20), here.multiplier_b, here.shift_b);
      const int32x4_t sum = here.sign > 0 ? vaddq_s32(one, two) : vsubq_s32(one, two);
      vstrbq_p_s32(y, edgeml_int8(vaddq_n_s32(rescale(sum, here.multiplier, here.shift), here.offset)), lanes);
      y += left < 4 ? left : 4;
    }
  }
  edgeml_limit(here.lowest, here.highest, output, (int32_t)(y - output));
}
#endif
