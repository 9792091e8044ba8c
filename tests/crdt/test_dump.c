/* test_dump.c: the msgpack dump, read back with msgpack-c. */
#include "crdt/dump.h"
#include "tests/support/test.h"
#include <msgpack.h>

struct bytes {
    char data[1 << 20];
    size_t len;
    size_t pieces, stop_at;
};

static int append(void *ctx, const void *data, size_t len) {
    struct bytes *b = ctx;
    assert_true(len > 0 && len <= sizeof b->data - b->len);
    memcpy(b->data + b->len, data, len);
    b->len += len;
    return ++b->pieces == b->stop_at;
}

static struct bytes dumped;

static void dump(ecrdt_store *s) {
    memset(&dumped, 0, sizeof dumped);
    assert_ok(dump_store(s, append, &dumped));
}

/* Field number i of a map must have this name. */
static msgpack_object field(const msgpack_object *o, unsigned i,
                            const char *name) {
    assert_int_equal(o->type, MSGPACK_OBJECT_MAP);
    assert_true(i < o->via.map.size);
    msgpack_object_kv kv = o->via.map.ptr[i];
    assert_int_equal(kv.key.type, MSGPACK_OBJECT_STR);
    assert_slice_equal(slice_of(kv.key.via.str.ptr, kv.key.via.str.size),
                       slice_str(name));
    return kv.val;
}

static void assert_str(msgpack_object o, const char *want) {
    assert_int_equal(o.type, MSGPACK_OBJECT_STR);
    assert_slice_equal(slice_of(o.via.str.ptr, o.via.str.size),
                       slice_str(want));
}

static void assert_bin(msgpack_object o, slice want) {
    assert_int_equal(o.type, MSGPACK_OBJECT_BIN);
    assert_slice_equal(slice_of(o.via.bin.ptr, o.via.bin.size), want);
}

/* The next map of the dump, with its first three fields checked. */
static msgpack_object next(msgpack_unpacked *u, size_t *at, const char *bucket,
                           const char *type, const char *key) {
    assert_int_equal(msgpack_unpack_next(u, dumped.data, dumped.len, at),
                     MSGPACK_UNPACK_SUCCESS);
    assert_str(field(&u->data, 0, "bucket"), bucket);
    assert_str(field(&u->data, 1, "type"), type);
    assert_bin(field(&u->data, 2, "key"), slice_str(key));
    assert_int_equal(u->data.via.map.size, 4);
    return u->data;
}

/* The store of each test: an empty one. */
static char *folder;
static ecrdt_store *s;

static int open_one(void **state) {
    (void)state;
    folder = tmpdir_make();
    s = ecrdt_open(path_join(folder, "s"), NULL);
    return !s;
}

static int close_one(void **state) {
    (void)state;
    int rc = ecrdt_close(s);
    tmpdir_remove(folder);
    return rc;
}

static void an_empty_store_dumps_nothing(void **state) {
    (void)state;
    dump(s);
    assert_int_equal(dumped.len, 0);
}

static void every_type_comes_back(void **state) {
    (void)state;
    msgpack_unpacked u;
    size_t at = 0;
    slice bin = slice_of("\0\xff", 2);
    ecrdt_txn *t = ecrdt_auto(s);
    assert_ok(ecrdt_reg_set(t, "b", slice_str("r"), bin));
    assert_code(1, ecrdt_set_add(t, "b", slice_str("s"), bin));
    assert_code(1, ecrdt_set_add(t, "b", slice_str("s"), slice_str("")));
    assert_ok(ecrdt_counter_add(t, "b", slice_str("t"), INT64_MIN, NULL));
    assert_ok(ecrdt_counter_add(t, "c", slice_str("t"), 5, NULL));
    assert_ok(ecrdt_reg_set(t, "c", slice_str("gone"), bin));
    assert_code(1, ecrdt_reg_del(t, "c", slice_str("gone")));
    ecrdt_abort(t);
    dump(s);
    msgpack_unpacked_init(&u);
    msgpack_object o = next(&u, &at, "b", "register", "r");
    msgpack_object v = field(&o, 3, "values");
    assert_int_equal(v.via.array.size, 1);
    assert_bin(field(&v.via.array.ptr[0], 0, "value"), bin);
    assert_int_equal(field(&v.via.array.ptr[0], 1, "by").via.bin.size, 16);
    assert_true(field(&v.via.array.ptr[0], 2, "wall_ms").via.u64 > 1 << 30);
    (void)field(&v.via.array.ptr[0], 3, "logical");
    o = next(&u, &at, "b", "set", "s");
    v = field(&o, 3, "elements");
    assert_int_equal(v.via.array.size, 2);
    assert_bin(v.via.array.ptr[0], slice_str(""));
    assert_bin(v.via.array.ptr[1], bin);
    o = next(&u, &at, "b", "counter", "t");
    assert_int_equal(field(&o, 3, "value").via.i64, INT64_MIN);
    o = next(&u, &at, "c", "counter", "t");
    assert_int_equal(field(&o, 3, "value").via.u64, 5);
    assert_int_equal(at, dumped.len);
    msgpack_unpacked_destroy(&u);
}

/* Values larger than a piece pass through whole. */
static void large_values_pass(void **state) {
    (void)state;
    static char big[300000];
    msgpack_unpacked u;
    size_t at = 0;
    memset(big, 'x', sizeof big);
    ecrdt_txn *t = ecrdt_auto(s);
    assert_ok(
        ecrdt_reg_set(t, "b", slice_str("big"), slice_of(big, sizeof big)));
    ecrdt_abort(t);
    dump(s);
    msgpack_unpacked_init(&u);
    msgpack_object o = next(&u, &at, "b", "register", "big");
    msgpack_object v = field(&o, 3, "values");
    assert_bin(field(&v.via.array.ptr[0], 0, "value"),
               slice_of(big, sizeof big));
    msgpack_unpacked_destroy(&u);
}

static void the_sink_can_stop_it(void **state) {
    (void)state;
    static char big[20000];
    ecrdt_txn *t = ecrdt_auto(s);
    for (int i = 0; i < 4; i++) {
        char key[2] = {(char)('a' + i), 0};
        assert_ok(
            ecrdt_reg_set(t, "b", slice_str(key), slice_of(big, sizeof big)));
    }
    ecrdt_abort(t);
    for (size_t at = 1; at <= 4; at++) {
        memset(&dumped, 0, sizeof dumped);
        dumped.stop_at = at;
        assert_code(ECRDT_ECANCELED, dump_store(s, append, &dumped));
        assert_int_equal(dumped.pieces, at);
    }
}

static void a_null_store_is_refused(void **state) {
    (void)state;
    assert_true(dump_store(NULL, append, &dumped) < 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_empty_store_dumps_nothing, open_one,
                                        close_one),
        cmocka_unit_test_setup_teardown(every_type_comes_back, open_one,
                                        close_one),
        cmocka_unit_test_setup_teardown(large_values_pass, open_one, close_one),
        cmocka_unit_test_setup_teardown(the_sink_can_stop_it, open_one,
                                        close_one),
        cmocka_unit_test(a_null_store_is_refused),
    };
    return TEST_RUN(tests);
}
