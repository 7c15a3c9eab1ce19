/* What all Cortex-M have: registers of the core, and where the linker put the stack. */
#ifndef EDGEML_CORTEX_M_H
#define EDGEML_CORTEX_M_H

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

#define SYSTICK_CONTROL REGISTER(0xE000E010u)
#define SYSTICK_RELOAD REGISTER(0xE000E014u)
#define SYSTICK_VALUE REGISTER(0xE000E018u)
#define INTERRUPT_ENABLE(number) REGISTER(0xE000E100u + 4u * ((number) / 32u))
#define COPROCESSOR_ACCESS REGISTER(0xE000ED88u)
#define CONFIGURABLE_FAULT_STATUS REGISTER(0xE000ED28u)

/* The linker's: lowest word of the stack, and the word above its highest. */
extern uint32_t stack_limit[], stack_top[];

/* Keeps interrupts waiting; they wake a sleeping core all the same. Gives what release_interrupts() restores. */
static inline uint32_t hold_interrupts(void) {
  uint32_t masked;
  __asm__ volatile("mrs %0, primask\n cpsid i" : "=r"(masked)::"memory");
  return masked;
}

static inline void release_interrupts(uint32_t masked) { __asm__ volatile("msr primask, %0" ::"r"(masked) : "memory"); }

/* Handlers of interrupts; a port defines those that it uses. */
void edgeml_on_systick(void);
void edgeml_on_uart(void);

#endif /* EDGEML_CORTEX_M_H */
