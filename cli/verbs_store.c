/* verbs_store.c: the verbs on the store as a whole. */
#include "cli/verbs.h"
#include "lib/os.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *durability_name(uint32_t flag) {
    return flag == ECRDT_RELAXED     ? "relaxed"
           : flag == ECRDT_EPHEMERAL ? "ephemeral"
                                     : "full";
}

static void print_node(struct cli *c) {
    ecrdt_node id;
    char hex[33];
    if (ecrdt_node_id(c->s, &id) < 0)
        return;
    out_hex(hex, id.b, sizeof id.b);
    out_item_text(c, "node", "node", hex);
}

static bool has_file(const char *folder, const char *name) {
    char path[PATH_MAX];
    struct stat st;
    int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    return n < (int)sizeof path && stat(path, &st) == 0;
}

int verb_init(struct cli *c) {
    ecrdt_options opts = ECRDT_OPTIONS_INIT;
    if (has_file(c->store, "data.mdb"))
        return out_error(EXIT_CANTCREAT,
                         "%s holds a store already; its durability is fixed. "
                         "Choose another folder, or look at it with "
                         "'edgecrdt -s %s stat'",
                         c->store, c->store);
    opts.flags = c->durability ? c->durability : ECRDT_FULL;
    opts.max_bytes = c->max_bytes;
    c->s = ecrdt_open(c->store, &opts);
    if (!c->s)
        return out_failed(ecrdt_errcode());
    out_item_text(c, "store", "store", c->store);
    print_node(c);
    out_item_text(c, "durability", "durability", durability_name(opts.flags));
    out_end(c);
    return EXIT_YES;
}

int verb_resize(struct cli *c) {
    ecrdt_options opts = ECRDT_OPTIONS_INIT;
    ecrdt_stats st = {.size = sizeof st};
    if (!c->max_bytes)
        return out_error(EXIT_USAGE,
                         "resize: to which size? For example: "
                         "edgecrdt -s %s resize --max-bytes 128G",
                         c->store);
    opts.flags = ECRDT_NOCREATE;
    c->s = ecrdt_open(c->store, &opts);
    if (!c->s || ecrdt_stat_read(c->s, &st) < 0)
        return out_failed(ecrdt_errcode());
    if (c->max_bytes < st.bytes_max)
        return out_error(EXIT_USAGE,
                         "resize: the limit of store %s is %llu bytes and can "
                         "only be raised: LMDB keeps the largest in the file",
                         c->store, (unsigned long long)st.bytes_max);
    ecrdt_close(c->s); /* a handle that is open keeps its options */
    opts.max_bytes = c->max_bytes;
    c->s = ecrdt_open(c->store, &opts);
    if (!c->s || ecrdt_stat_read(c->s, &st) < 0)
        return out_failed(ecrdt_errcode());
    out_item_uint(c, "bytes_max", "max bytes", st.bytes_max);
    out_item_uint(c, "bytes_used", "used bytes", st.bytes_used);
    out_end(c);
    return EXIT_YES;
}

/* Prints where a copy went, and its size. */
static int print_copy(struct cli *c, const char *from, const char *to,
                      const char *folder) {
    char path[PATH_MAX];
    struct stat st;
    snprintf(path, sizeof path, "%s/data.mdb", folder);
    if (stat(path, &st) < 0)
        return out_error(EXIT_IO, "cannot look at %s: %s", path,
                         strerror(errno));
    out_item_text(c, "from", "from", from);
    out_item_text(c, "to", "to", to);
    out_item_uint(c, "bytes", "bytes", (uint64_t)st.st_size);
    out_end(c);
    return EXIT_YES;
}

int verb_backup(struct cli *c) {
    const char *to = c->word[0];
    bool made;
    int rc = os_make_folder(to, 0700, &made);
    if (rc == ECRDT_OK)
        rc = os_folder_empty(to);
    if (rc < 0)
        return out_error(EXIT_CANTCREAT, "%s", ecrdt_errmsg());
    if (rc == 0)
        return out_error(EXIT_CANTCREAT,
                         "cannot back up to %s: the folder is not empty; name "
                         "one that does not exist yet",
                         to);
    rc = ecrdt_backup(c->s, to);
    if (rc < 0)
        return out_failed(rc);
    return print_copy(c, c->store, to, to);
}

