/* test_api_store.c: questions about a whole store, and its backup. */
#include "tests/crdt/kit.h"
#include <sys/stat.h>

static void digests_are_of_the_content(void **state) {
    (void)state;
    uint8_t zero[16] = {0}, a[16], b[16];
    memset(a, 1, 16);
    kit_digest(0, a);
    assert_memory_equal(a, zero, 16);
    kit_set(0, "k", "v");
    kit_digest(0, a);
    assert_memory_not_equal(a, zero, 16);
    kit_pull(1, 0);
    kit_same_digest(0, 1);
    kit_set(0, "k", "v"); /* the same value is another event */
    kit_digest(0, b);
    assert_memory_not_equal(a, b, 16);
    kit_add(0, "s", "e");
    kit_count(0, "c", 1);
    kit_del(0, "k");
    kit_pull(1, 0);
    kit_same_digest(0, 1);
    /* Removed everywhere: tombs do not count. */
    ecrdt_txn *t = kit_write(1);
    assert_ok(ecrdt_set_clear(t, KIT_B, slice_str("s")));
    assert_ok(ecrdt_commit(t));
    kit_digest(1, a);
    kit_digest(0, b);
    assert_memory_not_equal(a, b, 16);
    kit_pull(0, 1);
    kit_same_digest(0, 1);
    assert_code(ECRDT_EINVAL, ecrdt_digest(kit(0), KIT_B, NULL));
    assert_code(ECRDT_EINVAL, ecrdt_digest(kit(0), "", a));
    assert_code(ECRDT_EINVAL, ecrdt_digest(kit(0), NULL, a));
}

/* The same events in two buckets have two digests: names hold the bucket. */
static void a_bucket_is_part_of_the_digest(void **state) {
    (void)state;
    uint8_t a[16], b[16];
    ecrdt_txn *t = kit_write(0);
    assert_ok(ecrdt_reg_set(t, "a", slice_str("k"), slice_str("v")));
    assert_ok(ecrdt_reg_set(t, "b", slice_str("k"), slice_str("v")));
    assert_ok(ecrdt_commit(t));
    assert_ok(ecrdt_digest(kit(0), "a", a));
    assert_ok(ecrdt_digest(kit(0), "b", b));
    assert_memory_not_equal(a, b, 16);
}

static void settled_means_one_clock(void **state) {
    (void)state;
    struct ranges peer = {0};
    struct buf out = {0};
    assert_code(1, ecrdt_settled(kit(1), KIT_B)); /* absent */
    for (int i = 0; i < 10; i++) {
        char key[2] = {(char)('a' + i)};
        kit_set(0, key, "v");
    }
    while (kit_build(0, &peer, 3, &out)) {
        kit_apply(1, buf_slice(&out));
        assert_code(peer.n == 1, ecrdt_settled(kit(1), KIT_B));
    }
    assert_code(1, ecrdt_settled(kit(1), KIT_B));
    assert_code(ECRDT_EINVAL, ecrdt_settled(kit(1), NULL));
    ranges_free(&peer);
    buf_free(&out);
}

static void statistics_count(void **state) {
    (void)state;
    ecrdt_stats st = {0}, before = {.size = sizeof before};
    assert_code(ECRDT_EINVAL, ecrdt_stat_read(kit(0), &st));
    assert_code(ECRDT_EINVAL, ecrdt_stat_read(kit(0), NULL));
    assert_ok(ecrdt_stat_read(kit(0), &before));
    kit_set(0, "a", "v");
    kit_set(0, "b", "v");
    kit_add(0, "s", "1");
    kit_add(0, "s", "2");
    kit_count(0, "c", 1);
    kit_del(0, "b");
    kit_set(1, "x", "v");
    kit_pull(0, 1);
    ecrdt_txn *t = kit_write(0);
    assert_ok(ecrdt_reg_set(t, "other", slice_str("k"), slice_str("v")));
    assert_ok(ecrdt_commit(t));
    ecrdt_txn *r = kit_read(0);
    kit_set(0, "a", "w");
    st.size = sizeof st;
    assert_ok(ecrdt_stat_read(kit(0), &st));
    assert_int_equal(st.buckets, 2);
    assert_int_equal(st.items, 6); /* a, 1, 2, entry, x, k */
    assert_int_equal(st.tombstones, 1);
    assert_int_equal(st.origins, 2);
    assert_true(st.log_bytes > 0);
    assert_int_equal(st.last_txn, before.last_txn + 9);
    assert_true(st.bytes_used > 0 && st.bytes_used <= st.bytes_max);
    assert_int_equal(st.bytes_max, UINT64_C(1) << 30);
    assert_int_equal(st.durability, ECRDT_EPHEMERAL);
    assert_true(st.readers >= 1);
    assert_true(st.oldest_reader_pid > 0);
    assert_int_equal(st.oldest_reader_txns, 1);
    assert_int_equal(st.pidns_reads, 0);
    ecrdt_abort(r);
}

