/* lock.h: the lock file that lets only one relay run on a store. */
#ifndef REPLICATION_RELAY_LOCK_H
#define REPLICATION_RELAY_LOCK_H

/* Locks <store>/relay.lock for this process and notes its pid there; *fd
 * holds the lock until it is closed. 0; ECRDT_EBUSY with a sentence that
 * names the holder; ECRDT_EIO and the like. */
int lock_take(const char *store, int *fd);
#endif
