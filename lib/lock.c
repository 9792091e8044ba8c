/* lock.c: the writer lock: a robust process-shared mutex in a mapped file,
 * because LMDB's own has no timeout and cannot say who holds it. */
#include "lib/alloc.h"
#include "lib/assert.h"
#include "lib/err.h"
#include "lib/os.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { LOCK_MAGIC = 0x45434c31, INIT_TRIES = 1000 };

/* The file's content; made anew by whoever opens it alone, so that neither a
 * reboot nor a copied folder leaves a lock that nobody holds. */
struct lock_area {
    atomic_uint magic;
    atomic_uint waiters;
    atomic_uint watchers; /* of the wake file */
    atomic_int owner_pid;
    atomic_ullong since_ms; /* monotonic */
    pthread_mutex_t mutex;
};

struct os_lock {
    int fd;
    struct lock_area *area;
};

static int init_area(struct os_lock *l, const char *path) {
    if (ftruncate(l->fd, sizeof *l->area))
        return err_errno(errno, "cannot write the lock file in", path);
    void *p = mmap(NULL, sizeof *l->area, PROT_READ | PROT_WRITE, MAP_SHARED,
                   l->fd, 0);
    if (p == MAP_FAILED)
        return err_errno(errno, "cannot map the lock file in", path);
    l->area = p;
    return ECRDT_OK;
}

static void make_mutex(struct lock_area *a) {
    memset(a, 0, sizeof *a);
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&a->mutex, &attr);
    pthread_mutexattr_destroy(&attr);
    atomic_store(&a->magic, LOCK_MAGIC);
}

/* Everyone who uses the area holds a shared flock; who gets the exclusive
 * one is alone and makes the area anew. */
static int join_users(struct os_lock *l, const char *path) {
    for (int i = 0; i < INIT_TRIES; i++) {
        bool alone = !flock(l->fd, LOCK_EX | LOCK_NB);
        if (alone) {
            int rc = init_area(l, path);
            if (rc < 0)
                return rc;
            make_mutex(l->area);
        }
        if (flock(l->fd, LOCK_SH))
            return err_errno(errno, "cannot lock the lock file in", path);
        int rc = l->area ? ECRDT_OK : init_area(l, path);
        if (rc < 0)
            return rc;
        if (atomic_load(&l->area->magic) == LOCK_MAGIC)
            return ECRDT_OK;
        flock(l->fd, LOCK_UN); /* its maker died half-way */
    }
    return err_set(ECRDT_EIO, "cannot set up the lock file in %s", path);
}

int os_lock_open(const char *path, const char *name, uint32_t mode,
                 struct os_lock **out) {
    *out = NULL;
    struct os_lock *l = alloc_zeroed(1, sizeof *l);
    if (!l)
        return ECRDT_ENOMEM;
    int rc = os_open_file(path, name, mode, true, &l->fd);
    if (rc == ECRDT_OK)
        rc = join_users(l, path);
    if (rc < 0) {
        os_lock_close(l);
        return rc;
    }
    *out = l;
    return ECRDT_OK;
}

void os_lock_close(struct os_lock *l) {
    if (!l)
        return;
    if (l->area)
        munmap(l->area, sizeof *l->area);
    if (l->fd >= 0)
        close(l->fd);
    alloc_free(l);
}

/* One letter of /proc/PID/stat and the command's name. */
static void describe(int pid, char *out, size_t size) {
    char file[64], name[64] = "?", state = '?';
    snprintf(file, sizeof file, "/proc/%d/stat", pid);
    FILE *f = fopen(file, "re");
    if (!f) {
        snprintf(out, size, "pid %d (not visible from here)", pid);
        return;
    }
    if (fscanf(f, "%*d (%63[^)]) %c", name, &state) != 2)
        state = '?';
    fclose(f);
    snprintf(out, size, "pid %d (%s, %s)", pid, name,
             state == 'T' || state == 't' ? "stopped: continue or kill it"
                                          : "running");
}

static int busy(struct os_lock *l, const char *store) {
    int pid = atomic_load(&l->area->owner_pid);
    uint64_t since = atomic_load(&l->area->since_ms), now = os_mono_ms();
    char who[160];
    describe(pid, who, sizeof who);
    return err_set(ECRDT_EBUSY,
                   "store %s is being written by %s for %.1f s; try again or "
                   "raise lock_timeout_ms",
                   store, who, now > since ? (double)(now - since) / 1e3 : 0.);
}

static int timed_lock(struct lock_area *a, uint32_t timeout_ms) {
    int rc = pthread_mutex_trylock(&a->mutex);
    if (rc != EBUSY || !timeout_ms)
        return rc;
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    uint64_t ns = (uint64_t)at.tv_nsec + (uint64_t)timeout_ms * 1000000;
    at.tv_sec += (time_t)(ns / 1000000000);
    at.tv_nsec = (long)(ns % 1000000000);
    atomic_fetch_add(&a->waiters, 1);
    rc = pthread_mutex_timedlock(&a->mutex, &at);
    atomic_fetch_sub(&a->waiters, 1);
    return rc;
}

int os_lock_take(struct os_lock *l, uint32_t timeout_ms, const char *store) {
    int rc = timed_lock(l->area, timeout_ms);
    if (rc == EOWNERDEAD) /* killed inside; LMDB has nothing to undo */
        rc = pthread_mutex_consistent(&l->area->mutex);
    if (rc == ETIMEDOUT || rc == EBUSY)
        return busy(l, store);
    if (rc)
        return err_errno(rc, "cannot take the writer lock of", store);
    atomic_store_explicit(&l->area->owner_pid, getpid(), memory_order_relaxed);
    atomic_store_explicit(&l->area->since_ms, os_mono_ms(),
                          memory_order_relaxed);
    return ECRDT_OK;
}

void os_lock_give(struct os_lock *l) {
    int rc = pthread_mutex_unlock(&l->area->mutex);
    INVARIANT(rc == 0);
}

void os_lock_watch(struct os_lock *l, bool on) {
    atomic_fetch_add(&l->area->watchers, on ? 1u : UINT32_MAX);
}

bool os_lock_watched(const struct os_lock *l) {
    return atomic_load_explicit(&l->area->watchers, memory_order_relaxed) > 0;
}

uint32_t os_lock_waiters(const struct os_lock *l) {
    return atomic_load_explicit(&l->area->waiters, memory_order_relaxed);
}
