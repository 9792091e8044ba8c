/* test_api_delta.c: summary, export and import for any transport: lost,
 * doubled, cut, reordered and damaged ones. */
#include "crdt/chunk.h"
#include "lib/crc32c.h"
#include "tests/crdt/kit.h"
#include "tests/support/sync.h"

static void summary(size_t i, struct buf *out) {
    buf_clear(out);
    assert_ok(ecrdt_summary(kit(i), buf_sink, out));
}

/* What store i would send to one with this summary: 0 or 1. */
static int export(size_t i, slice sum, size_t max, struct buf *out) {
    buf_clear(out);
    int rc = ecrdt_export(kit(i), sum, max, buf_sink, out);
    assert_true(rc == 0 || rc == 1);
    return rc;
}

static ecrdt_import_report import(size_t i, slice delta) {
    ecrdt_import_report r = {9, 9, 9, 9, 9};
    assert_ok(ecrdt_import(kit(i), delta, &r));
    return r;
}

static const slice nothing;

static void fill(size_t i) {
    char key[16];
    ecrdt_txn *t = kit_write(i);
    for (int k = 0; k < 50; k++) {
        snprintf(key, sizeof key, "%zu.%d", i, k);
        assert_ok(ecrdt_reg_set(t, KIT_B, slice_str(key), slice_str("v")));
        assert_code(1,
                    ecrdt_set_add(t, "sets", slice_str("s"), slice_str(key)));
        assert_ok(ecrdt_counter_add(t, "counters", slice_str("c"), k, NULL));
    }
    assert_ok(ecrdt_reg_set(t, KIT_B, kit_fill(1024, 'k'), slice_str(key)));
    assert_ok(ecrdt_commit(t));
}

static void assert_equal_stores(size_t a, size_t b) {
    static const char *const buckets[] = {KIT_B, "sets", "counters"};
    for (size_t i = 0; i < 3; i++) {
        uint8_t x[16], y[16];
        assert_ok(ecrdt_digest(kit(a), buckets[i], x));
        assert_ok(ecrdt_digest(kit(b), buckets[i], y));
        assert_memory_equal(x, y, 16);
        assert_code(1, ecrdt_settled(kit(b), buckets[i]));
    }
    kit_sound(b);
}

static void stores_exchange_what_they_lack(void **state) {
    (void)state;
    struct buf sum = {0}, delta = {0};
    for (size_t i = 0; i < 2; i++)
        fill(i);
    for (size_t i = 0; i < 2; i++) {
        summary(i, &sum);
        assert_int_equal(export(!i, buf_slice(&sum), 0, &delta), 0);
        ecrdt_import_report r = import(i, buf_slice(&delta));
        assert_int_equal(r.applied, 50 + 1 + 50 + 1);
        assert_int_equal(r.known + r.ahead + r.refused, 0);
        r = import(i, buf_slice(&delta)); /* doubled */
        assert_int_equal(r.applied + r.ahead + r.refused, 0);
    }
    assert_equal_stores(0, 1);
    summary(0, &sum);
    assert_int_equal(export(1, buf_slice(&sum), 0, &delta), 0);
    assert_true(delta.len <= 16); /* nothing but its frame */
    assert_int_equal(import(0, buf_slice(&delta)).known, 0);
    buf_free(&sum);
    buf_free(&delta);
}

static void an_empty_summary_asks_for_everything(void **state) {
    (void)state;
    struct buf sum = {0}, delta = {0}, other = {0};
    fill(0);
    export(0, nothing, 0, &delta);
    summary(1, &sum); /* of an empty store */
    export(0, buf_slice(&sum), 0, &other);
    assert_slice_equal(buf_slice(&delta), buf_slice(&other));
    import(1, buf_slice(&delta));
    assert_equal_stores(0, 1);
    export(2, nothing, 0, &delta); /* an empty store's */
    import(1, buf_slice(&delta));
    assert_equal_stores(0, 1);
    buf_free(&sum);
    buf_free(&delta);
    buf_free(&other);
}

/* In small pieces: each round brings something, and it ends. */
static void small_pieces_come_to_an_end(void **state) {
    (void)state;
    static const size_t most[] = {1, 100, 2000};
    struct buf sum = {0}, delta = {0};
    fill(0);
    for (size_t i = 0; i < 3; i++) {
        int more = 1, rounds = 0;
        for (; more; rounds++) {
            summary(1 + i, &sum);
            more = export(0, buf_slice(&sum), most[i], &delta);
            ecrdt_import_report r = import(1 + i, buf_slice(&delta));
            assert_true(r.applied > 0 || !more);
            assert_int_equal(r.ahead + r.refused, 0);
            assert_true(delta.len < most[i] + 2500); /* one item and frames */
            assert_in_range(rounds, 0, 200);
        }
        assert_equal_stores(0, 1 + i);
    }
    buf_free(&sum);
    buf_free(&delta);
}

