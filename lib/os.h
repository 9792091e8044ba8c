/* os.h: what the operating system gives: clocks, the store folder, the timed
 * writer lock between processes, the wake file, fork detection. */
#ifndef LIB_OS_H
#define LIB_OS_H
#include "lib/bytes.h"
#include <pthread.h>

uint64_t os_wall_ms(void);
uint64_t os_mono_ms(void);

/* 16 bytes that differ between boots of a machine; zeros if unknown. */
void os_boot_id(uint8_t out[16]);

/* Counts fork() generations: differs in a child from its parent. */
uint32_t os_fork_generation(void);

/* ---- files ---- */

/* Makes the folder (one level) unless it exists. *made says which. */
int os_make_folder(const char *path, uint32_t mode, bool *made);

/* ECRDT_ENOTSUP, with a sentence, on a filesystem that LMDB cannot use. */
int os_check_filesystem(const char *path);

/* 1 if the folder has no entries, 0 if it has, < 0 an error. */
int os_folder_empty(const char *path);

/* Makes the entries of a folder durable. */
int os_sync_folder(const char *path);

/* The file path/name for reading and writing, created if need be. -1 in *fd
 * and 0 when create is false and it is absent. */
int os_open_file(const char *path, const char *name, uint32_t mode,
                 bool create, int *fd);

/* Rewrites the first byte of fd, so that those who watch the file wake. */
void os_wake(int fd);

/* ---- the writer lock: a robust, timed, process-shared mutex in a file ---- */

struct os_lock;

int os_lock_open(const char *path, const char *name, uint32_t mode,
                 struct os_lock **out);
void os_lock_close(struct os_lock *l);

/* 0, or ECRDT_EBUSY after timeout_ms with a sentence that names the holder,
 * its state and since when. */
int os_lock_take(struct os_lock *l, uint32_t timeout_ms, const char *store);
void os_lock_give(struct os_lock *l);

/* Counts a watcher of the wake file in or out; is there any? */
void os_lock_watch(struct os_lock *l, bool on);
bool os_lock_watched(const struct os_lock *l);

/* Threads of all processes that wait for the lock now. */
uint32_t os_lock_waiters(const struct os_lock *l);

/* ---- threads ---- */

void os_cond_init(pthread_mutex_t *m, pthread_cond_t *c);

/* Waits, holding m, until *n is 0: true, or false after timeout_ms. */
bool os_cond_wait_zero(pthread_mutex_t *m, pthread_cond_t *c,
                       const uint32_t *n, uint32_t timeout_ms);
#endif
