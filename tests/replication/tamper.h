/* tamper.h: damage to a store that no checksum shows, for tests of audits. */
#ifndef TESTS_REPLICATION_TAMPER_H
#define TESTS_REPLICATION_TAMPER_H
#include "crdt/door.h"
#include "tests/support/test.h"

/* The record of a register is gone, or its last byte is another one; nothing
 * else follows. */
static inline void tamper(ecrdt_store *s, const char *bucket, const char *key,
                          bool lose) {
    struct item_key k;
    struct bucket *bk;
    struct buf rec = {0};
    ecrdt_txn *t;
    slice v;
    assert_ok(replica_begin(s, true, 2000, &t));
    assert_code(1, door_item(t, bucket, false, TAG_REGISTER, ecrdt_str(key),
                             slice_of(NULL, 0), &bk, &k));
    assert_code(1, db_cursor_find(t->items, item_key_db(&k), &v));
    buf_put(&rec, v.data, v.len);
    rec.data[rec.len - 1] ^= 1;
    assert_ok(lose ? db_cursor_del(t->items)
                   : db_cursor_put(t->items, item_key_db(&k), &rec, true));
    assert_ok(ecrdt_commit(t));
    buf_free(&rec);
}
#endif
