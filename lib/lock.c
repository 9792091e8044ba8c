/* lock.c: the writer lock: a robust process-shared mutex in a mapped file,
 * because LMDB's own has no timeout and cannot say who holds it. */
#include "lib/alloc.h"
#include "lib/assert.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/os.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { JOIN_TRIES = 5000, JOIN_PAUSE_US = 1000, WAITERS = 32 };

/* The file's content; made anew by whoever opens it alone, so that neither a
 * reboot nor a copied folder leaves a lock that nobody holds. */
struct lock_area {
    atomic_uint watchers; /* of the wake file */
    atomic_uint magic;    /* the size too: 32-bit processes have another one */
    atomic_int owner_pid; /* 0 = nobody, or about to be noted */
    atomic_ullong since_ms;       /* monotonic */
    atomic_ullong owner_start;    /* tells pids of one number apart */
    atomic_ullong until[WAITERS]; /* when each waiter gives up; 0 = free */
    atomic_ullong session;        /* see os_lock_session() */
    atomic_ullong exposures;      /* snapshots that left, or are about to */
    atomic_ullong exposures_seen; /* the most that a writer has read */
    pthread_mutex_t mutex;
};
#define LOCK_MAGIC (0x45434c33u ^ (unsigned)sizeof(struct lock_area) << 16)

struct os_lock {
    int fd;
    struct lock_area *area;
    int pid;                  /* of this process ...               */
    unsigned long long start; /* ... and 0 before its first turn */
};

/* ---- processes ------------------------------------------------------------
 */

struct process {
    char name[32], state;
    unsigned long long start; /* in ticks since boot */
};

/* Reads /proc/PID/stat: "pid (name) state ... start ..."; the name may hold
 * anything. */
static bool look_up(int pid, struct process *p) {
    char file[32], line[1024];
    snprintf(file, sizeof file, "/proc/%d/stat", pid);
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, line, sizeof line - 1);
    close(fd);
    line[n > 0 ? n : 0] = 0;
    char *open_at = strchr(line, '('), *end = strrchr(line, ')');
    if (!open_at || !end || end < open_at ||
        sscanf(end + 1,
               " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d "
               "%*d %*d %*d %*d %llu",
               &p->state, &p->start) != 2)
        return false;
    *end = 0;
    snprintf(p->name, sizeof p->name, "%s", open_at + 1);
    return true;
}

static const char *state_name(char state) {
    return state == 'T' || state == 't' ? "stopped: continue or kill it"
           : state == 'D'               ? "waiting for the disk"
                                        : "running";
}

static void describe(const struct lock_area *a, char *out, size_t size) {
    int pid = atomic_load(&a->owner_pid);
    unsigned long long start = atomic_load(&a->owner_start);
    struct process p;
    bool seen = pid && look_up(pid, &p);
    if (!pid)
        snprintf(out, size, "another process");
    else if (!seen || (start && p.start != start))
        snprintf(out, size, "pid %d (of another PID namespace)", pid);
    else if (pid == getpid())
        snprintf(out, size,
                 "this process itself, pid %d (by another thread, or by a "
                 "transaction of this one that is not ended)",
                 pid);
    else
        snprintf(out, size, "pid %d (%s, %s)", pid, p.name,
                 state_name(p.state));
}

/* ---- open and close -------------------------------------------------------
 */

/* The file gets its disk blocks now: on a full disk the first touch of a
 * mapped hole would be SIGBUS. */
static int map_area(struct os_lock *l, const char *path) {
    struct stat st;
    int rc = 0;
    if (fstat(l->fd, &st) || st.st_blocks * 512 < (off_t)sizeof *l->area ||
        st.st_size < (off_t)sizeof *l->area)
        do
            rc = posix_fallocate(l->fd, 0, sizeof *l->area);
        while (rc == EINTR);
    if (rc)
        return err_errno(rc, "cannot write the lock file in", path);
    void *p = mmap(NULL, sizeof *l->area, PROT_READ | PROT_WRITE, MAP_SHARED,
                   l->fd, 0);
    if (p == MAP_FAILED)
        return err_errno(errno, "cannot map the lock file in", path);
#ifdef MADV_POPULATE_WRITE
    madvise(p, sizeof *l->area, MADV_POPULATE_WRITE); /* spares two faults */
#endif
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
    unsigned long long start; /* of no head that a store has saved */
    crypto_random(&start, sizeof start);
    atomic_store(&a->exposures, start);
    atomic_store(&a->exposures_seen, start - 1);
    atomic_store(&a->magic, LOCK_MAGIC);
}

/* Everyone who uses the area holds a shared flock; who gets the exclusive
 * one is alone and makes the area anew. 1 joined, 0 try again. */
static int try_join(struct os_lock *l, const char *path) {
    bool alone = !flock(l->fd, LOCK_EX | LOCK_NB);
    if (!alone && flock(l->fd, LOCK_SH | LOCK_NB))
        return errno == EWOULDBLOCK || errno == EINTR
                   ? 0
                   : err_errno(errno, "cannot lock the lock file in", path);
    int rc = l->area ? ECRDT_OK : map_area(l, path);
    if (rc < 0)
        return rc;
    if (alone)
        make_mutex(l->area);
    bool made = atomic_load(&l->area->magic) == LOCK_MAGIC;
    /* From alone to shared there may be a gap: others make it anew in it,
     * and nobody uses it yet. */
    while (alone && flock(l->fd, LOCK_SH))
        if (errno != EINTR)
            return err_errno(errno, "cannot lock the lock file in", path);
    if (made && atomic_load(&l->area->magic) == LOCK_MAGIC)
        return 1;
    flock(l->fd, LOCK_UN); /* its maker died half-way */
    return 0;
}

