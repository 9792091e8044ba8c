/* test_verify.c: a sound store has no findings; each kind of damage that a
 * record's checksum cannot see is found, named and told through the sink. */
#include "crdt/clocks.h"
#include "crdt/door.h"
#include "crdt/items.h"
#include "crdt/keyhead.h"
#include "crdt/store.h"
#include "crdt/tombs.h"
#include "tests/support/support.h"
#include "tests/support/test.h"

struct fixture {
    char *dir;
    ecrdt_store *s;
};

struct report {
    unsigned lines;
    char text[4096];
};

static int note(void *ctx, const void *line, size_t n) {
    struct report *r = ctx;
    size_t at = strlen(r->text);
    if (at + n + 2 < sizeof r->text) {
        memcpy(r->text + at, line, n);
        r->text[at + n] = '\n';
        r->text[at + n + 1] = 0;
    }
    r->lines++;
    return 0;
}

/* A store with every type, long names, removed things and a second origin. */
static int setup(void **state) {
    struct fixture *f = test_calloc(1, sizeof *f);
    char big[600];
    memset(big, 'k', sizeof big);
    f->dir = tmpdir_make();
    f->s = ecrdt_open(path_join(f->dir, "s"), NULL);
    assert_non_null(f->s);
    ecrdt_txn *t = ecrdt_write(f->s);
    ecrdt_slice long_key = {big, sizeof big};
    assert_int_equal(ecrdt_reg_set(t, "b", ECRDT_STR("r"), ECRDT_STR("v")), 0);
    assert_int_equal(ecrdt_reg_set(t, "b", ECRDT_STR("gone"), long_key), 0);
    assert_int_equal(ecrdt_set_add(t, "b", long_key, long_key), 1);
    assert_int_equal(ecrdt_set_add(t, "b", ECRDT_STR("s"), ECRDT_STR("x")), 1);
    assert_int_equal(ecrdt_counter_add(t, "b", ECRDT_STR("c"), 7, NULL), 0);
    assert_int_equal(ecrdt_counter_add(t, "b", long_key, -7, NULL), 0);
    assert_int_equal(ecrdt_commit(t), 0);
    t = ecrdt_auto(f->s);
    assert_int_equal(ecrdt_reg_del(t, "b", ECRDT_STR("gone")), 1);
    assert_int_equal(ecrdt_set_remove(t, "b", ECRDT_STR("s"), ECRDT_STR("x")),
                     1);
    ecrdt_abort(t);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    assert_int_equal(ecrdt_close(f->s), 0);
    tmpdir_remove(f->dir);
    test_free(f);
    return 0;
}

static void sound(void **state) {
    struct fixture *f = *state;
    struct report r = {0};
    assert_int_equal(ecrdt_verify(f->s, note, &r), ECRDT_OK);
    assert_int_equal(r.lines, 0);
    assert_int_equal(ecrdt_verify(f->s, NULL, NULL), ECRDT_OK);
}

static void expect(struct fixture *f, const char *words) {
    struct report r = {0};
    assert_int_equal(ecrdt_verify(f->s, note, &r), ECRDT_ECORRUPT);
    assert_true(r.lines >= 1);
    if (!strstr(r.text, words))
        fail_msg("no '%s' in: %s", words, r.text);
    assert_non_null(strstr(ecrdt_errmsg(), "finding"));
}

/* Changes the head of bucket "b" behind the door's back. */
static void twist_head(struct fixture *f, void (*fn)(struct bucket_head *h)) {
    ecrdt_txn *t = ecrdt_write(f->s);
    struct bucket *bk;
    assert_int_equal(txn_bucket(t, "b", false, &bk), 1);
    fn(&bk->head);
    bk->head_dirty = true;
    assert_int_equal(ecrdt_commit(t), 0);
}

static void more_live(struct bucket_head *h) {
    h->live++;
}
static void other_digest(struct bucket_head *h) {
    h->digest[3] ^= 1;
}
static void more_tombs(struct bucket_head *h) {
    h->tombs += 2;
}
static void older_clock(struct bucket_head *h) {
    h->seq = 1;
}
static void lost_log(struct bucket_head *h) {
    buf_clear(&h->log_open);
    h->log_open_n = 0;
}

