/*
 * Starts a Cortex-M of QEMU, runs a model on the inputs of inputs.h, and tells by semihosting what came out and how
 * many ticks each inference took. Without a C library but memcpy and memset.
 */
#include <stddef.h>
#include <stdint.h>

#include "inputs.h"
#include "model.h"

extern uint32_t stack_top, data_load, data_start, data_end, bss_start, bss_end;

static void ask(int operation, const void *argument) {
  register int r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

static void say(const char *text) { ask(4, text); }

static void say_hex(const uint8_t *bytes, size_t count) {
  static const char digits[] = "0123456789abcdef";
  char text[3] = {0, 0, 0};
  for (size_t i = 0; i < count; ++i) {
    text[0] = digits[bytes[i] >> 4];
    text[1] = digits[bytes[i] & 15];
    say(text);
  }
}

static void say_number(uint32_t value) {
  char text[12];
  char *at = text + sizeof text;
  *--at = 0;
  do {
    *--at = (char)('0' + value % 10);
  } while ((value /= 10) != 0);
  say(at);
}

#if defined(SYSTICK)
/* Counts down 24 bits; what runs longer is counted by its wraps. */
static volatile uint32_t wraps;
void tick(void);
void tick(void) { ++wraps; }
static void count_start(void) {
  *(volatile uint32_t *)0xE000E014 = 0xffffff;
  *(volatile uint32_t *)0xE000E018 = 0;
  wraps = 0;
  *(volatile uint32_t *)0xE000E010 = 7;
}
static uint32_t count_now(void) {
  const uint32_t low = 0xffffff - *(volatile uint32_t *)0xE000E018;
  return low + (wraps << 24);
}
#else
/* The 32-bit timer of CMSDK counts down. */
#if !defined(TIMER)
#define TIMER 0x40000000
#endif
void tick(void);
void tick(void) {}
static void count_start(void) {
  *(volatile uint32_t *)(TIMER + 8) = 0xffffffff;
  *(volatile uint32_t *)(TIMER + 4) = 0xffffffff;
  *(volatile uint32_t *)TIMER = 1;
}
static uint32_t count_now(void) { return 0xffffffff - *(volatile uint32_t *)(TIMER + 4); }
#endif

/* What is painted below the stack before a run shows how deep the run went. */
#define PAINTED 4096
static uint32_t *paint(void) {
  uint32_t *const top = __builtin_frame_address(0);
  for (volatile uint32_t *at = top - PAINTED; at < (volatile uint32_t *)top - 16; ++at) {
    *at = 0xa5a5a5a5;
  }
  return top;
}
static uint32_t depth(const uint32_t *top) {
  const volatile uint32_t *at = top - PAINTED;
  while (*at == 0xa5a5a5a5) {
    ++at;
  }
  return (uint32_t)((const uint8_t *)top - (const uint8_t *)at);
}

void fault(void);
void fault(void) {
  say("fault\n");
  ask(0x18, (const void *)0x20023);
  for (;;) {
  }
}

void reset(void);
void reset(void) {
  *(volatile uint32_t *)0xE000ED88 |= 0xf << 20; /* floating point, and MVE */
  __asm__ volatile("dsb\n isb");
  memcpy(&data_start, &data_load, (size_t)((uint8_t *)&data_end - (uint8_t *)&data_start));
  memset(&bss_start, 0, (size_t)((uint8_t *)&bss_end - (uint8_t *)&bss_start));
  count_start();
  const uint32_t before = count_now();
  const uint32_t nothing = count_now() - before;
#if defined(FAULT)
  __asm__ volatile("udf #0");
#endif
  uint32_t deepest = 0;
  MODEL(init)();
  for (size_t n = 0; n < INPUTS; ++n) {
    feed(n);
    const uint32_t *const top = paint();
    const uint32_t from = count_now();
    MODEL(run)();
    const uint32_t ticks = count_now() - from - nothing;
    deepest = depth(top) > deepest ? depth(top) : deepest;
    say_number(ticks);
    say(" ");
    tell(say_hex);
    say("\n");
  }
  say("stack ");
  say_number(deepest);
  say("\n");
  ask(0x18, (const void *)0x20026);
  for (;;) {
  }
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    &stack_top, (const void *)reset, (const void *)fault, (const void *)fault, (const void *)fault, (const void *)fault,
    (const void *)fault, 0, 0, 0, 0, (const void *)fault, 0, 0, (const void *)fault, (const void *)tick};
