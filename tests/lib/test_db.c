/* test_db.c: records, cursors and transactions of the LMDB wall, and what
 * other processes and threads do to them meanwhile. */
#include "tests/lib/scratch.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

/* ---- records and cursors against a plain array ----------------------------
 */

enum { KEYS = 300, CURSORS = 3, STEPS = 20000, EACH_COMMIT = 500 };

struct model {
    struct db_txn *t;
    struct db_cursor *c[CURSORS];
    int at[CURSORS];    /* key the cursor stands on; -1 = new */
    unsigned len[KEYS]; /* of the value + 1; 0 = absent */
    uint8_t fill[KEYS];
    struct rng r;
    struct buf v;
};

static slice model_key(char b[16], int i) {
    return slice_of(b, (size_t)sprintf(b, "H%06d", i));
}

/* A cursor on a row that is gone stands before the next one: it may step
 * over a row that is put between them. */
static void model_forget(struct model *m, int put) {
    for (int i = 0; i < CURSORS; i++)
        if (m->at[i] >= 0 && !m->len[m->at[i]] && put > m->at[i])
            m->at[i] = -2;
}

static void model_value(struct model *m, int i) {
    model_forget(m, i);
    static const unsigned sizes[] = {1, 20, 150, 600, 3000, 9000};
    unsigned n = sizes[rng_below(&m->r, 6)] + (unsigned)rng_below(&m->r, 9);
    m->fill[i] = (uint8_t)rng_u64(&m->r);
    m->len[i] = n + 1;
    buf_clear(&m->v);
    memset(buf_extend(&m->v, n), m->fill[i], n);
}

static void model_check(struct model *m, int i, int rc, slice v) {
    assert_int_equal(rc, m->len[i] > 0);
    if (!m->len[i])
        return;
    assert_int_equal(v.len, m->len[i] - 1);
    for (size_t n = 0; n < v.len; n++)
        assert_int_equal(((const uint8_t *)v.data)[n], m->fill[i]);
}

static int model_next(const struct model *m, int from) {
    while (from < KEYS && !m->len[from])
        from++;
    return from;
}

static void model_move(struct model *m, struct db_cursor *c, int *at) {
    char b[16];
    int i = (int)rng_below(&m->r, KEYS), want, rc;
    slice k = model_key(b, i), v;
    switch (rng_below(&m->r, 4)) {
    case 0:
        model_check(m, i, db_cursor_find(c, k, &v), v);
        *at = m->len[i] ? i : -2; /* -2 = somewhere */
        return;
    case 1:
        want = model_next(m, i);
        rc = db_cursor_seek(c, &k, &v);
        break;
    case 2:
        for (want = i - 1; want >= 0 && !m->len[want]; want--)
            continue;
        rc = db_cursor_before(c, &k, &v);
        want = want < 0 ? KEYS : want;
        break;
    default:
        if (*at == -2)
            return;
        want = model_next(m, *at + 1);
        rc = db_cursor_next(c, &k, &v);
    }
    assert_int_equal(rc, want < KEYS);
    *at = want < KEYS ? want : -2;
    if (want < KEYS) {
        assert_slice_equal(k, model_key(b, want));
        model_check(m, want, 1, v);
    }
}

static void model_write(struct model *m, enum db_table table) {
    char b[16];
    int n = (int)rng_below(&m->r, CURSORS), i;
    struct db_cursor *c = m->c[n];
    slice v;
    switch (rng_below(&m->r, 4)) {
    case 0: /* by key */
        i = (int)rng_below(&m->r, KEYS);
        model_value(m, i);
        assert_ok(db_put(m->t, table, model_key(b, i), &m->v));
        return;
    case 1:
        i = (int)rng_below(&m->r, KEYS);
        assert_int_equal(db_del(m->t, table, model_key(b, i)), m->len[i] > 0);
        m->len[i] = 0; /* a cursor there goes on to the row behind it */
        return;
    case 2: { /* by cursor, as the door does */
        i = (int)rng_below(&m->r, KEYS);
        int found = db_cursor_find(c, model_key(b, i), &v);
        assert_int_equal(found, m->len[i] > 0);
        model_value(m, i);
        assert_ok(db_cursor_put(c, model_key(b, i), &m->v, found));
        m->at[n] = i;
        return;
    }
    default:
        i = (int)rng_below(&m->r, KEYS);
        if (db_cursor_find(c, model_key(b, i), &v) == 1) {
            assert_int_equal(db_cursor_del(c), 0);
            m->len[i] = 0;
            m->at[n] = i;
        } else {
            m->at[n] = -2;
        }
    }
}

