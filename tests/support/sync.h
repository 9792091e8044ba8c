/* sync.h: sees each fdatasync() of a file of the test's choice, and lets
 * another writer commit right behind one: what PROTOCOL D1 is about. */
#ifndef TESTS_SUPPORT_SYNC_H
#define TESTS_SUPPORT_SYNC_H
#include "tests/support/test.h"
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
    ino_t file;          /* the file that is looked at */
    bool synced;         /* since the last write that the test made */
    void (*write)(void); /* done once, behind the next one */
} sync_seen;

/* Looks at the data file of a store from now on. */
static inline void sync_watch(const char *store, void (*write)(void)) {
    struct stat st;
    assert_int_equal(stat(path_join(store, "data.mdb"), &st), 0);
    sync_seen.file = st.st_ino;
    sync_seen.synced = false;
    sync_seen.write = write;
}

/* The library's fdatasync() ends up here. */
int fdatasync(int fd) {
    struct stat st;
    int rc = (int)syscall(SYS_fdatasync, fd);
    if (fstat(fd, &st) != 0 || st.st_ino != sync_seen.file)
        return rc;
    sync_seen.synced = true;
    void (*write)(void) = sync_seen.write;
    sync_seen.write = NULL;
    if (write) {
        write();
        sync_seen.synced = false;
    }
    return rc;
}
#endif
