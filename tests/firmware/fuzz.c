/*
 * Throws bytes at the bridge: noise, damaged frames, and good ones with whatever in them.
 *
 *   fuzz SEED TURNS
 *
 * Every answer must be a good frame, the model must run only when a RUN was carried out, and what lies around the
 * tensors must stay as it is. The sanitizers see the rest. Prints: answers, runs, errors.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edgeml_bridge.h"
#include "edgeml_frame.h"
#include "edgeml_messages.h"

enum { FENCE = 16, X = 300, Y = 7, ROOM = 4 * (EDGEML_MAX_PAYLOAD + 100) };

static struct {
  uint8_t before[FENCE], x[X], between[FENCE], y[Y], after[FENCE];
} memory;
static uint32_t runs;

static void *x_data(void) { return memory.x; }
static void *y_data(void) { return memory.y; }
static void init(void) {}
static void run(void) {
  ++runs;
  memcpy(memory.y, memory.x, Y);
}

static const edgeml_tensor tensors[] = {{"x", x_data, X, 0, 0, EDGEML_INT8, 1, {X}},
                                        {"y", y_data, Y, 0, 0, EDGEML_INT8, 1, {Y}}};
static const edgeml_model model = {
    .name = "fuzzed", .init = init, .run = run, .inputs = 1, .outputs = 1, .tensors = tensors};

static uint8_t line[ROOM];
static size_t written, taken;
static edgeml_bridge bridge, host;
static uint32_t answers, chance;

static uint32_t number_below(uint32_t limit) {
  chance ^= chance << 13;
  chance ^= chance >> 17;
  chance ^= chance << 5;
  return chance % limit;
}

static void to_line(void *context, uint8_t byte) {
  (void)context;
  if (written < sizeof line) {
    line[written++] = byte;
  }
}

static int from_line(void *context) {
  (void)context;
  return taken < written ? line[taken++] : -1;
}

/* What the board says must be frames, and the decoder of the other side is the same code. */
static void to_host(void *context, uint8_t byte) {
  (void)context;
  answers += edgeml_frame_receive(&host, byte) > 0;
}

static uint32_t tick(void *context) {
  (void)context;
  return runs;
}

static const edgeml_port port = {.get = from_line, .put = to_host, .tick = tick, .core = "fuzz"};
static const edgeml_port wire = {.put = to_line};

/* Mostly what the protocol knows, sometimes anything. */
static uint32_t likely(uint32_t value) { return number_below(8) ? value : number_below(0xffffffff); }

static void send_good_frame(void) {
  uint8_t chunk[EDGEML_MAX_PAYLOAD + 8];
  edgeml_message message;
  memset(&message, 0, sizeof message);
  const uint32_t type = likely(1 + number_below(7));
  edgeml_frame_add(&message, type, 1);
  edgeml_frame_add(&message, likely(number_below(3)), 1);
  edgeml_frame_add(&message, chance, 2);
  edgeml_frame_add(&message, likely(1), 4);
  if (number_below(8) != 0 && type != EDGEML_HELLO && type != EDGEML_STATS) {
    edgeml_frame_add(&message, likely(bridge.number + number_below(2)), 4);
    if (type == EDGEML_INPUT || type == EDGEML_OUTPUT) {
      edgeml_frame_add(&message, likely(number_below(X)), 4);
      edgeml_frame_add(&message, likely(type == EDGEML_INPUT ? X : Y), 4);
    }
  }
  if (type == EDGEML_INPUT) {
    message.body = chunk;
    message.body_bytes = likely(number_below(X)) % sizeof chunk;
    for (uint32_t i = 0; i < message.body_bytes; ++i) {
      chunk[i] = (uint8_t)number_below(256);
    }
    edgeml_frame_send(&wire, &message);
    return;
  }
  uint32_t seal = edgeml_frame_seal(&message);
  if (type == EDGEML_RUN) {
    seal = edgeml_frame_crc32(seal, memory.x, X);
  }
  edgeml_frame_send_sealed(&wire, &message, likely(seal));
}

static void turn(void) {
  written = taken = 0;
  if (number_below(4) == 0) {
    for (uint32_t count = number_below(1500); count > 0; --count) {
      to_line(NULL, (uint8_t)number_below(number_below(2) ? 256 : 3));
    }
  } else {
    send_good_frame();
  }
  if (number_below(3) == 0) {
    line[number_below((uint32_t)written + 1) % sizeof line] ^= (uint8_t)(1 << number_below(8));
  }
  edgeml_bridge_poll(&bridge);
  if (number_below(16) == 0) {
    static const float samples[11 * 7]; /* one piece, which the decoder here has room for */
    edgeml_bridge_send_block(&bridge, samples, (uint16_t)number_below(11), 7, 50, 0);
    edgeml_bridge_send_prediction(&bridge, 0);
  }
}

int main(int count, char **values) {
  if (count != 3) {
    return 2;
  }
  chance = (uint32_t)strtoul(values[1], NULL, 10) * 2654435761u + 1;
  memset(&memory, 0x5c, sizeof memory);
  edgeml_bridge_init(&bridge, &port, &model);
  for (long turns = strtol(values[2], NULL, 10); turns > 0; --turns) {
    turn();
  }
  for (int i = 0; i < FENCE; ++i) {
    if (memory.before[i] != 0x5c || memory.between[i] != 0x5c || memory.after[i] != 0x5c) {
      return 3;
    }
  }
  if (host.malformed || host.torn || bridge.runs != runs) {
    return 4;
  }
  printf("%u %u %u\n", (unsigned)answers, (unsigned)runs, (unsigned)bridge.errors);
  return 0;
}
