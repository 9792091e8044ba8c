/* recorder.c: preloaded before a program, writes down what it does to the
 * files of one folder, in the order in which it does it:
 *
 *     RECORD_FOLDER=/x/store RECORD_TO=FILE LD_PRELOAD=recorder.so PROGRAM
 *
 * Each call that changes a file or syncs it is made and noted under one lock
 * for all threads and processes. Writing through a map cannot be seen: that a
 * file is mapped so is noted. */
#include "tests/crash/journal.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FILES = 1024 };
#define SEEN __attribute__((visibility("default")))

/* Open files of the folder by descriptor; their names inside it. */
static struct seen {
    bool is, folder, direct; /* direct: O_DSYNC */
    char name[JOURNAL_NAME];
} seen[FILES];
static char root[PATH_MAX];
static int journal = -1;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void start(void) {
    const char *folder = getenv("RECORD_FOLDER"), *to = getenv("RECORD_TO");
    if (!folder || !to)
        return;
    strncpy(root, folder, sizeof root - 1);
    journal = (int)syscall(SYS_openat, AT_FDCWD, to,
                           O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (journal < 0)
        abort();
}

static void begin(void) {
    pthread_mutex_lock(&gate);
    while (flock(journal, LOCK_EX))
        if (errno != EINTR)
            abort();
}

static void end(void) {
    flock(journal, LOCK_UN);
    pthread_mutex_unlock(&gate);
}

/* Writes a record; inside the lock. A journal with a hole is worth nothing. */
static void note(struct journal_head h, const char *name,
                 const struct iovec *iov, int n) {
    int errnum = errno;
    struct iovec all[IOV_MAX];
    size_t size = sizeof h;
    if (n >= IOV_MAX)
        abort();
    h.magic = JOURNAL_MAGIC;
    strncpy(h.name, name, sizeof h.name - 1);
    all[0] = (struct iovec){&h, sizeof h};
    for (int i = 0; i < n; i++) {
        all[i + 1] = iov[i];
        size += iov[i].iov_len;
    }
    if (syscall(SYS_writev, journal, all, n + 1) != (long)size)
        abort();
    errno = errnum;
}

/* The name of a path inside the folder; NULL if it is elsewhere. */
static const char *inside(const char *path) {
    size_t n = strlen(root);
    if (journal < 0 || strncmp(path, root, n) != 0)
        return NULL;
    if (path[n] == '\0')
        return "";
    return path[n] == '/' && strlen(path + n + 1) < JOURNAL_NAME ? path + n + 1
                                                                 : NULL;
}

static struct seen *of(int fd) {
    return journal >= 0 && fd >= 0 && fd < FILES && seen[fd].is ? &seen[fd]
                                                                : NULL;
}

/* ---- names ----------------------------------------------------------------
 */

static int open_seen(const char *path, int flags, mode_t mode) {
    const char *name = inside(path);
    if (!name)
        return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    begin();
    bool was = !syscall(SYS_faccessat, AT_FDCWD, path, F_OK);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (fd >= FILES)
        abort();
    if (fd >= 0) {
        seen[fd] = (struct seen){.is = true,
                                 .folder = flags & O_DIRECTORY,
                                 .direct = flags & O_DSYNC};
        strcpy(seen[fd].name, name);
        if (!was)
            note((struct journal_head){.op = J_CREATE}, name, NULL, 0);
        else if (flags & O_TRUNC)
            note((struct journal_head){.op = J_TRUNCATE}, name, NULL, 0);
    }
    end();
    return fd;
}

SEEN int open(const char *path, int flags, ...) {
    va_list ap;
    va_start(ap, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    return open_seen(path, flags, mode);
}

SEEN int open64(const char *path, int flags, ...) {
    va_list ap;
    va_start(ap, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    return open_seen(path, flags, mode);
}

SEEN int close(int fd) {
    if (of(fd))
        seen[fd].is = false;
    return (int)syscall(SYS_close, fd);
}

SEEN int rename(const char *from, const char *to) {
    const char *a = inside(from), *b = inside(to);
    if (!a || !b)
        return (int)syscall(SYS_rename, from, to);
    begin();
    int rc = (int)syscall(SYS_rename, from, to);
    struct iovec v = {(void *)(uintptr_t)b, strlen(b)};
    if (!rc)
        note((struct journal_head){.op = J_RENAME, .size = v.iov_len}, a, &v,
             1);
    for (int i = 0; i < FILES && !rc; i++)
        if (seen[i].is && !strcmp(seen[i].name, a))
            strcpy(seen[i].name, b);
    end();
    return rc;
}

/* A call on a path, noted as op if it did something. */
static int on_path(long call, const char *path, mode_t mode, uint32_t op) {
    const char *name = inside(path);
    if (!name)
        return (int)syscall(call, path, mode);
    begin();
    int rc = (int)syscall(call, path, mode);
    if (!rc)
        note((struct journal_head){.op = op}, name, NULL, 0);
    end();
    return rc;
}

SEEN int unlink(const char *path) {
    return on_path(SYS_unlink, path, 0, J_UNLINK);
}
SEEN int rmdir(const char *path) {
    return on_path(SYS_rmdir, path, 0, J_UNLINK);
}
SEEN int mkdir(const char *path, mode_t mode) {
    return on_path(SYS_mkdir, path, mode, J_FOLDER);
}

/* ---- content --------------------------------------------------------------
 */

static ssize_t write_seen(int fd, const struct iovec *iov, int n, off_t at,
                          bool moves) {
    begin();
    struct seen *f = of(fd);
    if (moves)
        at = (off_t)syscall(SYS_lseek, fd, 0, SEEK_CUR);
    ssize_t done = moves ? syscall(SYS_writev, fd, iov, n)
                         : syscall(SYS_pwritev, fd, iov, n, at, 0);
    struct iovec part[IOV_MAX];
    size_t left = done > 0 ? (size_t)done : 0;
    int parts = 0;
    for (; left && parts < n; parts++) {
        part[parts] = iov[parts];
        if (part[parts].iov_len > left)
            part[parts].iov_len = left;
        left -= part[parts].iov_len;
    }
    if (parts)
        note((struct journal_head){.op = J_WRITE,
                                   .arg = f->direct,
                                   .offset = (uint64_t)at,
                                   .size = (uint64_t)done},
             f->name, part, parts);
    end();
    return done;
}

SEEN ssize_t write(int fd, const void *data, size_t n) {
    struct iovec v = {(void *)(uintptr_t)data, n};
    return of(fd) ? write_seen(fd, &v, 1, 0, true)
                  : syscall(SYS_write, fd, data, n);
}
SEEN ssize_t writev(int fd, const struct iovec *iov, int n) {
    return of(fd) ? write_seen(fd, iov, n, 0, true)
                  : syscall(SYS_writev, fd, iov, n);
}
SEEN ssize_t pwrite(int fd, const void *data, size_t n, off_t at) {
    struct iovec v = {(void *)(uintptr_t)data, n};
    return of(fd) ? write_seen(fd, &v, 1, at, false)
                  : syscall(SYS_pwrite64, fd, data, n, at);
}
SEEN ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) {
    return pwrite(fd, data, n, at);
}
SEEN ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t at) {
    return of(fd) ? write_seen(fd, iov, n, at, false)
                  : syscall(SYS_pwritev, fd, iov, n, at, 0);
}

/* A call on a file, noted as h if it succeeds. */
static int on_file(int fd, struct journal_head h, long call, long a, long b,
                   long c) {
    struct seen *f = of(fd);
    if (!f)
        return (int)syscall(call, fd, a, b, c);
    begin();
    int rc = (int)syscall(call, fd, a, b, c);
    if (h.op == J_SYNC)
        h.arg = f->folder;
    if (!rc)
        note(h, f->name, NULL, 0);
    end();
    return rc;
}

SEEN int ftruncate(int fd, off_t n) {
    struct journal_head h = {.op = J_TRUNCATE, .offset = (uint64_t)n};
    return on_file(fd, h, SYS_ftruncate, n, 0, 0);
}
SEEN int fallocate(int fd, int mode, off_t at, off_t n) {
    struct journal_head h = {.op = J_ALLOCATE,
                             .arg = (uint32_t)mode,
                             .offset = (uint64_t)at,
                             .size = (uint64_t)n};
    return on_file(fd, h, SYS_fallocate, mode, at, n);
}
SEEN int fsync(int fd) {
    struct journal_head h = {.op = J_SYNC};
    return on_file(fd, h, SYS_fsync, 0, 0, 0);
}
SEEN int fdatasync(int fd) {
    struct journal_head h = {.op = J_SYNC};
    return on_file(fd, h, SYS_fdatasync, 0, 0, 0);
}
SEEN void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t from) {
    struct seen *f = flags & MAP_SHARED && prot & PROT_WRITE ? of(fd) : NULL;
    if (f) {
        begin();
        note((struct journal_head){.op = J_MAPPED}, f->name, NULL, 0);
        end();
    }
    return (void *)syscall(SYS_mmap, at, n, prot, flags, fd, from);
}

SEEN void recorder_mark(uint32_t what, uint64_t number, const void *data,
                        size_t size) {
    struct iovec v = {(void *)(uintptr_t)data, size};
    if (journal < 0)
        return;
    begin();
    note(
        (struct journal_head){
            .op = J_MARK, .arg = what, .offset = number, .size = size},
        "", &v, 1);
    end();
}
