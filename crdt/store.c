/* store.c: opens a store's folder, and keeps one handle per store in the
 * process. */
#include "crdt/guard.h"
#include "lib/alloc.h"
#include "lib/dbfile.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mutant.h"
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    DEFAULT_READERS = 4096,
    DEFAULT_LOCK_MS = 5000,
    DEFAULT_MODE = 02770,
    LEVELS = ECRDT_FULL | ECRDT_RELAXED | ECRDT_EPHEMERAL,
    ALL_FLAGS = ECRDT_RDONLY | ECRDT_NOCREATE | ECRDT_CHECK | LEVELS
};
static const uint64_t default_bytes =
    sizeof(void *) > 4 ? 64ull << 30 : 1ull << 30;

static pthread_mutex_t table_gate = PTHREAD_MUTEX_INITIALIZER;
static struct ecrdt_store *table;

int store_check(ecrdt_store *s, const char *call) {
    if (!s)
        return err_null(call);
    if (s->fork_generation == os_fork_generation_now())
        return ECRDT_OK;
    return err_set(ECRDT_EFORK,
                   "%s: store %s was opened before fork(): close the handle "
                   "in the child and open the store again",
                   call, s->path);
}

static int read_options(const ecrdt_options *given, ecrdt_options *o) {
    *o = (ecrdt_options){0};
    if (given) {
        if (given->size < sizeof(size_t) || given->size > 4096)
            return err_set(ECRDT_EINVAL,
                           "ecrdt_open(): options.size is %zu; begin with "
                           "ECRDT_OPTIONS_INIT",
                           given->size);
        memcpy(o, given, given->size < sizeof *o ? given->size : sizeof *o);
    }
    uint32_t level = o->flags & LEVELS;
    if ((o->flags & ~(uint32_t)ALL_FLAGS) || (level & (level - 1)))
        return err_set(ECRDT_EINVAL,
                       "ecrdt_open(): flags 0x%x are unknown or name more "
                       "than one durability level",
                       o->flags);
    o->max_readers = o->max_readers ? o->max_readers : DEFAULT_READERS;
    o->lock_timeout_ms =
        o->lock_timeout_ms ? o->lock_timeout_ms : DEFAULT_LOCK_MS;
    o->mode = o->mode ? o->mode : DEFAULT_MODE;
    return ECRDT_OK;
}

/* ---- the boot file -------------------------------------------------------
 * Only an EPHEMERAL store has it: the id of the boot that made it. A store of
 * another boot may be torn in any way, so this is looked at, and its data
 * file removed, before anything maps it. */

enum { BOOT_ID = 16 };

static int boot_read(const char *path, uint8_t id[BOOT_ID]) {
    int fd;
    int rc = os_open_file(path, "boot", 0, false, &fd);
    if (rc < 0 || fd < 0)
        return rc;
    ssize_t n = pread(fd, id, BOOT_ID, 0);
    close(fd);
    return n == BOOT_ID ? 1 : 0;
}

static int boot_write(ecrdt_store *s) {
    uint8_t id[BOOT_ID], none[BOOT_ID] = {0};
    int fd;
    os_boot_id(id);
    if (!memcmp(id, none, BOOT_ID))
        return err_set(ECRDT_ENOTSUP,
                       "cannot keep an EPHEMERAL store in %s: the boot id in "
                       "/proc/sys/kernel/random cannot be read, so a crash "
                       "would go unnoticed",
                       s->path);
    int rc = os_open_file(s->path, "boot", s->file_mode, true, &fd);
    if (rc < 0)
        return rc;
    if (pwrite(fd, id, BOOT_ID, 0) != BOOT_ID)
        rc = err_errno(errno, "cannot write the boot file in", s->path);
    close(fd);
    return rc;
}

/* 1 if there is a boot file and it is of another boot. */
static int boot_changed(const char *path) {
    uint8_t now[BOOT_ID], then[BOOT_ID];
    int rc = boot_read(path, then);
    if (rc <= 0)
        return rc;
    os_boot_id(now);
    return memcmp(now, then, BOOT_ID) != 0;
}

