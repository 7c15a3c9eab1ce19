/*
 * STM32F4 as it comes out of reset: 16 MHz from its own oscillator, USART1 on PA9 (TX) and PA10 (RX) at 115200 8N1, and
 * timer 2 for time. Register numbers are those of ST's reference manual RM0090.
 */
#include "board.h"

#include "cortex_m.h"

#define CLOCK_HZ 16000000u
#define BAUD 115200u

#define RCC 0x40023800u
#define RCC_AHB1_ENABLE REGISTER(RCC + 0x30u)
#define RCC_APB1_ENABLE REGISTER(RCC + 0x40u)
#define RCC_APB2_ENABLE REGISTER(RCC + 0x44u)
#define GPIOA 0x40020000u
#define GPIOA_MODE REGISTER(GPIOA + 0x00u)
#define GPIOA_ALTERNATE_HIGH REGISTER(GPIOA + 0x24u)
#define USART1 0x40011000u
#define USART_STATUS REGISTER(USART1 + 0x00u)
#define USART_DATA REGISTER(USART1 + 0x04u)
#define USART_BAUD REGISTER(USART1 + 0x08u)
#define USART_CONTROL REGISTER(USART1 + 0x0cu)
#define TIMER2 0x40000000u
#define TIMER_CONTROL REGISTER(TIMER2 + 0x00u)
#define TIMER_EVENT REGISTER(TIMER2 + 0x14u)
#define TIMER_COUNT REGISTER(TIMER2 + 0x24u)
#define TIMER_PRESCALER REGISTER(TIMER2 + 0x28u)
#define TIMER_TOP REGISTER(TIMER2 + 0x2cu)

enum { RX_FULL = 1 << 5, TX_EMPTY = 1 << 7 };                                                  /* of STATUS */
enum { RX_ENABLE = 1 << 2, TX_ENABLE = 1 << 3, RX_INTERRUPT = 1 << 5, USART_ENABLE = 1 << 13 }; /* of CONTROL */

/* The USART holds one byte; while the bridge is busy with another, its interrupt brings them here. */
enum { RECEIVED = 2048 };
static volatile uint8_t received[RECEIVED];
static volatile uint32_t head, tail;

static void receive(void) {
  while ((USART_STATUS & RX_FULL) != 0) {
    const uint8_t byte = (uint8_t)USART_DATA;
    if (head - tail < RECEIVED) {
      received[head % RECEIVED] = byte;
      ++head;
    }
  }
}

void edgeml_on_uart(void) { receive(); }

void edgeml_board_start(void) {
  RCC_AHB1_ENABLE |= 1u;
  RCC_APB1_ENABLE |= 1u;
  RCC_APB2_ENABLE |= 1u << 4;
  GPIOA_MODE = (GPIOA_MODE & ~(0xfu << 18)) | (0xau << 18);
  GPIOA_ALTERNATE_HIGH = (GPIOA_ALTERNATE_HIGH & ~(0xffu << 4)) | (0x77u << 4);
  TIMER_PRESCALER = 0;
  TIMER_TOP = 0xffffffffu;
  TIMER_EVENT = 1;
  TIMER_CONTROL = 1;
  USART_BAUD = (CLOCK_HZ + BAUD / 2) / BAUD;
  USART_CONTROL = USART_ENABLE | TX_ENABLE | RX_ENABLE | RX_INTERRUPT;
  INTERRUPT_ENABLE(EDGEML_UART_IRQ) = 1u << (EDGEML_UART_IRQ % 32u);
}

/* Looks at the USART itself too: in a fault handler there are no interrupts. */
static int get(void *context) {
  (void)context;
  const uint32_t masked = hold_interrupts();
  receive();
  release_interrupts(masked);
  if (head == tail) {
    return -1;
  }
  const int byte = received[tail % RECEIVED];
  ++tail;
  return byte;
}

static void put(void *context, uint8_t byte) {
  (void)context;
  while ((USART_STATUS & TX_EMPTY) == 0) {
  }
  USART_DATA = byte;
}

static uint32_t tick(void *context) {
  (void)context;
  return TIMER_COUNT;
}

static void idle(void *context) {
  (void)context;
  const uint32_t masked = hold_interrupts();
  if (head == tail) {
    __asm__ volatile("wfi" ::: "memory");
  }
  release_interrupts(masked);
}

const edgeml_port edgeml_board = {
    .get = get,
    .put = put,
    .tick = tick,
    .idle = idle,
    .tick_kind = EDGEML_TICK_NANOSECONDS,
    .tick_numerator = EDGEML_TICK_NUMERATOR,
    .tick_denominator = EDGEML_TICK_DENOMINATOR,
    .core = EDGEML_CORE,
    .stack_limit = stack_limit,
    .stack_top = stack_top,
};
