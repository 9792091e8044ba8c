/* guard.c: the guard file, the facts it holds, and what differs. */
#include "crdt/guard.h"
#include "lib/alloc.h"
#include "lib/crc32c.h"
#include "lib/err.h"
#include "lib/crypto.h"
#include "lib/log.h"
#include "lib/mutant.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

enum {
    MAGIC = 8,
    GUARD_IDS = 5 * GUARD_ID,
    GUARD_BYTES = MAGIC + GUARD_IDS + 4 * 8 + 4
};
static const char magic[MAGIC + 1] = "ECRDTG1\n";
static const char nonce_key[] = "m.guard";
static const uint8_t unknown[GUARD_ID];

/* ---- facts ----------------------------------------------------------------
 */

/* A name of what stands in a file of the system; zeros without it. */
static void name_of(const char *file, uint8_t out[GUARD_ID]) {
    char text[256];
    memset(out, 0, GUARD_ID);
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text);
    if (fd >= 0)
        close(fd);
    slice parts[2] = {ECRDT_STR("ecrdt-guard-1"),
                      slice_of(text, n > 0 ? (size_t)n : 0)};
    if (n > 0)
        crypto_blake2b_parts(out, GUARD_ID, parts, 2);
}

void guard_facts_read(const char *path, struct guard_facts *out) {
    struct statx st;
    struct timespec up;
    char data[4096];
    *out = (struct guard_facts){0};
    name_of("/etc/machine-id", out->machine);
    name_of("/sys/class/dmi/id/product_uuid", out->vm);
    if (!memcmp(out->vm, unknown, GUARD_ID))
        name_of("/sys/hypervisor/uuid", out->vm);
    os_boot_id(out->boot);
    if (!clock_gettime(CLOCK_BOOTTIME, &up))
        out->boot_ms = (uint64_t)up.tv_sec * 1000 + 1;
    snprintf(data, sizeof data, "%s/data.mdb", path);
    if (statx(AT_FDCWD, data, 0, STATX_INO | STATX_BTIME, &st))
        return;
    out->ino = st.stx_ino;
    /* Numbers without a device (overlays, btrfs) change with each mount. */
    if (st.stx_dev_major)
        out->dev = makedev(st.stx_dev_major, st.stx_dev_minor);
    if (st.stx_mask & STATX_BTIME)
        out->born =
            (uint64_t)st.stx_btime.tv_sec * 1000000000 + st.stx_btime.tv_nsec;
}

static bool ids_differ(const uint8_t *a, const uint8_t *b) {
    return memcmp(a, unknown, GUARD_ID) && memcmp(b, unknown, GUARD_ID) &&
           memcmp(a, b, GUARD_ID);
}

static bool differ(uint64_t a, uint64_t b) {
    return a && b && a != b;
}

const char *guard_compare(const struct guard_facts *was,
                          const struct guard_facts *is) {
    bool same_boot = !memcmp(was->boot, is->boot, GUARD_ID) &&
                     memcmp(is->boot, unknown, GUARD_ID) != 0;
    if (ids_differ(was->machine, is->machine))
        return "it was copied or moved from another machine";
    if (ids_differ(was->vm, is->vm))
        return "its virtual machine was cloned";
    if (differ(was->ino, is->ino) || differ(was->born, is->born) ||
        (same_boot && differ(was->dev, is->dev)))
        return "its data file is a copy or was restored";
    if (same_boot && is->boot_ms < was->boot_ms)
        return "its machine was set back to a snapshot";
    return NULL;
}

/* ---- the file -------------------------------------------------------------
 */

static void encode(const struct guard *g, uint8_t b[GUARD_BYTES]) {
    const struct guard_facts *f = &g->facts;
    const uint8_t *ids[5] = {g->before, g->nonce, f->machine, f->vm, f->boot};
    const uint64_t numbers[4] = {f->boot_ms, f->dev, f->ino, f->born};
    uint8_t *p = b;
    memcpy(p, magic, MAGIC);
    p += MAGIC;
    for (int i = 0; i < 5; i++, p += GUARD_ID)
        memcpy(p, ids[i], GUARD_ID);
    for (int i = 0; i < 4; i++, p += 8)
        store64(p, numbers[i]);
    store32(p, crc32c(0, b, GUARD_BYTES - 4));
}

