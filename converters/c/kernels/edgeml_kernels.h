/*
 * Integer kernels for quantized networks: C99, no heap, nothing beyond <stdint.h> and <string.h>.
 *
 * Each kernel is a file of its name. It reads one constant structure, which the generator fills, and tensors in
 * the arena. Tensors are dense and row-major: images are [batch, height, width, channels]. Every kernel gives
 * the bits of TensorFlow Lite Micro's reference kernel of the operator.
 *
 * An output may overwrite what its kernel has read and needs no more: the generator's overlap.py knows in which order
 * each kernel reads and writes.
 */
#ifndef EDGEML_KERNELS_H
#define EDGEML_KERNELS_H

#include <stdint.h>

/*
 * With no system underneath (-ffreestanding, zig's targets) there may be no <string.h>, and a compiler makes calls of
 * its functions rather than the one load that a copy of a word is: there they are asked for by the names that it knows.
 */
#if defined(__GNUC__) && defined(__STDC_HOSTED__) && !__STDC_HOSTED__
#include <stddef.h>
#define memcpy __builtin_memcpy
#define memset __builtin_memset
#else
#include <string.h>
#endif

/*
 * Which files of a kernel are compiled: kernel_mve.c for vectors (Cortex-M55, M85), kernel_dsp.c for two products
 * at once (Cortex-M4, M7, M33), kernel.c for every other core. All give the same bits. Without optimization there are
 * too few registers for loops in assembly, and clang fails on vectors as arguments without -mfloat-abi=hard.
 */
#if defined(__GNUC__) && defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1) && \
    (!defined(__clang__) || defined(__ARM_PCS_VFP))
#define EDGEML_MVE
#elif defined(__GNUC__) && defined(__OPTIMIZE__) && defined(__ARM_FEATURE_SIMD32) && !defined(__ARM_BIG_ENDIAN)
#define EDGEML_DSP
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* A function that needs every register: within another, half of it would live on the stack. */
#if defined(__GNUC__)
#define EDGEML_APART __attribute__((noinline))
#else
#define EDGEML_APART
#endif

/* Most axes of a tensor after neighbouring ones are merged. */
#define EDGEML_AXES 5

/*
 * value * multiplier * 2^(shift - 31), rounded twice, each time half away from zero: gemmlowp's definition
 * (MultiplyByQuantizedMultiplier in tensorflow/lite/kernels/internal/common.cc). A left shift wraps.
 *
 * 0 <= multiplier, -31 <= shift <= 30. The last line is (v + 2^(e-1) - (v < 0)) >> e without its overflow.
 */
static inline int32_t edgeml_rescale(int32_t value, int32_t multiplier, int32_t shift) {
  const int32_t left = shift > 0 ? shift : 0;
  const int64_t product = (int64_t)(int32_t)((uint32_t)value << left) * multiplier;
  const int32_t high = (int32_t)((product + (1 << 30)) >> 31);
  if (shift >= 0) {
    return high;
  }
  return (((high + (high >> 31)) >> (-shift - 1)) + 1) >> 1;
}

static inline int32_t edgeml_clamp(int32_t value, int32_t lowest, int32_t highest) {
  return value < lowest ? lowest : value > highest ? highest : value;
}

/* a + b, which may wrap: as the reference's does on every processor. */
static inline int32_t edgeml_sum(int32_t a, int32_t b) { return (int32_t)((uint32_t)a + (uint32_t)b); }

/* The places of two operands that are broadcast, or of one that is moved: a step of 0 repeats. */
typedef struct {
  int32_t rows; /* product of all sizes but the last */
  int32_t size[EDGEML_AXES];
  int32_t step_a[EDGEML_AXES];
  int32_t step_b[EDGEML_AXES];
} edgeml_box_t;

