/* dbroom.c: the map and its growth, room for new data, and the reserve behind
 * it that is left to deletes: the last of the disk is kept as allocated blocks
 * of the data file, and the map goes on behind max_bytes. */
#include "lib/alloc.h"
#include "lib/db_inner.h"
#include "lib/dbfile.h"
#include "lib/err.h"

/* Below LITTLE_ROOM the free pages inside the file are counted, too. What a
 * small commit rewrites is free again two commits later: that is no room. */
enum { LITTLE_ROOM = 1 << 20, REWRITTEN = 128 << 10 };

/* For transactions of this process to end when the limit was raised; the next
 * write tries again. */
enum { RAISED_WAIT_MS = 100 };

int db_map_enter(struct db *db) {
    gate_enter(&db->gate);
    if (!db->unmapped)
        return ECRDT_OK;
    gate_leave(&db->gate);
    return err_set(ECRDT_EIO,
                   "store %s could not be mapped again after it had grown: "
                   "close it and open it again",
                   db->path);
}

void db_map_leave(struct db *db) {
    gate_leave(&db->gate);
}

static bool map_anew(struct db *db, uint32_t wait_ms) {
    if (!gate_shut(&db->gate, wait_ms))
        return false;
    db_env_remap(db);
    gate_open(&db->gate);
    return true;
}

int db_map_adopt(struct db *db) {
    if (map_anew(db, db->wait_ms))
        return ECRDT_OK;
    return err_set(ECRDT_EBUSY,
                   "store %s was grown by another process and this one "
                   "must map it anew: end its open transactions",
                   db->path);
}

int db_room_keep(struct db *db, uint64_t more) {
    uint64_t used = db_env_used(db), n = DBFILE_RESERVE + more;
    if (used + n - DBFILE_RESERVE / 2 <= db->reserved)
        return ECRDT_OK;
    int rc = dbfile_reserve(db_env_fd(db), used, n);
    db->disk_full = rc < 0;
    if (rc >= 0) /* 0: it cannot be done, so it is not asked again */
        db->reserved = rc ? used + n : UINT64_MAX;
    return rc < 0 ? rc : ECRDT_OK;
}

void db_low_add(struct db_low *low, uint64_t pages) {
    low->pages += pages;
    for (; pages > DB_RUN_MAX; pages -= DB_RUN_MAX)
        low->runs[DB_RUN_MAX]++;
    low->runs[pages]++;
}

static void add_run(void *low, uint64_t page, uint64_t n) {
    (void)page;
    db_low_add(low, n);
}

void db_env_free(struct db *db, struct db_low *low) {
    db_env_each_free(db, add_run, low);
}

bool db_low_take(struct db_low *low, size_t size, size_t page_size) {
    enum { PAGE_HEADER = 16 };
    if (size < page_size / 2)
        return true; /* one of many in a page: counted in bytes */
    size_t pages = (size + PAGE_HEADER + page_size - 1) / page_size;
    for (size_t i = pages; i <= DB_RUN_MAX; i++)
        if (low->runs[i]) {
            low->runs[i]--;
            low->runs[i - pages]++;
            return true;
        }
    return false;
}

/* Has another process raised the limit that we go by? Inside the gate. */
static bool limit_was_raised(struct db *db) {
    return !db->max_bytes &&
           dbfile_map_bytes(db_env_fd(db)) > db->limit + DB_BEHIND_LIMIT;
}

/* Room on the disk and below the limit: bytes behind the last page. If that is
 * little, *raised says whether there is another limit now. */
static uint64_t room_behind(struct db *db, bool *raised) {
    *raised = false;
    if (db_map_enter(db) < 0)
        return 0;
    uint64_t used = db_env_used(db);
    uint64_t room = used < db->limit ? db->limit - used : 0;
    *raised = room < LITTLE_ROOM && limit_was_raised(db);
    if (db->disk_full && db_room_keep(db, DBFILE_RESERVE) < 0)
        room = 0;
    db_map_leave(db);
    return room;
}

static uint64_t usable(const struct db *db, const struct db_low *low) {
    uint64_t bytes = low->pages * db->page_size;
    return bytes > REWRITTEN ? bytes - REWRITTEN : 0;
}

uint64_t db_free_bytes(struct db *db) {
    struct db_low low = {.pages = 0};
    db_env_free(db, &low);
    return low.pages * db->page_size;
}

uint64_t db_room_left(struct db *db, struct db_low **low) {
    bool raised;
    uint64_t room = room_behind(db, &raised);
    if (raised && map_anew(db, RAISED_WAIT_MS))
        room = room_behind(db, &raised);
    *low = NULL;
    if (room >= LITTLE_ROOM)
        return room;
    *low = alloc_zeroed(1, sizeof **low);
    if (!*low)
        return 0;
    db_low_add(*low, room / db->page_size);
    db_env_free(db, *low);
    return usable(db, *low);
}

int db_room_for(struct db *db, uint64_t bytes) {
    if (db_room_keep(db, bytes) == ECRDT_OK)
        return ECRDT_OK;
    struct db_low low = {.pages = 0};
    db_env_free(db, &low);
    return bytes <= usable(db, &low) ? ECRDT_OK : db_room_none(db);
}

int db_room_none(struct db *db) {
    return db->disk_full
               ? err_set(ECRDT_EFULL,
                         "cannot add to store %s: its disk is full; free space "
                         "there, or delete data (no commit was lost)",
                         db->path)
               : err_set(ECRDT_EFULL,
                         "cannot add to store %s: it reached its max_bytes of "
                         "%llu; open it with a larger one, or delete data",
                         db->path, (unsigned long long)db->limit);
}
