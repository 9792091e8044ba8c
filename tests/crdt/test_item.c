/* test_item.c: records of items, names of events, digests. */
#include "crdt/item.h"
#include "tests/support/test.h"

static struct rng rng;
enum { SIBLINGS = 6 };

static uint8_t payload[300];

static void random_item(struct item *it, size_t n) {
    uint32_t origin = 0;
    it->n = 0;
    for (size_t i = 0; i < n; i++) {
        struct event *e = item_add(it);
        assert_non_null(e);
        origin += 1 + (uint32_t)(rng_magnitude(&rng) >> 35);
        e->origin = origin;
        e->seq = rng_magnitude(&rng) >> 1;
        e->hlc = rng_u64(&rng);
        e->kind = (uint8_t)(1 + rng_below(&rng, 3));
        e->payload = payload;
        e->len = e->kind == KIND_TOMB ? 0 : (uint32_t)rng_below(&rng, 300);
        e->arrival_ms = event_live(e) ? 0 : rng_magnitude(&rng);
    }
}

static void assert_same_event(const struct event *a, const struct event *b) {
    assert_int_equal(a->origin, b->origin);
    assert_int_equal(a->seq, b->seq);
    assert_int_equal(a->hlc, b->hlc);
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->arrival_ms, b->arrival_ms);
    assert_null(b->e16);
    assert_slice_equal(slice_of(a->payload, a->len),
                       slice_of(b->payload, b->len));
}

static void records_round_trip(void **state) {
    (void)state;
    struct item a = {0}, b = {0};
    struct buf rec = {0}, again = {0};
    rng_bytes(&rng, payload, sizeof payload);
    for (int round = 0; round < 500; round++) {
        random_item(&a, 1 + rng_below(&rng, SIBLINGS));
        buf_clear(&rec);
        buf_clear(&again);
        item_encode(&rec, &a);
        assert_ok(item_decode(&b, buf_slice(&rec)));
        assert_int_equal(a.n, b.n);
        struct event e;
        size_t at = 0;
        for (size_t i = 0; i < a.n; i++) {
            assert_same_event(&a.ev[i], &b.ev[i]);
            assert_code(1, item_walk(buf_slice(&rec), &at, &e));
            assert_same_event(&a.ev[i], &e);
            assert_false(b.ev[i].fresh);
        }
        assert_code(0, item_walk(buf_slice(&rec), &at, &e));
        item_encode(&again, &b);
        assert_slice_equal(buf_slice(&rec), buf_slice(&again));
    }
    item_free(&a);
    item_free(&b);
    buf_free(&rec);
    buf_free(&again);
}

/* What is told without decoding is what decoding tells: of one event with small
 * numbers, else nothing. */
static void plain_records_are_told(void **state) {
    (void)state;
    struct item it = {0};
    struct buf rec = {0};
    int plain = 0;
    for (int round = 0; round < 4000; round++) {
        random_item(&it, 1 + (round % 4 == 0));
        struct event *e = &it.ev[0];
        uint64_t small = rng_below(&rng, 16);
        e->kind = round % 3 ? e->kind : KIND_PUT;
        e->arrival_ms = event_live(e) ? 0 : e->arrival_ms;
        e->len = event_live(e) ? e->len : 0;
        e->origin = small & 1 ? 128 : 127;
        e->seq = small & 2 ? (uint64_t)INT32_MAX + 1 : INT32_MAX;
        e->hlc = (e->hlc & ~(uint64_t)UINT16_MAX) | (small & 4 ? 128 : 127);
        if (it.n > 1)
            it.ev[1].origin = 200;
        buf_clear(&rec);
        item_encode(&rec, &it);
        for (uint8_t kind = KIND_PUT; kind <= KIND_COUNT; kind++) {
            slice got = item_plain(buf_slice(&rec), kind);
            bool is = it.n == 1 && e->kind == kind && kind != KIND_TOMB &&
                      !(small & 7);
            assert_int_equal(got.data != NULL, is);
            if (is)
                assert_slice_equal(got, slice_of(e->payload, e->len));
            plain += is;
        }
        for (size_t n = 0; n < 13 && n < rec.len; n++)
            assert_null(item_plain(slice_of(rec.data, n), KIND_PUT).data);
    }
    assert_true(plain > 20);
    item_free(&it);
    buf_free(&rec);
}

static int decode_exact(struct item *it, const struct buf *rec, size_t n) {
    uint8_t *exact = malloc(n + 1); /* nothing is read past its end */
    assert_non_null(exact);
    memcpy(exact, rec->data, n);
    int rc = item_decode(it, slice_of(exact, n));
    free(exact);
    return rc;
}

