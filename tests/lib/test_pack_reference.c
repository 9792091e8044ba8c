/* test_pack_reference.c: our msgpack beside the public test suite and
 * msgpack-c. */
#include "tests/support/packed.h"
#include "tests/support/test.h"
#include <jansson.h>
#include <msgpack.h>
#include <string.h>

/* ---- the public test suite ---- */

static struct { int values, encodings, accepted; } seen;

/* One value of the suite: of all its encodings, ours is the one we take. */
static void check_value(json_t *row) {
    json_t *encoding;
    size_t i;
    int accepted = 0;
    bool subset = false;
    json_array_foreach(json_object_get(row, "msgpack"), i, encoding) {
        struct buf b = packed_from_hex(json_string_value(encoding)), ours = {0};
        bool known = packed_reference(&ours, buf_slice(&b));
        bool same = known && slice_eq(buf_slice(&ours), buf_slice(&b));
        assert_int_equal(packed_canonical(buf_slice(&b)), same);
        subset |= known;
        accepted += same;
        seen.encodings++;
        buf_free(&b);
        buf_free(&ours);
    }
    assert_int_equal(accepted, subset);
    seen.values++;
    seen.accepted += accepted;
}

static void test_suite(void **state) {
    (void)state;
    json_error_t e;
    json_t *groups =
        json_load_file("tests/vectors/msgpack/msgpack-test-suite.json", 0, &e);
    assert_non_null(groups);
    const char *name;
    json_t *group, *row;
    size_t i;
    json_object_foreach(groups, name, group) json_array_foreach(group, i, row)
        check_value(row);
    json_decref(groups);
    print_message("# %d values, %d encodings, %d accepted\n", seen.values,
                  seen.encodings, seen.accepted);
    assert_int_equal(seen.values, 85);
}

/* ---- beside msgpack-c ---- */

/* The same random value through both writers. */
static void write_both(struct rng *r, unsigned depth, struct buf *b,
                       msgpack_packer *pk) {
    static uint8_t blob[70000];
    uint64_t v = rng_magnitude(r);
    switch (rng_below(r, depth < PACK_DEPTH ? 6 : 4)) {
    case 0:
        pack_nil(b);
        msgpack_pack_nil(pk);
        return;
    case 1:
        pack_bool(b, v & 1);
        v & 1 ? msgpack_pack_true(pk) : msgpack_pack_false(pk);
        return;
    case 2:
        pack_uint(b, v);
        msgpack_pack_uint64(pk, v);
        return;
    case 3:
        v = v % (rng_below(r, 50) ? 300 : sizeof blob);
        rng_bytes(r, blob, v);
        pack_bin(b, slice_of(blob, v));
        msgpack_pack_bin(pk, v);
        msgpack_pack_bin_body(pk, blob, v);
        return;
    default:
        v %= 20;
        pack_array(b, (uint32_t)v);
        msgpack_pack_array(pk, v);
        while (v--)
            write_both(r, depth + 1, b, pk);
    }
}

static void random_values_round_trip(void **state) {
    (void)state;
    struct rng r = rng_seed();
    for (int i = 0; i < 1000; i++) {
        struct buf ours = {0};
        msgpack_sbuffer theirs;
        msgpack_packer pk;
        msgpack_sbuffer_init(&theirs);
        msgpack_packer_init(&pk, &theirs, msgpack_sbuffer_write);
        write_both(&r, 7, &ours, &pk);
        if (ours.len < 4096)
            write_both(&r, 6, &ours, &pk), pack_nil(&ours),
                msgpack_pack_nil(&pk);
        assert_slice_equal(buf_slice(&ours),
                           slice_of(theirs.data, theirs.size));
        struct unpack u;
        unpack_init(&u, buf_slice(&ours));
        struct buf again = {0};
        while (!u.err && u.p < u.end)
            packed_transcode(&u, &again);
        assert_int_equal(unpack_end(&u), 0);
        assert_slice_equal(buf_slice(&again), buf_slice(&ours));
        buf_free(&again);
        buf_free(&ours);
        msgpack_sbuffer_destroy(&theirs);
    }
}

/* Damaged messages: we accept exactly those that are our writer's form of
 * what msgpack-c reads from them. */
static void damage_never_passes_as_something_else(void **state) {
    (void)state;
    struct rng r = rng_seed();
    int accepted = 0, refused = 0;
    for (int i = 0; i < 50000; i++) {
        struct buf b = {0}, theirs = {0};
        packed_message(&b);
        for (uint64_t k = 1 + rng_below(&r, 3); k--;)
            b.data[rng_below(&r, b.len)] = (uint8_t)rng_u64(&r);
        if (rng_below(&r, 4) == 0)
            b.len = rng_below(&r, b.len);
        bool taken = packed_canonical(buf_slice(&b));
        /* msgpack-c would allocate by these 32-bit counts */
        bool huge = memchr(b.data, 0xdd, b.len) || memchr(b.data, 0xdf, b.len);
        if (taken || !huge) {
            bool known = packed_reference(&theirs, buf_slice(&b));
            bool same = known && slice_eq(buf_slice(&theirs), buf_slice(&b));
            assert_int_equal(taken, same);
        }
        taken ? accepted++ : refused++;
        buf_free(&b);
        buf_free(&theirs);
    }
    assert_true(accepted > 1000 && refused > 1000);
}

int main(void) {
    fault_alloc_install();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_suite),
        cmocka_unit_test(random_values_round_trip),
        cmocka_unit_test(damage_never_passes_as_something_else),
    };
    return TEST_RUN(tests);
}
