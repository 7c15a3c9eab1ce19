/* MPS2 as QEMU and the virtual boards have it (mps2-an385, -an386, -an500): UART 0, and timer 0 for instructions. */
#include "board.h"

#include "cmsdk_uart.h"

/* 32 bits, counts down. */
#define TIMER 0x40000000u
#define TIMER_CONTROL REGISTER(TIMER + 0x00u)
#define TIMER_VALUE REGISTER(TIMER + 0x04u)
#define TIMER_RELOAD REGISTER(TIMER + 0x08u)

void edgeml_board_start(void) {
  TIMER_RELOAD = 0xffffffffu;
  TIMER_VALUE = 0xffffffffu;
  TIMER_CONTROL = 1;
  uart_start();
}

void edgeml_on_uart(void) { UART_INTERRUPT = UART_RX_FULL; }

static uint32_t tick(void *context) {
  (void)context;
  return 0xffffffffu - TIMER_VALUE;
}

const edgeml_port edgeml_board = {
    .get = uart_get,
    .put = uart_put,
    .tick = tick,
    .idle = uart_idle,
    .tick_kind = EDGEML_TICK_INSTRUCTIONS,
    .tick_numerator = EDGEML_TICK_NUMERATOR,
    .tick_denominator = EDGEML_TICK_DENOMINATOR,
    .core = EDGEML_CORE,
    .stack_limit = stack_limit,
    .stack_top = stack_top,
};
