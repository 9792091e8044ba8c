/* test_items.c: walks over items pass over the heads of counters. */
#include "crdt/items.h"
#include "tests/crdt/kit.h"

static void heads_are_told_from_items(void **state) {
    (void)state;
    static const size_t lens[] = {1, 7, 8, 9, 16, 256, 257, 1024};
    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        struct item_key k, e;
        slice key = kit_fill(lens[i], '/'); /* 0x2f, the tag of a head */
        item_key_make(&k, 0, key, TAG_COUNTER_HEAD);
        assert_true(item_id_is_head(item_key_id(&k)));
        item_key_retag(&k, TAG_REGISTER);
        assert_false(item_id_is_head(item_key_id(&k)));
        item_key_make(&e, 0, key, TAG_ELEMENT);
        item_key_element(&e, slice_str("/"));
        assert_false(item_id_is_head(item_key_id(&e)));
    }
    assert_false(item_id_is_head(slice_of(NULL, 0)));
    assert_false(item_id_is_head(slice_str("/")));
}

/* Counters of two entries each, so that heads lie among the items. */
static void walks_meet_items_alone(void **state) {
    (void)state;
    struct db_cursor *c;
    uint8_t from[BUCKET_PREFIX];
    size_t forth = 0, back = 0;
    for (size_t i = 0; i < 2; i++) {
        kit_count(i, "a", 1);
        kit_count(i, "b", 1);
    }
    kit_set(0, "r", "v");
    kit_pull(0, 1);
    ecrdt_txn *t = kit_read(0);
    struct bucket *bk = kit_bucket(t);
    assert_ok(db_cursor_open(t->db, DB_ITEMS, &c));
    item_key_prefix(from, bk->id);
    slice key = slice_of(from, sizeof from), rec;
    for (int rc = items_seek(c, &key, &rec); rc == 1; forth++) {
        assert_false(item_id_is_head(item_key_id_of(key)));
        rc = items_next(c, &key, &rec);
    }
    item_key_prefix(from, bk->id + 1);
    key = slice_of(from, sizeof from);
    for (; items_before(c, &key, &rec) == 1; back++)
        assert_false(item_id_is_head(item_key_id_of(key)));
    db_cursor_close(c);
    ecrdt_abort(t);
    assert_int_equal(forth, 5);
    assert_int_equal(back, 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(heads_are_told_from_items),
        kit_test(walks_meet_items_alone),
    };
    return TEST_RUN(tests);
}
