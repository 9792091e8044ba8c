/* clocks.h: clocks that both sides of a fuzzed conversation have in common:
 * some origins, branches, cuts. */
#ifndef FUZZ_CLOCKS_H
#define FUZZ_CLOCKS_H
#include "crdt/clockdiff.h"
#include "fuzz/fuzz.h"

/* Origin number i of them all. */
static inline void fuzz_origin(uint8_t out[ORIGIN_SIZE], unsigned i) {
    memset(out, 0, ORIGIN_SIZE);
    out[0] = (uint8_t)(i * 37);
    out[ORIGIN_SIZE - 1] = (uint8_t)i;
}

static inline void fuzz_vector(struct vv *v, unsigned n, unsigned step) {
    uint8_t o[ORIGIN_SIZE];
    for (unsigned i = 0; i < n; i += step) {
        fuzz_origin(o, i);
        FUZZ_CHECK(vv_raise(v, o, i + 1, i + 7) == 0);
    }
    struct head two[2] = {{.seq = 9, .h = 1}, {.seq = 5, .h = 2}};
    fuzz_origin(o, n);
    memcpy(two[0].origin, o, ORIGIN_SIZE);
    memcpy(two[1].origin, o, ORIGIN_SIZE);
    FUZZ_CHECK(n % 2 || vv_set_heads(v, o, two, 2) == 0);
}

/* Of n origins; more than one range if cut. */
static inline struct clock_state *fuzz_clock(unsigned n, bool cut) {
    struct clock_state *s = clock_state_new();
    size_t at;
    FUZZ_CHECK(s);
    FUZZ_CHECK(!cut || (ranges_cut(&s->ranges, ECRDT_STR("d"), 0, &at) == 0 &&
                        ranges_cut(&s->ranges, ECRDT_STR("m"), 0, &at) == 0));
    for (unsigned i = 0; i < s->ranges.n; i++)
        fuzz_vector(&s->ranges.r[i].clk, n, 1 + i);
    fuzz_vector(&s->floor, n / 2, 3);
    return s;
}
#endif
