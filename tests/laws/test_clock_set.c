/* test_clock_set.c: a store whose clock is set ten years ahead and back: what
 * it wrote then is superseded by whoever saw it, and nobody's times follow. */
#include "tests/crdt/kit.h"
#include "tests/support/wall.h"

static const uint64_t years = UINT64_C(3652) * 24 * 3600 * 1000;

static uint64_t time_of(size_t i, const char *key) {
    slice v;
    ecrdt_stamp who;
    ecrdt_txn *t = kit_read(i);
    assert_code(1, ecrdt_reg_get(t, KIT_B, slice_str(key), &v, &who));
    ecrdt_abort(t);
    return who.wall_ms;
}

static void meet(void) {
    for (int round = 0; round < 2; round++)
        for (size_t a = 0; a < 3; a++)
            for (size_t b = 0; b < 3; b++)
                if (a != b)
                    kit_pull(a, b);
    for (size_t i = 0; i < 3; i++) {
        kit_same_digest(0, i);
        kit_sound(i);
    }
}

/* Reopened in between, as by a machine that starts without a clock. */
static void ten_years_ahead_and_back(void **state) {
    (void)state;
    const uint64_t then = wall_now;
    for (size_t i = 0; i < 3; i++)
        kit_set(i, "own", "v");
    meet();
    kit_close(0);
    wall_now = then + years;
    kit_set(0, "seen", "ahead");
    kit_set(0, "unseen", "ahead");
    kit_add(0, "s", "ahead");
    kit_count(0, "n", 2);
    kit_del(0, "own");
    assert_true(time_of(0, "seen") >= then + years);
    kit_close(0);
    wall_now = then;
    kit_set(1, "unseen", "concurrent"); /* ten years older: it loses */
    kit_count(1, "n", 3);
    meet();
    for (size_t i = 0; i < 3; i++) {
        kit_expect(i, "unseen", "ahead");
        kit_expect(i, "own", NULL);
        assert_int_equal(kit_value(i, "n"), 5);
    }
    kit_set(1, "seen", "later");  /* who saw it supersedes it */
    kit_set(0, "unseen", "back"); /* its author too */
    kit_set(0, "fresh", "v");
    kit_set(2, "fresh2", "v");
    meet();
    for (size_t i = 0; i < 3; i++) {
        kit_expect(i, "seen", "later");
        kit_expect(i, "unseen", "back");
        assert_in_range(time_of(i, "fresh"), then, then + 60000);
        assert_in_range(time_of(i, "fresh2"), then, then + 60000);
        assert_in_range(time_of(i, "seen"), then, then + 60000);
    }
}

/* The same backwards: times go on where they were, nothing is older. */
static void ten_years_behind_and_back(void **state) {
    (void)state;
    const uint64_t then = wall_now;
    kit_set(0, "k", "one");
    meet();
    wall_now = then - years;
    kit_set(0, "k", "two");
    kit_set(0, "mine", "v");
    kit_del(0, "mine");
    meet();
    for (size_t i = 0; i < 3; i++) {
        kit_expect(i, "k", "two");
        kit_expect(i, "mine", NULL);
    }
    wall_now = then;
    kit_set(2, "k", "three");
    meet();
    for (size_t i = 0; i < 3; i++)
        kit_expect(i, "k", "three");
    assert_true(time_of(0, "k") >= then);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(ten_years_ahead_and_back),
        kit_test(ten_years_behind_and_back),
    };
    return TEST_RUN(tests);
}