static void one_large_item_always_fits(void **state) {
    (void)state;
    struct buf delta = {0};
    ecrdt_txn *t = kit_write(0);
    assert_ok(ecrdt_reg_set(t, KIT_B, slice_str("k"),
                            kit_fill(ECRDT_MAX_VALUE, 'v')));
    assert_ok(ecrdt_commit(t));
    export(0, nothing, 10, &delta);
    assert_int_equal(import(1, buf_slice(&delta)).applied, 1);
    kit_same_digest(0, 1);
    buf_free(&delta);
}

/* Deltas that build on a lost one are 'ahead', and harm nothing; in any
 * order, with the missing one at last, all is there. */
static void lost_and_reordered_deltas(void **state) {
    (void)state;
    struct buf sum = {0}, delta[3] = {{0}, {0}, {0}};
    for (size_t i = 0; i < 3; i++) { /* each for who has those before */
        char key[2] = {(char)('a' + i)};
        kit_set(0, key, "v");
        kit_set(0, "same", key);
        export(0, buf_slice(&sum), 0, &delta[i]);
        summary(0, &sum);
    }
    ecrdt_import_report r = import(1, buf_slice(&delta[2]));
    assert_int_equal(r.ahead, 1);
    assert_int_equal(r.applied, 0);
    r = import(1, buf_slice(&delta[1]));
    assert_int_equal(r.ahead, 1);
    r = import(1, buf_slice(&delta[0]));
    assert_int_equal(r.applied, 2);
    r = import(1, buf_slice(&delta[2])); /* still ahead */
    assert_int_equal(r.ahead, 1);
    kit_expect(1, "same", "a");
    import(1, buf_slice(&delta[1]));
    r = import(1, buf_slice(&delta[2]));
    assert_int_equal(r.ahead, 0);
    import(1, buf_slice(&delta[0])); /* late again */
    kit_expect(1, "same", "c");
    kit_same_digest(0, 1);
    for (size_t i = 0; i < 3; i++)
        buf_free(&delta[i]);
    buf_free(&sum);
}

/* ---- damage
 * ------------------------------------------------------------------------ */

static void assert_refused(size_t i, slice delta) {
    uint64_t before = replica_txn_id(kit(i));
    ecrdt_import_report r = {9, 9, 9, 9, 9};
    assert_code(ECRDT_ECORRUPT, ecrdt_import(kit(i), delta, &r));
    assert_int_equal(replica_txn_id(kit(i)), before);
    assert_int_equal(r.applied, 9); /* untouched */
}

static void damaged_exports_are_refused_whole(void **state) {
    (void)state;
    struct buf delta = {0};
    kit_set(0, "a", "value");
    kit_add(0, "s", "e");
    kit_count(0, "c", 5);
    export(0, nothing, 0, &delta);
    for (size_t i = 0; i < delta.len; i++)
        for (unsigned bit = 0; bit < 8; bit += 3) {
            delta.data[i] ^= (uint8_t)(1 << bit);
            assert_refused(1, buf_slice(&delta));
            delta.data[i] ^= (uint8_t)(1 << bit);
        }
    for (size_t n = 0; n < delta.len; n++) {
        uint8_t *exact = malloc(n + 1);
        assert_non_null(exact);
        memcpy(exact, delta.data, n);
        assert_refused(1, slice_of(exact, n));
        free(exact);
    }
    buf_put(&delta, "", 1);
    assert_refused(1, buf_slice(&delta)); /* one byte more */
    delta.len--;
    assert_refused(1, nothing);
    uint8_t zero[16] = {0}, digest[16];
    kit_digest(1, digest);
    assert_memory_equal(digest, zero, 16);
    import(1, buf_slice(&delta));
    kit_same_digest(0, 1);
    buf_free(&delta);
}

/* A sound frame around a chunk that is not: nothing of the others either. */
static void a_bad_chunk_spoils_all(void **state) {
    (void)state;
    struct buf delta = {0}, two = {0};
    kit_set(0, "a", "value");
    export(0, nothing, 0, &delta);
    buf_put(&two, delta.data, delta.len - 8); /* up to the end's zero */
    uint8_t more[4] = {0, 0, 0, 1}, junk = 0xc1, end[8] = {0};
    buf_put(&two, more, 4);
    buf_put(&two, &junk, 1);
    buf_put(&two, end, 4);
    store32(end, crc32c(0, two.data, two.len));
    buf_put(&two, end, 4);
    assert_refused(1, buf_slice(&two));
    kit_expect(1, "a", NULL);
    buf_free(&delta);
    buf_free(&two);
}

