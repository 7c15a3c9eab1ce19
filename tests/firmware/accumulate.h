/*
 * A model that is small and unforgiving.
 *
 * Inputs: a float32 [5], b int8 [2500]. Outputs: sum float32 [5], echo int8 [2500], count int16 [1]. The model
 * remembers: sum += a, count += 1; echo is b turned around. Inputs and outputs share the arena, as in generated
 * code: echo lies over a and the beginning of b. A run takes 1000 ticks times how many there were.
 */
#ifndef ACCUMULATE_H
#define ACCUMULATE_H

#include <string.h>

#include "edgeml_bridge.h"

enum { A = 5, B = 2500 };

static union {
  struct {
    float a[A];
    int8_t b[B];
  } inputs;
  struct {
    int8_t echo[B];
    float sum[A];
    int16_t count;
  } outputs;
} arena;
static float state[A];
static int16_t runs;
static uint32_t now;

static void *a_data(void) { return arena.inputs.a; }
static void *b_data(void) { return arena.inputs.b; }
static void *sum_data(void) { return arena.outputs.sum; }
static void *echo_data(void) { return arena.outputs.echo; }
static void *count_data(void) { return &arena.outputs.count; }

static void model_init(void) {
  memset(state, 0, sizeof state);
  runs = 0;
}

static void model_run(void) {
  int8_t echo[B];
  for (int i = 0; i < B; ++i) {
    echo[i] = arena.inputs.b[B - 1 - i];
  }
  for (int i = 0; i < A; ++i) {
    state[i] += arena.inputs.a[i];
  }
  memcpy(arena.outputs.echo, echo, sizeof echo);
  memcpy(arena.outputs.sum, state, sizeof state);
  arena.outputs.count = ++runs;
  now += (uint32_t)runs * 1000;
}

static const edgeml_tensor tensors[] = {
    {"a", a_data, sizeof arena.inputs.a, 0, 0, EDGEML_FLOAT32, 2, {1, A}},
    {"b", b_data, B, 0.5f, -3, EDGEML_INT8, 3, {1, 50, 50}},
    {"sum", sum_data, sizeof arena.outputs.sum, 0, 0, EDGEML_FLOAT32, 2, {1, A}},
    {"echo", echo_data, B, 0.5f, -3, EDGEML_INT8, 3, {1, 50, 50}},
    {"count", count_data, 2, 1, 0, EDGEML_INT16, 1, {1}},
};

static const edgeml_model model = {.name = "accumulate",
                                   .digest = {1, 2, 3},
                                   .init = model_init,
                                   .run = model_run,
                                   .arena_bytes = sizeof arena,
                                   .inputs = 2,
                                   .outputs = 3,
                                   .tensors = tensors};

#endif /* ACCUMULATE_H */
