/*
 * From reset to main() on a Cortex-M, and from a fault to the host.
 *
 * A fault sends the program counter and CFSR over the port, then the board stops: it answers whatever is asked with
 * the same fault until it is reset, so that a host that comes later learns of it too.
 */
#include "cortex_m.h"

#include <string.h>

#include "board.h"

extern uint32_t data_load[], data_start[], data_end[], bss_start[], bss_end[];

int main(void);
void edgeml_reset(void);
void edgeml_on_fault(void);
void edgeml_report_fault(const uint32_t *frame);

/* CFSR: the frame of the fault could not be stacked, because the stack was full. */
#define NOT_STACKED 0x00001010u
/* CFSR: the stack is over its limit. Armv8-M finds that itself; it is said for the others, too. */
#define STACK_OVERFLOW 0x00100000u

/* Where the program counter stands in what the core stacks for a fault. */
enum { FRAME_WORDS = 8, FRAME_PROGRAM_COUNTER = 6 };

void edgeml_reset(void) {
#if defined(__ARM_FP) && __ARM_FP
  COPROCESSOR_ACCESS |= 0xfu << 20; /* floating point, and MVE */
  __asm__ volatile("dsb\n isb" ::: "memory");
#endif
  /* Up to what this function itself has on the stack. */
  volatile uint32_t *const end = (volatile uint32_t *)__builtin_frame_address(0) - 32;
  for (volatile uint32_t *at = stack_limit; at < end; ++at) {
    *at = EDGEML_STACK_PAINT;
  }
  memcpy(data_start, data_load, (size_t)((uintptr_t)data_end - (uintptr_t)data_start));
  memset(bss_start, 0, (size_t)((uintptr_t)bss_end - (uintptr_t)bss_start));
  (void)main();
}

/* The stack may be the reason of the fault: the report gets a fresh one. */
__attribute__((naked)) void edgeml_on_fault(void) {
  __asm__ volatile(
      "cpsid i\n"
      "mov r0, sp\n"
      "ldr r1, =stack_top\n"
      "msr msp, r1\n"
      "b edgeml_report_fault\n"
      ".ltorg\n");
}

__attribute__((used)) void edgeml_report_fault(const uint32_t *frame) {
  const uintptr_t at = (uintptr_t)frame, bytes = FRAME_WORDS * sizeof *frame;
  const int is_inside = at >= (uintptr_t)stack_limit && at <= (uintptr_t)stack_top - bytes;
  const uint32_t status = CONFIGURABLE_FAULT_STATUS | (is_inside ? 0u : STACK_OVERFLOW);
  const int is_whole = is_inside && (status & NOT_STACKED) == 0;
  const uint32_t program_counter = is_whole ? frame[FRAME_PROGRAM_COUNTER] : 0; /* 0: not known */
  for (;;) {
    edgeml_bridge_send_fault(&edgeml_board, program_counter, status);
    while (edgeml_board.get(edgeml_board.context) != 0) {
      /* until a frame ends */
    }
  }
}

__attribute__((weak)) void edgeml_on_systick(void) { edgeml_on_fault(); }
__attribute__((weak)) void edgeml_on_uart(void) { edgeml_on_fault(); }

#ifndef EDGEML_UART_IRQ
#define EDGEML_UART_IRQ 0
#endif

typedef void (*handler)(void);

__attribute__((section(".vectors"), used)) static const struct {
  uint32_t *stack;
  handler handlers[15 + EDGEML_UART_IRQ + 1];
} vectors = {
    stack_top,
    {
        [0] = edgeml_reset,
        [1] = edgeml_on_fault, /* NMI */
        [2] = edgeml_on_fault, /* hard fault: the others escalate to it */
        [14] = edgeml_on_systick,
        [15 + EDGEML_UART_IRQ] = edgeml_on_uart,
    },
};
