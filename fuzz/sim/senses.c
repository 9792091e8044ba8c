/* senses.c: stands before the C library's clocks and its calls on files. */
#include "fuzz/sim/senses.h"
#include "tests/support/random.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

struct senses senses;

/* When a simulation begins: by the wall, and since its machine was booted. */
static const uint64_t wall_ms = UINT64_C(1900000000000);
static const uint64_t boot_ms = UINT64_C(1000000000);

void senses_begin(uint64_t seed) {
    senses.on = true;
    random_install(seed);
}

void senses_random(void *out, size_t n) {
    random_fill(out, n);
}

uint64_t senses_wall_ms(void) {
    return wall_ms + senses.now_ms + (uint64_t)senses.skew_ms;
}

static uint64_t fixed_ms; /* of the wall clock alone */
static bool fixed;

void senses_set_wall_ms(uint64_t ms) {
    fixed = true;
    fixed_ms = ms;
}

uint64_t senses_real_ms(void) {
    struct timespec t;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- clocks ---- */

/* The one that the library and the C library's callers get. */
int clock_gettime(clockid_t id, struct timespec *t) {
    bool wall = id == CLOCK_REALTIME;
    if (!senses.on && (!wall || !fixed))
        return (int)syscall(SYS_clock_gettime, id, t);
    uint64_t ms = !senses.on ? fixed_ms
                  : wall     ? senses_wall_ms()
                             : boot_ms + senses.now_ms;
    t->tv_sec = (time_t)(ms / 1000);
    t->tv_nsec = (long)(ms % 1000) * 1000000;
    return 0;
}

/* ---- the disk -------------------------------------------------------------
 * Stores lie in memory, where a flush means nothing: it only marks what a
 * crash leaves. Blocks are promised, not made, for memory is dear. */

static struct senses_file *file_of(const struct stat *st) {
    for (size_t i = 0; senses.on && i < SENSES_FILES; i++)
        if (senses.file[i].ino && senses.file[i].ino == st->st_ino)
            return &senses.file[i];
    return NULL;
}

static struct senses_file *file_open(int fd, struct stat *st) {
    return senses.on && fstat(fd, st) == 0 ? file_of(st) : NULL;
}

bool senses_watch(size_t i, const char *path) {
    struct senses_file *f = &senses.file[i];
    struct stat st;
    f->ino = stat(path, &st) == 0 ? st.st_ino : 0;
    if (f->ino && f->ino != f->was) {
        f->was = f->ino;
        f->promised = f->end = 0;
    }
    return f->ino != 0;
}

void senses_fill(size_t i, const char *path, off_t more, bool promised) {
    struct senses_file *f = &senses.file[i];
    struct stat st;
    f->full = true;
    f->end = stat(path, &st) == 0 ? st.st_size : 0;
    if (promised && f->end < f->promised)
        f->end = f->promised;
    f->end += more;
}

int senses_copy(int fd, struct buf *out) {
    struct stat st;
    buf_clear(out);
    if (fstat(fd, &st) != 0)
        return -1;
    uint8_t *p = buf_extend(out, (size_t)st.st_size);
    ssize_t n = p ? pread(fd, p, (size_t)st.st_size, 0) : -1;
    return n == (ssize_t)st.st_size ? 0 : -1;
}

int fdatasync(int fd) {
    struct stat st;
    struct senses_file *f = file_open(fd, &st);
    if (f && f->keep && senses_copy(fd, &f->image) < 0)
        return -1;
    return senses.on ? 0 : (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd) {
    return senses.on ? 0 : (int)syscall(SYS_fsync, fd);
}

/* Of n bytes at this place, how many there is room for; -1 and ENOSPC: none. */
static ssize_t room_for(int fd, off_t at, size_t n) {
    struct stat st;
    const struct senses_file *f = file_open(fd, &st);
    if (!f || !f->full)
        return (ssize_t)n;
    off_t end = f->end > st.st_size ? f->end : st.st_size;
    if (at + (off_t)n <= end)
        return (ssize_t)n;
    errno = ENOSPC;
    return at < end ? (ssize_t)(end - at) : -1;
}

int fallocate(int fd, int mode, off_t at, off_t n) {
    struct stat st;
    if (!senses.on || (mode & FALLOC_FL_PUNCH_HOLE))
        return (int)syscall(SYS_fallocate, fd, mode, at, n);
    if (room_for(fd, at, (size_t)n) < n)
        return -1;
    struct senses_file *f = file_open(fd, &st);
    if (f && f->promised < at + n)
        f->promised = at + n;
    return 0;
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at) {
    ssize_t some = room_for(fd, at, n);
    return some < 0 ? -1 : syscall(SYS_pwrite64, fd, data, some, at);
}

/* Where not all fits only the first slice is written: short, too. */
ssize_t writev(int fd, const struct iovec *v, int count) {
    size_t all = 0;
    for (int i = 0; i < count; i++)
        all += v[i].iov_len;
    off_t at = senses.on ? lseek(fd, 0, SEEK_CUR) : -1;
    ssize_t some = at < 0 ? (ssize_t)all : room_for(fd, at, all);
    if (some == (ssize_t)all)
        return syscall(SYS_writev, fd, v, count);
    if (some > 0 && (size_t)some > v[0].iov_len)
        some = (ssize_t)v[0].iov_len;
    return some < 0 ? -1 : syscall(SYS_write, fd, v[0].iov_base, some);
}

/* Of a store's folder: what a short write is told from a broken disk by. */
int statvfs(const char *path, struct statvfs *out) {
    struct statfs fs;
    struct stat st;
    char data[200];
    if (statfs(path, &fs) != 0)
        return -1;
    *out = (struct statvfs){.f_bsize = (unsigned long)fs.f_bsize,
                            .f_frsize = (unsigned long)fs.f_bsize,
                            .f_blocks = fs.f_blocks,
                            .f_bfree = fs.f_bfree,
                            .f_bavail = fs.f_bavail};
    snprintf(data, sizeof data, "%s/data.mdb", path);
    const struct senses_file *f = stat(data, &st) ? NULL : file_of(&st);
    if (f && f->full)
        out->f_bavail = out->f_bfree = 0;
    return 0;
}
