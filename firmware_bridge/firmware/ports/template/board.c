/*
 * A port to copy: fill in what is marked, and nothing else has to know the board. README.md says how.
 *
 * As it is, it compiles, receives nothing and sends nowhere.
 */
#include "board.h"

/* 1. Clocks, the pins of the UART, the UART itself (115200 8N1), and a counter that runs freely. */
void edgeml_board_start(void) {}

/* 2. The next byte that was received, or -1 where none waits; must not wait for one. */
static int get(void *context) {
  (void)context;
  return -1;
}

/* 3. Sends a byte; waits while the transmitter is full. */
static void put(void *context, uint8_t byte) {
  (void)context;
  (void)byte;
}

/* 4. Goes up and wraps at 2^32: a timer, DWT's cycle counter, or microseconds. What one tick is stands below. */
static uint32_t tick(void *context) {
  (void)context;
  return 0;
}

const edgeml_port edgeml_board = {
    .get = get,
    .put = put,
    .tick = tick,
    .idle = 0, /* or a function that sleeps until an interrupt, if the UART makes one */
    .tick_kind = EDGEML_TICK_NANOSECONDS,
    .tick_numerator = 1000, /* one tick is 1000 / 1 ns: a microsecond */
    .tick_denominator = 1,
    .core = "cortex-m4",
    .stack_limit = 0, /* &stack_limit[0] and stack_top of cortex_m.h, if startup.c paints the stack */
    .stack_top = 0,
};