static void damaged_summaries_are_refused(void **state) {
    (void)state;
    struct buf sum = {0}, out = {0};
    fill(0);
    fill(1);
    summary(0, &sum);
    for (size_t n = 1; n < sum.len; n++) {
        assert_code(ECRDT_ECORRUPT, ecrdt_export(kit(1), slice_of(sum.data, n),
                                                 0, buf_sink, &out));
        assert_int_equal(out.len, 0);
    }
    buf_put(&sum, "", 1);
    assert_code(ECRDT_ECORRUPT,
                ecrdt_export(kit(1), buf_slice(&sum), 0, buf_sink, &out));
    sum.len--;
    for (size_t i = 0; i < sum.len; i++) { /* no flip may crash it */
        sum.data[i] ^= 1;
        int rc = ecrdt_export(kit(1), buf_slice(&sum), 0, buf_sink, &out);
        assert_true(rc == 0 || rc == 1 || rc == ECRDT_ECORRUPT);
        sum.data[i] ^= 1;
        buf_clear(&out);
    }
    buf_free(&sum);
    buf_free(&out);
}

/* ---- sinks and arguments
 * ------------------------------------------------------------ */

static int stop(void *ctx, const void *data, size_t len) {
    (void)data, (void)len;
    return ++*(int *)ctx == 2;
}

static void a_sink_may_stop_it(void **state) {
    (void)state;
    int n = 1;
    fill(0);
    assert_code(ECRDT_ECANCELED, ecrdt_summary(kit(0), stop, &n));
    n = 0;
    assert_code(ECRDT_ECANCELED, ecrdt_export(kit(0), nothing, 0, stop, &n));
    assert_code(ECRDT_EINVAL, ecrdt_summary(kit(0), NULL, NULL));
    assert_code(ECRDT_EINVAL, ecrdt_export(kit(0), nothing, 0, NULL, NULL));
    kit_set(0, "k", "v"); /* no transaction was left open */
    kit_close(0);
    struct buf delta = {0};
    kit_open(0, ECRDT_RDONLY);
    export(0, nothing, 0, &delta); /* a read-only store can give */
    assert_code(ECRDT_ERDONLY, ecrdt_import(kit(0), buf_slice(&delta), NULL));
    assert_ok(ecrdt_import(kit(1), buf_slice(&delta), NULL));
    buf_free(&delta);
}

/* A remote bulk is not visible half: an import is one transaction. */
static void an_import_is_one_transaction(void **state) {
    (void)state;
    struct buf delta = {0};
    for (size_t i = 0; i < 5; i++) {
        char key[16];
        ecrdt_txn *t = kit_write(0);
        for (int k = 0; k < 1000; k++) { /* several chunks */
            snprintf(key, sizeof key, "%zu.%d", i, k);
            assert_ok(ecrdt_reg_set(t, KIT_B, slice_str(key), slice_str("v")));
        }
        assert_ok(ecrdt_commit(t));
    }
    assert_int_equal(export(0, nothing, 0, &delta), 0);
    uint64_t before = replica_txn_id(kit(1));
    assert_int_equal(import(1, buf_slice(&delta)).applied, 5000);
    assert_int_equal(replica_txn_id(kit(1)), before + 1);
    kit_same_digest(0, 1);
    assert_code(1, ecrdt_settled(kit(1), KIT_B));
    buf_free(&delta);
}

static void write_late(void) {
    kit_set(0, "late", "v");
}

/* PROTOCOL D1: an export holds what was synced, not what another process
 * commits behind that. */
static void an_export_is_synced(void **state) {
    (void)state;
    struct buf out = {0};
    kit_open(0, ECRDT_RELAXED);
    kit_set(0, "early", "v");
    sync_watch(kit_path(0), write_late);
    export(0, nothing, 0, &out);
    assert_null(sync_seen.write);
    import(1, buf_slice(&out));
    kit_expect(1, "early", "v");
    kit_expect(1, "late", NULL);
    buf_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(stores_exchange_what_they_lack),
        kit_test(an_export_is_synced),
        kit_test(an_empty_summary_asks_for_everything),
        kit_test(small_pieces_come_to_an_end),
        kit_test(one_large_item_always_fits),
        kit_test(lost_and_reordered_deltas),
        kit_test(damaged_exports_are_refused_whole),
        kit_test(a_bad_chunk_spoils_all),
        kit_test(damaged_summaries_are_refused),
        kit_test(a_sink_may_stop_it),
        kit_test(an_import_is_one_transaction),
    };
    return TEST_RUN(tests);
}
