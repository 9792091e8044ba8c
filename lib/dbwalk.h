/* dbwalk.h: reads every page of an LMDB file as bytes, not through its map:
 * finds what LMDB would follow blindly, before LMDB does. */
#ifndef LIB_DBWALK_H
#define LIB_DBWALK_H
#include "lib/bytes.h"

struct dbwalk {
    int fd;
    uint64_t txn;    /* number of the snapshot to read: the caller holds it */
    unsigned tables; /* named ones that there must be */
    /* Gets each finding as a line of text, borrowed; nonzero ends the walk. */
    int (*find)(void *ctx, const char *line);
    void *ctx;
    /* What was read. */
    uint64_t pages, rows;
    uint64_t broken;  /* findings that LMDB must not be let near */
    uint64_t damaged; /* records that are not what their checksums say */
    uint64_t lost;    /* pages that neither hold anything nor are free */
};

/* Walks the trees of all tables and of the free pages: page numbers, kinds
 * and depths, the places of nodes, the order of keys within and across pages,
 * sizes and checksums of records, the counts of the meta page, and that no
 * page is used twice. 0, also with findings; ECRDT_EBUSY if the snapshot is
 * not there any more, ENOMEM, ECRDT_ECANCELED. */
int dbwalk(struct dbwalk *w);
#endif
