/* test_frame.c: frames out of a stream that is cut anywhere. */
#include "replication/link/frame.h"
#include "tests/support/test.h"

static void put(struct buf *out, const char *s) {
    uint8_t *p = frame_put(out, strlen(s));
    assert_non_null(p);
    memcpy(p, s, strlen(s));
}

static void check_take(struct frame_reader *r, const char *want) {
    uint8_t *body;
    size_t len;
    assert_code(1, frame_take(r, &body, &len));
    assert_slice_equal(slice_of(body, len), slice_str(want));
}

static void check_none(struct frame_reader *r) {
    uint8_t *body;
    size_t len;
    assert_ok(frame_take(r, &body, &len));
}

static void one_byte_at_a_time(void **state) {
    (void)state;
    struct frame_reader r = {.max = FRAME_MAX};
    struct buf out = {0};
    put(&out, "hello");
    assert_slice_equal(buf_slice(&out), slice_of("\0\5hello", 7));
    for (size_t i = 0; i < out.len; i++) {
        check_none(&r);
        assert_int_equal(frame_missing(&r), i < 2 ? 2 - i : 7 - i);
        assert_ok(frame_feed(&r, slice_of(out.data + i, 1)));
    }
    assert_int_equal(frame_missing(&r), 0);
    check_take(&r, "hello");
    check_none(&r);
    assert_int_equal(frame_pending(&r), 0);
    frame_free(&r);
    buf_free(&out);
}

static void many_at_once(void **state) {
    (void)state;
    struct frame_reader r = {.max = FRAME_MAX};
    struct buf out = {0};
    put(&out, "a");
    put(&out, "bc");
    put(&out, "def");
    size_t cut = out.len - 1;
    assert_ok(frame_feed(&r, slice_of(out.data, cut)));
    check_take(&r, "a");
    check_take(&r, "bc");
    check_none(&r);
    assert_int_equal(frame_pending(&r), 4);
    assert_ok(frame_feed(&r, slice_of(out.data + cut, 1)));
    check_take(&r, "def");
    frame_free(&r);
    buf_free(&out);
}

static int announce(size_t max, size_t n) {
    struct frame_reader r = {.max = max};
    uint8_t head[2], *body;
    size_t len;
    store16(head, (uint16_t)n);
    assert_ok(frame_feed(&r, slice_of(head, 2)));
    int rc = frame_take(&r, &body, &len);
    frame_free(&r);
    return rc;
}

/* A length is judged as soon as it is here, before its bytes are. */
static void limits(void **state) {
    (void)state;
    assert_ok(announce(FRAME_MAX, FRAME_MAX));
    assert_ok(announce(FRAME_MAX_STRANGER, FRAME_MAX_STRANGER));
    assert_code(ECRDT_EPEER,
                announce(FRAME_MAX_STRANGER, FRAME_MAX_STRANGER + 1));
    assert_code(ECRDT_EPEER, announce(FRAME_MAX, 0));
    assert_non_null(strstr(ecrdt_errmsg(), "frame of 0 bytes"));
}

static void the_longest(void **state) {
    (void)state;
    struct frame_reader r = {.max = FRAME_MAX};
    struct buf out = {0};
    uint8_t *p = frame_put(&out, FRAME_MAX), *body;
    assert_non_null(p);
    memset(p, 'x', FRAME_MAX);
    size_t len;
    assert_ok(frame_feed(&r, buf_slice(&out)));
    assert_code(1, frame_take(&r, &body, &len));
    assert_int_equal(len, FRAME_MAX);
    assert_memory_equal(body, p, len);
    frame_free(&r);
    buf_free(&out);
}

static void memory_follows_what_came(void **state) {
    (void)state;
    struct frame_reader r = {.max = FRAME_MAX};
    assert_ok(frame_feed(&r, slice_of("\xff\xff", 2)));
    assert_true(r.in.cap < 64);
    static const uint8_t body[FRAME_MAX];
    assert_ok(frame_feed(&r, slice_of(body, sizeof body)));
    frame_shrink(&r, 64);
    assert_int_equal(frame_pending(&r), FRAME_HEADER + FRAME_MAX);
    uint8_t *p;
    size_t len;
    assert_code(1, frame_take(&r, &p, &len));
    frame_shrink(&r, FRAME_MAX * 4);
    assert_true(r.in.cap > 0);
    frame_shrink(&r, 64);
    assert_int_equal(r.in.cap, 0);
    frame_free(&r);
}

static void any_cut_gives_the_same_frames(void **state) {
    (void)state;
    struct rng rng = rng_seed();
    struct buf out = {0};
    for (int i = 0; i < 200; i++) {
        size_t n = 1 + rng_below(&rng, 300);
        uint8_t *p = frame_put(&out, n);
        memset(p, (int)(n & 0xff), n);
    }
    struct frame_reader r = {.max = FRAME_MAX};
    size_t at = 0, frames = 0;
    while (at < out.len) {
        size_t n = 1 + rng_below(&rng, 700);
        n = n < out.len - at ? n : out.len - at;
        assert_ok(frame_feed(&r, slice_of(out.data + at, n)));
        at += n;
        uint8_t *body;
        size_t len;
        for (; frame_take(&r, &body, &len) == 1; frames++)
            for (size_t i = 0; i < len; i++)
                assert_int_equal(body[i], len & 0xff);
    }
    assert_int_equal(frames, 200);
    frame_free(&r);
    buf_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_byte_at_a_time),
        cmocka_unit_test(many_at_once),
        cmocka_unit_test(limits),
        cmocka_unit_test(the_longest),
        cmocka_unit_test(memory_follows_what_came),
        cmocka_unit_test(any_cut_gives_the_same_frames),
    };
    return TEST_RUN(tests);
}
