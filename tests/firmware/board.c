/*
 * A board that is a process: the bridge over stdin and stdout.
 *
 *   board            the model of accumulate.h
 *   board example    the one of the example in docs/protocol.md: y = -x, int8 [1, 4]
 *   board fault      met a division by zero, tells it, and does nothing else
 *
 * SIGUSR1 resets the board at once: the process becomes a new one on the same line. One tick is 3/2 instructions.
 */
#define _POSIX_C_SOURCE 200809L
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "accumulate.h"
#include "edgeml_bridge.h"

static uint32_t stack[64];

static int8_t x[4];

static void *x_data(void) { return x; }

static void example_init(void) {}

static void example_run(void) {
  for (int i = 0; i < 4; ++i) {
    x[i] = (int8_t)-x[i];
  }
  now += 120;
}

static const edgeml_tensor example_tensors[] = {{"x", x_data, 4, 0.5f, 0, EDGEML_INT8, 2, {1, 4}},
                                                {"y", x_data, 4, 0.5f, 0, EDGEML_INT8, 2, {1, 4}}};

static const edgeml_model example = {.name = "negate",
                                     .digest = {0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14},
                                     .init = example_init,
                                     .run = example_run,
                                     .arena_bytes = 4,
                                     .inputs = 1,
                                     .outputs = 1,
                                     .tensors = example_tensors};

static uint8_t received[512];
static ssize_t waiting, taken;
static uint8_t sent[4096];
static size_t pending;

static void flush(void) {
  for (size_t done = 0; done < pending;) {
    const ssize_t count = write(STDOUT_FILENO, sent + done, pending - done);
    if (count <= 0) {
      exit(0);
    }
    done += (size_t)count;
  }
  pending = 0;
}

static int get(void *context) {
  (void)context;
  if (taken == waiting) {
    struct pollfd line = {STDIN_FILENO, POLLIN, 0};
    flush();
    if (poll(&line, 1, 0) <= 0) {
      return -1;
    }
    taken = 0;
    waiting = read(STDIN_FILENO, received, sizeof received);
    if (waiting <= 0) {
      exit(0);
    }
  }
  return received[taken++];
}

static void put(void *context, uint8_t byte) {
  (void)context;
  sent[pending++] = byte;
  if (pending == sizeof sent) {
    flush();
  }
}

static uint32_t tick(void *context) {
  (void)context;
  return now;
}

static void idle(void *context) {
  struct pollfd line = {STDIN_FILENO, POLLIN, 0};
  (void)context;
  flush();
  poll(&line, 1, 1000);
}

static char **arguments;

static void reset(int number) {
  (void)number;
  execv(arguments[0], arguments);
  _exit(1);
}

static edgeml_bridge bridge;

/* A block of 3 samples in 2 channels each turn, and a prediction every fourth. */
static void stream(void) {
  static uint32_t turn;
  float values[6];
  for (int i = 0; i < 6; ++i) {
    values[i] = (float)turn + (float)i / 8;
  }
  edgeml_bridge_send_block(&bridge, values, 3, 2, 50.0f, 1000 * (uint64_t)turn + ((uint64_t)1 << 40));
  if (turn++ % 4 == 3) {
    memset(arena.inputs.b, (int)turn & 0x7f, B);
    for (int i = 0; i < A; ++i) {
      arena.inputs.a[i] = 1;
    }
    model_run();
    edgeml_bridge_send_prediction(&bridge, 1000 * (uint64_t)turn);
  }
  flush();
  poll(NULL, 0, 1);
}

int main(int count, char **values) {
  const edgeml_port port = {.get = get,
                            .put = put,
                            .tick = tick,
                            .idle = idle,
                            .tick_kind = EDGEML_TICK_INSTRUCTIONS,
                            .tick_numerator = 3,
                            .tick_denominator = 2,
                            .core = "process",
                            .stack_limit = stack,
                            .stack_top = stack + 64};
  const char *kind = count > 1 ? values[1] : "";
  struct sigaction on_reset = {.sa_handler = reset};
  sigset_t signals;
  arguments = values;
  for (int i = 0; i < 48; ++i) {
    stack[i] = EDGEML_STACK_PAINT;
  }
  edgeml_bridge_init(&bridge, &port, strcmp(kind, "example") == 0 ? &example : &model);
  sigemptyset(&signals);
  sigaction(SIGUSR1, &on_reset, NULL); /* blocked within the handler, and so until here after it */
  sigaddset(&signals, SIGUSR1);
  sigprocmask(SIG_UNBLOCK, &signals, NULL);
  while (strcmp(kind, "fault") == 0) {
    edgeml_bridge_send_fault(&port, 0x00001234, 1u << 25);
    idle(NULL);
    while (get(NULL) >= 0) {
    }
  }
  for (;;) {
    edgeml_bridge_poll(&bridge);
    if (edgeml_bridge_streams(&bridge) && kind[0] == 0) {
      stream();
    }
  }
}