static void model_begin(struct model *m, struct db *db, enum db_table table) {
    m->t = kit_begin(db, true);
    for (int i = 0; i < CURSORS; i++) {
        assert_ok(db_cursor_open(m->t, table, &m->c[i]));
        m->at[i] = -1;
    }
}

static void model_end(struct model *m) {
    for (int i = 0; i < CURSORS; i++)
        db_cursor_close(m->c[i]);
    assert_ok(db_commit(m->t));
}

static void cursors_against_model(enum db_table table) {
    struct db *db = kit_open(dir, &kit_conf);
    struct model m = {.r = rng_seed()};
    model_begin(&m, db, table);
    for (int i = 1; i <= STEPS; i++) {
        int n = (int)rng_below(&m.r, CURSORS);
        if (rng_below(&m.r, 3))
            model_move(&m, m.c[n], &m.at[n]);
        else
            model_write(&m, table);
        if (i % EACH_COMMIT == 0) {
            model_end(&m);
            model_begin(&m, db, table);
        }
    }
    char b[16];
    for (int i = 0; i < KEYS; i++) {
        slice v;
        model_check(&m, i, db_get(m.t, table, model_key(b, i), &v), v);
    }
    assert_ok(db_clear(m.t, table));
    model_end(&m);
    buf_free(&m.v);
    struct db_txn *t = kit_begin(db, false);
    struct db_cursor *c;
    slice k, v;
    assert_ok(db_cursor_open(t, table, &c));
    assert_int_equal(db_cursor_next(c, &k, &v), 0);
    db_cursor_close(c);
    db_abort(t);
    db_close(db);
}

static void cursors_of_a_table(void **state) {
    (void)state;
    cursors_against_model(DB_ITEMS);
}

/* They share LMDB's main database with the records of the tables. */
static void cursors_of_heads(void **state) {
    (void)state;
    cursors_against_model(DB_HEADS);
}

static void append_and_count(void **state) {
    (void)state;
    struct db *db = kit_open(dir, &kit_conf);
    struct db_txn *t = kit_begin(db, true);
    struct db_cursor *c;
    struct buf v = {0};
    uint64_t n;
    char b[16];
    assert_ok(db_cursor_open(t, DB_LOG, &c));
    for (int i = 0; i < 1000; i++) {
        buf_clear(&v);
        buf_put(&v, "value", 5);
        assert_ok(db_cursor_append(c, model_key(b, i), &v));
    }
    assert_ok(db_count(t, DB_LOG, &n));
    assert_int_equal(n, 1000);
    buf_clear(&v); /* out of order: refused */
    assert_code(ECRDT_ECORRUPT, db_cursor_append(c, slice_str("A"), &v));
    assert_code(ECRDT_ECORRUPT, db_err(t));
    assert_code(ECRDT_ECORRUPT, db_put(t, DB_LOG, slice_str("A"), &v));
    db_cursor_close(c);
    assert_code(ECRDT_ECORRUPT, db_commit(t)); /* it stuck */
    assert_int_equal(kit_get(db, DB_LOG, "H000001"), -100);
    buf_free(&v);
    db_close(db);
}

/* ---- transactions ---------------------------------------------------------
 */

