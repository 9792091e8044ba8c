/* dbwalk.h: reads every page of an LMDB file as bytes, not through its map:
 * finds what LMDB would follow blindly, before LMDB does. */
#ifndef LIB_DBWALK_H
#define LIB_DBWALK_H
#include "lib/dbraw.h"

struct dbwalk {
    int fd;
    /* Number of the snapshot that the caller holds; becomes that of the one
     * that was read, which may be a later one. */
    uint64_t txn;
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
 * page is used twice. 0, also with findings; ECRDT_EBUSY if the file is
 * older than the snapshot, ENOMEM, ECRDT_ECANCELED. */
int dbwalk(struct dbwalk *w);

/* Does the file hold all that the snapshot of this meta page uses? Its page
 * size must be sound. A commit that frees pages again which it took behind the
 * end of the file never writes them, and yet LMDB counts them: such a file is
 * shorter than its last page, but all that it lacks is in its list of free
 * pages. 1, 0 or ECRDT_ENOMEM. */
int dbwalk_reaches(int fd, const struct raw_meta *m);
#endif
