/* test_chunk_codec.c: chunks to bytes and back; what is malformed is refused
 * whole. */
#include "crdt/chunk_codec.h"
#include "tests/crdt/forge.h"

static struct buf bytes;

static int decode(slice s) {
    struct chunk c = {0};
    uint8_t *exact = malloc(s.len + 1); /* sanitizers see a step too far */
    assert_non_null(exact);
    memcpy(exact, s.data, s.len);
    int rc = chunk_decode(slice_of(exact, s.len), &c);
    chunk_free(&c);
    free(exact);
    return rc;
}

/* Encodes c, frees it, decodes: must give want. */
static void assert_decodes(int want, struct chunk *c) {
    forge_end(c, &bytes);
    assert_code(want, decode(buf_slice(&bytes)));
}

/* Two parts, three origins, siblings, known payloads, hashed ids. */
static void rich(struct chunk *c) {
    static struct item_key k;
    static struct buf payload;
    forge_begin(c);
    c->bulk = true;
    assert_ok(vv_raise(&c->floor, forge_origin(9), 4, 0));
    struct chunk_part *p = forge_part(c);
    forge_bounds(p, slice_of(NULL, 0), slice_str("c"));
    assert_ok(vv_raise(&p->base, forge_origin(1), 3, 33));
    assert_ok(vv_raise(&p->clk, forge_origin(1), 5, 55));
    assert_ok(vv_raise(&p->clk, forge_origin(2), UINT32_MAX, 1));
    forge_item(c, forge_id("aa"));
    forge_event(c, forge_origin(1), 3, NULL)->payload = NULL; /* known */
    forge_event(c, forge_origin(2), 1, "value");
    forge_item(c, forge_id("aab"));
    forge_event(c, forge_origin(2), UINT32_MAX, NULL); /* a tomb */
    p = forge_part(c);
    forge_bounds(p, slice_str("d"), slice_of(NULL, 0));
    p->complete = true;
    assert_ok(vv_raise(&p->clk, forge_origin(3), INT64_MAX, 7));
    slice key = kit_fill(1024, 'k'), elem = kit_fill(65536, 'e');
    item_key_make(&k, 0, key, TAG_ELEMENT);
    item_key_element(&k, elem);
    payload_make(&payload, item_key_shape(&k), key, elem, slice_of(NULL, 0));
    forge_item(c, item_key_id(&k));
    struct event *e = forge_event(c, forge_origin(3), INT64_MAX, "");
    e->payload = payload.data;
    e->len = (uint32_t)payload.len;
    e->hlc = hlc_make((UINT64_C(1) << 48) - 1, 0xffff);
}

static void chunks_round_trip(void **state) {
    (void)state;
    struct chunk a, b = {0};
    struct buf again = {0};
    rich(&a);
    buf_clear(&bytes);
    chunk_encode(&bytes, &a);
    assert_ok(bytes.err);
    assert_ok(chunk_decode(buf_slice(&bytes), &b));
    assert_slice_equal(b.bucket, a.bucket);
    assert_true(vv_eq(&a.floor, &b.floor) && b.bulk);
    assert_int_equal(b.n_parts, 2);
    assert_int_equal(b.n_origins, 3);
    assert_int_equal(b.n_items, 3);
    assert_int_equal(b.n_events, 4);
    for (size_t i = 0; i < 2; i++) {
        const struct chunk_part *p = &a.parts[i], *q = &b.parts[i];
        assert_slice_equal(item_id_slice(&p->lo), item_id_slice(&q->lo));
        assert_int_equal(p->bounded, q->bounded);
        assert_int_equal(p->complete, q->complete);
        assert_true(vv_eq(&p->base, &q->base) && vv_eq(&p->clk, &q->clk));
        assert_int_equal(p->first, q->first);
        assert_int_equal(p->count, q->count);
    }
    for (size_t i = 0; i < 3; i++) {
        struct item_parts parts;
        assert_slice_equal(a.items[i].id, b.items[i].id);
        assert_int_equal(a.items[i].count, b.items[i].count);
        assert_true(item_id_parse(b.items[i].id, &parts));
        assert_int_equal(b.items[i].k_len, parts.k_len);
    }
    for (size_t i = 0; i < 4; i++) {
        const struct event *e = &a.events[i], *f = &b.events[i];
        assert_memory_equal(a.origins[e->origin], b.origins[f->origin], 16);
        assert_int_equal(e->seq, f->seq);
        assert_int_equal(e->hlc, f->hlc);
        assert_int_equal(e->kind, f->kind);
        assert_int_equal(!e->payload, !f->payload);
        assert_slice_equal(slice_of(e->payload, e->len),
                           slice_of(f->payload, f->len));
    }
    chunk_encode(&again, &b);
    assert_slice_equal(buf_slice(&bytes), buf_slice(&again));
    chunk_free(&a);
    chunk_free(&b);
    buf_free(&again);
}