static void parked_reader_takes_a_new_snapshot(void **state) {
    (void)state;
    struct db *db = kit_open(dir, &kit_conf);
    struct db_stat st;
    slice v;
    assert_ok(kit_put(db, DB_META, "a", 'x', 1));
    struct db_txn *t = kit_begin(db, false);
    uint64_t before = db_txn_id(t);
    assert_ok(kit_put(db, DB_META, "a", 'x', 2));
    assert_int_equal(db_last_txn(db), before + 1);
    assert_int_equal(db_get(t, DB_META, slice_str("a"), &v), 1);
    assert_int_equal(v.len, 1);
    assert_ok(db_stat(db, &st));
    assert_int_equal(st.oldest_pid, getpid());
    assert_int_equal(st.oldest_txn, before);
    assert_int_equal(st.readers, 1);
    db_park(t);
    assert_ok(db_stat(db, &st));
    assert_int_equal(st.oldest_pid, 0);
    assert_int_equal(st.readers, 1);
    assert_ok(db_unpark(t));
    assert_int_equal(db_txn_id(t), before + 1);
    assert_int_equal(db_get(t, DB_META, slice_str("a"), &v), 1);
    assert_int_equal(v.len, 2);
    db_park(t);
    db_abort(t); /* parked */
    assert_ok(db_stat(db, &st));
    assert_int_equal(st.readers, 0);
    db_close(db);
}

/* After the limit was reached the environment works on: deletes always, and
 * new data once they made room. */
static void full_map(void **state) {
    (void)state;
    struct db_conf small = kit_conf;
    small.max_bytes = 512 << 10;
    struct db *db = kit_open(dir, &small);
    struct db_stat st;
    char key[16];
    int n = 0, rc;
    do
        sprintf(key, "%06d", n++);
    while ((rc = kit_put(db, DB_ITEMS, key, 'x', 1000)) == 0);
    assert_code(ECRDT_EFULL, rc);
    kit_says("max_bytes of 524288");
    assert_in_range(n, 200, 500);
    assert_int_equal(kit_get(db, DB_ITEMS, "000000"), 1000);
    assert_code(ECRDT_EFULL, kit_put(db, DB_ITEMS, "000000", 'x', 300000));
    for (int i = 0; i < n - 1; i++) {
        struct db_txn *t = kit_begin(db, true);
        sprintf(key, "%06d", i);
        assert_int_equal(db_del(t, DB_ITEMS, slice_str(key)), 1);
        assert_ok(db_commit(t));
    }
    for (int i = 0; i < n / 2; i++) {
        sprintf(key, "%06d", i);
        assert_ok(kit_put(db, DB_ITEMS, key, 'y', 1000));
    }
    assert_ok(db_stat(db, &st));
    assert_int_equal(st.bytes_max, small.max_bytes);
    assert_in_range(st.bytes_used, 300 << 10, 600 << 10);
    db_close(db);
    small.max_bytes = 0; /* as the file says */
    db = kit_open(dir, &small);
    assert_ok(db_stat(db, &st));
    assert_int_equal(st.bytes_max, 512 << 10);
    db_close(db);
    db = kit_open(dir, &kit_conf); /* a larger limit is taken at once */
    for (int i = 0; i < 2 * n; i++) {
        sprintf(key, "%06d", i);
        assert_ok(kit_put(db, DB_ITEMS, key, 'z', 1000));
    }
    db_close(db);
}

/* ---- growth by another process --------------------------------------------
 */

static int grow(int up, int down, void *arg) {
    struct db *db;
    struct db_conf large = kit_conf;
    char key[16];
    (void)arg;
    kit_say(up);
    must(kit_hear(down));
    large.max_bytes = 256 << 20;
    must(db_open(&db, dir, &large) == 0);
    for (int i = 0; i < 100; i++) {
        sprintf(key, "g%d", i);
        must(kit_put(db, DB_ITEMS, key, 'g', 1000000) == 0);
    }
    db_close(db);
    return 0;
}

