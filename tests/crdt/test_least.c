/* test_least.c: the least of many ids, whatever order they come in. */
#include "crdt/least.h"
#include "tests/support/test.h"

enum { IDS = 2000, MAX = 64 };
static char text[IDS][8];

static slice id(size_t i) {
    snprintf(text[i], sizeof text[i], "%06zu", i);
    return slice_of(text[i], 6);
}

/* What is left must be the ids from first on, by steps. */
static void expect(struct least *l, size_t first, size_t step, size_t n) {
    least_end(l);
    assert_int_equal(l->n, n);
    for (size_t i = 0; i < n; i++)
        assert_slice_equal(l->ids[i], id(first + i * step));
    least_free(l);
}

static void any_order_will_do(void **state) {
    (void)state;
    struct rng rng = rng_seed();
    struct least up, down, random;
    assert_ok(least_init(&up, MAX));
    assert_ok(least_init(&down, MAX));
    assert_ok(least_init(&random, MAX));
    for (size_t i = 0; i < IDS; i++) {
        least_add(&up, id(i));
        least_add(&down, id(IDS - 1 - i));
    }
    for (size_t i = 0; i < 40 * (size_t)IDS; i++)
        least_add(&random, id(rng_below(&rng, IDS)));
    expect(&up, 0, 1, MAX);
    expect(&down, 0, 1, MAX);
    expect(&random, 0, 1, MAX);
}

/* Repeats take no room from others: neither far apart nor in a row. */
static void each_counts_once(void **state) {
    (void)state;
    struct least l;
    assert_ok(least_init(&l, MAX));
    for (size_t round = 0; round < 5; round++)
        for (size_t i = MAX - 1; i < MAX; i--)
            for (size_t n = 0; n < 3; n++)
                least_add(&l, id(10 + 2 * i));
    expect(&l, 10, 2, MAX);
}

static void fewer_are_all_there(void **state) {
    (void)state;
    struct least l;
    assert_ok(least_init(&l, MAX));
    expect(&l, 0, 1, 0);
    for (size_t n = 1; n <= MAX; n += MAX - 2) {
        assert_ok(least_init(&l, MAX));
        for (size_t i = n; i > 0; i--)
            least_add(&l, id(i));
        expect(&l, 1, 1, n);
    }
    assert_ok(least_init(&l, 1)); /* the least that a budget asks for */
    for (size_t i = 0; i < 9; i++)
        least_add(&l, id((i + 4) % 9));
    expect(&l, 0, 1, 1);
}

/* 100,000 in descending order: milliseconds, and seconds if each were put in
 * its place. */
static void descending_ids_are_no_worse(void **state) {
    (void)state;
    static uint8_t keys[100000][4];
    struct least l;
    assert_ok(least_init(&l, 20001));
    for (uint32_t i = 100000; i-- > 0;) {
        store32(keys[i], i);
        least_add(&l, slice_of(keys[i], 4));
    }
    least_end(&l);
    assert_int_equal(l.n, 20001);
    for (uint32_t i = 0; i < l.n; i++)
        assert_ptr_equal(l.ids[i].data, keys[i]);
    least_free(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_will_do),
        cmocka_unit_test(each_counts_once),
        cmocka_unit_test(fewer_are_all_there),
        cmocka_unit_test(descending_ids_are_no_worse),
    };
    return TEST_RUN(tests);
}