/* An origin of number 2^32 is not that of number 0. */
static void an_origin_has_one_number(void **state) {
    static const uint8_t far[] = {0xcf, 0, 0, 0, 1, 0, 0, 0, 0};
    struct buf longer = {0};
    struct chunk c;
    size_t at = 0;
    (void)state;
    forge_put(&c, 1, 1, "k", "v");
    struct item_key k;
    item_key_make(&k, 0, slice_str("k"), TAG_REGISTER);
    slice id = item_key_id(&k);
    forge_end(&c, &bytes);
    while (memcmp(bytes.data + at, id.data, id.len) != 0)
        assert_true(++at + id.len < bytes.len);
    at += id.len; /* the event begins with it */
    assert_int_equal(bytes.data[at], 0);
    buf_put(&longer, bytes.data, at);
    buf_put(&longer, far, sizeof far);
    buf_put(&longer, bytes.data + at + 1, bytes.len - at - 1);
    assert_ok(decode(buf_slice(&bytes)));
    assert_code(ECRDT_ECORRUPT, decode(buf_slice(&longer)));
    buf_free(&longer);
}

static void a_cut_chunk_is_refused(void **state) {
    (void)state;
    struct chunk c;
    rich(&c);
    forge_end(&c, &bytes);
    assert_ok(decode(buf_slice(&bytes)));
    for (size_t n = 0; n < bytes.len; n += n < 1000 ? 1 : 997)
        assert_code(ECRDT_ECORRUPT, decode(slice_of(bytes.data, n)));
    uint8_t more = 0xc0;
    buf_put(&bytes, &more, 1);
    assert_code(ECRDT_ECORRUPT, decode(buf_slice(&bytes)));
}

/* No flipped byte may crash it, or read past the end. */
static void a_flipped_byte_does_no_harm(void **state) {
    (void)state;
    struct chunk c;
    unsigned refused = 0, total = 0;
    rich(&c);
    forge_end(&c, &bytes);
    for (size_t i = 0; i < bytes.len; i += i < 700 ? 1 : 5003)
        for (unsigned bit = 0; bit < 8; bit++, total++) {
            bytes.data[i] ^= (uint8_t)(1 << bit);
            int rc = decode(buf_slice(&bytes));
            assert_true(rc == 0 || rc == ECRDT_ECORRUPT ||
                        rc == ECRDT_EVERSION);
            refused += rc != 0;
            bytes.data[i] ^= (uint8_t)(1 << bit);
        }
    assert_true(refused > total / 3);
}

static void versions_and_names(void **state) {
    (void)state;
    struct chunk c;
    forge_put(&c, 1, 1, "k", "v");
    forge_end(&c, &bytes);
    bytes.data[1] = 3; /* [2, ...] */
    assert_code(ECRDT_EVERSION, decode(buf_slice(&bytes)));
    assert_true(strstr(ecrdt_errmsg(), "format 3") != NULL);
    static const struct {
        size_t len;
        int rc;
    } names[] = {{0, ECRDT_ECORRUPT}, {1, 0}, {64, 0}, {65, ECRDT_ECORRUPT}};
    for (size_t i = 0; i < 4; i++) {
        forge_put(&c, 1, 1, "k", "v");
        c.bucket = kit_fill(names[i].len, 'n');
        assert_decodes(names[i].rc, &c);
    }
    forge_put(&c, 1, 1, "k", "v");
    c.bucket = slice_of("a\0b", 3);
    assert_decodes(ECRDT_ECORRUPT, &c);
}

