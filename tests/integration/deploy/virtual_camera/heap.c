/* A kernel without /dev/dma_heap, for a program that takes its memory for pictures from there.
 *
 * Preloaded, it gives memory files instead, which are mapped and passed on in the same way.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char HEAP[] = "/dev/dma_heap/linux,cma";
/* The name's size is a part of its number, and is that of a pointer or of a word. */
#define WITHOUT_SIZE(request) ((request) & ~(_IOC_SIZEMASK << _IOC_SIZESHIFT))

static int opened(const char *real, const char *name, int flags, int mode)
{
    if (strcmp(name, HEAP) == 0)
        return memfd_create("heap", MFD_CLOEXEC);
    int (*next)(const char *, int, ...) = dlsym(RTLD_NEXT, real);
    return next(name, flags, mode);
}

int open(const char *name, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    int mode = va_arg(more, int);
    va_end(more);
    return opened("open", name, flags, mode);
}

int open64(const char *name, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    int mode = va_arg(more, int);
    va_end(more);
    return opened("open64", name, flags, mode);
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list more;
    va_start(more, request);
    void *argument = va_arg(more, void *);
    va_end(more);
    if (request == DMA_HEAP_IOCTL_ALLOC) {
        struct dma_heap_allocation_data *wanted = argument;
        int memory = memfd_create("dma-buf", MFD_CLOEXEC);
        if (memory < 0 || ftruncate(memory, (off_t)wanted->len) < 0)
            return -1;
        wanted->fd = (unsigned)memory;
        return 0;
    }
    if (request == DMA_BUF_IOCTL_SYNC || WITHOUT_SIZE(request) == WITHOUT_SIZE(DMA_BUF_SET_NAME))
        return 0;
    int (*next)(int, unsigned long, ...) = dlsym(RTLD_NEXT, "ioctl");
    return next(fd, request, argument);
}
