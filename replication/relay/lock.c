/* lock.c: flock() on a file beside the store's data. */
#include "replication/relay/lock.h"
#include "lib/err.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

static int held(const char *store, int fd) {
    char text[32] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    return err_set(ECRDT_EBUSY,
                   "another relay (pid %ld) runs on the store %s: one store "
                   "has one relay; stop that one or use another store",
                   n > 0 ? strtol(text, NULL, 10) : 0L, store);
}

int lock_take(const char *store, int *out) {
    char path[PATH_MAX], text[32];
    if (snprintf(path, sizeof path, "%s/relay.lock", store) >= (int)sizeof path)
        return err_set(ECRDT_EINVAL, "the path of the store %s is too long",
                       store);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0660);
    if (fd < 0)
        return err_errno(errno, "cannot open the lock file", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int rc = errno == EWOULDBLOCK ? held(store, fd)
                                      : err_errno(errno, "cannot lock", path);
        close(fd);
        return rc;
    }
    /* The pid is only told to people; a full disk does not stop a relay. */
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) < 0)
        errno = 0;
    *out = fd;
    return 0;
}
