/* dbfile.c: checks of data.mdb before it is mapped, by the layout of LMDB 0.9,
 * and disk blocks for what LMDB would only touch through its maps. */
#include "lib/dbfile.h"
#include "lib/dbwalk.h"
#include "lib/err.h"
#include "lib/os.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#define MAP_MAX (1ull << 48)

/* What one look at a file that others write to may find. */
enum look { SOUND, FOREIGN, OTHER_VERSION, CUT_OFF, DAMAGED, NO_MEMORY };

struct file {
    int fd;
    uint64_t page_size, size, need;
    struct raw_meta meta[2];
    const struct raw_meta *newest;
    union {
        uint8_t bytes[RAW_PAGE_MAX];
        struct raw_page head;
    } page;
};

static enum look read_metas(struct file *f) {
    if (!raw_read(f->fd, &f->meta[0], sizeof f->meta[0], 0))
        return FOREIGN;
    uint64_t size = f->page_size = f->meta[0].dbs[0].pad;
    if (f->meta[0].magic != (uint32_t)RAW_MAGIC || size < RAW_PAGE_MIN ||
        size > RAW_PAGE_MAX || (size & (size - 1)))
        return FOREIGN;
    if (!raw_read(f->fd, &f->meta[1], sizeof f->meta[1], size) ||
        f->meta[1].magic != (uint32_t)RAW_MAGIC)
        return FOREIGN;
    if (f->meta[0].version != RAW_VERSION || f->meta[1].version != RAW_VERSION)
        return OTHER_VERSION;
    f->newest = &f->meta[f->meta[1].txn > f->meta[0].txn];
    return SOUND;
}

/* A table's root may be any page but a meta page, or none. */
static bool root_fits(const struct raw_db *db, uint64_t last) {
    if (db->root == RAW_NO_PAGE)
        return !db->depth && !db->entries;
    uint64_t pages;
    return db->root > 1 && db->root <= last && db->depth >= 1 &&
           db->depth <= RAW_DEPTH_MAX && db->entries && db->leaf &&
           !__builtin_add_overflow(db->branch, db->leaf, &pages) &&
           add_u64(&pages, db->overflow) && pages <= last;
}

/* The commits alternate between the two pages: n in page n % 2, and n - 1 in
 * the other one; a page that was never used holds 0. */
static bool numbers_fit(const struct raw_meta m[2]) {
    uint64_t a = m[0].txn, b = m[1].txn;
    return (a & 1) == 0 && ((b & 1) == 1 || !b) &&
           (a == b  ? !a
            : a > b ? a - b == 1
                    : b - a == 1);
}

static bool meta_fits(const struct raw_meta *m, unsigned no,
                      uint64_t page_size) {
    return m->page.number == no && m->page.flags == RAW_META &&
           m->dbs[0].pad == page_size && m->dbs[0].flags == RAW_FREE_FLAGS &&
           !m->dbs[1].flags && !m->address && m->mapsize < MAP_MAX &&
           m->last >= 1 && m->last < UINT64_MAX / RAW_PAGE_MAX &&
           root_fits(&m->dbs[0], m->last) && root_fits(&m->dbs[1], m->last);
}

/* Header of page no, of which n bytes are read: is it what db's root is? */
static bool root_page(struct file *f, const struct raw_db *db, size_t n) {
    const struct raw_page *h = &f->page.head;
    if (!raw_read(f->fd, f->page.bytes, n, db->root * f->page_size))
        return false;
    return h->number == db->root &&
           h->flags == (db->depth == 1 ? RAW_LEAF : RAW_BRANCH) &&
           h->lower >= sizeof *h && h->lower <= h->upper &&
           h->upper <= f->page_size && !(h->lower & 1) && !(h->upper & 1);
}

/* The metas, the page of tables, and the root of one table if it has a name,
 * or of the free pages. */
struct look_for {
    unsigned tables;
    slice name;
    bool unused;
    const char *const *soon; /* tables whose roots are read ahead, or NULL */
};

static void read_ahead(const struct file *f, const struct look_for *what,
                       slice name, const struct raw_db *db) {
    for (const char *const *s = what->soon; s && *s; s++)
        if (db->root != RAW_NO_PAGE && slice_eq(name, ecrdt_str(*s)))
            posix_fadvise(f->fd, (off_t)(db->root * f->page_size),
                          (off_t)f->page_size, POSIX_FADV_WILLNEED);
}

/* Node i of the page of tables: if it is the record of one, is that sound?
 * Counts it, and takes it over if it is the one looked for. */