/* Where a row of the box starts, which runs along its last axis. */
typedef struct {
  int32_t a, b;
} edgeml_place_t;
static inline edgeml_place_t edgeml_row(const edgeml_box_t *box, int32_t row) {
  edgeml_place_t place = {0, 0};
  for (int32_t axis = EDGEML_AXES - 2; axis >= 0 && row > 0; --axis) {
    const int32_t index = row % box->size[axis];
    row /= box->size[axis];
    place.a += index * box->step_a[axis];
    place.b += index * box->step_b[axis];
  }
  return place;
}

/* ADD and SUB */
typedef struct {
  edgeml_box_t box;
  int32_t offset_a, multiplier_a, shift_a;
  int32_t offset_b, multiplier_b, shift_b;
  int32_t sign; /* 1 adds, -1 subtracts */
  int32_t offset, multiplier, shift;
  int32_t lowest, highest;
} edgeml_add_t;
void edgeml_add(const edgeml_add_t *layer, const int8_t *a, const int8_t *b, int8_t *output);

/* ADD, SUB, MUL and DIV of float32 */
typedef struct {
  edgeml_box_t box;
  float lowest, highest;
} edgeml_float_t;
void edgeml_float_add(const edgeml_float_t *layer, const float *a, const float *b, float *output);
void edgeml_float_sub(const edgeml_float_t *layer, const float *a, const float *b, float *output);
void edgeml_float_mul(const edgeml_float_t *layer, const float *a, const float *b, float *output);
void edgeml_float_div(const edgeml_float_t *layer, const float *a, const float *b, float *output);

/* AVERAGE_POOL_2D and MAX_POOL_2D */
typedef struct {
  int32_t batches, channels;
  int32_t input_height, input_width, output_height, output_width;
  int32_t kernel_height, kernel_width, stride_height, stride_width;
  int32_t padding_top, padding_left;
  int32_t lowest, highest;
} edgeml_pool_2d_t;
void edgeml_average_pool_2d(const edgeml_pool_2d_t *layer, const int8_t *input, int8_t *output);
void edgeml_max_pool_2d(const edgeml_pool_2d_t *layer, const int8_t *input, int8_t *output);

/* FULLY_CONNECTED */
typedef struct {
  int32_t rows, inputs, outputs;
  int32_t output_zero_point, lowest, highest;
  int32_t per_channel; /* 1: a multiplier for each output, 0: one for all */
  int32_t narrow;      /* 1: no sum reaches 2^30, no shift is to the left */
  const int8_t *weights;
  const int32_t *bias; /* less input zero point times the sum of weights */
  const int32_t *multiplier;
  const int8_t *shift;
} edgeml_fully_connected_t;
/* Rows are read for as long as outputs of their block are written, and no longer. */
#define EDGEML_FULLY_CONNECTED_ROWS 8
void edgeml_fully_connected(const edgeml_fully_connected_t *layer, const int8_t *input, int8_t *output);

/* BATCH_MATMUL */
typedef struct {
  edgeml_box_t box; /* of batches; steps in matrices */
  int32_t rows, inner, columns;
  int32_t transposed; /* 1: b is [columns, inner] */
  int32_t zero_a, zero_b, output_zero_point, multiplier, shift;
} edgeml_batch_matmul_t;
/* scratch: an int32 for each row, then a byte for each of inner */
void edgeml_batch_matmul(const edgeml_batch_matmul_t *layer, const int8_t *a, const int8_t *b, int8_t *output,
                         int8_t *scratch);

/* CONV_2D */
typedef struct {
  int32_t batches, input_height, input_width, input_channels, output_height, output_width;
  int32_t kernel_height, kernel_width, stride_height, stride_width, dilation_height, dilation_width;
  int32_t padding_top, padding_left;
  int32_t input_zero_point;
  edgeml_fully_connected_t patch; /* what is computed of each window; its rows are not used */
} edgeml_conv_2d_t;
/* scratch: EDGEML_CONV_2D_ROWS * patch.inputs, that rounded up to four, aligned to 8 */
#define EDGEML_CONV_2D_ROWS 4
void edgeml_conv_2d(const edgeml_conv_2d_t *layer, const int8_t *input, int8_t *output, int8_t *scratch);