/* Discards an EPHEMERAL store of another boot; needs the writer lock file. */
static int boot_check(ecrdt_store *s, uint32_t flags) {
    int rc = boot_changed(s->path);
    if (rc <= 0)
        return rc;
    if (flags & ECRDT_RDONLY)
        return err_set(ECRDT_ERDONLY,
                       "cannot open store %s read-only: it is EPHEMERAL and "
                       "of another boot; open it for writing once, which "
                       "empties it",
                       s->path);
    rc = os_lock_take(s->lock, s->lock_timeout_ms, s->path);
    if (rc < 0)
        return rc;
    s->durability = ECRDT_EPHEMERAL;
    rc = boot_changed(s->path);
    if (rc == 1) {
        log_line(ECRDT_LOG_WARN,
                 "msg=\"ephemeral store of another boot is discarded\" "
                 "store=\"%s\"",
                 log_text(s->path).s);
        dbfile_remove(s->path);
        rc = boot_write(s);
    }
    os_lock_give(s->lock);
    return rc;
}

/* ---- what is in the meta table ------------------------------------------- */

static int write_new(ecrdt_txn *t, uint32_t durability) {
    int rc = meta_put_u32(t, "m.format", STORE_FORMAT);
    if (rc == ECRDT_OK)
        rc = meta_put_u32(t, "m.durability", durability);
    if (rc == ECRDT_OK)
        rc = origin_renew(t);
    return rc < 0 ? rc : guard_begin(t);
}

static const char *level_name(uint32_t level) {
    return level == ECRDT_FULL      ? "FULL"
           : level == ECRDT_RELAXED ? "RELAXED"
                                    : "EPHEMERAL";
}

static int check_level(const char *path, uint32_t asked, uint32_t have) {
    if (!asked || asked == have)
        return ECRDT_OK;
    return err_set(ECRDT_EINVAL,
                   "store %s was created with durability %s and keeps it: "
                   "open it without ECRDT_%s",
                   path, level_name(have), level_name(asked));
}

/* Reads the format: 1 if there is a store, 0 if the tables are empty. */
static int check_format(ecrdt_txn *t, uint32_t flags) {
    ecrdt_store *s = t->s;
    uint32_t format = 0;
    int rc = meta_get_u32(t, "m.format", &format);
    if (rc <= 0)
        return rc;
    if (format != STORE_FORMAT)
        return err_set(ECRDT_EVERSION,
                       "store %s has format %u, this library knows %d: use "
                       "the version that wrote it, or a newer one",
                       s->path, format, STORE_FORMAT);
    rc = meta_get_u32(t, "m.durability", &s->durability);
    if (rc != 1)
        return rc < 0 ? rc : txn_corrupt(t, "the meta table");
    rc = check_level(s->path, flags & LEVELS, s->durability);
    return rc < 0 ? rc : 1;
}

/* The limit asked for, in units of 4 KiB. LMDB keeps it with a commit only:
 * 1 if it is another one than at the last such commit. */
static int limit_changed(ecrdt_txn *t, uint32_t *limit) {
    uint64_t units = t->s->max_bytes >> 12;
    uint32_t was = 0;
    *limit = units > UINT32_MAX ? UINT32_MAX : (uint32_t)units;
    int rc = *limit ? meta_get_u32(t, "m.limit", &was) : ECRDT_OK;
    return rc < 0 ? rc : *limit != was;
}

static int keep_limit(ecrdt_txn *t) {
    uint32_t limit;
    int rc = limit_changed(t, &limit);
    return rc == 1 ? meta_put_u32(t, "m.limit", limit) : rc;
}

/* Does the store need a write before use: is it new, or (but for reading
 * that does not matter) a copy without identity, or has it a new limit? session
 * is that of guard_check(). */
static int needs_setup(ecrdt_txn *t, uint32_t flags, uint64_t session) {
    uint32_t me, limit;
    int rc = check_format(t, flags);
    if (rc <= 0)
        return rc < 0 ? rc : 1;
    if (flags & ECRDT_RDONLY)
        return ECRDT_OK;
    rc = meta_get_u32(t, "m.me", &me);
    if (rc <= 0)
        return rc < 0 ? rc : 1;
    rc = guard_check(t, session);
    return rc != 0 ? rc : limit_changed(t, &limit);
}

