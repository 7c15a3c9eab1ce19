/* For compilers that come without a C library; memory.c defines these. */
#ifndef EDGEML_STRING_H
#define EDGEML_STRING_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t count);
void *memmove(void *to, const void *from, size_t count);
void *memset(void *to, int value, size_t count);
int memcmp(const void *one, const void *other, size_t count);
size_t strlen(const char *text);

#endif /* EDGEML_STRING_H */
