/* A wall clock that is as wrong as a file says; every other clock stays as it is.
 *
 * EDGEML_CLOCK names a file that holds one 64-bit number in the machine's order: seconds to add to the wall
 * clock, now. It is mapped, so that a step is seen at once and by every thread. What a process reads of
 * CLOCK_REALTIME moves, and so does the moment until which sem_timedwait, which knows that clock only, waits:
 * as on a machine whose clock is stepped, it waits for the clock and not for a time.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SLICE_NS 20000000L

static volatile const int64_t *offset_s;

__attribute__((constructor)) static void map_offset(void)
{
    const char *path = getenv("EDGEML_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *mapped;

    if (file < 0)
        return;
    mapped = mmap(NULL, sizeof *offset_s, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED)
        offset_s = mapped;
}

static int64_t offset(void)
{
    return offset_s ? *offset_s : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    int result;

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime"); /* as POSIX has it */
    result = real(clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += offset();
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec exact;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now)
{
    struct timespec exact;

    clock_gettime(CLOCK_REALTIME, &exact);
    if (now)
        *now = exact.tv_sec;
    return exact.tv_sec;
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until)
{
    struct timespec now, slice = {0, SLICE_NS};

    for (;;) {
        if (sem_trywait(semaphore) == 0)
            return 0;
        if (errno != EAGAIN)
            return -1;
        clock_gettime(CLOCK_REALTIME, &now);
        if (now.tv_sec > until->tv_sec || (now.tv_sec == until->tv_sec && now.tv_nsec >= until->tv_nsec)) {
            errno = ETIMEDOUT;
            return -1;
        }
        nanosleep(&slice, NULL);
    }
}