static bool node_fits(const struct file *f, unsigned i,
                      const struct look_for *what, struct raw_db *out,
                      unsigned *n) {
    const uint8_t *p = f->page.bytes;
    uint16_t offset;
    struct raw_node node;
    struct raw_db db;
    memcpy(&offset, p + sizeof f->page.head + 2 * i, sizeof offset);
    if (offset < f->page.head.upper || offset + sizeof node > f->page_size)
        return false;
    memcpy(&node, p + offset, sizeof node);
    if (!(node.flags & RAW_TABLE))
        return true;
    size_t key = offset + sizeof node, at = key + node.key_size;
    if (node.size_low != sizeof db || node.size_high ||
        node.flags != RAW_TABLE || at + sizeof db > f->page_size)
        return false;
    memcpy(&db, p + at, sizeof db);
    if (db.flags || !root_fits(&db, f->newest->last))
        return false;
    slice name = slice_of(p + key, node.key_size);
    if (slice_eq(name, what->name))
        *out = db;
    read_ahead(f, what, name, &db);
    ++*n;
    return true;
}

/* The page of tables, as long as it is a single one; *out is the record of
 * the one looked for, unless it is not there. */
static bool tables_fit(struct file *f, const struct look_for *what,
                       struct raw_db *out) {
    const struct raw_db *main = &f->newest->dbs[1];
    unsigned n = 0, nodes;
    if (main->entries < what->tables || !root_page(f, main, f->page_size))
        return false;
    if (main->depth > 1)
        return true;
    nodes = (f->page.head.lower - (unsigned)sizeof f->page.head) / 2;
    if (nodes != main->entries)
        return false;
    for (unsigned i = 0; i < nodes; i++)
        if (!node_fits(f, i, what, out, &n))
            return false;
    return n >= what->tables;
}

static enum look look_at(struct file *f, const struct look_for *what) {
    struct stat st;
    enum look found = read_metas(f);
    if (found != SOUND)
        return found;
    if (!meta_fits(&f->meta[0], 0, f->page_size) ||
        !meta_fits(&f->meta[1], 1, f->page_size) || !numbers_fit(f->meta))
        return DAMAGED;
    if (fstat(f->fd, &st)) /* after the metas: the file may grow meanwhile */
        return FOREIGN;
    f->size = (uint64_t)st.st_size;
    f->need = (f->newest->last + 1) * f->page_size;
    int reaches = f->need <= f->size ? 1 : dbwalk_reaches(f->fd, f->newest);
    if (reaches <= 0)
        return reaches < 0 ? NO_MEMORY : CUT_OFF;
    struct raw_db db = {.root = RAW_NO_PAGE};
    if (what->unused)
        db = f->newest->dbs[0];
    else if (!tables_fit(f, what, &db))
        return DAMAGED;
    bool fits =
        db.root == RAW_NO_PAGE || root_page(f, &db, sizeof f->page.head);
    return fits ? SOUND : DAMAGED;
}

static int report(enum look found, const struct file *f, const char *name) {
    switch (found) {
    case SOUND:
        return 1;
    case NO_MEMORY:
        return ECRDT_ENOMEM;
    case OTHER_VERSION:
        return err_set(ECRDT_EVERSION,
                       "cannot open %s: written by another version of LMDB",
                       name);
    case CUT_OFF:
        return err_set(ECRDT_ECORRUPT,
                       "cannot open %s: it is cut off at %llu bytes, its last "
                       "commit needs %llu; restore it from a backup or a peer",
                       name, (unsigned long long)f->size,
                       (unsigned long long)f->need);
    default:
        return err_set(ECRDT_ECORRUPT,
                       "cannot use %s: it is not a store's data file, or its "
                       "first pages are damaged; restore it from a backup or "
                       "a peer",
                       name);
    }
}

enum { LOOKS = 100, LOOK_PAUSE_US = 500, BEGINNING = 64 << 10 };

/* A writer may commit between two reads: a finding must be made twice of the
 * same commit. */
static enum look look(struct file *f, const struct look_for *what) {
    struct raw_meta was[2];
    enum look found = SOUND;
    memset(f->meta, 0, sizeof f->meta);
    for (int i = 0; i < LOOKS; i++) {
        memcpy(was, f->meta, sizeof was);
        found = look_at(f, what);
        if (found == SOUND || (i && !memcmp(was, f->meta, sizeof was)))
            break;
        usleep(LOOK_PAUSE_US);
    }
    return found;
}

int dbfile_check(const char *path, unsigned tables, const char *const *soon) {
    char name[4096];
    struct file f;
    struct look_for what = {.tables = tables, .soon = soon};
    snprintf(name, sizeof name, "%s/data.mdb", path);
    f.fd = open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (f.fd < 0)
        return errno == ENOENT ? 0 : err_errno(errno, "cannot read", name);
    /* Of a cold file the beginning at once, where roots often are, and else
     * the pages that are asked for alone. */
    posix_fadvise(f.fd, 0, 0, POSIX_FADV_RANDOM);
    posix_fadvise(f.fd, 0, BEGINNING, POSIX_FADV_WILLNEED);
    enum look found = look(&f, &what);
    close(f.fd);
    return report(found, &f, name);
}

int dbfile_check_root(const char *path, int fd, const char *table) {
    char name[4096];
    struct file f;
    struct look_for what = {.unused = !table};
    if (table)
        what.name = slice_of(table, strlen(table));
    snprintf(name, sizeof name, "%s/data.mdb", path);
    f.fd = fd;
    return report(look(&f, &what), &f, name);
}

