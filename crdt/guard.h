/* guard.h: tells a store from a copy of it, and from an earlier state of it
 * (PROTOCOL 7, D3). The file "guard" beside the data holds a nonce that the
 * store holds too, and where both were: machine, boot, data file. The first
 * writer of each session (from when somebody opens the store until nobody has
 * it open) compares and writes both anew; a mismatch is a new incarnation. */
#ifndef CRDT_GUARD_H
#define CRDT_GUARD_H
#include "crdt/store.h"

enum { GUARD_ID = 16, GUARD_LOOK_MS = 10 };

/* Where a store is. Zeros: not known. */
struct guard_facts {
    uint8_t machine[GUARD_ID]; /* of /etc/machine-id */
    uint8_t vm[GUARD_ID];      /* of the id a hypervisor gives, if readable */
    uint8_t boot[GUARD_ID];
    uint64_t boot_ms;        /* since that boot, suspended time included */
    uint64_t dev, ino, born; /* of data.mdb */
};

/* The file. A crash between its two writes of a session leaves the nonce
 * before beside the one to come. */
struct guard {
    uint8_t before[GUARD_ID], nonce[GUARD_ID];
    struct guard_facts facts;
};

/* What holds for the store in that folder now. */
void guard_facts_read(const char *path, struct guard_facts *out);

/* The guard file of a folder: 1, 0 if absent or damaged, < 0. */
int guard_load(const char *path, struct guard *g);

/* Writes it, durably if sync is set. */
int guard_save(const char *path, uint32_t mode, const struct guard *g,
               bool sync);

/* What facts tell about a store that was at was; NULL: that it is the same one
 * in the same place. A reboot changes nothing. */
const char *guard_compare(const struct guard_facts *was,
                          const struct guard_facts *is);

/* At open of a store with a lock: 1 if the first writer has to look at once;
 * ECRDT_EBUSY if the data file is not the one that others have open. session is
 * the lock's from before t began: one that begins later is not in its snapshot,
 * one that had begun does not end while the lock is open. */
int guard_check(ecrdt_txn *t, uint64_t session);

/* At each write begin, under the writer lock: refuses if the data file is gone,
 * for which it looks every GUARD_LOOK_MS. The first writer of a session
 * compares and, if need be, takes a new incarnation. */
int guard_begin(ecrdt_txn *t);

/* After t's commit, under the lock. */
void guard_committed(ecrdt_txn *t);
#endif
