/* Records what a process does to the files of one folder, for tests/powercut/disks.py.
 *
 *   LD_PRELOAD=recorder.so POWERCUT_FOLDER=/folder POWERCUT_LOG=/elsewhere/log program
 *
 * A record is { kind, path bytes, offset, length } (u32 u32 u64 u64), the path, and for a write the data. An
 * operation and its record are one step under a lock, so that the log has the order in which things happened;
 * a sync is recorded after it returned. Writes through mmap are not seen.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { CREATE = 1, WRITE, TRUNCATE, SYNC, UNLINK, RENAME };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_file = -1;
static char folder[4096];

static void put(const void *bytes, size_t length)
{
    const char *from = bytes;
    while (length > 0) {
        long n = syscall(SYS_write, log_file, from, length);
        if (n <= 0)
            abort(); /* a log with a hole proves nothing */
        from += n;
        length -= (size_t)n;
    }
}

__attribute__((constructor)) static void begin(void)
{
    const char *log = getenv("POWERCUT_LOG"), *where = getenv("POWERCUT_FOLDER");
    if (log == NULL || where == NULL || realpath(where, folder) == NULL)
        return;
    log_file = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int inside(const char *path)
{
    size_t length = strlen(folder);
    return log_file >= 0 && strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == 0);
}

static int path_of(int file, char path[4096])
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t n = readlink(link, path, 4095);
    if (log_file < 0 || n <= 0)
        return 0;
    path[n] = 0;
    return inside(path);
}

static void record(enum kind kind, const char *path, uint64_t offset, uint64_t length, const void *data)
{
    struct { uint32_t kind, path_bytes; uint64_t offset, length; } head = {
        (uint32_t)kind, (uint32_t)strlen(path), offset, length };
    put(&head, sizeof head);
    put(path, head.path_bytes);
    if (data != NULL)
        put(data, length);
}

static ssize_t write_at(int file, const void *data, size_t length, off_t offset, int positioned)
{
    char path[4096];
    if (!path_of(file, path))
        return positioned ? syscall(SYS_pwrite64, file, data, length, offset)
                          : syscall(SYS_write, file, data, length);
    pthread_mutex_lock(&lock);
    if (!positioned)
        offset = lseek(file, 0, (fcntl(file, F_GETFL) & O_APPEND) ? SEEK_END : SEEK_CUR);
    ssize_t n = positioned ? syscall(SYS_pwrite64, file, data, length, offset)
                           : syscall(SYS_write, file, data, length);
    int error = errno;
    if (n > 0)
        record(WRITE, path, (uint64_t)offset, (uint64_t)n, data);
    pthread_mutex_unlock(&lock);
    errno = error;
    return n;
}

ssize_t write(int file, const void *data, size_t length) { return write_at(file, data, length, 0, 0); }
ssize_t pwrite(int file, const void *data, size_t length, off_t at) { return write_at(file, data, length, at, 1); }
ssize_t pwrite64(int file, const void *data, size_t length, off64_t at) { return write_at(file, data, length, at, 1); }

static int truncate_to(int file, off_t length)
{
    char path[4096];
    if (!path_of(file, path))
        return (int)syscall(SYS_ftruncate, file, length);
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_ftruncate, file, length);
    if (result == 0)
        record(TRUNCATE, path, 0, (uint64_t)length, NULL);
    pthread_mutex_unlock(&lock);
    return result;
}

int ftruncate(int file, off_t length) { return truncate_to(file, length); }
int ftruncate64(int file, off64_t length) { return truncate_to(file, length); }

static int sync_file(int file, long call)
{
    char path[4096];
    int result = (int)syscall(call, file);
    if (result == 0 && path_of(file, path)) {
        pthread_mutex_lock(&lock);
        record(SYNC, path, 0, 0, NULL);
        pthread_mutex_unlock(&lock);
    }
    return result;
}

int fsync(int file) { return sync_file(file, SYS_fsync); }
int fdatasync(int file) { return sync_file(file, SYS_fdatasync); }

static int open_file(int at, const char *name, int flags, mode_t mode)
{
    char path[4096];
    struct stat facts;
    int new = (flags & O_CREAT) && fstatat(at, name, &facts, 0) != 0;
    int file = (int)syscall(SYS_openat, at, name, flags, mode);
    if (file >= 0 && new && path_of(file, path)) {
        pthread_mutex_lock(&lock);
        record(CREATE, path, 0, 0, NULL);
        pthread_mutex_unlock(&lock);
    }
    return file;
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { va_list more; va_start(more, flags); mode = va_arg(more, mode_t); va_end(more); }

int open(const char *name, int flags, ...) { MODE(flags) return open_file(AT_FDCWD, name, flags, mode); }
int open64(const char *name, int flags, ...) { MODE(flags) return open_file(AT_FDCWD, name, flags | O_LARGEFILE, mode); }
int openat(int at, const char *name, int flags, ...) { MODE(flags) return open_file(at, name, flags, mode); }

int unlink(const char *name)
{
    char path[4096];
    int here = realpath(name, path) != NULL && inside(path);
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_unlinkat, AT_FDCWD, name, 0);
    if (result == 0 && here)
        record(UNLINK, path, 0, 0, NULL);
    pthread_mutex_unlock(&lock);
    return result;
}

int rename(const char *from, const char *to)
{
    char path[4096], target[4096];
    int here = realpath(from, path) != NULL && inside(path);
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    if (result == 0 && here && realpath(to, target) != NULL)
        record(RENAME, path, 0, strlen(target), target);
    pthread_mutex_unlock(&lock);
    return result;
}