/* Cut anywhere but in the last payload, whose end the checksum guards. */
static void cut_records_are_refused(void **state) {
    (void)state;
    struct item a = {0}, b = {0};
    struct buf rec = {0};
    for (int round = 0; round < 50; round++) {
        random_item(&a, 3);
        buf_clear(&rec);
        item_encode(&rec, &a);
        size_t whole = rec.len - a.ev[2].len, first = 0;
        struct event e;
        assert_code(1, item_walk(buf_slice(&rec), &first, &e));
        size_t second = first;
        assert_code(1, item_walk(buf_slice(&rec), &second, &e));
        for (size_t n = 0; n < whole; n++) {
            bool tomb = (n == first && !event_live(&a.ev[0])) ||
                        (n == second && !event_live(&a.ev[1]));
            assert_code(tomb ? 0 : ECRDT_ECORRUPT, decode_exact(&b, &rec, n));
        }
    }
    item_free(&a);
    item_free(&b);
    buf_free(&rec);
}

/* There is one way to write a record. */
static void other_forms_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *what;
        uint8_t b[20];
        size_t len;
        int rc;
    } forms[] = {
        {"one live event",
         {0x21, 1, 0, 0, 0, 7, 0, 0, 0, 0, 0, 9, 0, 'v'},
         14,
         0},
        {"a length at the end",
         {0x01, 1, 0, 0, 0, 7, 0, 0, 0, 0, 0, 9, 0, 1, 'v'},
         15,
         ECRDT_ECORRUPT},
        {"a tomb", {0x02, 1, 0, 0, 0, 7, 0, 0, 0, 0, 0, 9, 0, 5}, 14, 0},
        {"a tomb that says it is the last",
         {0x22, 1, 0, 0, 0, 7, 0, 0, 0, 0, 0, 9, 0, 5},
         14,
         ECRDT_ECORRUPT},
        {"a long form of a small number",
         {0x21, 1, 0x80, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 9, 0},
         17,
         ECRDT_ECORRUPT},
        {"a count of more than 16 bits",
         {0x21, 1, 0, 0, 0, 7, 0, 0, 0, 0, 0, 9, 0x80, 0x80, 4},
         15,
         ECRDT_ECORRUPT},
    };
    struct item it = {0};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        int rc = item_decode(&it, slice_of(forms[i].b, forms[i].len));
        if (rc != forms[i].rc)
            fail_msg("%s: %d", forms[i].what, rc);
    }
    item_free(&it);
}

static void siblings_are_found(void **state) {
    (void)state;
    struct item it = {0};
    assert_false(item_live(&it));
    *item_add(&it) = (struct event){.origin = 2, .seq = 7, .kind = KIND_TOMB};
    assert_false(item_live(&it));
    *item_add(&it) = (struct event){.origin = 5, .seq = 1, .kind = KIND_COUNT};
    assert_true(item_live(&it));
    assert_ptr_equal(item_of_origin(&it, 5), &it.ev[1]);
    assert_null(item_of_origin(&it, 3));
    struct event e = it.ev[0];
    assert_true(item_has(&it, &e));
    e.hlc++;
    assert_false(item_has(&it, &e));
    e = it.ev[0];
    e.seq++;
    assert_false(item_has(&it, &e));
    e = it.ev[0];
    e.origin = 5;
    assert_false(item_has(&it, &e));
    item_free(&it);
    assert_int_equal(it.n, 0);
}

/* By Python: blake2b(origin | >Q seq | >Q hlc | B kind | >H len | id |
 * payload, digest_size=16, person=b'ecrdt-event-1' padded with zeros,
 * salt=blake2b(b'bucket', digest_size=16)). */
static void names_are_as_specified(void **state) {
    (void)state;
    uint8_t salt[16], origin[16], id[10], want[16], got[16];
    struct buf scratch = {0};
    crypto_blake2b(salt, 16, slice_str("bucket"));
    for (uint8_t i = 0; i < 16; i++)
        origin[i] = i;
    hex_decode(id, sizeof id, "610000000000000001 10");
    struct event e = {.seq = 7,
                      .hlc = 0x0123456789abcdef,
                      .kind = KIND_PUT,
                      .payload = (const uint8_t *)"value",
                      .len = 5};
    assert_ok(event_e16(got, salt, origin, slice_of(id, 10), &e, &scratch));
    hex_decode(want, 16, "af1aa9e48a36e312caed0090fda10464");
    assert_memory_equal(got, want, 16);
    e.kind = KIND_TOMB;
    e.len = 0;
    e.payload = NULL;
    assert_ok(event_e16(got, salt, origin, slice_of(id, 10), &e, &scratch));
    hex_decode(want, 16, "4f446e053fb8e22aef1b3e251871ec0c");
    assert_memory_equal(got, want, 16);
    buf_free(&scratch);
}

