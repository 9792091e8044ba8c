/* faults.h: lets the n-th write, sync or map of the library fail: its calls of
 * the C library end up here. */
#ifndef TESTS_CRASH_FAULTS_H
#define TESTS_CRASH_FAULTS_H
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* LMDB is a shared library: it finds these only if they are visible. */
#define FAULT_SEEN __attribute__((visibility("default")))

enum fault_kind { FAULT_NONE, FAULT_WRITE, FAULT_SYNC, FAULT_MAP };

static struct {
    enum fault_kind kind;
    unsigned long in; /* the in-th call of the kind fails; 0 = none any more */
    int errnum;       /* 0: only half is written */
    bool hit;
} fault;

/* The n-th call of the kind fails from now on, once. */
static inline void fault_io_at(enum fault_kind kind, unsigned long n,
                               int errnum) {
    fault.kind = kind;
    fault.in = n;
    fault.errnum = errnum;
    fault.hit = false;
}

static inline bool fault_now(enum fault_kind kind) {
    if (fault.kind != kind || !fault.in || --fault.in)
        return false;
    fault.hit = true;
    errno = fault.errnum ? fault.errnum : EIO;
    return true;
}

FAULT_SEEN ssize_t pwrite(int fd, const void *p, size_t n, off_t at) {
    if (!fault_now(FAULT_WRITE))
        return syscall(SYS_pwrite64, fd, p, n, at);
    return fault.errnum ? -1 : syscall(SYS_pwrite64, fd, p, n / 2, at);
}

FAULT_SEEN ssize_t writev(int fd, const struct iovec *iov, int n) {
    if (!fault_now(FAULT_WRITE))
        return syscall(SYS_writev, fd, iov, n);
    return fault.errnum ? -1 : syscall(SYS_write, fd, iov->iov_base, 512);
}

FAULT_SEEN ssize_t write(int fd, const void *p, size_t n) {
    if (!fault_now(FAULT_WRITE))
        return syscall(SYS_write, fd, p, n);
    return fault.errnum ? -1 : syscall(SYS_write, fd, p, n / 2);
}

FAULT_SEEN int ftruncate(int fd, off_t n) {
    return fault_now(FAULT_WRITE) ? -1 : (int)syscall(SYS_ftruncate, fd, n);
}

FAULT_SEEN int fallocate(int fd, int mode, off_t at, off_t n) {
    return fault_now(FAULT_WRITE)
               ? -1
               : (int)syscall(SYS_fallocate, fd, mode, at, n);
}

FAULT_SEEN int fdatasync(int fd) {
    return fault_now(FAULT_SYNC) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

FAULT_SEEN int fsync(int fd) {
    return fault_now(FAULT_SYNC) ? -1 : (int)syscall(SYS_fsync, fd);
}

FAULT_SEEN void *mmap(void *at, size_t n, int prot, int flags, int fd,
                      off_t from) {
    if (fault_now(FAULT_MAP))
        return MAP_FAILED;
    return (void *)syscall(SYS_mmap, at, n, prot, flags, fd, from);
}
#endif