static void map_grown_by_another_process(void **state) {
    (void)state;
    struct kit_proc p = kit_start(grow, NULL);
    struct db *db = kit_open(dir, &kit_conf);
    struct db_txn *parked = kit_begin(db, false), *t, *none;
    db_park(parked);
    assert_ok(kit_put(db, DB_ITEMS, "a", 'x', 10));
    t = kit_begin(db, false);
    kit_say(p.down);
    assert_int_equal(kit_end(&p, 0), 0);
    slice v; /* the old snapshot reads on, new ones must wait for its end */
    assert_int_equal(db_get(t, DB_ITEMS, slice_str("a"), &v), 1);
    uint64_t begin = now_ms();
    assert_code(ECRDT_EBUSY, db_begin(db, false, &none));
    kit_says("end its open transactions");
    assert_code(ECRDT_EBUSY, db_begin(db, true, &none));
    assert_code(ECRDT_EBUSY, db_unpark(parked));
    assert_in_range(now_ms() - begin, 300, 5000);
    assert_int_equal(db_get(t, DB_ITEMS, slice_str("a"), &v), 1);
    db_abort(t);
    assert_ok(db_unpark(parked));
    assert_int_equal(db_get(parked, DB_ITEMS, slice_str("g99"), &v), 1);
    db_abort(parked);
    assert_int_equal(kit_get(db, DB_ITEMS, "g7"), 1000000);
    /* A limit of one's own stays; that of the file has moved. */
    assert_code(ECRDT_EFULL, kit_put(db, DB_ITEMS, "b", 'x', 3000000));
    db_close(db);
    struct db_conf as_file = kit_conf;
    as_file.max_bytes = 0;
    db = kit_open(dir, &as_file);
    assert_ok(kit_put(db, DB_ITEMS, "b", 'x', 3000000));
    db_close(db);
}

/* Threads that read all the time do not starve the one that must remap. */
static atomic_int stop, reads;

static void *read_on(void *arg) {
    struct db *db = arg;
    while (!stop) {
        struct db_txn *t;
        slice v;
        must(db_begin(db, false, &t) == 0);
        must(db_get(t, DB_ITEMS, slice_str("a"), &v) == 1);
        db_abort(t);
        reads++;
    }
    return NULL;
}

static void map_grown_under_threads(void **state) {
    (void)state;
    struct db_conf conf = kit_conf;
    struct kit_proc p = kit_start(grow, NULL);
    conf.wait_ms = 5000;
    conf.max_bytes = 0;
    db_close(kit_open(dir, &kit_conf));
    struct db *db = kit_open(dir, &conf);
    pthread_t thread[3];
    assert_ok(kit_put(db, DB_ITEMS, "a", 'x', 10));
    stop = reads = 0;
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, read_on, db), 0);
    kit_say(p.down);
    assert_int_equal(kit_end(&p, 0), 0);
    for (int i = 0; i < 50; i++) {
        struct db_stat st;
        assert_ok(kit_put(db, DB_ITEMS, "b", 'y', 100));
        assert_ok(db_stat(db, &st));
        assert_true(db_last_txn(db) > 100);
    }
    stop = 1;
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    assert_true(reads > 0);
    assert_int_equal(kit_get(db, DB_ITEMS, "g99"), 1000000);
    db_close(db);
}

/* ---- reader slots ---------------------------------------------------------
 */

static int hold_readers(int up, int down, void *arg) {
    struct db *db;
    struct db_txn *t;
    int n = *(int *)arg;
    must(db_open(&db, dir, &kit_conf) == 0);
    while (n--)
        must(db_begin(db, false, &t) == 0);
    kit_say(up);
    kit_hear(down);
    return 0;
}

/* All slots are taken: a sentence; those of the dead are taken over. */
static void reader_slots(void **state) {
    (void)state;
    struct db *db = kit_open(dir, &kit_conf);
    struct db_txn *t[64], *none;
    struct db_stat st;
    int half = 20, n = 0, rc;
    struct kit_proc p = kit_start(hold_readers, &half);
    while ((rc = db_begin(db, false, &t[n])) == 0)
        n++;
    assert_code(ECRDT_EBUSY, rc);
    kit_says("max_readers");
    assert_int_equal(n + half, kit_conf.max_readers);
    assert_ok(kit_put(db, DB_META, "a", 'x', 1)); /* writers need no slot */
    assert_ok(db_stat(db, &st));
    assert_int_equal(st.readers, n + half);
    assert_int_equal(st.cleared_readers, 0);
    assert_int_equal(kit_end(&p, SIGKILL), 1000 + SIGKILL);
    assert_ok(db_begin(db, false, &t[n++]));
    assert_ok(db_stat(db, &st));
    assert_int_equal(st.cleared_readers, half);
    assert_int_equal(st.readers, n);
    while (n)
        db_abort(t[--n]);
    half = 5; /* found by a look, without need */
    p = kit_start(hold_readers, &half);
    assert_int_equal(kit_end(&p, SIGKILL), 1000 + SIGKILL);
    assert_int_equal(db_clear_readers(db), half);
    assert_ok(db_begin(db, false, &none));
    db_abort(none);
    db_close(db);
}