/* Each field that goes into a name changes it. */
static void names_hold_every_field(void **state) {
    (void)state;
    uint8_t salt[2][16] = {{0}, {1}}, origin[2][16] = {{0}, {1}};
    struct event base = {.seq = 1,
                         .hlc = 2,
                         .kind = KIND_PUT,
                         .payload = (const uint8_t *)"ab",
                         .len = 1};
    uint8_t seen[9][16];
    struct buf s = {0};
    slice id = slice_str("x");
    struct event e[5] = {base, base, base, base, base};
    e[1].seq++;
    e[2].hlc++;
    e[3].kind = KIND_COUNT;
    e[4].len = 2;
    for (int i = 0; i < 5; i++)
        assert_ok(event_e16(seen[i], salt[0], origin[0], id, &e[i], &s));
    assert_ok(event_e16(seen[5], salt[1], origin[0], id, &base, &s));
    assert_ok(event_e16(seen[6], salt[0], origin[1], id, &base, &s));
    assert_ok(
        event_e16(seen[7], salt[0], origin[0], slice_str("y"), &base, &s));
    base.len = 0; /* id "xa" and no payload is not id "x", payload "a" */
    assert_ok(
        event_e16(seen[8], salt[0], origin[0], slice_str("xa"), &base, &s));
    for (int i = 0; i < 9; i++)
        for (int k = 0; k < i; k++)
            assert_memory_not_equal(seen[i], seen[k], 16);
    buf_free(&s);
}

static void digests_are_sums(void **state) {
    (void)state;
    uint8_t sum[16] = {0}, one[16] = {[15] = 1}, all[16], zero[16] = {0};
    memset(all, 0xff, 16);
    digest_add(sum, all);
    assert_memory_equal(sum, all, 16);
    digest_add(sum, one); /* wraps */
    assert_memory_equal(sum, zero, 16);
    digest_sub(sum, one);
    assert_memory_equal(sum, all, 16);
    uint8_t low[16] = {[8] = 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    uint8_t carried[16] = {[7] = 1};
    digest_add(low, one);
    assert_memory_equal(low, carried, 16);
    memset(sum, 0, 16);
    uint8_t e[8][16];
    for (int i = 0; i < 8; i++) {
        rng_bytes(&rng, e[i], 16);
        digest_add(sum, e[i]);
    }
    for (int i = 7; i >= 0; i--) /* in any order */
        digest_sub(sum, e[(i * 3) % 8]);
    assert_memory_equal(sum, zero, 16);
}

static void no_memory_is_told(void **state) {
    (void)state;
    struct item it = {0};
    struct buf s = {0};
    fault_alloc_at(1);
    assert_null(item_add(&it));
    assert_int_equal(it.n, 0);
    uint8_t out[16], id[16] = {0};
    struct event e = {.seq = 1, .kind = KIND_TOMB};
    fault_alloc_at(1);
    assert_code(ECRDT_ENOMEM, event_e16(out, id, id, slice_str("x"), &e, &s));
    fault_alloc_at(0);
    buf_free(&s);
}

/* Events in any order become siblings: one of each origin, its newest. */
static void sorting(void **state) {
    (void)state;
    struct item it = {0};
    for (int round = 0; round < 300; round++) {
        uint64_t newest[8] = {0};
        size_t n = rng_below(&rng, 40), origins = 0;
        it.n = 0;
        for (size_t i = 0; i < n; i++) {
            struct event *e = item_add(&it);
            e->origin = (uint32_t)rng_below(&rng, 8);
            e->seq = 1 + rng_below(&rng, 1000);
            if (e->seq > newest[e->origin])
                newest[e->origin] = e->seq;
        }
        item_sort(&it);
        for (uint32_t o = 0; o < 8; o++) {
            const struct event *e = item_of_origin(&it, o);
            assert_int_equal(e ? e->seq : 0, newest[o]);
            origins += newest[o] != 0;
        }
        assert_int_equal(it.n, origins);
        for (size_t i = 1; i < it.n; i++)
            assert_true(it.ev[i - 1].origin < it.ev[i].origin);
    }
    item_free(&it);
}

int main(void) {
    fault_alloc_install();
    if (crypto_init() < 0)
        return 1;
    rng = rng_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_round_trip),
        cmocka_unit_test(plain_records_are_told),
        cmocka_unit_test(sorting),
        cmocka_unit_test(cut_records_are_refused),
        cmocka_unit_test(other_forms_are_refused),
        cmocka_unit_test(siblings_are_found),
        cmocka_unit_test(names_are_as_specified),
        cmocka_unit_test(names_hold_every_field),
        cmocka_unit_test(digests_are_sums),
        cmocka_unit_test(no_memory_is_told),
    };
    return TEST_RUN(tests);
}