/* Copies all bytes of one open file to the other and makes them durable. */
static int copy_bytes(int from, int to) {
    static char piece[1 << 16];
    ssize_t n;
    while ((n = read(from, piece, sizeof piece)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        for (ssize_t done = 0, w; done < n; done += w)
            if ((w = write(to, piece + done, (size_t)(n - done))) < 0)
                return -1;
    }
    return fsync(to);
}

/* from_folder/data.mdb to the new folder. */
static int copy_store(const char *from_folder, const char *to_folder) {
    char from_path[PATH_MAX], to_path[PATH_MAX];
    snprintf(from_path, sizeof from_path, "%s/data.mdb", from_folder);
    snprintf(to_path, sizeof to_path, "%s/data.mdb", to_folder);
    int from = open(from_path, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        return out_error(EXIT_NOINPUT,
                         "cannot open %s: %s; restore wants a folder made "
                         "by 'edgecrdt backup'",
                         from_path, strerror(errno));
    int code = 0, to = -1;
    if (mkdir(to_folder, 02770) < 0 || chmod(to_folder, 02770) < 0)
        code = out_error(EXIT_CANTCREAT,
                         "cannot create %s: %s; -s names the folder to "
                         "restore into, which must not exist",
                         to_folder, strerror(errno));
    else if ((to = open(to_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                        0660)) < 0 ||
             fchmod(to, 0660) < 0 || copy_bytes(from, to) < 0)
        code = out_error(EXIT_IO, "cannot copy %s to %s: %s", from_path,
                         to_path, strerror(errno));
    close(from);
    if (to >= 0)
        close(to);
    return code;
}

static int print_finding(void *ctx, const void *text, size_t len) {
    struct cli *c = ctx;
    out_bytes(c, "finding", slice_of(text, len));
    out_end(c);
    return 0;
}

int verb_restore(struct cli *c) {
    ecrdt_options opts = ECRDT_OPTIONS_INIT;
    const char *from = c->word[0];
    /* A store in use may be copied only through its own backup. */
    if (has_file(from, "lock.ecrdt"))
        return out_error(EXIT_USAGE,
                         "%s is a store that processes have opened, not a "
                         "backup: run 'edgecrdt -s %s backup NEW_FOLDER' and "
                         "restore that",
                         from, from);
    int code = copy_store(from, c->store);
    if (code)
        return code;
    opts.flags = ECRDT_NOCREATE | ECRDT_CHECK;
    c->s = ecrdt_open(c->store, &opts);
    if (!c->s)
        return out_failed(ecrdt_errcode());
    int rc = ecrdt_verify(c->s, print_finding, c);
    if (rc < 0)
        return out_failed(rc);
    return print_copy(c, from, c->store, c->store);
}

int verb_verify(struct cli *c) {
    if (c->against)
        return verify_with_peer(c);
    int rc = ecrdt_verify(c->s, print_finding, c);
    if (rc < 0)
        return out_failed(rc);
    if (c->json)
        out_bool(c, "sound", true);
    else
        out_text(c, "sound", "sound");
    out_end(c);
    return EXIT_YES;
}

int verb_forget(struct cli *c) {
    uint64_t items = 0;
    slice prefix = c->n > 1 ? c->bytes[1] : slice_of(NULL, 0);
    int rc = ecrdt_forget(c->s, c->word[0], prefix, &items);
    if (rc < 0)
        return out_failed(rc);
    out_item_text(c, "bucket", "bucket", c->word[0]);
    out_item_uint(c, "items", "items forgotten", items);
    out_end(c);
    return EXIT_YES;
}

static int print_limits(struct cli *c) {
    static const struct {
        const char *name;
        uint64_t value;
        const char *unit;
    } limits[] = {
        {"ECRDT_MAX_BUCKET_NAME", ECRDT_MAX_BUCKET_NAME, "bytes"},
        {"ECRDT_MAX_BUCKETS", ECRDT_MAX_BUCKETS, "buckets of a store"},
        {"ECRDT_MAX_KEY", ECRDT_MAX_KEY, "bytes"},
        {"ECRDT_MAX_ELEM", ECRDT_MAX_ELEM, "bytes"},
        {"ECRDT_MAX_VALUE", ECRDT_MAX_VALUE, "bytes"},
        {"ECRDT_MAX_TXN", ECRDT_MAX_TXN, "bytes of a transaction"},
        {"ECRDT_MAX_BATCH", ECRDT_MAX_BATCH, "operations of a batch"},
    };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        if (!c->json) {
            printf("%-22s %9llu %s\n", limits[i].name,
                   (unsigned long long)limits[i].value, limits[i].unit);
            continue;
        }
        out_text(c, "name", limits[i].name);
        out_uint(c, "value", limits[i].value);
        out_text(c, "unit", limits[i].unit);
        out_end(c);
    }
    return EXIT_YES;
}

/* The reader that keeps space from being used again, if there is one. */
static void print_readers(struct cli *c, const ecrdt_stats *st) {
    out_item_uint(c, "readers", "reader slots in use", st->readers);
    if (c->json || st->oldest_reader_pid) {
        out_item_uint(c, "oldest_reader_pid", "oldest reader, pid",
                      (uint64_t)st->oldest_reader_pid);
        out_item_uint(c, "oldest_reader_txns", "  commits since it began",
                      st->oldest_reader_txns);
    }
    out_item_uint(c, "cleared_readers", "dead readers cleared",
                  st->cleared_readers);
    if (c->json || st->pidns_reads)
        out_item_uint(c, "pidns_reads", "reads through the lock",
                      st->pidns_reads);
}

/* Removal markers, and what dropping them did. */
static void print_gc(struct cli *c, const ecrdt_stats *st) {
    char when[32];
    out_item_uint(c, "tombstones", "tombstones", st->tombstones);
    out_item_duration(c, "oldest_tombstone_ms", "  oldest, age",
                      st->oldest_tombstone_ms);
    out_item_duration(c, "gc_retention_ms", "  kept for", st->gc_retention_ms);
    out_item_duration(c, "floor_lag_ms", "  floor lag", st->floor_lag_ms);
    out_item_uint(c, "gc_tombstones", "  dropped so far", st->gc_tombstones);
    out_time(when, st->gc_wall_ms);
    if (c->json)
        out_uint(c, "gc_wall_ms", st->gc_wall_ms);
    else
        out_item_text(c, "gc_wall_ms", "  dropped last", when);
    if (c->json)
        out_uint(c, "gc_bytes", st->gc_bytes);
}

int verb_stat(struct cli *c) {
    ecrdt_stats st = {.size = sizeof st};
    if (c->limits)
        return print_limits(c);
    int rc = ecrdt_stat_read(c->s, &st);
    if (rc < 0)
        return out_failed(rc);
    out_item_text(c, "store", "store", c->store);
    print_node(c);
    out_item_text(c, "durability", "durability",
                  durability_name(st.durability));
    out_item_size(c, "bytes_used", "used", st.bytes_used);
    out_item_size(c, "disk_bytes", "on the disk", st.disk_bytes);
    out_item_size(c, "bytes_max", "limit", st.bytes_max);
    out_item_size(c, "log_bytes", "of it, dots log", st.log_bytes);
    out_item_size(c, "log_cap_bytes", "  each at most", st.log_cap_bytes);
    out_item_size(c, "reclaimable_bytes", "of it, reclaimable",
                  st.reclaimable_bytes);
    out_item_uint(c, "buckets", "buckets", st.buckets);
    out_item_uint(c, "items", "live items", st.items);
    print_gc(c, &st);
    out_item_uint(c, "origins", "origins heard of", st.origins);
    out_item_uint(c, "last_txn", "commits", st.last_txn);
    print_readers(c, &st);
    int code = peers_counts(c);
    out_end(c);
    return code;
}

int verb_status(struct cli *c) {
    ecrdt_stats st = {.size = sizeof st};
    char used[32], max[32], text[96];
    int rc = ecrdt_stat_read(c->s, &st);
    if (rc < 0)
        return out_failed(rc);
    out_size(used, st.bytes_used);
    out_size(max, st.bytes_max);
    out_item_text(c, "store", "store", c->store);
    print_node(c);
    snprintf(text, sizeof text, "%s of %s, durability %s", used, max,
             durability_name(st.durability));
    if (!c->json)
        out_item_text(c, "used", "used", text);
    if (c->json)
        out_uint(c, "bytes_used", st.bytes_used);
    out_item_uint(c, "buckets", "buckets", st.buckets);
    out_item_uint(c, "items", "live items", st.items);
    int code = peers_status(c);
    out_end(c);
    return code;
}