static void wrong_counts(void **state) {
    twist_head(*state, more_live);
    expect(*state, "its head says");
}
static void wrong_tombs(void **state) {
    twist_head(*state, more_tombs);
    expect(*state, "tombs");
}
static void wrong_digest(void **state) {
    twist_head(*state, other_digest);
    expect(*state, "digest");
}
static void event_past_the_clock(void **state) {
    twist_head(*state, older_clock);
    expect(*state, "beyond the clock");
}
static void log_too_short(void **state) {
    twist_head(*state, lost_log);
    expect(*state, "neither in the log nor");
}

/* The first row of the tombs table, gone or of another item. */
static void twist_tombs(struct fixture *f, bool other) {
    struct db_cursor *c;
    struct buf copy = {0};
    slice key = {0}, id;
    ecrdt_txn *t = ecrdt_write(f->s);
    assert_int_equal(db_cursor_open(t->db, DB_TOMBS, &c), 0);
    assert_int_equal(db_cursor_seek(c, &key, &id), 1);
    buf_put(&copy, id.data, id.len - other);
    if (other)
        assert_int_equal(db_cursor_put(c, key, &copy, true), 0);
    else
        assert_int_equal(db_cursor_del(c), 0);
    db_cursor_close(c);
    buf_free(&copy);
    assert_int_equal(ecrdt_commit(t), 0);
}

static void lost_row_of_a_tomb(void **state) {
    twist_tombs(*state, false);
    expect(*state, "has no row in the table of tombs");
    expect(*state, "1 rows of tombs, 2 tombs");
}
static void row_of_another_item(void **state) {
    twist_tombs(*state, true);
    expect(*state, "or that of another item");
}

/* A row that no tomb has. */
static void row_without_a_tomb(void **state) {
    struct fixture *f = *state;
    struct tomb_row row = {1, 77, 0};
    struct buf id = {0};
    uint8_t key[TOMB_KEY];
    ecrdt_txn *t = ecrdt_write(f->s);
    buf_put(&id, "k", 1);
    assert_int_equal(db_put(t->db, DB_TOMBS, tomb_key(key, 0, &row), &id), 0);
    buf_free(&id);
    assert_int_equal(ecrdt_commit(t), 0);
    expect(f, "3 rows of tombs, 2 tombs");
}

/* Rewrites the head of one key with another total. */
static void wrong_total(void **state) {
    struct fixture *f = *state;
    ecrdt_txn *t = ecrdt_write(f->s);
    struct bucket *bk;
    struct item_key k;
    assert_int_equal(txn_bucket(t, "b", false, &bk), 1);
    item_key_make(&k, bk->id, ECRDT_STR("c"), TAG_COUNTER_HEAD);
    struct keyhead *h = keyhead_edit(t, bk, &k, slice_of(NULL, 0));
    assert_non_null(h);
    h->total += 1;
    h->rows = 2; /* else it is not stored */
    assert_int_equal(keyhead_part(t, h), 0);
    h->dirty = t->pending = true;
    assert_int_equal(ecrdt_commit(t), 0);
    expect(f, "totals differ");
    expect(f, "1 key heads of counters, 0 keys that need one");
}

/* Puts row in the place of the row of counter "c". */
static void counter_row(struct fixture *f, struct buf *row) {
    struct bucket *bk;
    struct item_key k;
    ecrdt_txn *t = ecrdt_write(f->s);
    assert_int_equal(txn_bucket(t, "b", false, &bk), 1);
    item_key_make(&k, bk->id, ECRDT_STR("c"), TAG_COUNTER_HEAD);
    assert_int_equal(db_put(t->db, DB_ITEMS, item_key_db(&k), row), 0);
    assert_int_equal(ecrdt_commit(t), 0);
    buf_free(row);
}

/* The record of the only entry, which its row holds; gives it its own row if
 * that is asked for. */
static struct buf only_entry(struct fixture *f, bool part) {
    struct bucket *bk;
    struct item_key k;
    struct buf copy = {0};
    slice rec;
    ecrdt_txn *t = ecrdt_write(f->s);
    assert_int_equal(txn_bucket(t, "b", false, &bk), 1);
    item_key_make(&k, bk->id, ECRDT_STR("c"), TAG_COUNTER_HEAD);
    assert_int_equal(db_get(t->db, DB_ITEMS, item_key_db(&k), &rec), 1);
    buf_put(&copy, rec.data, rec.len);
    struct keyhead *h = keyhead_edit(t, bk, &k, slice_of(NULL, 0));
    if (part)
        assert_int_equal(keyhead_part(t, h), 0);
    assert_int_equal(part ? ecrdt_commit(t) : (ecrdt_abort(t), 0), 0);
    return copy;
}

