/* fuzz.c: the world of the fuzz targets: a clock that stands still, random
 * numbers that repeat, stores that are put back by writing their files. */
#include "fuzz/fuzz.h"
#include "tests/support/random.h"
#include "tests/support/support.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- findings ---- */

_Noreturn void fuzz_fail(const char *what, const char *file, int line) {
    fprintf(stderr, "%s:%d: this does not hold: %s\nlast error: %s\n", file,
            line, what, ecrdt_errmsg());
    abort();
}

void fuzz_code(int rc, const char *file, int line) {
    if (rc < ECRDT_ENOTSUP || (rc < 0 && !*ecrdt_errmsg()))
        fuzz_fail("an error has a code and a sentence", file, line);
}

/* ---- input ---- */

uint8_t fuzz_byte(struct fuzz_in *in) {
    return in->p < in->end ? *in->p++ : 0;
}

uint32_t fuzz_below(struct fuzz_in *in, uint32_t bound) {
    uint32_t v = fuzz_byte(in);
    return (v << 8 | fuzz_byte(in)) % bound;
}

slice fuzz_take(struct fuzz_in *in, size_t n) {
    size_t left = (size_t)(in->end - in->p);
    slice s = slice_of(in->p, n < left ? n : left);
    in->p += s.len;
    return s;
}

/* ---- time: the linker puts this in the place of ours ---- */

enum { START_MS = 1900000000 };
uint64_t fuzz_now_ms = START_MS * UINT64_C(1000);

uint64_t __wrap_os_wall_ms(void);
uint64_t __wrap_os_wall_ms(void) {
    return fuzz_now_ms;
}

/* ---- files ---- */

static char *dir;

static void remove_dir(void) {
    tmpdir_remove(dir);
}

const char *fuzz_dir(void) {
    if (!dir) {
        dir = tmpdir_make();
        atexit(remove_dir);
    }
    return dir;
}

static void write_at(const char *path, const void *data, size_t len) {
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    FUZZ_CHECK(fd >= 0 && ftruncate(fd, (off_t)len) == 0 &&
               pwrite(fd, data, len, 0) == (ssize_t)len);
    close(fd);
}

const char *fuzz_file(const char *name, slice content) {
    const char *path = path_join(fuzz_dir(), name);
    write_at(path, content.data, content.len);
    return path;
}

/* ---- stores ---- */

static const char *const kept_names[] = {"data.mdb", "guard"};
enum { KEPT = 2 };

static struct {
    ecrdt_store *s;
    bool used; /* since its files were written */
    char *bytes[KEPT];
    size_t len[KEPT];
} stores[FUZZ_STORES];

static const char *path_of(size_t i) {
    char name[] = "s0";
    name[1] = (char)('0' + i);
    return path_join(fuzz_dir(), name);
}

/* No key comes twice: each of the opens of a store has numbers of its own. */
enum opens { MADE, PUT_BACK, REOPENED, OPENS };

static bool open_store(size_t i, enum opens nth) {
    ecrdt_options o = ECRDT_OPTIONS_INIT;
    o.flags = ECRDT_EPHEMERAL;
    o.max_readers = 16;
    o.max_bytes = 8 << 20;
    random_install(OPENS * i + nth);
    stores[i].s = ecrdt_open(path_of(i), &o);
    stores[i].used = true;
    return stores[i].s != NULL;
}

/* The first writer of a session writes the guard: done before the input. */
static void begin_session(size_t i) {
    FUZZ_CHECK(open_store(i, stores[i].bytes[0] ? PUT_BACK : MADE));
    FUZZ_CHECK(ecrdt_commit(ecrdt_write(stores[i].s)) == 0);
}

static void close_store(size_t i) {
    FUZZ_CHECK(ecrdt_close(stores[i].s) == 0);
    stores[i].s = NULL;
}

ecrdt_store *fuzz_store(size_t i, void (*fill)(size_t i)) {
    if (stores[i].s)
        return stores[i].s;
    begin_session(i);
    if (stores[i].bytes[0])
        return stores[i].s;
    if (fill)
        fill(i);
    close_store(i);
    for (size_t k = 0; k < KEPT; k++)
        stores[i].bytes[k] =
            file_read(path_join(path_of(i), kept_names[k]), &stores[i].len[k]);
    begin_session(i);
    return stores[i].s;
}

ecrdt_store *fuzz_reopen(size_t i) {
    close_store(i);
    if (!open_store(i, REOPENED))
        FUZZ_CODE(ecrdt_errcode());
    return stores[i].s;
}