static bool decode(const uint8_t b[GUARD_BYTES], struct guard *g) {
    struct guard_facts *f = &g->facts;
    uint8_t *ids[5] = {g->before, g->nonce, f->machine, f->vm, f->boot};
    uint64_t *numbers[4] = {&f->boot_ms, &f->dev, &f->ino, &f->born};
    const uint8_t *p = b + MAGIC;
    if (memcmp(b, magic, MAGIC) != 0 ||
        load32(b + GUARD_BYTES - 4) != crc32c(0, b, GUARD_BYTES - 4))
        return false;
    for (int i = 0; i < 5; i++, p += GUARD_ID)
        memcpy(ids[i], p, GUARD_ID);
    for (int i = 0; i < 4; i++, p += 8)
        *numbers[i] = load64(p);
    return true;
}

int guard_load(const char *path, struct guard *g) {
    uint8_t b[GUARD_BYTES];
    int fd;
    *g = (struct guard){0};
    int rc = os_open_file(path, "guard", 0, false, &fd);
    if (rc < 0 || fd < 0)
        return rc;
    ssize_t n = pread(fd, b, sizeof b, 0);
    close(fd);
    return n == GUARD_BYTES && decode(b, g);
}

int guard_save(const char *path, uint32_t mode, const struct guard *g,
               bool sync) {
    uint8_t b[GUARD_BYTES];
    struct stat st;
    int fd;
    encode(g, b);
    int rc = os_open_file(path, "guard", mode, true, &fd);
    if (rc < 0)
        return rc;
    bool made = fstat(fd, &st) || st.st_size == 0;
    if (pwrite(fd, b, sizeof b, 0) != (ssize_t)sizeof b ||
        (sync && fdatasync(fd)))
        rc = err_errno(errno, "cannot write the guard file in", path);
    close(fd);
    return rc == ECRDT_OK && sync && made ? os_sync_folder(path) : rc;
}

/* ---- compare --------------------------------------------------------------
 */

/* The store's copy of the nonce: 1, 0 if it has none, < 0. */
static int stored_nonce(ecrdt_txn *t, uint8_t out[GUARD_ID]) {
    slice v;
    int rc = db_get(t->db, DB_META, ecrdt_str(nonce_key), &v);
    if (rc == 1 && v.len != GUARD_ID)
        return txn_corrupt(t, "the guard's nonce");
    if (rc == 1)
        memcpy(out, v.data, GUARD_ID);
    return rc;
}

static bool is_one_of(const uint8_t nonce[GUARD_ID], const struct guard *g) {
    return !memcmp(nonce, g->nonce, GUARD_ID) ||
           !memcmp(nonce, g->before, GUARD_ID);
}

/* What is wrong, in *why; NULL if nothing is. Leaves the facts of now in g. */
static int look(ecrdt_txn *t, struct guard *g, const char **why) {
    uint8_t nonce[GUARD_ID];
    struct guard_facts now;
    *why = NULL;
    guard_facts_read(t->s->path, &now);
    int has = stored_nonce(t, nonce);
    int file = has < 0 ? has : guard_load(t->s->path, g);
    if (file < 0)
        return file;
    if (has == 1 && file == 0)
        *why = "its guard file is lost: the data file came here alone";
    else if (has == 1 && !is_one_of(nonce, g))
        *why = "its data file is of another time than its guard file: it was "
               "restored or rolled back";
    else if (has == 1)
        *why = guard_compare(&g->facts, &now);
    if (!memcmp(now.machine, unknown, GUARD_ID))
        memcpy(now.machine, g->facts.machine, GUARD_ID);
    if (!memcmp(now.vm, unknown, GUARD_ID)) /* another user could read it */
        memcpy(now.vm, g->facts.vm, GUARD_ID);
    if (has == 1)
        memcpy(g->before, nonce, GUARD_ID);
    g->facts = now;
    return ECRDT_OK;
}

