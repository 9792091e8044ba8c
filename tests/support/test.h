/* test.h: what every test includes: cmocka, TAP output, our helpers.
 *
 *     static void adds_up(void **state) { (void)state; assert_ok(f()); }
 *     int main(void) {
 *         const struct CMUnitTest tests[] = {cmocka_unit_test(adds_up)};
 *         return TEST_RUN(tests);
 *     }
 *
 * Tests run with the top of the source tree as working directory. */
#ifndef TESTS_SUPPORT_TEST_H
#define TESTS_SUPPORT_TEST_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "tests/support/support.h"

/* Runs the cases and gives main's exit code. */
#define TEST_RUN(tests)                                                        \
    (cmocka_set_message_output(CM_OUTPUT_TAP),                                 \
     cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL))

/* The same with a set-up and a tear-down around all of them. */
#define TEST_RUN_WITH(tests, setup, teardown)                                  \
    (cmocka_set_message_output(CM_OUTPUT_TAP),                                 \
     cmocka_run_group_tests_name(__FILE__, tests, setup, teardown))

/* The call must return exactly want; else ecrdt_errmsg() is shown. */
#define assert_code(want, call)                                                \
    test_check_code((call), (want), #call, __FILE__, __LINE__)
#define assert_ok(call) assert_code(0, call)

/* The handle must not be NULL; gives it back. */
#define assert_handle(call) test_check_handle((call), #call, __FILE__, __LINE__)

/* Two slices hold the same bytes. */
#define assert_slice_equal(a, b) test_check_slice((a), (b), __FILE__, __LINE__)
#endif
