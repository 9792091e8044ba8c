/* test_channel_memory.c: what a channel costs before and after READY, failing
 * allocations, and when it rekeys. */
#include "tests/replication/link/pair.h"
#include <malloc.h>

/* ---- memory that is counted, and fails on demand ---- */

static size_t bytes_live, bytes_peak;
static unsigned long fail_in;

static void *counted(void *p, size_t n, void *ctx) {
    (void)ctx;
    size_t had = p ? malloc_usable_size(p) : 0;
    if (!n) {
        bytes_live -= had;
        free(p);
        return NULL;
    }
    if (fail_in && --fail_in == 0)
        return NULL;
    void *q = realloc(p, n);
    if (q)
        bytes_live += malloc_usable_size(q) - had;
    if (bytes_live > bytes_peak)
        bytes_peak = bytes_live;
    return q;
}

/* ---- rekeying ---- */

static uint64_t rekeys(struct link *l) {
    const struct channel_stats *out = channel_stats(l->ch[INI]);
    return out->rekeys_out;
}

static void rekey_by_time(void **state) {
    (void)state;
    struct link l;
    fresh(&l);
    l.now_ms += CHANNEL_REKEY_MS - 1;
    assert_ok(send_to(&l, INI, 1, slice_str("a")));
    assert_int_equal(rekeys(&l), 0);
    l.now_ms += 1;
    assert_ok(send_to(&l, INI, 1, slice_str("b")));
    assert_int_equal(rekeys(&l), 1);
    l.now_ms += CHANNEL_REKEY_MS - 1;
    assert_ok(send_to(&l, INI, 1, slice_str("c")));
    assert_int_equal(rekeys(&l), 1);
    l.now_ms += 1;
    assert_ok(send_to(&l, INI, 1, slice_str("d")));
    assert_int_equal(rekeys(&l), 2);
    l.now_ms = 0; /* a clock that goes back is not a reason */
    assert_ok(send_to(&l, INI, 1, slice_str("e")));
    assert_int_equal(rekeys(&l), 2);
    assert_ok(carry(&l, INI, 1000));
    for (const char *p = "abcde"; *p; p++)
        check_message(&l, RES, 1, slice_of(p, 1));
    assert_int_equal(channel_stats(l.ch[RES])->rekeys_in, 2);
    stop(&l);
}

static void rekey_by_records(void **state) {
    (void)state;
    struct link l;
    struct channel_event ev;
    fresh(&l);
    uint64_t got = 0;
    for (uint64_t i = 1; i <= 2 * CHANNEL_REKEY_RECORDS + 2; i++) {
        assert_ok(send_to(&l, INI, 1, NOTHING));
        assert_int_equal(rekeys(&l), (i - 1) / CHANNEL_REKEY_RECORDS);
        if (i % 1000 == 0)
            assert_ok(carry(&l, INI, SIZE_MAX / 2));
        while (channel_next(l.ch[RES], &ev) == 1)
            got++;
    }
    assert_ok(carry(&l, INI, SIZE_MAX / 2));
    while (channel_next(l.ch[RES], &ev) == 1)
        got++;
    assert_int_equal(got, 2 * CHANNEL_REKEY_RECORDS + 2);
    assert_int_equal(channel_stats(l.ch[RES])->rekeys_in, 2);
    stop(&l);
}

/* 16,388 full records and a bit are 1 GiB. */
static void rekey_by_bytes(void **state) {
    (void)state;
    struct link l;
    fresh(&l);
    uint8_t *p = pattern(CHANNEL_MESSAGE_DEFAULT);
    slice full = slice_of(p, FIRST_FRAGMENT);
    uint64_t sealed = 0;
    for (; sealed < CHANNEL_REKEY_BYTES; sealed += NOISE_PLAIN_MAX) {
        assert_int_equal(rekeys(&l), 0);
        assert_ok(send_to(&l, INI, 1, full));
        assert_ok(carry(&l, INI, SIZE_MAX / 2));
        check_message(&l, RES, 1, full);
    }
    assert_ok(send_to(&l, INI, 1, full));
    assert_int_equal(rekeys(&l), 1);
    assert_ok(carry(&l, INI, SIZE_MAX / 2));
    check_message(&l, RES, 1, full);
    assert_int_equal(channel_stats(l.ch[RES])->rekeys_in, 1);
    free(p);
    stop(&l);
}

/* ---- memory ---- */

enum { SMALL = 16384 };