/* A caller built with a shorter struct gets what it has room for. */
static void statistics_may_grow(void **state) {
    (void)state;
    struct {
        size_t size;
        uint64_t bytes_used, canary;
    } small = {16, 0, 77};
    assert_ok(ecrdt_stat_read(kit(0), (ecrdt_stats *)(void *)&small));
    assert_true(small.bytes_used > 0);
    assert_int_equal(small.canary, 77);
    assert_int_equal(small.size, 16);
}

static void a_node_has_an_id(void **state) {
    (void)state;
    ecrdt_node a = {{0}}, b;
    assert_ok(ecrdt_node_id(kit(0), &a));
    assert_ok(ecrdt_node_id(kit(0), &b));
    assert_memory_equal(&a, &b, sizeof a);
    assert_code(ECRDT_EINVAL, ecrdt_node_id(kit(0), NULL));
}

/* ---- backup
 * -------------------------------------------------------------------- */

static void a_backup_is_a_replica_of_its_own(void **state) {
    (void)state;
    ecrdt_node a, b;
    kit_set(0, "k", "v");
    kit_add(0, "s", "e");
    kit_count(0, "c", 5);
    ecrdt_txn *t = kit_write(0);
    assert_ok(replica_peer_put(t, slice_str("peer"), slice_str("secret")));
    assert_ok(ecrdt_commit(t));
    t = kit_read(0); /* while in use */
    assert_ok(ecrdt_backup(kit(0), kit_path(1)));
    ecrdt_abort(t);
    kit_same_digest(0, 1);
    assert_ok(ecrdt_node_id(kit(0), &a));
    assert_ok(ecrdt_node_id(kit(1), &b));
    assert_memory_not_equal(&a, &b, sizeof a);
    kit_expect(1, "k", "v");
    assert_int_equal(kit_value(1, "c"), 5);
    uint64_t n;
    t = kit_read(1);
    assert_ok(db_count(t->db, DB_PEERS, &n));
    assert_int_equal(n, 0);
    ecrdt_abort(t);
    kit_count(1, "c", 1);
    kit_count(0, "c", 10);
    kit_set(1, "k", "copy");
    kit_pull(0, 1);
    kit_pull(1, 0);
    assert_int_equal(kit_value(0, "c"), 16);
    kit_expect(0, "k", "copy"); /* it knew what it overwrote */
    kit_same_digest(0, 1);
    kit_sound(0);
    kit_sound(1);
}

static void two_backups_are_two_replicas(void **state) {
    (void)state;
    kit_count(0, "c", 5);
    for (size_t i = 1; i <= 2; i++) {
        assert_ok(ecrdt_backup(kit(0), kit_path(i)));
        kit_count(i, "c", 1);
    }
    kit_pull(1, 2);
    kit_pull(0, 1);
    assert_int_equal(kit_value(0, "c"), 7);
}

static void a_backup_needs_an_empty_folder(void **state) {
    (void)state;
    kit_set(0, "k", "v");
    assert_code(ECRDT_EINVAL, ecrdt_backup(kit(0), NULL));
    assert_code(ECRDT_EINVAL, ecrdt_backup(kit(0), ""));
    assert_int_equal(mkdir(kit_path(1), 0700), 0);
    file_write(path_join(kit_path(1), "file"), "x", 1);
    assert_code(ECRDT_EINVAL, ecrdt_backup(kit(0), kit_path(1)));
    assert_true(strstr(ecrdt_errmsg(), "not empty") != NULL);
    assert_code(ECRDT_EINVAL, ecrdt_backup(kit(0), kit_path(0)));
    assert_int_equal(mkdir(kit_path(2), 0700), 0); /* empty is fine */
    assert_ok(ecrdt_backup(kit(0), kit_path(2)));
    kit_expect(2, "k", "v");
    assert_true(ecrdt_backup(kit(0), path_join(kit_dir, "no/such")) < 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(digests_are_of_the_content),
        kit_test(a_bucket_is_part_of_the_digest),
        kit_test(settled_means_one_clock),
        kit_test(statistics_count),
        kit_test(statistics_may_grow),
        kit_test(a_node_has_an_id),
        kit_test(a_backup_is_a_replica_of_its_own),
        kit_test(two_backups_are_two_replicas),
        kit_test(a_backup_needs_an_empty_folder),
    };
    return TEST_RUN(tests);
}