/* DEPTHWISE_CONV_2D */
typedef struct {
  int32_t batches, input_height, input_width, input_channels, output_height, output_width;
  int32_t kernel_height, kernel_width, stride_height, stride_width, dilation_height, dilation_width;
  int32_t padding_top, padding_left, depth_multiplier;
  int32_t input_zero_point, output_zero_point, lowest, highest;
  int32_t narrow; /* 1: no sum reaches 2^30, no shift is to the left, no weight is -128 */
  const int8_t *weights;
  const int32_t *bias; /* less input zero point times the sum of weights */
  const int32_t *multiplier;
  const int8_t *shift;
} edgeml_depthwise_conv_2d_t;
/* scratch: a pointer for each weight of a channel, then input_channels, aligned to 8 */
void edgeml_depthwise_conv_2d(const edgeml_depthwise_conv_2d_t *layer, const int8_t *input, int8_t *output,
                              int8_t *scratch);

/* TRANSPOSE, STRIDED_SLICE, SPLIT, UNPACK, CONCATENATION, PAD: elements of `bytes` from a place to another */
typedef struct {
  edgeml_box_t box; /* step_a in the source, step_b in the destination, elements */
  int32_t start_a, start_b, bytes;
} edgeml_copy_t;
void edgeml_copy(const edgeml_copy_t *layer, const void *input, void *output);

/* DEQUANTIZE */
typedef struct {
  int32_t elements, zero_point;
  float scale;
} edgeml_affine_t;
void edgeml_dequantize(const edgeml_affine_t *layer, const int8_t *input, float *output);

/* QUANTIZE of float32 */
void edgeml_quantize(const edgeml_affine_t *layer, const float *input, int8_t *output);

/* PAD: what surrounds the copy */
typedef struct {
  int32_t bytes, value;
} edgeml_fill_t;
void edgeml_fill(const edgeml_fill_t *layer, void *output);

/* L2_NORMALIZATION along the last axis */
typedef struct {
  int32_t rows, depth, zero_point;
} edgeml_l2_normalization_t;
void edgeml_l2_normalization(const edgeml_l2_normalization_t *layer, const int8_t *input, int8_t *output);

/* LOGISTIC, TANH, RELU, LEAKY_RELU, HARD_SWISH, QUANTIZE of int8: whatever has one input */
typedef struct {
  int32_t elements;
  const int8_t *table; /* 256, for inputs from -128 */
} edgeml_lookup_t;
void edgeml_lookup(const edgeml_lookup_t *layer, const int8_t *input, int8_t *output);

/* UNIDIRECTIONAL_SEQUENCE_LSTM */
typedef struct {
  const int8_t *weights; /* [cells, inputs], or [cells, cells] of what came out before */
  const int32_t *bias;   /* less zero point times the sum of weights */
  int32_t multiplier, shift;
} edgeml_lstm_part_t;
typedef struct {
  edgeml_lstm_part_t input, recurrent;
} edgeml_lstm_gate_t;
typedef struct {
  int32_t batches, steps, inputs, cells;
  edgeml_lstm_gate_t input_gate, forget_gate, cell_gate, output_gate;
  int32_t forget_multiplier, forget_shift; /* of forget gate times cell */
  int32_t input_multiplier, input_shift;   /* of input gate times cell gate */
  int32_t output_multiplier, output_shift; /* of output gate times tanh(cell) */
  int32_t output_zero_point;
  int32_t cell_clip;                  /* 0: none */
  int32_t tanh_multiplier, tanh_shift; /* from the scale of the cell to steps of 1/6144 */
  const int32_t *sigmoid;             /* 256, of i / 24, in units of 2^-16 */
} edgeml_lstm_t;
#define EDGEML_LSTM_GATES 4 /* int16 for each cell in the working memory */
void edgeml_lstm(const edgeml_lstm_t *layer, const int8_t *input, int8_t *hidden, int16_t *cell, int8_t *output,
                 int16_t *scratch);

