/* test_event.c: the order of events, and their stamps. */
#include "crdt/event.h"
#include "crdt/hlc.h"
#include "tests/crdt/forge.h"

enum { ORIGINS = 40 };

/* Every block moves when it grows, and nothing can be read where it was. */
static void *move(void *p, size_t n, void *ctx) {
    enum { HEAD = 16 };
    size_t was = 0;
    uint8_t *now = NULL;
    (void)ctx;
    if (p)
        memcpy(&was, (uint8_t *)p - HEAD, sizeof was);
    if (n) {
        now = malloc(n + HEAD);
        if (!now)
            return NULL;
        memcpy(now, &n, sizeof n);
        if (p)
            memcpy(now + HEAD, p, was < n ? was : n);
    }
    if (p) {
        memset(p, 0, was); /* as of the least id */
        free((uint8_t *)p - HEAD);
    }
    return now ? now + HEAD : NULL;
}

/* Store 0 knows origins 1 to ORIGINS: number 1 is the one with the greatest
 * id. */
static void know_origins(void) {
    struct chunk c;
    forge_begin(&c);
    struct chunk_part *p = forge_part(&c);
    for (uint8_t o = ORIGINS; o > 0; o--)
        assert_ok(vv_raise(&p->clk, forge_origin(o), 1, 1));
    forge_item(&c, forge_id("k"));
    for (uint8_t o = ORIGINS; o > 0; o--)
        forge_event(&c, forge_origin(o), 1, "v");
    assert_int_equal(forge_apply(0, &c).applied, 1);
    kit_close(0);
}

static struct event event_of(ecrdt_txn *t, uint8_t origin, uint64_t seq,
                             uint64_t ms) {
    struct event e = {.seq = seq, .hlc = hlc_make(ms, 0)};
    assert_code(1, origin_no(t, forge_origin(origin), false, &e.origin));
    return e;
}

static int compare(ecrdt_txn *t, const struct event *a, const struct event *b) {
    int err = 0, c = event_compare(t, a, b, &err);
    assert_int_equal(err, 0);
    return (c > 0) - (c < 0);
}

static void time_then_origin_then_number(void **state) {
    (void)state;
    know_origins();
    ecrdt_txn *t = kit_read(0);
    struct event e = event_of(t, 5, 5, 5), x = e;
    assert_int_equal(compare(t, &e, &x), 0);
    x.seq = 6;
    assert_int_equal(compare(t, &e, &x), -1);
    assert_int_equal(compare(t, &x, &e), 1);
    x = event_of(t, 4, 6, 5);
    assert_int_equal(compare(t, &e, &x), 1);
    x.hlc = hlc_make(5, 1);
    assert_int_equal(compare(t, &e, &x), -1);
    ecrdt_abort(t);
}

/* The ids are in no cache yet; what the second look loads moves the first. */
static void ids_may_move_between_looks(void **state) {
    (void)state;
    know_origins();
    ecrdt_txn *t = kit_read(0);
    struct event least = event_of(t, 1, 1, 1),
                 greatest = event_of(t, ORIGINS, 1, 1);
    assert_true(greatest.origin < least.origin);
    assert_int_equal(compare(t, &greatest, &least), 1);
    ecrdt_abort(t);
}

static void an_unknown_origin_is_an_error(void **state) {
    (void)state;
    int err = 0;
    know_origins();
    ecrdt_txn *t = kit_read(0);
    struct event e = event_of(t, 1, 1, 1), x = e;
    x.origin = 1000;
    assert_int_equal(event_compare(t, &e, &x, &err), 0);
    assert_int_equal(err, ECRDT_ECORRUPT);
    ecrdt_stamp stamp;
    assert_code(ECRDT_ECORRUPT, event_stamp(t, &x, &stamp));
    ecrdt_abort(t);
}

static void a_stamp_names_time_and_origin(void **state) {
    (void)state;
    ecrdt_stamp stamp;
    know_origins();
    ecrdt_txn *t = kit_read(0);
    struct event e = event_of(t, 7, 1, 0);
    e.hlc = hlc_make(1234, 5);
    assert_ok(event_stamp(t, &e, &stamp));
    assert_int_equal(stamp.wall_ms, 1234);
    assert_int_equal(stamp.logical, 5);
    assert_memory_equal(stamp.by.b, forge_origin(7), ORIGIN_SIZE);
    ecrdt_abort(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(time_then_origin_then_number),
        kit_test(ids_may_move_between_looks),
        kit_test(an_unknown_origin_is_an_error),
        kit_test(a_stamp_names_time_and_origin),
    };
    assert_ok(ecrdt_set_allocator(move, NULL));
    return TEST_RUN(tests);
}
