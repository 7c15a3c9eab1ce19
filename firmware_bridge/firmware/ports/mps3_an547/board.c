/* MPS3 with a Cortex-M55 as QEMU has it (mps3-an547): UART 0, and SysTick for instructions. */
#include "board.h"

#include "cmsdk_uart.h"

/* SysTick has 24 bits and counts down; its interrupt counts how often it wrapped. */
#define SYSTICK_TOP 0xffffffu
static volatile uint32_t wraps;

void edgeml_board_start(void) {
  SYSTICK_RELOAD = SYSTICK_TOP;
  SYSTICK_VALUE = 0;
  SYSTICK_CONTROL = 7; /* on, interrupt, clock of the core */
  uart_start();
}

void edgeml_on_systick(void) { ++wraps; }

void edgeml_on_uart(void) { UART_INTERRUPT = UART_RX_FULL; }

static uint32_t tick(void *context) {
  (void)context;
  uint32_t before, value;
  do {
    before = wraps;
    value = SYSTICK_VALUE;
  } while (before != wraps);
  return (before << 24) + (SYSTICK_TOP - value);
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