static void a_stranger_gets_little_memory(void **state) {
    (void)state;
    struct link l;
    static uint8_t flood[300000];
    prepare(&l);
    size_t before = bytes_peak = bytes_live;
    assert_ok(channel_open(&l.ch[RES], &l.conf[RES]));
    hex_decode(flood, 24,
               "45435244542d4c31 0001 0001 00000000 09dde4968825349f");
    store16(flood + 24, FRAME_MAX_STRANGER);
    /* all but the last byte of the longest frame: the most that can wait */
    size_t n = 24 + FRAME_HEADER + FRAME_MAX_STRANGER - 1;
    assert_ok(channel_feed(l.ch[RES], slice_of(flood, n), 0));
    assert_true(bytes_peak - before < SMALL);
    assert_true(bytes_live - before > FRAME_MAX_STRANGER);
    int rc = channel_feed(l.ch[RES], slice_of(flood, sizeof flood), 0);
    assert_code(ECRDT_EPEER, rc);
    assert_true(bytes_peak - before < SMALL);
    channel_close(l.ch[RES]);
    assert_int_equal(bytes_live, before);
}

/* With the longest hellos, both sides of a whole handshake. */
static void a_handshake_needs_little_memory(void **state) {
    (void)state;
    static const uint8_t hello[LINK_HELLO_MAX];
    struct link l;
    prepare(&l);
    l.conf[INI].hello = l.conf[RES].hello = slice_of(hello, sizeof hello);
    size_t before = bytes_peak = bytes_live;
    connect(&l);
    assert_true(bytes_peak - before < 2 * SMALL);
    assert_true(bytes_live - before < SMALL);
    stop(&l);
    assert_int_equal(bytes_live, before);
}

static void an_idle_channel_gives_memory_back(void **state) {
    (void)state;
    struct link l;
    size_t before = bytes_live;
    fresh(&l);
    uint8_t *p = pattern(2000000);
    for (int i = 0; i < 2; i++) {
        assert_ok(send_to(&l, i, 1, slice_of(p, 2000000)));
        struct buf *out = channel_out(l.ch[i]);
        while (out->len) { /* as a socket would, piece by piece */
            size_t n = out->len < 300000 ? out->len : 300000;
            assert_ok(channel_feed(l.ch[!i], slice_of(out->data, n), 0));
            channel_wrote(l.ch[i], n);
            if (out->len)
                check_nothing(&l, !i);
        }
        check_message(&l, !i, 1, slice_of(p, 2000000));
        assert_true(bytes_live - before > 2000000);
        check_nothing(&l, !i);
    }
    assert_true(bytes_live - before < SMALL); /* both channels together */
    free(p);
    stop(&l);
}

/* A length is not memory: only bytes that came are. */
static void an_announced_frame_costs_nothing(void **state) {
    (void)state;
    struct link l;
    fresh(&l);
    size_t before = bytes_peak = bytes_live;
    assert_ok(channel_feed(l.ch[RES], slice_of("\xff\xff", 2), 0));
    check_nothing(&l, RES);
    assert_true(bytes_peak - before < 64);
    stop(&l);
}

/* A whole conversation; 0 or the first error. */
static int converse(const uint8_t *body, size_t len) {
    struct link l;
    struct channel_event ev;
    prepare(&l);
    int rc = channel_open(&l.ch[INI], &l.conf[INI]);
    if (rc == 0)
        rc = channel_open(&l.ch[RES], &l.conf[RES]);
    for (int i = 0; rc == 0 && i < 4; i++)
        rc = carry(&l, i % 2, 1000);
    for (int i = 0; rc >= 0 && i < 2; i++)
        while ((rc = channel_next(l.ch[i], &ev)) == 1)
            ;
    if (rc == 0)
        rc = send_to(&l, INI, 1, slice_of(body, len));
    if (rc == 0)
        rc = carry(&l, INI, 50000);
    if (rc == 0)
        rc = channel_next(l.ch[RES], &ev);
    if (rc == 1) {
        assert_int_equal(ev.body.len, len);
        rc = 0;
    }
    stop(&l);
    return rc;
}

static void every_failed_allocation_is_survived(void **state) {
    (void)state;
    uint8_t *p = pattern(200000);
    size_t before = bytes_live;
    unsigned long n = 1;
    for (;; n++) {
        fail_in = n;
        int rc = converse(p, 200000);
        bool failed = fail_in == 0;
        fail_in = 0;
        assert_int_equal(bytes_live, before);
        if (!failed) {
            assert_ok(rc);
            break;
        }
        assert_code(ECRDT_ENOMEM, rc);
    }
    assert_true(n > 20);
    free(p);
}

static int setup(void **state) {
    (void)state;
    int rc = ecrdt_set_allocator(counted, NULL);
    return rc < 0 ? rc : crypto_init();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rekey_by_time),
        cmocka_unit_test(rekey_by_records),
        cmocka_unit_test(rekey_by_bytes),
        cmocka_unit_test(a_stranger_gets_little_memory),
        cmocka_unit_test(a_handshake_needs_little_memory),
        cmocka_unit_test(an_idle_channel_gives_memory_back),
        cmocka_unit_test(an_announced_frame_costs_nothing),
        cmocka_unit_test(every_failed_allocation_is_survived),
    };
    return TEST_RUN_WITH(tests, setup, NULL);
}