/* MAXIMUM and MINIMUM */
void edgeml_maximum(const edgeml_box_t *layer, const int8_t *a, const int8_t *b, int8_t *output);
void edgeml_minimum(const edgeml_box_t *layer, const int8_t *a, const int8_t *b, int8_t *output);

/* MEAN, SUM, REDUCE_MAX and REDUCE_MIN along one axis, or neighbouring ones, of [outer, reduced, inner] */
typedef struct {
  int32_t outer, reduced, inner;
  int32_t input_zero_point, output_zero_point, multiplier, shift;
} edgeml_reduce_t;
void edgeml_mean(const edgeml_reduce_t *layer, const int8_t *input, int8_t *output);
void edgeml_reduce_max(const edgeml_reduce_t *layer, const int8_t *input, int8_t *output);
void edgeml_reduce_min(const edgeml_reduce_t *layer, const int8_t *input, int8_t *output);

/* MUL */
typedef struct {
  edgeml_box_t box;
  int32_t offset_a, offset_b;
  int32_t offset, multiplier, shift;
  int32_t lowest, highest;
} edgeml_mul_t;
void edgeml_mul(const edgeml_mul_t *layer, const int8_t *a, const int8_t *b, int8_t *output);

/* PRELU */
typedef struct {
  edgeml_box_t box;
  int32_t offset_a, offset_b;
  int32_t offset, multiplier, shift;
  int32_t slope_multiplier, slope_shift;
} edgeml_prelu_t;
void edgeml_prelu(const edgeml_prelu_t *layer, const int8_t *a, const int8_t *b, int8_t *output);

/* RESIZE_BILINEAR */
typedef struct {
  int32_t batches, input_height, input_width, output_height, output_width, channels;
  const int16_t *rows; /* for each row of the output: above, below, how far below the first in steps of 2^-10 */
  const int16_t *columns;
} edgeml_resize_bilinear_t;
void edgeml_resize_bilinear(const edgeml_resize_bilinear_t *layer, const int8_t *input, int8_t *output);

/* RESIZE_NEAREST_NEIGHBOR */
typedef struct {
  int32_t batches, input_height, input_width, output_height, output_width;
  int32_t bytes; /* of a pixel */
  const int16_t *rows; /* row of the input for each row of the output */
  const int16_t *columns;
} edgeml_resize_nearest_t;
void edgeml_resize_nearest(const edgeml_resize_nearest_t *layer, const void *input, void *output);

/* SOFTMAX along the last axis */
typedef struct {
  int32_t rows, depth;
  const int32_t *exponential; /* 256, exp of how far an element is below the largest, in units of 2^-31 */
} edgeml_softmax_t;
void edgeml_softmax(const edgeml_softmax_t *layer, const int8_t *input, int8_t *output);

/* SQUARED_DIFFERENCE */
typedef struct {
  edgeml_box_t box;
  int32_t offset_a, multiplier_a, shift_a;
  int32_t offset_b, multiplier_b, shift_b;
  int32_t offset, multiplier, shift;
} edgeml_squared_difference_t;
void edgeml_squared_difference(const edgeml_squared_difference_t *layer, const int8_t *a, const int8_t *b,
                               int8_t *output);

/* TRANSPOSE_CONV */
typedef struct {
  int32_t batches, input_height, input_width, input_channels, output_height, output_width, output_channels;
  int32_t kernel_height, kernel_width, stride_height, stride_width, padding_top, padding_left;
  int32_t input_zero_point, output_zero_point, lowest, highest;
  const int8_t *weights;
  const int32_t *bias;
  const int32_t *multiplier;
  const int8_t *shift;
} edgeml_transpose_conv_t;
void edgeml_transpose_conv(const edgeml_transpose_conv_t *layer, const int8_t *input, int8_t *output);

#ifdef __cplusplus
}
#endif

#endif /* EDGEML_KERNELS_H */
