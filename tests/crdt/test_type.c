/* test_type.c: the table of types, payloads, and what of them is accepted. */
#include "crdt/type.h"
#include "tests/support/test.h"

static void rows_are_distinct(void **state) {
    (void)state;
    const struct type *ty;
    size_t n = 0;
    for (; (ty = type_at(n)); n++) {
        assert_ptr_equal(type_of_tag(ty->tag), ty);
        assert_ptr_equal(type_of_pub(ty->pub), ty);
        assert_true(ty->name && ty->check && ty->read);
        assert_true(ty->head_tag < ty->tag); /* a head stands before */
        assert_null(ty->head_tag ? type_of_tag(ty->head_tag) : NULL);
        assert_true(ty->live_kind != KIND_TOMB);
    }
    assert_int_equal(n, 3);
    assert_null(type_at(SIZE_MAX));
    assert_null(type_of_tag(0));
    assert_null(type_of_pub(ECRDT_ANY));
}

static void payloads_split_as_made(void **state) {
    (void)state;
    struct buf b = {0};
    slice key = slice_str("the key"), elem = slice_str(""),
          value = slice_str("value");
    for (int i = 0; i < 4; i++) {
        struct item_shape shape = {i & 1, i & 2};
        struct payload p;
        payload_make(&b, shape, key, elem, value);
        assert_true(payload_split(shape, buf_slice(&b), &p));
        assert_slice_equal(p.value, value);
        assert_slice_equal(p.key, i & 1 ? key : slice_of(NULL, 0));
        assert_slice_equal(p.elem, i & 2 ? elem : slice_of(NULL, 0));
        for (size_t n = 0; i && n < b.len - value.len; n++)
            assert_false(payload_split(shape, slice_of(b.data, n), &p));
    }
    static const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff, 0xff,
                                   0xff, 0xff, 0xff, 0xff, 1};
    struct payload p;
    assert_false(payload_split((struct item_shape){true, false},
                               slice_of(huge, sizeof huge), &p));
    buf_free(&b);
}

static bool valid(struct item_key *k, int kind, slice payload) {
    struct item_parts p;
    struct event e = {.kind = (uint8_t)kind,
                      .payload = payload.data,
                      .len = (uint32_t)payload.len};
    assert_true(item_id_parse(item_key_id(k), &p));
    return payload_valid(item_key_id(k), &p, &e);
}

/* Each tag with each kind; a tomb is empty. */
static void kinds_fit_their_type(void **state) {
    (void)state;
    const struct type *ty;
    slice none = slice_of(NULL, 0);
    static const uint8_t zero[4] = {0};
    for (size_t i = 0; (ty = type_at(i)); i++) {
        struct item_key k;
        uint8_t origin[ORIGIN_SIZE] = {0};
        item_key_make(&k, 0, slice_str("k"), ty->tag);
        if (ty->tag == TAG_ENTRY)
            item_key_origin(&k, origin);
        slice good = ty->tag == TAG_ENTRY ? slice_of(zero, 4) : none;
        int marks = ty->tag == TAG_ENTRY ? KIND_MARKS : KIND_MERGED;
        for (int kind = 0; kind < 256; kind++)
            assert_int_equal(valid(&k, kind, good),
                             (kind & ~marks) == ty->live_kind ||
                                 (kind == KIND_TOMB && !good.len));
        assert_true(valid(&k, KIND_TOMB, none));
        assert_false(valid(&k, KIND_TOMB, slice_of(zero, 1)));
    }
}

static void values_have_limits(void **state) {
    (void)state;
    struct item_key k;
    uint8_t *big = calloc(1, ECRDT_MAX_VALUE + 1);
    assert_non_null(big);
    item_key_make(&k, 0, slice_str("k"), TAG_REGISTER);
    assert_true(valid(&k, KIND_PUT, slice_of(big, ECRDT_MAX_VALUE)));
    assert_false(valid(&k, KIND_PUT, slice_of(big, ECRDT_MAX_VALUE + 1)));
    item_key_retag(&k, TAG_ELEMENT);
    assert_true(valid(&k, KIND_PUT, slice_of(big, 0)));
    assert_false(valid(&k, KIND_PUT, slice_of(big, 1)));
    free(big);
}