void fuzz_reset(void) {
    fuzz_now_ms = START_MS * UINT64_C(1000);
    for (size_t i = 0; i < FUZZ_STORES; i++) {
        if (stores[i].s)
            close_store(i);
        if (!stores[i].used || !stores[i].bytes[0])
            continue;
        stores[i].used = false;
        for (size_t k = 0; k < KEPT; k++)
            write_at(path_join(path_of(i), kept_names[k]), stores[i].bytes[k],
                     stores[i].len[k]);
    }
}

void fuzz_pull(size_t to, size_t from) {
    struct buf summary = {0}, delta = {0};
    int more = 1;
    while (more == 1) {
        buf_clear(&summary);
        buf_clear(&delta);
        FUZZ_CHECK(ecrdt_summary(stores[to].s, buf_sink, &summary) == 0);
        more = ecrdt_export(stores[from].s, buf_slice(&summary), 0, buf_sink,
                            &delta);
        FUZZ_CHECK(more >= 0);
        FUZZ_CHECK(ecrdt_import(stores[to].s, buf_slice(&delta), NULL) == 0);
    }
    buf_free(&summary);
    buf_free(&delta);
}

void fuzz_content(size_t i) {
    static const char *const keys[] = {"a", "b", "mmmmmmmm", "z"};
    char value[] = "value 0", wide[300];
    ecrdt_store *s = stores[i].s;
    ecrdt_txn *t = ecrdt_write(s);
    value[6] = (char)('0' + i);
    memset(wide, 'w', sizeof wide);
    for (size_t k = 0; k < 4; k++) {
        ecrdt_reg_set(t, FUZZ_B, ecrdt_str(keys[k]), ecrdt_str(value));
        ecrdt_set_add(t, FUZZ_B, ecrdt_str("s"), ecrdt_str(keys[k]));
        ecrdt_counter_add(t, FUZZ_B, ecrdt_str(keys[k]), (int64_t)k - 2, NULL);
    }
    ecrdt_set_add(t, FUZZ_B, ecrdt_str("s"), slice_of(wide, 200));
    ecrdt_reg_set(t, FUZZ_B, slice_of(wide, 300), ecrdt_str("long key"));
    ecrdt_reg_set(t, "other", ecrdt_str("k"), ecrdt_str(value));
    FUZZ_CHECK(ecrdt_commit(t) == 0);
    t = ecrdt_write(s);
    ecrdt_reg_del(t, FUZZ_B, ecrdt_str("b"));
    ecrdt_set_remove(t, FUZZ_B, ecrdt_str("s"), ecrdt_str("z"));
    ecrdt_counter_reset(t, FUZZ_B, ecrdt_str("z"));
    FUZZ_CHECK(ecrdt_commit(t) == 0);
    if (i == 1) {
        fuzz_store(0, fuzz_content);
        fuzz_pull(1, 0);
    }
}

static int look_at(void *ctx, const void *name, size_t len) {
    struct fuzz_state *st = ctx;
    char text[ECRDT_MAX_BUCKET_NAME + 1];
    uint8_t digest[16];
    memcpy(text, name, len);
    text[len] = 0;
    FUZZ_CHECK(ecrdt_digest(stores[st->txn].s, text, digest) == 0);
    slice parts[3] = {slice_of(st->digest, 16), slice_of(name, len),
                      slice_of(digest, 16)};
    static const uint8_t nothing[16];
    if (memcmp(digest, nothing, 16) != 0) /* made by a chunk without items */
        crypto_blake2b_parts(st->digest, 16, parts, 3);
    st->buckets++;
    return 0;
}

struct fuzz_state fuzz_look(size_t i) {
    struct fuzz_state st = {.txn = i};
    FUZZ_CHECK(ecrdt_buckets(stores[i].s, look_at, &st) == 0);
    st.txn = replica_txn_id(stores[i].s);
    return st;
}

bool fuzz_same(const struct fuzz_state *a, const struct fuzz_state *b) {
    return !memcmp(a->digest, b->digest, 16);
}

static int finding(void *ctx, const void *line, size_t len) {
    (void)ctx;
    fprintf(stderr, "verify: %.*s\n", (int)len, (const char *)line);
    return 0;
}

void fuzz_verify(size_t i) {
    FUZZ_CHECK(ecrdt_verify(stores[i].s, finding, NULL) == 0);
}