static uint64_t session_of(const uint8_t nonce[GUARD_ID]) {
    return load64(nonce) | 1;
}

int guard_check(ecrdt_txn *t, uint64_t session) {
    uint8_t nonce[GUARD_ID];
    struct guard g;
    const char *why;
    int rc = session ? stored_nonce(t, nonce) : look(t, &g, &why);
    if (rc < 0 || !session)
        return rc < 0 ? rc : why != NULL;
    if (rc == 0 || session_of(nonce) == session)
        return 0;
    return err_set(ECRDT_EBUSY,
                   "store %s is in use by processes that opened it before its "
                   "data file was replaced: end them all, then open it",
                   t->s->path);
}

static int renew(ecrdt_txn *t, const char *why) {
    log_line(ECRDT_LOG_WARN,
             "msg=\"this is not the store that was here before (%s): new "
             "incarnation\" store=\"%s\"",
             why, log_text(t->s->path).s);
    return MUTANT(copydoubt) ? origin_renew(t) : twin_renew(t);
}

static int put_nonce(ecrdt_txn *t, const struct guard *g) {
    buf_clear(&t->rec);
    buf_put(&t->rec, g->nonce, GUARD_ID);
    return db_put(t->db, DB_META, ecrdt_str(nonce_key), &t->rec);
}

/* Compares, and writes file and store anew: before the commit both nonces, so
 * that a crash on either side of it is no mismatch; but a store that is to be
 * renewed gets its file only then. */
static int begin_session(ecrdt_txn *t) {
    ecrdt_store *s = t->s;
    if (!s->guard)
        s->guard = alloc_zeroed(1, sizeof *s->guard);
    struct guard *g = s->guard;
    const char *why;
    uint32_t me;
    if (!g)
        return ECRDT_ENOMEM;
    int rc = look(t, g, &why);
    if (rc == ECRDT_OK)
        rc = meta_get_u32(t, "m.me", &me);
    if (rc <= 0)
        return rc; /* not made yet, or a backup: setup comes first */
    crypto_random(g->nonce, GUARD_ID);
    bool durable = s->durability != ECRDT_EPHEMERAL;
    s->renewed = why && durable;
    if (why && !MUTANT(noguard) && !MUTANT(dotreuse))
        rc = renew(t, why);
    else
        rc = guard_save(s->path, s->file_mode, g, durable);
    if (rc == ECRDT_OK)
        rc = put_nonce(t, g);
    t->begins_session = rc == ECRDT_OK;
    return rc;
}

/* Has the data file no name any more? Looked at once in a while, since commits
 * of just before would be gone with it in any case; the caller has the lock. */
static bool is_gone(ecrdt_store *s) {
    struct stat st;
    uint64_t now = os_mono_ms();
    if (s->looked_ms && now - s->looked_ms < GUARD_LOOK_MS)
        return false;
    bool gone = !fstat(db_env_fd(s->db), &st) && st.st_nlink == 0;
    s->looked_ms = gone ? 0 : now;
    return gone;
}

int guard_begin(ecrdt_txn *t) {
    ecrdt_store *s = t->s;
    if (is_gone(s))
        return err_set(ECRDT_EIO,
                       "the data file of store %s was removed or replaced "
                       "while this process has it open: nothing written to it "
                       "would stay; close the store and open it again",
                       s->path);
    return os_lock_session(s->lock) ? ECRDT_OK : begin_session(t);
}

void guard_committed(ecrdt_txn *t) {
    ecrdt_store *s = t->s;
    struct guard *g = s->guard;
    if (!t->begins_session)
        return;
    t->begins_session = false;
    os_lock_begin_session(s->lock, session_of(g->nonce));
    memcpy(g->before, g->nonce, GUARD_ID);
    if (replica_flush(s) < 0 ||
        guard_save(s->path, s->file_mode, g, s->renewed) < 0)
        log_error(ECRDT_LOG_ERROR, ecrdt_errmsg(),
                  "msg=\"cannot finish the guard file\"");
}