/* What was hashed must come whole and be what was hashed. */
static void hashed_names_are_checked(void **state) {
    (void)state;
    uint8_t key[300], elem[200];
    struct buf b = {0};
    struct item_key k;
    memset(key, 'k', sizeof key);
    memset(elem, 'e', sizeof elem);
    slice ks = slice_of(key, 300), es = slice_of(elem, 200),
          none = slice_of(NULL, 0);
    item_key_make(&k, 0, ks, TAG_ELEMENT);
    item_key_element(&k, es);
    struct item_shape shape = item_key_shape(&k);
    payload_make(&b, shape, ks, es, none);
    assert_true(valid(&k, KIND_PUT, buf_slice(&b)));
    assert_false(valid(&k, KIND_PUT, none));
    for (size_t i = 0; i < b.len; i++) {
        b.data[i] ^= 1;
        assert_false(valid(&k, KIND_PUT, buf_slice(&b)));
        b.data[i] ^= 1;
    }
    payload_make(&b, shape, es, ks, none);
    assert_false(valid(&k, KIND_PUT, buf_slice(&b)));
    payload_make(&b, shape, ks, es, slice_str("x"));
    assert_false(valid(&k, KIND_PUT, buf_slice(&b)));
    buf_free(&b);
}

/* ---- counter values
 * ---------------------------------------------------------- */

static void counts_round_trip(void **state) {
    (void)state;
    static const uint64_t edges[] = {0, 1, 127, 128, INT64_MAX, UINT64_MAX};
    for (size_t i = 0; i < 6; i++)
        for (size_t k = 0; k < 6; k++) {
            struct count c = {edges[i], edges[k], edges[i] / 2, edges[k]}, d;
            uint8_t b[4 * VARINT_MAX];
            size_t n = count_encode(b, &c);
            assert_true(count_decode(slice_of(b, n), &d));
            assert_memory_equal(&c, &d, sizeof c);
            for (size_t cut = 0; cut < n; cut++)
                assert_false(count_decode(slice_of(b, cut), &d));
        }
}

static void counts_are_checked(void **state) {
    (void)state;
    static const struct {
        const char *hex;
        bool ok;
    } rows[] = {{"05 03 05 03", true},    {"05 03 06 03", false},
                {"05 03 05 04", false},   {"05 03 05 03 00", false},
                {"8000 03 00 00", false}, {"", false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t b[16];
        struct count c;
        slice s = slice_of(b, hex_decode(b, sizeof b, rows[i].hex));
        assert_int_equal(count_decode(s, &c), rows[i].ok);
        assert_int_equal(type_entry.check(s), rows[i].ok);
    }
}

static void an_entry_is_the_maximum_of_its_siblings(void **state) {
    (void)state;
    uint8_t b[2][4 * VARINT_MAX];
    struct count x = {10, 2, 3, 2}, y = {7, 9, 7, 0}, got;
    struct item it = {0};
    *item_add(&it) = (struct event){.origin = 1,
                                    .kind = KIND_COUNT,
                                    .payload = b[0],
                                    .len = (uint32_t)count_encode(b[0], &x)};
    *item_add(&it) = (struct event){.origin = 2, .kind = KIND_TOMB};
    *item_add(&it) = (struct event){.origin = 3,
                                    .kind = KIND_COUNT,
                                    .payload = b[1],
                                    .len = (uint32_t)count_encode(b[1], &y)};
    struct item_shape plain = {false, false};
    count_of(plain, &it, &got);
    assert_int_equal(got.inc, 10);
    assert_int_equal(got.dec, 9);
    assert_int_equal(got.finc, 7);
    assert_int_equal(got.fdec, 2);
    struct reading r;
    type_entry.read(plain, &it, &r);
    assert_int_equal(r.live, 1);
    assert_int_equal((int64_t)r.total, (10 - 7) - (9 - 2));
    item_free(&it);
}

static void reading_without_siblings_is_nothing(void **state) {
    (void)state;
    const struct type *ty;
    struct item none = {0};
    for (size_t i = 0; (ty = type_at(i)); i++) {
        struct reading r = {7, 7, 7};
        ty->read((struct item_shape){false, false}, &none, &r);
        assert_int_equal(r.live, 0);
        assert_int_equal((int)r.total, 0);
    }
}

int main(void) {
    if (crypto_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_distinct),
        cmocka_unit_test(payloads_split_as_made),
        cmocka_unit_test(kinds_fit_their_type),
        cmocka_unit_test(values_have_limits),
        cmocka_unit_test(hashed_names_are_checked),
        cmocka_unit_test(counts_round_trip),
        cmocka_unit_test(counts_are_checked),
        cmocka_unit_test(an_entry_is_the_maximum_of_its_siblings),
        cmocka_unit_test(reading_without_siblings_is_nothing),
    };
    return TEST_RUN(tests);
}