static void dots_lie_within_the_clock(void **state) {
    (void)state;
    struct chunk c;
    forge_put(&c, 1, 5, "k", "v");
    c.events[0].seq = 6;
    assert_decodes(ECRDT_ECORRUPT, &c);
    forge_put(&c, 1, 5, "k", "v");
    c.events[0].seq = 4; /* below is fine */
    assert_decodes(0, &c);
    forge_put(&c, 1, 5, "k", "v");
    c.events[0].seq = 0;
    assert_decodes(ECRDT_ECORRUPT, &c);
    forge_put(&c, 1, INT64_MAX, "k", "v");
    assert_decodes(0, &c);
    forge_put(&c, 1, (uint64_t)INT64_MAX + 1, "k", "v");
    assert_decodes(ECRDT_ECORRUPT, &c);
    forge_put(&c, 1, 1, "k", "v");
    forge_add_origin(&c, forge_origin(2)); /* unused: allowed */
    assert_decodes(0, &c);
}

/* Without its payload an event must be known to the receiver. */
static void payloads_are_there_or_known(void **state) {
    (void)state;
    struct chunk c;
    forge_put(&c, 1, 5, "k", "v");
    c.events[0].payload = NULL;
    assert_decodes(ECRDT_ECORRUPT, &c);
    forge_put(&c, 1, 5, "k", "v");
    c.events[0].payload = NULL;
    assert_ok(vv_raise(&c.parts[0].base, forge_origin(1), 5, 5));
    assert_decodes(0, &c);
    forge_put(&c, 1, 5, "k", NULL); /* a tomb has an empty one */
    assert_decodes(0, &c);
    forge_put(&c, 1, 5, "k", "v");
    c.events[0].kind = KIND_TOMB;
    assert_decodes(ECRDT_ECORRUPT, &c);
    forge_put(&c, 1, 5, "k", "v");
    c.events[0].kind = KIND_COUNT; /* not a register's */
    assert_decodes(ECRDT_ECORRUPT, &c);
    forge_put(&c, 1, 5, "k", "v");
    c.events[0].payload = kit_fill(ECRDT_MAX_VALUE, 'v').data;
    c.events[0].len = ECRDT_MAX_VALUE;
    assert_decodes(0, &c);
    forge_put(&c, 1, 5, "k", "v");
    c.events[0].payload = kit_fill(ECRDT_MAX_VALUE + 1, 'v').data;
    c.events[0].len = ECRDT_MAX_VALUE + 1;
    assert_decodes(ECRDT_ECORRUPT, &c);
}

static void times_have_48_and_16_bits(void **state) {
    (void)state;
    struct chunk c;
    forge_put(&c, 1, 1, "k", "v");
    c.events[0].hlc = UINT64_MAX;
    assert_decodes(0, &c);
    /* One millisecond past the end, made of base and offset. */
    struct chunk two;
    forge_put(&two, 1, 2, "a", "v");
    two.events[0].hlc = hlc_make(1, 0);
    forge_item(&two, forge_id("b"));
    forge_event(&two, forge_origin(1), 1, "w")->hlc = UINT64_MAX;
    assert_decodes(0, &two);
    for (size_t i = 0; i + 9 < bytes.len; i++)
        if (bytes.data[i] == 0xcf &&
            load64(bytes.data + i + 1) == (UINT64_C(1) << 48) - 2) {
            store64(bytes.data + i + 1, (UINT64_C(1) << 48) - 1);
            assert_code(ECRDT_ECORRUPT, decode(buf_slice(&bytes)));
            store64(bytes.data + i + 1, UINT64_MAX); /* would wrap */
            assert_code(ECRDT_ECORRUPT, decode(buf_slice(&bytes)));
            return;
        }
    fail_msg("the offset was not found");
}

