/* test_alloc.c: the allocator hook, growth, and memory that runs out. */
#include "lib/alloc.h"
#include "tests/support/test.h"
#include <string.h>

static void zeroed_is_zero(void **state) {
    (void)state;
    uint8_t *p = alloc_resize(NULL, 1, 4096); /* dirt for the next one */
    memset(p, 0xff, 4096);
    alloc_free(p);
    p = alloc_zeroed(64, 64);
    assert_non_null(p);
    for (int i = 0; i < 4096; i++)
        assert_int_equal(p[i], 0);
    alloc_free(p);
}

static void resize_keeps_the_bytes(void **state) {
    (void)state;
    char *p = alloc_strdup("hello");
    assert_string_equal(p, "hello");
    p = alloc_resize(p, 1000, 1000);
    assert_string_equal(p, "hello");
    alloc_free(p);
    alloc_free(NULL);
}

static void sizes_do_not_wrap(void **state) {
    (void)state;
    assert_null(alloc_zeroed(SIZE_MAX / 2 + 1, 2));
    assert_int_equal(ecrdt_errcode(), ECRDT_ENOMEM);
    assert_null(alloc_resize(NULL, SIZE_MAX, SIZE_MAX));
    uint64_t *array = NULL;
    size_t cap = 0;
    assert_code(ECRDT_ENOMEM, alloc_grow(&array, &cap, SIZE_MAX / 8 + 1, 8));
    assert_null(array);
    assert_int_equal(cap, 0);
}

static void zero_bytes(void) {
    alloc_resize(NULL, 0, 8);
}

static void asking_for_nothing_aborts(void **state) {
    (void)state;
    assert_true(aborts(zero_bytes));
}

static void growth_is_geometric(void **state) {
    (void)state;
    uint32_t *array = NULL;
    size_t cap = 0, moves = 0;
    for (uint32_t i = 0; i < 100000; i++) {
        size_t before = cap;
        assert_ok(alloc_grow(&array, &cap, i + 1, sizeof *array));
        assert_true(cap > i);
        moves += cap != before;
        array[i] = i;
    }
    assert_true(moves < 20);
    for (uint32_t i = 0; i < 100000; i++)
        assert_int_equal(array[i], i);
    size_t before = cap;
    assert_ok(alloc_grow(&array, &cap, 5, sizeof *array));
    assert_int_equal(cap, before); /* never shrinks */
    alloc_free(array);
}

static void hook_sees_every_block(void **state) {
    (void)state;
    assert_int_equal(fault_alloc_live(), 0);
    void *a = alloc_zeroed(1, 10);
    char *b = alloc_strdup("b");
    assert_int_equal(fault_alloc_live(), 2);
    b = alloc_resize(b, 1, 100);
    assert_int_equal(fault_alloc_live(), 2);
    alloc_free(a);
    alloc_free(b);
    assert_int_equal(fault_alloc_live(), 0);
}

/* Each kind of allocation once; 0 or the first failure. */
static int allocate_all(void) {
    int rc = ECRDT_ENOMEM;
    size_t cap = 0;
    uint16_t *array = NULL;
    char *text = alloc_strdup("text");
    void *zeros = text ? alloc_zeroed(3, 5) : NULL;
    void *more = zeros ? alloc_resize(zeros, 100, 5) : NULL;
    if (more) {
        zeros = more;
        rc = alloc_grow(&array, &cap, 3, sizeof *array);
        if (!rc)
            rc = alloc_grow(&array, &cap, 300, sizeof *array);
    }
    if (text)
        assert_string_equal(text, "text");
    alloc_free(text);
    alloc_free(zeros); /* a failed resize left it alone */
    alloc_free(array);
    return rc;
}

static void each_allocation_may_fail(void **state) {
    (void)state;
    unsigned long n = 1;
    for (;; n++) {
        fault_alloc_at(n);
        int rc = allocate_all();
        bool hit = fault_alloc_hit();
        fault_alloc_at(0);
        assert_int_equal(fault_alloc_live(), 0);
        if (!hit) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_int_equal(rc, ECRDT_ENOMEM);
        assert_int_equal(ecrdt_errcode(), ECRDT_ENOMEM);
        assert_non_null(strstr(ecrdt_errmsg(), "could not allocate"));
    }
    assert_int_equal(n, 6);
}

static void null_restores_libc(void **state) {
    (void)state;
    assert_ok(ecrdt_set_allocator(NULL, NULL));
    void *p = alloc_zeroed(1, 10);
    assert_non_null(p);
    assert_int_equal(fault_alloc_live(), 0);
    alloc_free(p);
    fault_alloc_install();
}

static void frozen_after_the_first_open(void **state) {
    (void)state; /* runs last: there is no way back */
    alloc_freeze();
    assert_code(ECRDT_EBUSY, ecrdt_set_allocator(NULL, NULL));
    assert_non_null(strstr(ecrdt_errmsg(), "before the first ecrdt_open()"));
    void *p = alloc_zeroed(1, 10);
    assert_int_equal(fault_alloc_live(), 1); /* the old one still serves */
    alloc_free(p);
}

int main(void) {
    fault_alloc_install();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeroed_is_zero),
        cmocka_unit_test(resize_keeps_the_bytes),
        cmocka_unit_test(sizes_do_not_wrap),
        cmocka_unit_test(asking_for_nothing_aborts),
        cmocka_unit_test(growth_is_geometric),
        cmocka_unit_test(hook_sees_every_block),
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(null_restores_libc),
        cmocka_unit_test(frozen_after_the_first_open),
    };
    return TEST_RUN(tests);
}