uint64_t dbfile_map_bytes(int fd) {
    struct file f;
    f.fd = fd;
    return read_metas(&f) == SOUND ? f.newest->mapsize : 0;
}

/* ---- lock.mdb -------------------------------------------------------------
 */

/* Is the filesystem itself read-only, or only this mount of it? */
static bool wholly_readonly(const char *path) {
    struct stat st;
    char line[4096], *options;
    unsigned major, minor;
    bool yes = false;
    FILE *f = stat(path, &st) ? NULL : fopen("/proc/self/mountinfo", "re");
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "%*d %*d %u:%u", &major, &minor) != 2 ||
            makedev(major, minor) != st.st_dev)
            continue;
        options = strrchr(line, ' '); /* those of the superblock are last */
        yes = options &&
              (!strncmp(options, " ro,", 4) || !strncmp(options, " ro\n", 4));
    }
    if (f)
        fclose(f);
    return yes;
}

static int no_lock_file(int errnum, const char *path, bool rdonly) {
    if (errnum == EROFS && rdonly && wholly_readonly(path))
        return ECRDT_OK; /* nobody writes: LMDB does without */
    if (errnum == EROFS && rdonly)
        return err_set(ECRDT_ENOTSUP,
                       "cannot read store %s through a read-only mount while "
                       "others may write to it: readers keep their place in "
                       "its lock.mdb; mount it writable",
                       path);
    if (errnum == EACCES || errnum == EPERM)
        return err_set(ECRDT_EIO,
                       "cannot open store %s: no permission to write its "
                       "lock.mdb, where readers keep their place too; join "
                       "the group of the folder",
                       path);
    return err_errno(errnum, "cannot open the lock file of", path);
}

int dbfile_make_lock(const char *path, uint32_t mode, uint32_t readers,
                     bool rdonly) {
    enum { SLOT = 64, HEADER = 4096 };
    int fd, rc = os_open_file(path, "lock.mdb", mode, true, &fd);
    if (rc < 0)
        return no_lock_file(errno, path, rdonly);
    off_t want = (off_t)readers * SLOT + HEADER;
    struct stat st;
    int failed = 0;
    if (!fstat(fd, &st) && st.st_blocks * 512 < want)
        do
            failed = fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, want) ? errno : 0;
        while (failed == EINTR);
    if (failed == ENOSPC || failed == EDQUOT)
        rc = err_errno(failed, "cannot make the lock file of", path);
    close(fd);
    return rc;
}

/* ---- the data file --------------------------------------------------------
 */

/* Are all blocks up to size there already? Asking is cheaper than allocating
 * again: a journal is in the way of that. */
static bool has_blocks(int fd, uint64_t size) {
    struct stat st;
    return !fstat(fd, &st) && (uint64_t)st.st_size >= size &&
           (uint64_t)st.st_blocks * 512 >= size;
}

int dbfile_reserve(int fd, uint64_t used, uint64_t n) {
    if (has_blocks(fd, used + n))
        return 1;
    while (fallocate(fd, 0, (off_t)used, (off_t)n)) {
        if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
            return ECRDT_EFULL;
        if (errno != EINTR)
            return 0;
    }
    return 1;
}

bool dbfile_punch(int fd, uint64_t at, uint64_t n) {
    while (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at,
                     (off_t)n))
        if (errno != EINTR)
            return false;
    return true;
}

void dbfile_fill(int fd, uint64_t at, uint64_t n) {
    while (fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)n) &&
           errno == EINTR)
        ;
}

uint64_t dbfile_bytes_held(int fd) {
    struct stat st;
    return fstat(fd, &st) ? 0 : (uint64_t)st.st_blocks * 512;
}

bool dbfile_disk_full(const char *path) {
    struct statvfs fs;
    return !statvfs(path, &fs) &&
           (uint64_t)fs.f_bavail * fs.f_frsize < (64u << 10);
}

void dbfile_remove(const char *path) {
    char file[4096];
    snprintf(file, sizeof file, "%s/data.mdb", path);
    unlink(file);
}

int dbfile_begin_new(const char *path, char *name, size_t size) {
    bool made;
    snprintf(name, size, "%s/new", path);
    int rc = os_make_folder(name, 0700, &made);
    if (rc == ECRDT_OK)
        dbfile_remove(name);
    return rc;
}

void dbfile_abort_new(const char *name) {
    dbfile_remove(name);
    rmdir(name);
}

int dbfile_end_new(const char *path, const char *name, uint32_t mode) {
    char from[4096], to[4096];
    snprintf(from, sizeof from, "%s/data.mdb", name);
    snprintf(to, sizeof to, "%s/data.mdb", path);
    int rc = ECRDT_OK;
    if (chmod(from, mode) || rename(from, to))
        rc = err_errno(errno, "cannot put in place", to);
    dbfile_abort_new(name);
    return rc < 0 ? rc : os_sync_folder(path);
}