static void items_are_sorted_inside_their_part(void **state) {
    (void)state;
    struct chunk c;
    for (int i = 0; i < 3; i++) { /* b after a; a twice; a after b */
        forge_put(&c, 1, 9, i == 2 ? "b" : "a", "v");
        forge_item(&c, forge_id(i == 0 ? "b" : "a"));
        forge_event(&c, forge_origin(1), 8, "w");
        assert_decodes(i ? ECRDT_ECORRUPT : 0, &c);
    }
    static const struct {
        const char *lo, *hi;
        int rc;
    } rows[] = {{"a", "c", 0},
                {"b", "c", 0},
                {"c", "d", ECRDT_ECORRUPT},
                {"a", "b", ECRDT_ECORRUPT},
                {"c", "a", ECRDT_ECORRUPT}};
    for (size_t i = 0; i < 5; i++) {
        forge_put(&c, 1, 9, "b", "v");
        forge_bounds(&c.parts[0], forge_id(rows[i].lo), forge_id(rows[i].hi));
        assert_decodes(rows[i].rc, &c);
    }
    forge_put(&c, 1, 9, "b", "v");
    forge_bounds(&c.parts[0], forge_id("b"), forge_id("b")); /* empty part */
    assert_decodes(ECRDT_ECORRUPT, &c);
    forge_put(&c, 1, 9, "b", "v");
    c.items[0].id = slice_str("no id");
    assert_decodes(ECRDT_ECORRUPT, &c);
    struct item_key head;
    forge_put(&c, 1, 9, "b", "v");
    item_key_make(&head, 0, slice_str("b"), TAG_SET_HEAD); /* local */
    c.items[0].id = item_key_id(&head);
    assert_decodes(ECRDT_ECORRUPT, &c);
}

static void siblings_are_one_of_an_origin(void **state) {
    (void)state;
    struct chunk c;
    forge_put(&c, 1, 9, "b", "v");
    forge_event(&c, forge_origin(1), 8, "w");
    assert_decodes(ECRDT_ECORRUPT, &c);
    forge_put(&c, 1, 9, "b", "v");
    c.items[0].count = 0; /* an item without siblings */
    assert_decodes(ECRDT_ECORRUPT, &c);
}

static void parts_do_not_overlap(void **state) {
    (void)state;
    static const struct {
        const char *lo1, *hi1, *lo2, *hi2;
        int rc;
    } rows[] = {{"a", "b", "b", "c", 0},
                {"a", "b", "c", "", 0},
                {"a", "c", "b", "d", ECRDT_ECORRUPT},
                {"a", "", "b", "c", ECRDT_ECORRUPT},
                {"c", "d", "a", "b", ECRDT_ECORRUPT}};
    for (size_t i = 0; i < 5; i++) {
        struct chunk c;
        forge_begin(&c);
        forge_bounds(forge_part(&c), slice_str(rows[i].lo1),
                     slice_str(rows[i].hi1));
        forge_bounds(forge_part(&c), slice_str(rows[i].lo2),
                     slice_str(rows[i].hi2));
        assert_decodes(rows[i].rc, &c);
    }
}

static void many_parts(struct chunk *c, size_t n) {
    static uint8_t lo[CHUNK_MAX_PARTS + 2][4];
    forge_begin(c);
    for (size_t i = 0; i < n; i++) {
        store32(lo[i], (uint32_t)i + 1);
        store32(lo[i + 1], (uint32_t)i + 2);
        forge_bounds(forge_part(c), slice_of(lo[i], 4), slice_of(lo[i + 1], 4));
    }
}

static void many_items(struct chunk *c, size_t n) {
    static uint8_t id[CHUNK_MAX_ITEMS + 1][10];
    forge_begin(c);
    assert_ok(vv_raise(&forge_part(c)->clk, forge_origin(1), 1, 1));
    for (size_t i = 0; i < n; i++) {
        store32(id[i], (uint32_t)i);
        id[i][8] = 8;
        id[i][9] = TAG_REGISTER;
        forge_item(c, slice_of(id[i], 10));
        forge_event(c, forge_origin(1), 1, NULL);
    }
}

