/* dbhole.c: blocks of pages that hold nothing go back to the filesystem, as
 * holes of the data file: LMDB itself never makes a file smaller. */
#include "lib/alloc.h"
#include "lib/db_inner.h"
#include "lib/dbfile.h"

/* Pages that are free, a bit for each, but for the first to be used again. */
struct pages {
    uint64_t *bits;
    uint64_t n;      /* pages of the file */
    uint64_t keep;   /* still to be left alone */
    struct db *fill; /* those get blocks, where they have none; or NULL */
};

static void note_run(void *ctx, uint64_t page, uint64_t n) {
    struct pages *p = ctx;
    uint64_t kept = n < p->keep ? n : p->keep;
    p->keep -= kept;
    if (kept && p->fill)
        dbfile_fill(db_env_fd(p->fill), page * p->fill->page_size,
                    kept * p->fill->page_size);
    for (page += kept, n -= kept; n && page < p->n; page++, n--)
        p->bits[page / 64] |= UINT64_C(1) << (page % 64);
}

static bool is_free(const struct pages *p, uint64_t page) {
    return page < p->n && p->bits[page / 64] >> (page % 64) & 1;
}

/* Punches runs from *from on, some bytes of them: 1 = more remains. */
static int punch(struct db *db, const struct pages *p, uint64_t *from) {
    uint64_t left = DB_HOLE_STEP / db->page_size, size = db->page_size;
    while (*from < p->n && left) {
        uint64_t run = 0;
        while (run < left && is_free(p, *from + run))
            run++;
        if (run && !dbfile_punch(db_env_fd(db), *from * size, run * size))
            return 0; /* the filesystem cannot */
        left -= run;
        *from += run ? run : 1;
    }
    return *from < p->n;
}

uint64_t db_bytes_held(struct db *db) {
    return dbfile_bytes_held(db_env_fd(db));
}

int db_release(struct db *db, uint64_t keep_bytes, uint64_t *from) {
    struct pages p = {.keep = keep_bytes / db->page_size};
    uint64_t held = db_bytes_held(db);
    int rc = db_map_enter(db);
    if (rc < 0)
        return rc;
    uint64_t used = db_env_used(db);
    db_map_leave(db);
    uint64_t live = used - db_free_bytes(db);
    bool worth = held > live + keep_bytes + DBFILE_RESERVE + DB_HOLE_SLACK;
    if (!worth && held >= used)
        return 0;
    p.n = used / db->page_size;
    p.fill = held < used && !*from ? db : NULL;
    p.bits = alloc_zeroed(p.n / 64 + 1, sizeof *p.bits);
    if (!p.bits)
        return ECRDT_ENOMEM;
    db_env_each_free(db, note_run, &p);
    rc = worth ? punch(db, &p, from) : 0;
    alloc_free(p.bits);
    return rc;
}
