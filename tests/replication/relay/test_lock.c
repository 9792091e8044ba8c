/* test_lock.c: one relay for one store, and the second one reads who it is. */
#include "replication/relay/lock.h"
#include "edgecrdt.h"
#include "tests/support/test.h"
#include <unistd.h>

static void the_second_is_refused(void **state) {
    char *dir = tmpdir_make(), pid[64];
    int a, b;
    (void)state;
    assert_ok(lock_take(dir, &a));
    assert_code(ECRDT_EBUSY, lock_take(dir, &b));
    snprintf(pid, sizeof pid, "pid %ld", (long)getpid());
    assert_non_null(strstr(ecrdt_errmsg(), pid));
    close(a);
    assert_ok(lock_take(dir, &b));
    close(b);
    tmpdir_remove(dir);
}

static void a_missing_folder_is_an_error(void **state) {
    int fd;
    (void)state;
    assert_code(ECRDT_ENOENT, lock_take("/nonexistent/store", &fd));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_second_is_refused),
        cmocka_unit_test(a_missing_folder_is_an_error),
    };
    return TEST_RUN(tests);
}