/* An entry in the counter's row and in its own one. */
static void entry_twice(void **state) {
    struct fixture *f = *state;
    struct buf row = only_entry(f, true);
    counter_row(f, &row);
    expect(f, "its head says 1 items, there are 2");
    expect(f, "0 key heads of counters, 1 keys that need one");
}

/* A head over one entry, where the entry could stand. */
static void head_over_one(void **state) {
    struct fixture *f = *state;
    struct buf row = only_entry(f, true);
    buf_free(&row);
    expect(f, "1 key heads of counters, 0 keys that need one");
}

/* An origin that is the first sibling's need not be written. */
static void needless_origin(void **state) {
    struct fixture *f = *state;
    struct buf rec = only_entry(f, false), row = {0};
    ecrdt_txn *t = ecrdt_read(f->s);
    uint8_t mark = ROW_ORIGIN, id[ORIGIN_SIZE];
    assert_int_equal(replica_origin(t, id), 0);
    ecrdt_abort(t);
    buf_put(&row, &mark, 1);
    buf_put(&row, id, sizeof id);
    buf_put(&row, rec.data, rec.len);
    buf_free(&rec);
    counter_row(f, &row);
    expect(f, "a counter's row is damaged");
}

static void malformed_row(void **state) {
    struct fixture *f = *state;
    struct buf row = {0};
    buf_put(&row,
            "\x10"
            "0123456789abcdef",
            17);
    counter_row(f, &row);
    expect(f, "the counter's row is malformed");
}

/* A head whose key has no items. */
static void orphan_head(void **state) {
    struct fixture *f = *state;
    ecrdt_txn *t = ecrdt_write(f->s);
    struct bucket *bk;
    struct item_key k;
    assert_int_equal(txn_bucket(t, "b", false, &bk), 1);
    item_key_make(&k, bk->id, ECRDT_STR("nobody"), TAG_SET_HEAD);
    struct keyhead *h = keyhead_edit(t, bk, &k, slice_of(NULL, 0));
    h->live = 3;
    h->dirty = t->pending = true;
    assert_int_equal(ecrdt_commit(t), 0);
    expect(f, "key heads");
}

/* An item with a byte of its payload changed and a right checksum. */
static void altered_event(void **state) {
    struct fixture *f = *state;
    ecrdt_txn *t = ecrdt_write(f->s);
    struct bucket *bk;
    struct item_key k;
    slice rec;
    struct buf copy = {0};
    assert_int_equal(txn_bucket(t, "b", false, &bk), 1);
    item_key_make(&k, bk->id, ECRDT_STR("r"), TAG_REGISTER);
    assert_int_equal(db_get(t->db, DB_ITEMS, item_key_db(&k), &rec), 1);
    buf_put(&copy, rec.data, rec.len);
    copy.data[copy.len - 1] ^= 1;
    assert_int_equal(db_put(t->db, DB_ITEMS, item_key_db(&k), &copy), 0);
    assert_int_equal(ecrdt_commit(t), 0);
    buf_free(&copy);
    expect(f, "its digest is not that of its items");
}

static int stop(void *ctx, const void *line, size_t n) {
    (void)line;
    (void)n;
    ++*(unsigned *)ctx;
    return 1;
}

static void sink_stops(void **state) {
    struct fixture *f = *state;
    unsigned calls = 0;
    twist_head(f, more_live);
    twist_head(f, other_digest);
    assert_int_equal(ecrdt_verify(f->s, stop, &calls), ECRDT_ECANCELED);
    assert_int_equal(ecrdt_verify(NULL, NULL, NULL), ECRDT_ECANCELED);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(sound),
        CASE(wrong_counts),
        CASE(wrong_tombs),
        CASE(wrong_digest),
        CASE(wrong_total),
        CASE(entry_twice),
        CASE(head_over_one),
        CASE(needless_origin),
        CASE(malformed_row),
        CASE(event_past_the_clock),
        CASE(log_too_short),
        CASE(orphan_head),
        CASE(altered_event),
        CASE(lost_row_of_a_tomb),
        CASE(row_of_another_item),
        CASE(row_without_a_tomb),
        CASE(sink_stops),
    };
    return TEST_RUN(tests);
}
