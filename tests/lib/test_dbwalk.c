/* test_dbwalk.c: a sound file has no finding, and every page of it belongs to
 * something; a flipped bit in the structure of any page is a finding. */
#include "lib/dbwalk.h"
#include "lib/db_inner.h"
#include "tests/lib/image.h"
#include <fcntl.h>

enum { ROWS = 2000, LARGE = 20000, PAGE = 4096, HEADER = 16 };

static uint64_t last_txn;

static void put_rows(struct db *db, unsigned from, unsigned to, size_t size) {
    struct db_txn *t = kit_begin(db, true);
    struct buf v = {0};
    char key[64];
    for (unsigned i = from; i < to; i++) {
        buf_clear(&v);
        memset(buf_extend(&v, i % 100 ? size : LARGE), (int)i, size);
        int n = sprintf(key, "%08u", i * 2654435761u % 100000007u);
        assert_ok(db_put(t, DB_ITEMS, slice_of(key, (size_t)n), &v));
        n = sprintf(key, "%c%u", DB_HEAD_PREFIX, i);
        if (i % 200 == 0) { /* in the pages of a larger one */
            buf_clear(&v);
            memset(buf_extend(&v, 100), 1, 100);
            n = sprintf(key, "%08u", i * 2654435761u % 100000007u);
            assert_ok(db_put(t, DB_ITEMS, slice_of(key, (size_t)n), &v));
            n = sprintf(key, "%c%u", DB_HEAD_PREFIX, i);
        }
        if (i % 10 == 0)
            assert_ok(db_put(t, DB_HEADS, slice_of(key, (size_t)n), &v));
    }
    assert_ok(db_commit(t));
    buf_free(&v);
}

static int setup(void **state) {
    fault_alloc_install();
    scratch_make(state);
    struct db *db = kit_open(dir, &kit_conf);
    for (unsigned i = 0; i < ROWS; i += 100)
        put_rows(db, i, i + 100, 60);
    put_rows(db, 0, 300, 30); /* frees pages */
    last_txn = db_last_txn(db);
    db_close(db);
    image_take("data.mdb");
    return 0;
}

static int show(void *ctx, const char *line) {
    bool *quiet = ctx;
    if (!*quiet)
        printf("# %s\n", line);
    return 0;
}

/* Walks the file as it is. */
static struct dbwalk walk(bool quiet, int *rc) {
    struct dbwalk w = {
        .txn = last_txn, .tables = DB_NAMED, .find = show, .ctx = &quiet};
    w.fd = open(file, O_RDONLY | O_CLOEXEC);
    assert_true(w.fd >= 0);
    *rc = dbwalk(&w);
    close(w.fd);
    return w;
}

static void a_sound_file(void **state) {
    (void)state;
    int rc;
    struct dbwalk w = walk(false, &rc);
    assert_int_equal(rc, 0);
    assert_int_equal(w.broken, 0);
    assert_int_equal(w.damaged, 0);
    assert_int_equal(w.lost, 0);
    assert_in_range(w.rows, ROWS + ROWS / 10, ROWS * 2);
    assert_in_range(w.pages, image_len / PAGE / 2, image_len / PAGE);
}

/* Writes n bytes of the file anew. */
static void poke(size_t at, const void *data, size_t n) {
    int fd = open(file, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, data, n, (off_t)at), (ssize_t)n);
    close(fd);
}

/* Does a walk notice another bit in byte i of page p? */
static bool noticed(size_t p, size_t i) {
    size_t at = p * PAGE + i;
    uint8_t b = image[at] ^ (uint8_t)(1 << (p + i) % 8);
    int rc;
    poke(at, &b, 1);
    bool yes = walk(true, &rc).broken != 0;
    poke(at, image + at, 1);
    return yes && rc == 0;
}

/* Of each page of a tree: number, flags, bounds, the place of its first node.
 * One whose number may change belongs to none: it is free. */
static void flips_in_the_structure(void **state) {
    (void)state;
    unsigned pages = 0;
    for (size_t p = 2; p < image_len / PAGE; p++) {
        if (!noticed(p, 0))
            continue;
        uint16_t flags;
        memcpy(&flags, image + p * PAGE + 10, sizeof flags);
        bool nodes = flags == 1 || flags == 2;
        for (size_t i = 0; i < (nodes ? HEADER + 2 : HEADER); i++)
            if (i != 8 && i != 9 && !noticed(p, i)) /* padding */
                fail_msg("page %zu, byte %zu", p, i);
        pages++;
    }
    printf("# %u pages\n", pages);
    assert_true(pages > 50);
}

