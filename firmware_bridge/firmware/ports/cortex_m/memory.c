/*
 * The functions of <string.h> that firmware and compilers call: no C library is linked, so that the same firmware takes
 * the same instructions wherever it was built.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A compiler that recognizes the loops below would have each function call itself. */
#if defined(__clang__)
#define PLAIN __attribute__((no_builtin))
#else
#define PLAIN __attribute__((optimize("no-tree-loop-distribute-patterns")))
#endif

/* A word that may lie anywhere and be part of anything. */
typedef struct {
  uint32_t value;
} __attribute__((packed, may_alias)) word;

PLAIN void *memcpy(void *restrict to, const void *restrict from, size_t count) {
  uint8_t *target = to;
  const uint8_t *source = from;
  for (; count >= 4; count -= 4, target += 4, source += 4) {
    ((word *)(void *)target)->value = ((const word *)(const void *)source)->value;
  }
  for (; count > 0; --count) {
    *target++ = *source++;
  }
  return to;
}

PLAIN void *memmove(void *to, const void *from, size_t count) {
  uint8_t *target = to;
  const uint8_t *source = from;
  if ((uintptr_t)to - (uintptr_t)from >= count) {
    return memcpy(to, from, count);
  }
  while (count > 0) {
    --count;
    target[count] = source[count];
  }
  return to;
}

PLAIN void *memset(void *to, int value, size_t count) {
  uint8_t *target = to;
  const uint32_t four = (uint32_t)(value & 0xff) * 0x01010101u;
  for (; count >= 4; count -= 4, target += 4) {
    ((word *)(void *)target)->value = four;
  }
  for (; count > 0; --count) {
    *target++ = (uint8_t)value;
  }
  return to;
}

PLAIN int memcmp(const void *one, const void *other, size_t count) {
  const uint8_t *a = one, *b = other;
  for (; count > 0; --count, ++a, ++b) {
    if (*a != *b) {
      return *a - *b;
    }
  }
  return 0;
}

PLAIN size_t strlen(const char *text) {
  const char *end = text;
  while (*end != 0) {
    ++end;
  }
  return (size_t)(end - text);
}
