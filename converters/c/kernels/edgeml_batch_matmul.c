/*
 * output[n][r][c] = clamp(output_zero_point + rescale(sum_i (a[n][r][i] - zero_a) * (b[n][i][c] - zero_b)))
 *
 * a [rows, inner] and b [inner, columns], or [columns, inner] if it is `transposed`, for each place of a box of
 * broadcast batches; output dense. inner < 32768, so that no sum overflows. scratch: an int32 for each row, then
 * `inner` bytes.
 *
 * Defined by BatchMatMul in tensorflow/lite/kernels/internal/reference/batch_matmul.h. Zero points are taken out of
 * the sum of products: sum (a - zero_a) (b - zero_b) = sum a b - zero_b sum a - zero_a sum b + inner zero_a zero_b.
 */
#include "edgeml_dot.h"

static void matrices(const edgeml_batch_matmul_t *layer, const int8_t *a, const int8_t *b, int8_t *output,
                     int32_t *sums, int8_t *column) {
  const int32_t rows = layer->rows, inner = layer->inner, columns = layer->columns;
  for (int32_t r = 0; r < rows; ++r) {
    int32_t sum = -inner * layer->zero_a;
    for (int32_t i = 0; i < inner; ++i) {
      sum += a[r * inner + i];
    }
    sums[r] = layer->zero_b * sum;
  }
  for (int32_t c = 0; c < columns; ++c) {
    const int8_t *w = b + c * inner;
    if (!layer->transposed) {
      for (int32_t i = 0; i < inner; ++i) {
        column[i] = b[i * columns + c];
      }
      w = column;
    }
    int32_t all = 0;
    for (int32_t i = 0; i < inner; ++i) {
      all += w[i];
    }
    for (int32_t r = 0; r < rows; ++r) {
      const int32_t sum = edgeml_dot(a + r * inner, w, inner) - layer->zero_a * all - sums[r];
      const int32_t value = edgeml_rescale(sum, layer->multiplier, layer->shift) + layer->output_zero_point;
      output[r * columns + c] = (int8_t)edgeml_clamp(value, -128, 127);
    }
  }
}

void edgeml_batch_matmul(const edgeml_batch_matmul_t *layer, const int8_t *a, const int8_t *b, int8_t *output,
                         int8_t *scratch) {
  const int32_t size = layer->box.size[EDGEML_AXES - 1], all_a = layer->rows * layer->inner;
  const int32_t all_b = layer->inner * layer->columns;
  int32_t *const sums = (int32_t *)(void *)scratch;
  for (int32_t row = 0; row < layer->box.rows; ++row) {
    edgeml_place_t place = edgeml_row(&layer->box, row);
    for (int32_t i = 0; i < size; ++i, output += layer->rows * layer->columns) {
      matrices(layer, a + place.a * all_a, b + place.b * all_b, output, sums, (int8_t *)(sums + layer->rows));
      place.a += layer->box.step_a[EDGEML_AXES - 1];
      place.b += layer->box.step_b[EDGEML_AXES - 1];
    }
  }
}