/* Bits anywhere: if a walk finds nothing, LMDB gives what it gave before. */
static void flips_anywhere(void **state) {
    (void)state;
    struct rng r = rng_seed();
    unsigned broken = 0, damaged = 0, nothing = 0;
    for (int i = 0; i < 1500; i++) {
        size_t at = 2 * PAGE + rng_below(&r, image_len - 2 * PAGE);
        uint8_t b = image[at] ^ (uint8_t)(1 << rng_below(&r, 8));
        int rc;
        poke(at, &b, 1);
        struct dbwalk w = walk(true, &rc);
        poke(at, image + at, 1);
        assert_int_equal(rc, 0);
        broken += w.broken != 0;
        damaged += !w.broken && w.damaged;
        nothing += !w.broken && !w.damaged;
    }
    printf("# %u broken pages, %u damaged records, %u nothing\n", broken,
           damaged, nothing);
    assert_true(broken && damaged && nothing);
}

static void cut_and_stale(void **state) {
    (void)state;
    int rc;
    assert_int_equal(truncate(file, 5 * PAGE), 0);
    walk(true, &rc);
    assert_int_equal(rc, ECRDT_ECORRUPT);
    file_write(file, image, image_len);
    last_txn += 2; /* a snapshot that is not there */
    walk(true, &rc);
    assert_int_equal(rc, ECRDT_EBUSY);
    last_txn -= 2;
}

/* Puts rows and deletes them again before the commit: pages behind the end are
 * counted, and never written. Where the end was. */
static size_t take_and_free(void) {
    struct db *db = kit_open(dir, &kit_conf);
    struct db_stat st;
    assert_ok(db_stat(db, &st));
    struct db_txn *t = kit_begin(db, true);
    struct buf v = {0};
    memset(buf_extend(&v, LARGE), 1, LARGE);
    for (char k = 'a'; k <= 'p'; k++)
        assert_ok(db_put(t, DB_ITEMS, slice_of(&k, 1), &v));
    for (char k = 'a'; k <= 'p'; k++)
        assert_int_equal(db_del(t, DB_ITEMS, slice_of(&k, 1)), 1);
    assert_ok(db_commit(t));
    last_txn = db_last_txn(db);
    db_close(db);
    buf_free(&v);
    return st.bytes_used;
}

/* The file ends where its disk was full: it lacks pages, all of them free. */
static void shorter_than_its_last_page(void **state) {
    (void)state;
    uint64_t was = last_txn;
    int rc;
    size_t end = take_and_free();
    assert_int_equal(truncate(file, (off_t)end), 0);
    struct dbwalk w = walk(false, &rc);
    assert_int_equal(rc, 0);
    assert_int_equal(w.broken + w.lost, 0);
    assert_true((w.pages + 2) * PAGE > end);
    bool failed = true;
    unsigned n = 1;
    for (; failed; n++) { /* is not taken for damage */
        fault_alloc_at(n);
        w = walk(true, &rc);
        failed = fault_alloc_hit();
        assert_int_equal(rc, failed ? ECRDT_ENOMEM : 0);
    }
    fault_alloc_at(0);
    assert_true(n > 4);
    struct db *db = kit_open(dir, &kit_conf);
    put_rows(db, ROWS, ROWS + 100, 60);
    last_txn = db_last_txn(db);
    db_close(db);
    w = walk(false, &rc);
    assert_int_equal(rc, 0);
    assert_int_equal(w.broken + w.lost, 0);
    file_write(file, image, image_len);
    last_txn = was;
}

/* LMDB seeks in this file and then writes: nobody else may seek. */
static void leaves_the_offset(void **state) {
    (void)state;
    struct dbwalk w = {.txn = last_txn, .tables = DB_NAMED};
    w.fd = open(file, O_RDONLY | O_CLOEXEC);
    assert_int_equal(lseek(w.fd, 7, SEEK_SET), 7);
    assert_ok(dbwalk(&w));
    assert_int_equal(lseek(w.fd, 0, SEEK_CUR), 7);
    close(w.fd);
}

static int stop(void *ctx, const char *line) {
    (void)line;
    ++*(int *)ctx;
    return 1;
}

static void the_sink_stops_it(void **state) {
    (void)state;
    int calls = 0;
    uint16_t all = 0xffff;
    for (size_t p = 2; p < image_len / PAGE; p++)
        poke(p * PAGE + 10, &all, sizeof all);
    struct dbwalk w = {.txn = last_txn, .find = stop, .ctx = &calls};
    w.fd = open(file, O_RDONLY | O_CLOEXEC);
    assert_int_equal(dbwalk(&w), ECRDT_ECANCELED);
    assert_int_equal(calls, 1);
    close(w.fd);
    file_write(file, image, image_len);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_file),
        cmocka_unit_test(flips_in_the_structure),
        cmocka_unit_test(flips_anywhere),
        cmocka_unit_test(cut_and_stale),
        cmocka_unit_test(shorter_than_its_last_page),
        cmocka_unit_test(leaves_the_offset),
        cmocka_unit_test(the_sink_stops_it),
    };
    return TEST_RUN_WITH(tests, setup, image_remove);
}