static void many_origins(struct chunk *c, size_t n) {
    forge_begin(c);
    forge_part(c);
    assert_ok(alloc_grow(&c->origins, &c->cap_origins, n, ORIGIN_SIZE));
    for (; c->n_origins < n; c->n_origins++) {
        memset(c->origins[c->n_origins], 0, ORIGIN_SIZE);
        store32(c->origins[c->n_origins], (uint32_t)c->n_origins);
    }
}

static void counts_are_bounded(void **state) {
    (void)state;
    static void (*const make[])(struct chunk *, size_t) = {
        many_parts, many_items, many_origins};
    static const size_t limits[] = {CHUNK_MAX_PARTS, CHUNK_MAX_ITEMS,
                                    CHUNK_MAX_ORIGINS};
    for (size_t i = 0; i < 3; i++) {
        struct chunk c;
        make[i](&c, limits[i]);
        assert_decodes(0, &c);
        make[i](&c, limits[i] + 1);
        assert_decodes(ECRDT_ECORRUPT, &c);
    }
}

/* So many siblings over the items of a chunk, not one more. */
static void events_are_bounded(void **state) {
    (void)state;
    enum { EACH = 4096, ITEMS = CHUNK_MAX_EVENTS / EACH };
    for (int over = 0; over < 2; over++) {
        struct chunk c;
        many_origins(&c, EACH);
        struct chunk_part *p = &c.parts[0];
        for (size_t i = 0; i < EACH; i++)
            assert_ok(vv_raise(&p->clk, c.origins[i], 1, 1));
        for (uint32_t i = 0; i < ITEMS + (uint32_t)over; i++) {
            static uint8_t id[ITEMS + 1][10];
            store32(id[i], i);
            id[i][8] = 8;
            id[i][9] = TAG_REGISTER;
            forge_item(&c, slice_of(id[i], 10));
            uint32_t n = i < ITEMS ? EACH : 1;
            assert_ok(alloc_grow(&c.events, &c.cap_events, c.n_events + n,
                                 sizeof *c.events));
            for (uint32_t e = 0; e < n; e++)
                c.events[c.n_events++] =
                    (struct event){.origin = e,
                                   .seq = 1,
                                   .kind = KIND_TOMB,
                                   .payload = (const uint8_t *)""};
            c.items[c.n_items - 1].count = n;
        }
        assert_decodes(over ? ECRDT_ECORRUPT : 0, &c);
    }
}

static void each_allocation_may_fail(void **state) {
    (void)state;
    struct chunk c;
    rich(&c);
    forge_end(&c, &bytes);
    for (unsigned long n = 1;; n++) {
        fault_alloc_at(n);
        int rc = decode(buf_slice(&bytes));
        bool hit = fault_alloc_hit();
        fault_alloc_at(0);
        assert_int_equal(rc, hit ? ECRDT_ENOMEM : 0);
        if (!hit)
            break;
        assert_in_range(n, 1, 100);
    }
}

/* ---- linked ---- */

/* A chunk of one register by origin 1 as event 9 of a clock of n origins. */
static void linked_chunk(struct chunk *c, struct clock_state *said,
                         struct buf *out) {
    forge_put(c, 1, 9, "k", "v");
    struct chunk_part *p = c->parts;
    for (uint8_t i = 1; i < 200; i++)
        assert_ok(vv_raise(&p->clk, forge_origin(i), i == 1 ? 9 : 3, 7));
    assert_ok(vv_copy(&p->base, &p->clk));
    p->base.e[0].seq = 8;
    vv_free(&said->ranges.r[0].clk);
    assert_ok(vv_copy(&said->ranges.r[0].clk, &p->clk));
    c->linked = true;
    c->first = &said->ranges.r[0].clk;
    chunk_encode(out, c);
    assert_ok(out->err);
}