static int join_users(struct os_lock *l, const char *path) {
    for (int i = 0; i < JOIN_TRIES; i++) {
        int rc = try_join(l, path);
        if (rc)
            return rc < 0 ? rc : ECRDT_OK;
        usleep(JOIN_PAUSE_US);
    }
    if (l->area)
        return err_set(ECRDT_EVERSION,
                       "the lock file in %s is in use by processes with "
                       "another version or word size of this library",
                       path);
    return err_set(ECRDT_EBUSY,
                   "the lock file in %s is being made by a process that does "
                   "not go on: continue or kill it",
                   path);
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

/* ---- take and give --------------------------------------------------------
 */

static int busy(struct os_lock *l, const char *store) {
    uint64_t since = atomic_load(&l->area->since_ms), now = os_mono_ms();
    char who[160];
    describe(l->area, who, sizeof who);
    return err_set(ECRDT_EBUSY,
                   "store %s is being written by %s for %.1f s; try again or "
                   "raise lock_timeout_ms",
                   store, who, now > since ? (double)(now - since) / 1e3 : 0.);
}

/* A waiter is counted by when it gives up, so that one that was killed is
 * forgotten then. Past WAITERS they are not counted; NULL. */
static atomic_ullong *sign_in(struct lock_area *a, uint64_t now,
                              unsigned long long until) {
    for (int i = 0; i < WAITERS; i++) {
        unsigned long long was = atomic_load(&a->until[i]);
        if (was < now &&
            atomic_compare_exchange_strong(&a->until[i], &was, until))
            return &a->until[i];
    }
    return NULL;
}

static void sign_out(atomic_ullong *place, unsigned long long until) {
    if (place)
        atomic_compare_exchange_strong(place, &until, 0);
}

/* A wall clock that is set must not change the time; the thread sanitizer
 * knows no other. */
#ifdef __SANITIZE_THREAD__
enum { LOCK_CLOCK = CLOCK_REALTIME };
#define lock_until(m, at) pthread_mutex_timedlock(m, at)
#else
enum { LOCK_CLOCK = CLOCK_MONOTONIC };
#define lock_until(m, at) pthread_mutex_clocklock(m, LOCK_CLOCK, at)
#endif

static int timed_lock(struct lock_area *a, uint32_t timeout_ms) {
    int rc = pthread_mutex_trylock(&a->mutex);
    if (rc != EBUSY || !timeout_ms)
        return rc;
    struct timespec at;
    clock_gettime(LOCK_CLOCK, &at);
    uint64_t ns = (uint64_t)at.tv_nsec + (uint64_t)timeout_ms * 1000000;
    at.tv_sec += (time_t)(ns / 1000000000);
    at.tv_nsec = (long)(ns % 1000000000);
    uint64_t now = os_mono_ms(), until = now + timeout_ms;
    atomic_ullong *place = sign_in(a, now, until);
    rc = lock_until(&a->mutex, &at);
    sign_out(place, until);
    return rc;
}

int os_lock_take(struct os_lock *l, uint32_t timeout_ms, const char *store) {
    struct lock_area *a = l->area;
    int rc = timed_lock(a, timeout_ms);
    if (rc == EOWNERDEAD) /* killed inside; LMDB has nothing to undo */
        rc = pthread_mutex_consistent(&a->mutex);
    if (rc == ETIMEDOUT || rc == EBUSY)
        return busy(l, store);
    if (rc)
        return err_errno(rc, "cannot take the writer lock of", store);
    struct process self;
    if (!l->pid) { /* a child does not get here: its handle is the parent's */
        l->pid = getpid();
        l->start = look_up(l->pid, &self) ? self.start : 0;
    }
    atomic_store_explicit(&a->since_ms, os_mono_ms(), memory_order_relaxed);
    atomic_store_explicit(&a->owner_start, l->start, memory_order_relaxed);
    atomic_store_explicit(&a->owner_pid, l->pid, memory_order_release);
    return ECRDT_OK;
}

void os_lock_give(struct os_lock *l) {
    atomic_store_explicit(&l->area->owner_pid, 0, memory_order_relaxed);
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
    uint64_t now = os_mono_ms();
    uint32_t n = 0;
    for (int i = 0; i < WAITERS; i++)
        n += atomic_load_explicit(&l->area->until[i], memory_order_relaxed) >=
             now;
    return n;
}

/* ---- exposures ------------------------------------------------------------
 */

uint64_t os_lock_expose(struct os_lock *l) {
    return atomic_fetch_add(&l->area->exposures, 1) + 1;
}

bool os_lock_overtaken(const struct os_lock *l, uint64_t exposure) {
    return (int64_t)(atomic_load(&l->area->exposures_seen) - exposure) >= 0;
}

uint64_t os_lock_exposures(struct os_lock *l) {
    unsigned long long n = atomic_load(&l->area->exposures);
    atomic_store(&l->area->exposures_seen, n);
    return n;
}

/* ---- sessions ----------------------------------------------------------- */

uint64_t os_lock_session(const struct os_lock *l) {
    return atomic_load_explicit(&l->area->session, memory_order_acquire);
}

void os_lock_begin_session(struct os_lock *l, uint64_t id) {
    atomic_store_explicit(&l->area->session, id, memory_order_release);
}
