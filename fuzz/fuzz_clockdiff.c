/* fuzz_clockdiff.c: differences from a clock that was told before, and an
 * answer in the talk about two large ones: what is accepted is the one form
 * of that difference.
 * Covers: crdt/clockdiff.c crdt/ranges.c crdt/vv.c replication/clock_fp.c */
#include "fuzz/clocks.h"
#include "replication/clock_fp.h"
#include "replication/message.h"

/* A difference of the message CLOCK_DIFF. */
static void diff(slice in, struct clock_state *from) {
    struct clock c = {0};
    struct unpack u;
    struct buf out = {0}, plain = {0};
    int rc = message_diff_begin(in, &u, &c);
    if (rc == 0)
        rc = message_diff_end(&u, from, &c);
    if (rc < 0) {
        FUZZ_CHECK(rc == ECRDT_EPEER);
        FUZZ_CODE(rc);
    } else {
        FUZZ_CHECK(c.state->ranges.n <= RANGES_MAX);
        message_diff_encode(&out, c.acked, c.flags, c.bucket, from, c.state,
                            false);
        message_diff_encode(&plain, c.acked, c.flags, c.bucket, from, c.state,
                            true);
        FUZZ_CHECK(c.differs || slice_eq(buf_slice(&out), in) ||
                   slice_eq(buf_slice(&plain), in));
    }
    buf_free(&out);
    buf_free(&plain);
    clock_free(&c);
}

static void origin(slice in, const struct clock_state *from) {
    uint8_t id[ORIGIN_SIZE] = {0};
    struct unpack u;
    struct buf out = {0};
    unpack_init(&u, in);
    vv_origin_decode(&u, &from->ranges.r[0].clk, id);
    if (unpack_end(&u) == 0) {
        vv_origin_encode(&out, &from->ranges.r[0].clk, id);
        FUZZ_CHECK(slice_eq(buf_slice(&out), in));
    }
    buf_free(&out);
}

/* Whatever the peer says, our own clock stays and the talk ends. */
static void talk(struct fuzz_in *in, struct clock_state *mine) {
    static const uint8_t nonce[CLOCK_FP_NONCE] = {1};
    struct clock_fp *f = clock_fp_new(mine, nonce);
    struct buf out = {0}, before = {0}, after = {0};
    struct unpack u;
    int rc = 1;
    FUZZ_CHECK(f);
    clock_encode(&before, ECRDT_STR("b"), &mine->ranges, &mine->floor);
    for (int turn = 0; turn < 4 && rc == 1; turn++) {
        buf_clear(&out);
        unpack_init(&u, fuzz_take(in, fuzz_below(in, 2048)));
        rc = clock_fp_answer(f, &u, &out);
        FUZZ_CHECK(rc == ECRDT_EPEER || (rc >= 0 && rc <= 2));
    }
    clock_encode(&after, ECRDT_STR("b"), &mine->ranges, &mine->floor);
    FUZZ_CHECK(slice_eq(buf_slice(&before), buf_slice(&after)));
    clock_fp_free(f);
    buf_free(&out);
    buf_free(&before);
    buf_free(&after);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct clock_state *from[3];
    struct fuzz_in in = {data, data + size};
    for (unsigned i = 0; i < 3 && !from[2]; i++)
        from[i] = fuzz_clock(i == 2 ? 30 : 3 * i, i == 1);
    uint8_t how = fuzz_byte(&in);
    slice rest = slice_of(in.p, (size_t)(in.end - in.p));
    if (how % 8 == 6)
        origin(rest, from[1]);
    else if (how % 8 == 7)
        talk(&in, from[2]);
    else
        diff(rest, from[how % 3]);
    return 0;
}
