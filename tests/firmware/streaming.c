/*
 * A board that infers by itself, as a process: it streams sensor blocks, predictions or both over the terminal that is
 * its standard input and output, and has the mishaps that it is told to have.
 *
 *   streaming KIND INPUTS SAMPLES BLOCK CHANNELS FIRST [MISHAP@STEP …]
 *
 * KIND      p, b or pb
 * INPUTS    file of windows as the model's input holds them
 * SAMPLES   file of float32 [n, CHANNELS]
 * BLOCK     samples in a block
 * FIRST     window and block to begin with
 * MISHAP    garbage, lose, reset, crash
 */
#define _POSIX_C_SOURCE 200809L
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "board.h"

static edgeml_bridge bridge;
static uint64_t booted_us;

static uint64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static int wait_for(short what, int ms) {
  struct pollfd line = {0, what, 0};
  return poll(&line, 1, ms) > 0 && (line.revents & what);
}

static int get(void *context) {
  uint8_t byte;
  (void)context;
  return wait_for(POLLIN, 0) && read(0, &byte, 1) == 1 ? byte : -1;
}

static void put(void *context, uint8_t byte) {
  (void)context;
  while (write(1, &byte, 1) != 1) {
    (void)wait_for(POLLOUT, 10);
  }
}

static uint32_t tick(void *context) {
  (void)context;
  return (uint32_t)now_us();
}

const edgeml_port edgeml_board = {.get = get, .put = put, .tick = tick, .tick_numerator = 1000, .tick_denominator = 1,
                                  .core = "host"};

static void boot(void) {
  booted_us = now_us();
  edgeml_bridge_init(&bridge, &edgeml_board, &edgeml_firmware);
}

static uint8_t *file(const char *name, size_t *bytes) {
  FILE *opened = fopen(name, "rb");
  uint8_t *data;
  if (opened == NULL || fseek(opened, 0, SEEK_END) != 0) {
    exit(2);
  }
  *bytes = (size_t)ftell(opened);
  data = malloc(*bytes + 1);
  rewind(opened);
  if (data == NULL || fread(data, 1, *bytes, opened) != *bytes) {
    exit(2);
  }
  fclose(opened);
  return data;
}

/* Tells of a fault, hears nothing any more, and is reset by its watchdog. */
static void crash(void) {
  edgeml_bridge_send_fault(&edgeml_board, 0x08001234u, 0x02000000u);
  for (int n = 0; n < 20; ++n) {
    (void)wait_for(0, 10);
    while (get(NULL) >= 0) {
    }
  }
  boot();
}

static void happen(const char *mishap) {
  if (strncmp(mishap, "garbage", 7) == 0) {
    for (uint8_t n = 0; n < 90; ++n) {
      put(NULL, n % 13 ? (uint8_t)(n * 37 + 1) : 0);
    }
  } else if (strncmp(mishap, "lose", 4) == 0) {
    bridge.counter += 2;
  } else if (strncmp(mishap, "reset", 5) == 0) {
    boot();
  } else if (strncmp(mishap, "crash", 5) == 0) {
    crash();
  }
}

int main(int count, char **arguments) {
  size_t input_bytes, sample_bytes;
  const edgeml_tensor *input = &edgeml_firmware.tensors[0];
  const uint8_t *inputs = file(arguments[2], &input_bytes);
  const float *samples = (const float *)(const void *)file(arguments[3], &sample_bytes);
  const size_t block = (size_t)atoi(arguments[4]), channels = (size_t)atoi(arguments[5]);
  const size_t windows = input_bytes / input->bytes;
  const size_t blocks = sample_bytes / (block * channels * sizeof(float));
  size_t step = (size_t)atoi(arguments[6]);
  char done[64] = {0};
  boot();
  for (;;) {
    edgeml_bridge_poll(&bridge);
    (void)wait_for(POLLIN, 1);
    if (!edgeml_bridge_streams(&bridge)) {
      continue;
    }
    for (int n = 7; n < count; ++n) {
      const char *at = strchr(arguments[n], '@');
      if (at != NULL && !done[n] && (size_t)atoi(at + 1) == step) {
        done[n] = 1;
        happen(arguments[n]);
      }
    }
    if (strchr(arguments[1], 'p') != NULL && step < windows) {
      memcpy(input->data(), inputs + step * input->bytes, input->bytes);
      edgeml_firmware.run();
      edgeml_bridge_send_prediction(&bridge, now_us() - booted_us);
    }
    if (strchr(arguments[1], 'b') != NULL && step < blocks) {
      edgeml_bridge_send_block(&bridge, samples + step * block * channels, (uint16_t)block, (uint8_t)channels, 50.0f,
                               now_us() - booted_us);
    }
    step += edgeml_bridge_streams(&bridge) ? 1u : 0u;
  }
}