/* A guard file without its data file: the store was here before. */
static void warn_if_lost(const ecrdt_store *s) {
    struct guard g;
    if (guard_load(s->path, &g) == 1)
        log_line(ECRDT_LOG_WARN,
                 "msg=\"the data file of this store is lost, a new one is "
                 "made: what peers have comes back from them\" store=\"%s\"",
                 log_text(s->path).s);
}

static int setup(ecrdt_txn *t, uint32_t flags) {
    ecrdt_store *s = t->s;
    uint32_t me, level = flags & LEVELS;
    int rc = check_format(t, flags);
    bool is_new = rc == 0;
    if (rc >= 0)
        rc = keep_limit(t);
    if (rc < 0)
        return rc;
    if (is_new) { /* a discarded one keeps its level */
        if (!s->durability)
            s->durability = level ? level : ECRDT_FULL;
        if (s->durability == ECRDT_EPHEMERAL)
            rc = boot_write(s);
        else
            warn_if_lost(s);
        return rc < 0 ? rc : write_new(t, s->durability);
    }
    rc = meta_get_u32(t, "m.me", &me);
    if (rc != 0)
        return rc < 0 ? rc : ECRDT_OK;
    log_line(ECRDT_LOG_INFO,
             "msg=\"store has no identity (a backup): new incarnation\" "
             "store=\"%s\"",
             log_text(s->path).s);
    rc = s->durability == ECRDT_EPHEMERAL ? boot_write(s) : ECRDT_OK;
    if (rc == ECRDT_OK)
        rc = twin_renew(t);
    return rc < 0 ? rc : guard_begin(t);
}

static int prepare(ecrdt_store *s, uint32_t flags) {
    ecrdt_txn *t;
    uint64_t session = s->lock ? os_lock_session(s->lock) : 0;
    int rc = replica_begin(s, false, 0, &t);
    if (rc < 0)
        return rc;
    int need = needs_setup(t, flags, session);
    ecrdt_abort(t);
    if (need <= 0)
        return need;
    if (flags & ECRDT_RDONLY)
        return err_set(ECRDT_ERDONLY,
                       "cannot open store %s read-only: its creation was "
                       "never finished; open it for writing once",
                       s->path);
    rc = replica_begin(s, true, s->lock_timeout_ms, &t);
    if (rc < 0)
        return rc;
    rc = setup(t, flags);
    if (rc < 0) {
        ecrdt_abort(t);
        return rc;
    }
    return ecrdt_commit(t);
}

static int apply_level(ecrdt_store *s) {
    enum db_sync sync = s->durability == ECRDT_FULL      ? DB_SYNC_FULL
                        : s->durability == ECRDT_RELAXED ? DB_SYNC_RELAXED
                                                         : DB_SYNC_NONE;
    return s->flags & ECRDT_RDONLY ? ECRDT_OK : db_set_sync(s->db, sync);
}

/* ---- the folder -----------------------------------------------------------
 */

/* Also: a new store gets the default limit, an old one keeps its own. */
static int open_folder(const char *path, ecrdt_options *o) {
    struct stat st;
    bool made;
    char data[4096];
    snprintf(data, sizeof data, "%s/data.mdb", path);
    bool exists = !stat(data, &st);
    if (!exists && errno != ENOENT && errno != ENOTDIR)
        return err_errno(errno, "cannot look at", data);
    exists = exists && st.st_size > 0;
    if (!exists && !o->max_bytes)
        o->max_bytes = default_bytes;
    if ((o->flags & (ECRDT_NOCREATE | ECRDT_RDONLY)) && !exists)
        return err_set(ECRDT_ENOENT,
                       "there is no store in %s: create it with ecrdt_open() "
                       "or 'edgecrdt -s %s init'",
                       path, path);
    if (exists)
        return os_check_filesystem(path);
    char parent[4096];
    os_parent(path, parent, sizeof parent);
    bool missing = stat(path, &st) != 0;
    int rc = os_check_filesystem(missing ? parent : path);
    if (rc == ECRDT_OK)
        rc = os_make_folder(path, o->mode, &made);
    return rc == ECRDT_OK && missing ? os_sync_folder(parent) : rc;
}

