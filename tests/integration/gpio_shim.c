/*
 * The kernel's side of a GPIO character device, as far as libgpiod meets it: every ioctl of type 0xB4 is handed to
 * a board in another process and answered by it. A line's descriptor is the connection itself, so that the board
 * sees a line released when its holder closes it, ends or is killed, as the kernel does.
 *
 * Preloaded before umockdev's library, which gives the device node and its place in /sys.
 * Request: request number (u32), size (u32), argument. Answer: errno (i32), argument.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/gpio.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct question {
    uint32_t request, size;
};

static int all(ssize_t (*move)(int, void *, size_t), int fd, void *data, size_t size)
{
    char *at = data;
    while (size > 0) {
        ssize_t moved = move(fd, at, size);
        if (moved <= 0)
            return -1;
        at += moved;
        size -= (size_t)moved;
    }
    return 0;
}

static ssize_t put(int fd, void *data, size_t size) { return send(fd, data, size, MSG_NOSIGNAL); }
static ssize_t take(int fd, void *data, size_t size) { return recv(fd, data, size, 0); }

/* -1 with errno set, as ioctl. A board that is gone is a chip that was unplugged. */
static int ask(int fd, unsigned long request, void *argument)
{
    struct question question = {.request = (uint32_t)request, .size = _IOC_SIZE(request)};
    int32_t error;
    if (all(put, fd, &question, sizeof question) || all(put, fd, argument, question.size)
        || all(take, fd, &error, sizeof error) || all(take, fd, argument, question.size)) {
        errno = ENODEV;
        return -1;
    }
    errno = error;
    return error ? -1 : 0;
}

static int dial(void)
{
    struct sockaddr_un board = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(board.sun_path, sizeof board.sun_path, "%s", getenv("GPIO_BOARD"));
    if (fd >= 0 && connect(fd, (struct sockaddr *)&board, sizeof board) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    errno = ENODEV;
    return -1;
}

static int gpio(int fd, unsigned long request, void *argument)
{
    if (request == GPIO_V2_LINE_SET_CONFIG_IOCTL || request == GPIO_V2_LINE_SET_VALUES_IOCTL
        || request == GPIO_V2_LINE_GET_VALUES_IOCTL)
        return ask(fd, request, argument);
    int board = dial();
    if (board < 0)
        return -1;
    int result = ask(board, request, argument);
    if (result == 0 && request == GPIO_V2_GET_LINE_IOCTL) {
        ((struct gpio_v2_line_request *)argument)->fd = board;
        return 0;
    }
    int kept = errno;
    close(board);
    errno = kept;
    return result;
}

int ioctl(int fd, unsigned long request, ...)
{
    static int (*next)(int, unsigned long, ...);
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    if (_IOC_TYPE(request) == 0xB4)
        return gpio(fd, request, argument);
    if (!next)
        next = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
    return next(fd, request, argument);
}