/* ---- processes and threads ------------------------------------------------
 */

static int forget_and_reopen(void *arg) {
    struct db *old = arg, *db;
    db_forget(old);
    must(db_open(&db, dir, &kit_conf) == 0);
    must(kit_get(db, DB_META, "a") == 1);
    must(kit_put(db, DB_META, "child", 'c', 7) == 0);
    db_close(db);
    return 0;
}

/* A child neither uses nor harms what its parent has open. */
static void fork_with_open_reader(void **state) {
    (void)state;
    struct db *db = kit_open(dir, &kit_conf);
    struct db_stat st;
    slice v;
    assert_ok(kit_put(db, DB_META, "a", 'x', 1));
    struct db_txn *t = kit_begin(db, false);
    assert_int_equal(kit_child(forget_and_reopen, db), 0);
    assert_ok(db_stat(db, &st));
    assert_int_equal(st.oldest_pid, getpid());
    assert_int_equal(st.readers, 1);
    assert_int_equal(db_get(t, DB_META, slice_str("child"), &v), 0);
    db_abort(t);
    assert_int_equal(kit_get(db, DB_META, "child"), 7);
    db_close(db);
}

/* No descriptor of ours lives on in a program that the process executes. */
static void nothing_crosses_exec(void **state) {
    (void)state;
    struct db *db = kit_open(dir, &kit_conf);
    struct os_lock *lock;
    assert_ok(os_lock_open(dir, "lock.ecrdt", 0660, &lock));
    char link[300], name[64];
    int ours = 0;
    for (int fd = 3; fd < 100; fd++) {
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(name, link, sizeof link - 1);
        link[n > 0 ? n : 0] = 0;
        if (!strstr(link, dir))
            continue;
        ours++;
        if (!(fcntl(fd, F_GETFD) & FD_CLOEXEC))
            fail_msg("%s is open without close-on-exec", link);
    }
    assert_true(ours >= 3);
    os_lock_close(lock);
    db_close(db);
}

struct worker {
    struct db *db;
    struct os_lock *lock;
    int no;
};

static void *work(void *arg) {
    struct worker *w = arg;
    char key[16];
    sprintf(key, "w%d", w->no);
    for (int i = 1; i <= 200; i++) {
        must(os_lock_take(w->lock, 5000, dir) == 0);
        must(kit_put(w->db, DB_ITEMS, key, 'x', (size_t)i) == 0);
        os_lock_give(w->lock);
        must(kit_get(w->db, DB_ITEMS, key) == i);
        struct db_stat st;
        must(i % 20 || db_stat(w->db, &st) == 0);
        must(i % 50 || db_flush(w->db) == 0);
    }
    return NULL;
}

static void threads_share_it(void **state) {
    (void)state;
    struct db *db = kit_open(dir, &kit_conf);
    struct os_lock *lock;
    assert_ok(db_set_sync(db, DB_SYNC_RELAXED));
    assert_ok(os_lock_open(dir, "lock.ecrdt", 0660, &lock));
    pthread_t thread[4];
    struct worker w[4];
    for (int i = 0; i < 4; i++) {
        w[i] = (struct worker){db, lock, i};
        assert_int_equal(pthread_create(&thread[i], NULL, work, &w[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    os_lock_close(lock);
    db_close(db);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        with_folder(cursors_of_a_table),
        with_folder(cursors_of_heads),
        with_folder(append_and_count),
        with_folder(parked_reader_takes_a_new_snapshot),
        with_folder(full_map),
        with_folder(map_grown_by_another_process),
        with_folder(map_grown_under_threads),
        with_folder(reader_slots),
        with_folder(fork_with_open_reader),
        with_folder(nothing_crosses_exec),
        with_folder(threads_share_it),
    };
    return TEST_RUN(tests);
}