static int open_files(ecrdt_store *s, const ecrdt_options *o) {
    int rc = ECRDT_OK;
    s->wake_fd = -1;
    s->file_mode = o->mode & 0666;
    if (!(o->flags & ECRDT_RDONLY)) {
        rc = os_lock_open(s->path, "lock.ecrdt", s->file_mode, &s->lock);
        if (rc == ECRDT_OK)
            rc = os_open_file(s->path, "wake", s->file_mode, true, &s->wake_fd);
    }
    if (rc == ECRDT_OK)
        rc = boot_check(s, o->flags);
    struct db_conf conf = {.max_bytes = o->max_bytes,
                           .max_readers = o->max_readers,
                           .file_mode = s->file_mode,
                           .lock = s->lock,
                           .wait_ms = s->lock_timeout_ms,
                           .rdonly = o->flags & ECRDT_RDONLY,
                           .check = o->flags & ECRDT_CHECK};
    return rc < 0 ? rc : db_open(&s->db, s->path, &conf);
}

int store_exposing(ecrdt_store *s, struct os_lock **out) {
    int rc = ECRDT_OK;
    *out = s->lock;
    if (s->lock) /* not through the gate: an open of any store holds it */
        return ECRDT_OK;
    pthread_mutex_lock(&table_gate);
    if (!s->exposing) {
        rc = os_lock_open(s->path, "lock.ecrdt", DEFAULT_MODE & 0666,
                          &s->exposing);
        if (rc < 0 && errno == EROFS)
            rc = ECRDT_OK; /* nobody writes here */
    }
    *out = s->exposing;
    pthread_mutex_unlock(&table_gate);
    return rc;
}

static void free_store(ecrdt_store *s) {
    if (s->wake_fd >= 0)
        close(s->wake_fd);
    os_lock_close(s->lock);
    os_lock_close(s->exposing);
    alloc_free(s->guard);
    alloc_free(s->wake_path);
    alloc_free(s->path);
    alloc_free(s);
}

static ecrdt_store *new_store(const char *path, const ecrdt_options *o) {
    ecrdt_store *s = alloc_zeroed(1, sizeof *s);
    if (!s)
        return NULL;
    s->wake_fd = -1;
    s->path = alloc_strdup(path);
    s->wake_path = alloc_resize(NULL, strlen(path) + sizeof "/wake", 1);
    if (!s->path || !s->wake_path) {
        free_store(s);
        return NULL;
    }
    sprintf(s->wake_path, "%s/wake", path);
    s->flags = o->flags;
    s->max_bytes = o->max_bytes;
    s->lock_timeout_ms = o->lock_timeout_ms;
    s->fork_generation = os_fork_generation();
    s->refs = 1;
    return s;
}

static ecrdt_store *open_new(const char *path, const ecrdt_options *o,
                             const struct stat *st) {
    ecrdt_store *s = new_store(path, o);
    if (!s)
        return NULL;
    s->dev = (uint64_t)st->st_dev;
    s->ino = (uint64_t)st->st_ino;
    int rc = open_files(s, o);
    if (rc == ECRDT_OK)
        rc = prepare(s, o->flags);
    if (rc == ECRDT_OK)
        rc = apply_level(s);
    if (rc == ECRDT_OK)
        return s;
    txn_delete(atomic_exchange(&s->spare, NULL));
    db_close(s->db);
    free_store(s);
    return NULL;
}

/* A store that is open already: shared if the options agree. */
static ecrdt_store *share(ecrdt_store *s, const ecrdt_options *o) {
    bool agree = (s->flags & ECRDT_RDONLY) == (o->flags & ECRDT_RDONLY) &&
                 (!o->max_bytes || s->max_bytes == o->max_bytes);
    if (!agree) {
        err_set(ECRDT_EINVAL,
                "store %s is open in this process with other options "
                "(ECRDT_RDONLY or max_bytes): open it with the same ones",
                s->path);
        return NULL;
    }
    if (check_level(s->path, o->flags & LEVELS, s->durability) < 0)
        return NULL;
    if (o->flags & ECRDT_CHECK && db_check_all(s->db) < 0)
        return NULL;
    s->refs++;
    return s;
}

