/* os.h: what the operating system gives: clocks, the store folder, the timed
 * writer lock between processes, the wake file, fork detection. */
#ifndef LIB_OS_H
#define LIB_OS_H
#include "lib/bytes.h"
#include <stdatomic.h>

/* Milliseconds since 1970-01-01 UTC. */
uint64_t os_wall_ms(void);

/* Milliseconds of a clock that nobody sets, from some start of its own. */
uint64_t os_mono_ms(void);

/* 16 bytes that differ between boots of a machine; zeros if unknown. */
void os_boot_id(uint8_t out[16]);

/* Counts fork() generations: differs in a child from its parent. */
uint32_t os_fork_generation(void);

/* The same, for whoever has called that before. */
extern atomic_uint os_forks;
static inline uint32_t os_fork_generation_now(void) {
    return atomic_load_explicit(&os_forks, memory_order_relaxed);
}

/* ---- files ---- */

/* Makes the folder (one level) unless it exists. *made says which. */
int os_make_folder(const char *path, uint32_t mode, bool *made);

/* The folder that holds path ("." for a bare name), into out. */
void os_parent(const char *path, char *out, size_t size);

/* ECRDT_ENOTSUP, with a sentence, on a filesystem that LMDB cannot use. */
int os_check_filesystem(const char *path);

/* Name of a network or user-space filesystem by statfs()'s magic number;
 * NULL for any other. */
const char *os_network_filesystem(uint32_t magic);

/* 1 if the folder has no entries, 0 if it has, < 0 an error. */
int os_folder_empty(const char *path);

/* Claims a folder to fill it, for one at a time until close(*fd); ECRDT_EBUSY
 * if somebody has. */
int os_claim_folder(const char *path, int *fd);

/* Makes the entries of a folder durable. */
int os_sync_folder(const char *path);

/* The file path/name for reading and writing; made with that mode, whatever
 * the umask, if create is set and it is absent. -1 in *fd and 0 when create
 * is not set and it is absent. A failure leaves errno. */
int os_open_file(const char *path, const char *name, uint32_t mode, bool create,
                 int *fd);

/* Rewrites the first byte of fd, so that those who watch the file wake. */
void os_wake(int fd);

/* A descriptor that tells of writes to the file at path; -1 if there can be
 * none. close() it. */
int os_watch_open(const char *path);

/* Sleeps until such a write, or for timeout_ms (fd -1: in any case). */
void os_watch_wait(int fd, uint32_t timeout_ms);

/* ---- the writer lock: a robust, timed, process-shared mutex in a file ---- */

struct os_lock;

/* Opens, and if need be makes, the lock in the file path/name. ECRDT_EBUSY
 * if a stopped process is in the middle of making it. */
int os_lock_open(const char *path, const char *name, uint32_t mode,
                 struct os_lock **out);

/* Closes it; this process must not hold it. NULL is fine. */
void os_lock_close(struct os_lock *l);

/* 0, or ECRDT_EBUSY after timeout_ms with a sentence that names the holder,
 * its state and since when. */
int os_lock_take(struct os_lock *l, uint32_t timeout_ms, const char *store);

/* Gives it back, in the thread that took it. */
void os_lock_give(struct os_lock *l);

/* Counts a watcher of the wake file in or out. */
void os_lock_watch(struct os_lock *l, bool on);

/* Is there any? One that was killed counts until all have closed. */
bool os_lock_watched(const struct os_lock *l);

/* Threads of all processes that wait for the lock now. */
uint32_t os_lock_waiters(const struct os_lock *l);

/* A session lasts from when somebody opens the lock until nobody has it open.
 * Its id, given by whoever is the first to need one; 0 = not yet. */
uint64_t os_lock_session(const struct os_lock *l);
void os_lock_begin_session(struct os_lock *l, uint64_t id);

/* A count of the snapshots whose content leaves the store; it starts at
 * random whenever the file's content is made anew. os_lock_expose() counts
 * one, before it is taken, and gives its number. os_lock_exposures() is the
 * writer's look at the count, under the lock; os_lock_overtaken() says whether
 * a writer has looked and seen that exposure. */
uint64_t os_lock_expose(struct os_lock *l);
uint64_t os_lock_exposures(struct os_lock *l);
bool os_lock_overtaken(const struct os_lock *l, uint64_t exposure);

#endif