static void linked_ones_are_small_and_whole(void **state) {
    struct chunk c, back = {0};
    struct clock_state *said = clock_state_new();
    struct buf out = {0};
    (void)state;
    linked_chunk(&c, said, &out);
    assert_in_range(out.len, 1, 80); /* 200 origins take 5 KB */
    assert_true(chunk_is_linked(buf_slice(&out)));
    assert_ok(chunk_decode_linked(buf_slice(&out), KIT_B, said, &back));
    assert_true(vv_eq(&back.parts[0].base, &c.parts[0].base));
    assert_true(vv_eq(&back.parts[0].clk, &c.parts[0].clk));
    assert_int_equal(back.events[0].seq, 9);
    assert_memory_equal(back.origins[0], forge_origin(1), ORIGIN_SIZE);
    chunk_free(&back);
    assert_code(ECRDT_ECORRUPT,
                chunk_decode(buf_slice(&out), &back)); /* not by itself */
    chunk_free(&back);
    for (size_t n = 0; n < out.len; n++) {
        assert_code(ECRDT_ECORRUPT, chunk_decode_linked(slice_of(out.data, n),
                                                        KIT_B, said, &back));
        chunk_free(&back);
    }
    chunk_free(&c);
    clock_state_unref(said);
    buf_free(&out);
}

/* A part has one clock: it does not leave the range that was said. */
static void linked_parts_stay_in_a_range(void **state) {
    struct chunk c, back = {0};
    struct clock_state *said = clock_state_new();
    struct buf out = {0};
    size_t at;
    (void)state;
    linked_chunk(&c, said, &out);
    assert_ok(ranges_cut(&said->ranges, slice_str("x"), 0, &at));
    assert_code(ECRDT_ECORRUPT,
                chunk_decode_linked(buf_slice(&out), KIT_B, said, &back));
    chunk_free(&back);
    chunk_free(&c);
    clock_state_unref(said);
    buf_free(&out);
}

/* Many parts repeat a large clock in few bytes; memory has a bound. */
static void linked_bases_are_bounded(void **state) {
    struct chunk c, back = {0};
    struct clock_state *said = clock_state_new();
    struct vv *clk = &said->ranges.r[0].clk;
    struct buf out = {0};
    (void)state;
    for (uint32_t i = 1; i <= 2000; i++) {
        uint8_t o[ORIGIN_SIZE] = {(uint8_t)(i >> 8), (uint8_t)i};
        assert_ok(vv_raise(clk, o, 1, 1));
    }
    forge_begin(&c);
    for (uint32_t i = 0; i < CHUNK_MAX_PARTS; i++) {
        uint8_t lo[2], hi[2];
        store16(lo, (uint16_t)i);
        store16(hi, (uint16_t)(i + 1));
        struct chunk_part *p = forge_part(&c);
        forge_bounds(p, slice_of(lo, 2), slice_of(hi, 2));
        assert_ok(vv_copy(&p->clk, clk));
        assert_ok(vv_copy(&p->base, clk));
    }
    c.linked = true;
    c.first = clk;
    chunk_encode(&out, &c);
    assert_true(out.len < 40000);
    assert_code(ECRDT_ECORRUPT,
                chunk_decode_linked(buf_slice(&out), KIT_B, said, &back));
    assert_true(back.n_parts < CHUNK_MAX_PARTS);
    chunk_free(&back);
    chunk_free(&c);
    clock_state_unref(said);
    buf_free(&out);
}

int main(void) {
    fault_alloc_install();
    if (crypto_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_round_trip),
        cmocka_unit_test(an_origin_has_one_number),
        cmocka_unit_test(a_cut_chunk_is_refused),
        cmocka_unit_test(a_flipped_byte_does_no_harm),
        cmocka_unit_test(versions_and_names),
        cmocka_unit_test(dots_lie_within_the_clock),
        cmocka_unit_test(payloads_are_there_or_known),
        cmocka_unit_test(times_have_48_and_16_bits),
        cmocka_unit_test(items_are_sorted_inside_their_part),
        cmocka_unit_test(siblings_are_one_of_an_origin),
        cmocka_unit_test(parts_do_not_overlap),
        cmocka_unit_test(counts_are_bounded),
        cmocka_unit_test(events_are_bounded),
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(linked_ones_are_small_and_whole),
        cmocka_unit_test(linked_parts_stay_in_a_range),
        cmocka_unit_test(linked_bases_are_bounded),
    };
    int rc = TEST_RUN(tests);
    buf_free(&bytes);
    return rc;
}
