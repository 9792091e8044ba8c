/* scratch.h: a folder of its own for each test, in it the places of a store
 * and of its copy. */
#ifndef TESTS_CRASH_SCRATCH_H
#define TESTS_CRASH_SCRATCH_H
#include "tests/crash/kit.h"
#include "tests/lib/scratch.h"

static const char *store, *copy;

static inline int store_make(void **state) {
    scratch_make(state);
    store = scratch_path("s");
    copy = scratch_path("copy");
    return 0;
}

#define with_store(f)                                                          \
    cmocka_unit_test_setup_teardown(f, store_make, scratch_remove)
#endif