static ecrdt_store *find_open(const struct stat *st) {
    for (ecrdt_store *s = table; s; s = s->next)
        if (s->dev == (uint64_t)st->st_dev && s->ino == (uint64_t)st->st_ino &&
            s->fork_generation == os_fork_generation())
            return s;
    return NULL;
}

/* The guard, the wake file and more are looked up by path as long as the store
 * is open: from whichever working folder. */
static ecrdt_store *open_locked(const char *path, ecrdt_options *o) {
    char whole[PATH_MAX];
    struct stat st;
    if (open_folder(path, o) < 0)
        return NULL;
    if (realpath(path, whole) && strlen(whole) <= STORE_PATH_MAX)
        path = whole;
    if (stat(path, &st)) {
        err_errno(errno, "cannot look at", path);
        return NULL;
    }
    ecrdt_store *s = find_open(&st);
    if (s)
        return share(s, o);
    s = open_new(path, o, &st);
    if (s) {
        s->next = table;
        table = s;
    }
    return s;
}

/* A fork() while another thread is in here must not leave the gate locked in
 * the child. */
static void gate_take(void) {
    pthread_mutex_lock(&table_gate);
}
static void gate_give(void) {
    pthread_mutex_unlock(&table_gate);
}
static void gate_renew(void) {
    pthread_mutex_init(&table_gate, NULL);
}
static void guard_forks(void) {
    pthread_atfork(gate_take, gate_give, gate_renew);
}

ecrdt_store *ecrdt_open(const char *path, const ecrdt_options *opts) {
    ecrdt_options o;
    if (!path || !*path || strlen(path) > STORE_PATH_MAX) {
        err_set(ECRDT_EINVAL,
                "ecrdt_open() needs the path of a folder, of 1 to %d bytes",
                STORE_PATH_MAX);
        return NULL;
    }
    if (read_options(opts, &o) < 0)
        return NULL;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, guard_forks);
    alloc_freeze();
    pthread_mutex_lock(&table_gate);
    /* In here, since libsodium takes a lock of its own. */
    ecrdt_store *s = crypto_init() < 0 ? NULL : open_locked(path, &o);
    pthread_mutex_unlock(&table_gate);
    return s;
}

static void unlink_store(ecrdt_store *s) {
    for (ecrdt_store **p = &table; *p; p = &(*p)->next)
        if (*p == s) {
            *p = s->next;
            return;
        }
}

static int close_locked(ecrdt_store *s) {
    bool forked = s->fork_generation != os_fork_generation();
    if (!forked && s->refs == 1 && atomic_load(&s->txns))
        return err_set(ECRDT_EBUSY,
                       "cannot close store %s: %u transactions are open; "
                       "commit or abort them first",
                       s->path, atomic_load(&s->txns));
    if (--s->refs)
        return ECRDT_OK;
    unlink_store(s);
    txn_delete(atomic_exchange(&s->spare, NULL));
    if (forked)
        db_forget(s->db);
    else
        db_close(s->db);
    free_store(s);
    return ECRDT_OK;
}

int ecrdt_close(ecrdt_store *s) {
    if (!s)
        return ecrdt_errcode();
    pthread_mutex_lock(&table_gate);
    int rc = close_locked(s);
    pthread_mutex_unlock(&table_gate);
    return rc;
}

/* ---- small questions ------------------------------------------------------
 */

int replica_flush(ecrdt_store *s) {
    bool exempt = s->durability != ECRDT_RELAXED;
    return exempt || MUTANT(nosync) || MUTANT(d1order) ? ECRDT_OK
                                                       : db_flush(s->db);
}

uint64_t replica_txn_id(ecrdt_store *s) {
    return db_last_txn(s->db);
}

uint32_t replica_waiters(ecrdt_store *s) {
    return s->lock ? os_lock_waiters(s->lock) : 0;
}

void replica_watch(ecrdt_store *s, bool on) {
    if (s->lock)
        os_lock_watch(s->lock, on);
}

void replica_core(ecrdt_store *s, bool core) {
    atomic_store(&s->core, core);
}

const char *replica_wake_path(const ecrdt_store *s) {
    return s->wake_path;
}

const char *replica_path(const ecrdt_store *s) {
    return s->path;
}
