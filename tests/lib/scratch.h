/* scratch.h: a folder of its own for each test. */
#ifndef TESTS_LIB_SCRATCH_H
#define TESTS_LIB_SCRATCH_H
#include "tests/lib/kit.h"

static char *dir; /* of the test that runs */
static char scratch_paths[4][512];
static size_t scratch_used;

static inline int scratch_make(void **state) {
    (void)state;
    dir = tmpdir_make();
    scratch_used = 0;
    return 0;
}

static inline int scratch_remove(void **state) {
    (void)state;
    tmpdir_remove(dir);
    return 0;
}

/* "dir/name", which stays as it is until the next test. */
static inline const char *scratch_path(const char *name) {
    assert_in_range(scratch_used, 0, 3);
    return strcpy(scratch_paths[scratch_used++], path_join(dir, name));
}

#define with_folder(f)                                                         \
    cmocka_unit_test_setup_teardown(f, scratch_make, scratch_remove)
#endif
