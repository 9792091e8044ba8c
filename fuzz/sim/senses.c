/* senses.c: stands before the C library's clocks and its calls on files. */
#include "fuzz/sim/senses.h"
#include "tests/support/random.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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
 * crash leaves. */

static struct senses_file *file_of(int fd) {
    struct stat st;
    if (!senses.on || fstat(fd, &st) != 0)
        return NULL;
    for (size_t i = 0; i < SENSES_FILES; i++)
        if (senses.file[i].ino == st.st_ino)
            return &senses.file[i];
    return NULL;
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
    struct senses_file *f = file_of(fd);
    if (f && f->keep && senses_copy(fd, &f->image) < 0)
        return -1;
    return senses.on ? 0 : (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd) {
    return senses.on ? 0 : (int)syscall(SYS_fsync, fd);
}

/* Blocks are promised, not made: memory is dear. */
int fallocate(int fd, int mode, off_t at, off_t n) {
    struct senses_file *f = file_of(fd);
    if (!senses.on || (mode & FALLOC_FL_PUNCH_HOLE))
        return (int)syscall(SYS_fallocate, fd, mode, at, n);
    if (!f || !f->full)
        return 0;
    errno = ENOSPC;
    return -1;
}
