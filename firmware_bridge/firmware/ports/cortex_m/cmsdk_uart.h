/*
 * The UART of Arm's Cortex-M System Design Kit, which the MPS boards have; EDGEML_UART is its address.
 *
 * An emulator needs DATA and STATE for it to work. The interrupt only wakes the core from its sleep; without one,
 * a core that wakes from WFI by itself will do.
 */
#ifndef EDGEML_CMSDK_UART_H
#define EDGEML_CMSDK_UART_H

#include "cortex_m.h"

#define UART_DATA REGISTER(EDGEML_UART + 0x00u)
#define UART_STATE REGISTER(EDGEML_UART + 0x04u)
#define UART_CONTROL REGISTER(EDGEML_UART + 0x08u)
#define UART_INTERRUPT REGISTER(EDGEML_UART + 0x0cu)
#define UART_DIVIDER REGISTER(EDGEML_UART + 0x10u)

enum { UART_TX_FULL = 1, UART_RX_FULL = 2 };                           /* of STATE */
enum { UART_TX_ENABLE = 1, UART_RX_ENABLE = 2, UART_RX_INTERRUPT = 8 }; /* of CONTROL */

static inline void uart_start(void) {
  UART_DIVIDER = 16; /* the fastest; an emulator takes no time at all */
  UART_CONTROL = UART_TX_ENABLE | UART_RX_ENABLE | UART_RX_INTERRUPT;
  INTERRUPT_ENABLE(EDGEML_UART_IRQ) = 1u << (EDGEML_UART_IRQ % 32u);
}

static inline int uart_get(void *context) {
  (void)context;
  return (UART_STATE & UART_RX_FULL) != 0 ? (int)(UART_DATA & 0xffu) : -1;
}

static inline void uart_put(void *context, uint8_t byte) {
  (void)context;
  while ((UART_STATE & UART_TX_FULL) != 0) {
  }
  UART_DATA = byte;
}

/* Interrupts are held back between the question and the sleep, or a byte could come between them unnoticed. */
static inline void uart_idle(void *context) {
  (void)context;
  const uint32_t masked = hold_interrupts();
  if ((UART_STATE & UART_RX_FULL) == 0) {
    __asm__ volatile("wfi" ::: "memory");
  }
  release_interrupts(masked);
}

#endif /* EDGEML_CMSDK_UART_H */
