/*
 * For each step: i, f, o = sigmoid and g = tanh of (input * weights + bias) + (hidden * weights),
 * cell = clip(f * cell + i * g), hidden = o * tanh(cell), which is the step's output.
 *
 * input [batches, steps, inputs], output [batches, steps, cells], hidden and cell [batches, cells] stay from one
 * call to the next. scratch [EDGEML_LSTM_GATES, cells]. Both sums of a gate are rescaled to int16, in steps of
 * 2^-12, before they meet; gates are in steps of 2^-15. Every addition saturates.
 *
 * Defined by tensorflow/lite/micro/kernels/lstm_eval.h; sigmoid and tanh interpolate one table, as in
 * tensorflow/lite/kernels/internal/reference/integer_ops/{logistic,tanh}.h.
 */
#include "edgeml_dot.h"

static int32_t saturated(int32_t value) { return edgeml_clamp(value, -32768, 32767); }

static int32_t part(const edgeml_lstm_part_t *part, const int8_t *x, int32_t size, int32_t row) {
  const int32_t sum = edgeml_dot(x, part->weights + row * size, size);
  return saturated(edgeml_rescale(edgeml_sum(sum, part->bias[row]), part->multiplier, part->shift));
}

static int32_t gate(const edgeml_lstm_t *layer, const edgeml_lstm_gate_t *gate, const int8_t *input,
                    const int8_t *hidden, int32_t row) {
  return saturated(part(&gate->input, input, layer->inputs, row) +
                   part(&gate->recurrent, hidden, layer->cells, row));
}

/* x in steps of 2^-12 */
static int16_t sigmoid(const edgeml_lstm_t *layer, int32_t x) {
  const int32_t distance = x < 0 ? -3 * x : 3 * x, at = distance >> 9;
  int32_t value = 0x7fff << 10;
  if (at < 255) {
    const int32_t from = layer->sigmoid[at], to = layer->sigmoid[at + 1];
    value = (from << 9) + (distance & 511) * (to - from);
  }
  return (int16_t)((x < 0 ? (1 << 25) - value + 511 : value + 512) >> 10);
}

/* x in steps of 1/6144: tanh(x) = 2 sigmoid(2 x) - 1 */
static int16_t hyperbolic_tangent(const edgeml_lstm_t *layer, int32_t x) {
  const int32_t distance = x < 0 ? -x : x, at = distance >> 8;
  int32_t value = 0xffff << 8;
  if (at < 255) {
    const int32_t from = layer->sigmoid[at], to = layer->sigmoid[at + 1];
    value = (from << 8) + (distance & 255) * (to - from);
  }
  return (int16_t)((x < 0 ? (1 << 23) - value + 127 : value - (1 << 23) + 128) >> 8);
}

static void step(const edgeml_lstm_t *layer, const int8_t *input, int8_t *hidden, int16_t *cell, int16_t *gates) {
  const int32_t cells = layer->cells;
  const int32_t half = layer->tanh_shift > 0 ? 1 << (layer->tanh_shift - 1) : 0;
  for (int32_t i = 0; i < cells; ++i) {
    gates[i] = sigmoid(layer, gate(layer, &layer->input_gate, input, hidden, i));
    gates[cells + i] = sigmoid(layer, gate(layer, &layer->forget_gate, input, hidden, i));
    gates[2 * cells + i] = hyperbolic_tangent(layer, 3 * gate(layer, &layer->cell_gate, input, hidden, i));
    gates[3 * cells + i] = sigmoid(layer, gate(layer, &layer->output_gate, input, hidden, i));
  }
  for (int32_t i = 0; i < cells; ++i) {
    const int32_t kept =
        saturated(edgeml_rescale(gates[cells + i] * cell[i], layer->forget_multiplier, layer->forget_shift));
    const int32_t added = saturated(
        edgeml_rescale(gates[i] * gates[2 * cells + i], layer->input_multiplier, layer->input_shift));
    int32_t next = saturated(kept + added);
    if (layer->cell_clip > 0) {
      next = edgeml_clamp(next, -layer->cell_clip, layer->cell_clip);
    }
    cell[i] = (int16_t)next;
    const int32_t bent = hyperbolic_tangent(layer, (next * layer->tanh_multiplier + half) >> layer->tanh_shift);
    const int32_t value =
        edgeml_rescale(bent * gates[3 * cells + i], layer->output_multiplier, layer->output_shift);
    hidden[i] = (int8_t)edgeml_clamp(value + layer->output_zero_point, -128, 127);
  }
}

void edgeml_lstm(const edgeml_lstm_t *layer, const int8_t *input, int8_t *hidden, int16_t *cell, int8_t *output,
                 int16_t *scratch) {
  for (int32_t batch = 0; batch < layer->batches; ++batch, hidden += layer->cells, cell += layer->cells) {
    for (int32_t t = 0; t < layer->steps; ++t, input += layer->inputs, output += layer->cells) {
      step(layer, input, hidden, cell, scratch);
      memcpy(output, hidden, (size_t)layer->cells);
    }
  }
}
