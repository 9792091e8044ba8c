/* test_verbs_store.c: init, stat, verify, backup and restore. */
#include "tests/cli/run.h"

static void init_once(void **state) {
    (void)state;
    sh("% init --relaxed --max-bytes 64M");
    assert_int_equal(code, 0);
    assert_non_null(strstr(out, "relaxed"));
    expect_error(73, "holds a store already", "% init");
    sh("% stat --json");
    assert_int_equal(json_number(0, "bytes_max"), 64 << 20);
    assert_string_equal(json_text(0, "durability"), "relaxed");
    sh("@ -s full init --json");
    assert_string_equal(json_text(0, "durability"), "full");
    assert_int_equal(strlen(json_text(0, "node")), 32);
    sh("@ -s ephemeral init --ephemeral");
    assert_int_equal(code, 0);
    sh("@ -s missing/folder init");
    assert_true(code == 66 || code == 73 || code == 74);
}

static void limit_is_changed(void **state) {
    (void)state;
    expect_error(66, "no store", "@ -s none resize --max-bytes 1G");
    sh("@ -s grown init --max-bytes 64M");
    expect_error(64, "--max-bytes", "@ -s grown resize");
    sh("@ -s grown resize --max-bytes 128M --json");
    assert_int_equal(code, 0);
    assert_int_equal(json_number(0, "bytes_max"), 128 << 20);
    expect_error(64, "is 134217728 bytes and can only be raised",
                 "@ -s grown resize --max-bytes 64M");
    sh("@ -s grown stat --json");
    assert_int_equal(json_number(0, "bytes_max"), 128 << 20);
    sh("@ -s grown resize --max-bytes 128M");
    assert_int_equal(code, 0);
}

static void figures(void **state) {
    (void)state;
    sh("% set b k v && % sadd b s a b >x && % del b k && % stat --json");
    assert_int_equal(json_number(0, "buckets"), 1);
    assert_int_equal(json_number(0, "items"), 2);
    assert_int_equal(json_number(0, "tombstones"), 1);
    assert_int_equal(json_number(0, "origins"), 1);
    assert_true(json_number(0, "bytes_used") > 0);
    sh("% stat");
    assert_non_null(strstr(out, "live items             2\n"));
    assert_non_null(strstr(out, "64.0 MiB"));
    sh("%");
    assert_int_equal(code, 0);
    assert_non_null(strstr(out, "buckets                1\n"));
    char *short_status = strdup(out);
    expect(0, short_status, "% status");
    free(short_status);
    sh("% --json");
    assert_int_equal(json_lines(), 1);
}

static void limits_need_no_store(void **state) {
    (void)state;
    sh("@ stat --limits");
    assert_int_equal(code, 0);
    assert_non_null(strstr(out, "ECRDT_MAX_KEY               1024 bytes\n"));
    sh("@ stat --limits --json");
    assert_int_equal(json_lines(), 7);
    assert_string_equal(json_text(0, "name"), "ECRDT_MAX_BUCKET_NAME");
    assert_int_equal(json_number(0, "value"), ECRDT_MAX_BUCKET_NAME);
}

static void verify_is_sound(void **state) {
    (void)state;
    expect(0, "sound\n", "% verify");
    sh("% verify --json");
    assert_int_equal(json_number(0, "sound"), 1);
}

static void backup_and_restore(void **state) {
    (void)state;
    sh("% set b k kept && % backup copy");
    assert_int_equal(code, 0);
    expect_error(73, "is not empty", "% backup copy");
    expect_error(73, "the folder above", "% backup none/copy");
    expect_error(73, "data.mdb", "% backup copy/data.mdb");
    sh("% set b k later && @ -s again restore copy --json");
    assert_int_equal(code, 0);
    assert_true(json_number(0, "bytes") > 0);
    expect(0, "kept\n", "@ -s again get b k");
    expect(0, "later\n", "% get b k");
    expect_error(73, "must not exist", "@ -s again restore copy");
    expect_error(66, "backup", "@ -s other restore nowhere");
    expect_error(64, "not a backup", "@ -s other restore store");
}

static void forgotten_keys_come_back(void **state) {
    (void)state;
    sh("% set f ax 1 && % set f ay 2 && % set f b 3 && % export >all");
    expect(0, "bucket                 f\nitems forgotten        2\n",
           "% forget f a");
    expect(0, "b\n", "% keys f");
    sh("% import <all && % verify");
    expect(0, "ax\nay\nb\n", "% keys f");
    sh("% forget f --json");
    assert_int_equal(json_number(0, "items"), 3);
    expect(1, "", "% keys f");
}

/* The restored store is a replica of its own: what both write counts. */
static void a_restored_store_counts_on_its_own(void **state) {
    (void)state;
    sh("% incr n c 5 && % backup copy2 && @ -s r2 restore copy2 && "
       "% incr n c 10 && @ -s r2 incr n c 100 && @ -s r2 export | % import && "
       "% export | @ -s r2 import");
    assert_int_equal(code, 0);
    expect(0, "115\n", "% count n c");
    expect(0, "115\n", "@ -s r2 count n c");
    char one[40], two[40];
    sh("% --json stat");
    snprintf(one, sizeof one, "%s", json_text(0, "node"));
    sh("@ -s r2 --json stat");
    snprintf(two, sizeof two, "%s", json_text(0, "node"));
    assert_string_not_equal(one, two);
}

static void damage_is_found(void **state) {
    (void)state;
    sh("for i in 1 2 3 4 5 6 7 8 9; do % set d k$i value-to-find-$i; done; "
       "% backup bad && LC_ALL=C sed -i s/value-to-find-5/value-to-F1nd-5/ "
       "bad/data.mdb && @ -s worse restore bad");
    assert_int_equal(code, 65);
    assert_non_null(strstr(out, "d"));
    sh("@ -s worse verify");
    assert_int_equal(code, 65);
    sh("@ -s worse get d k5");
    assert_int_equal(code, 65);
    expect(0, "value-to-find-6\n", "@ -s worse get d k6");
}

/* Another bound of the nodes of the page that holds elem. */
static void break_page(const char *file, const char *elem) {
    enum { PAGE = 4096, LOWER = 12 };
    size_t len;
    char *b = file_read(file, &len), *p = memmem(b, len, elem, strlen(elem));
    assert_non_null(p);
    b[(size_t)(p - b) / PAGE * PAGE + LOWER] ^= 0x40;
    file_write(file, b, len);
    free(b);
}

static void a_broken_page_is_named(void **state) {
    (void)state;
    sh("% sadd d wide $(seq -f elem-%%04g 400) && % backup broken");
    assert_int_equal(code, 0);
    break_page(path_join(folder, "broken/data.mdb"), "elem-0077");
    expect_error(65, "table 'items': its nodes do not lie as they should",
                 "@ -s broken verify");
    expect_error(65, "table 'items'", "@ -s mended restore broken");
}

/* A limit on file sizes is a full disk, not the end of the process. */
static void a_file_at_its_limit(void **state) {
    (void)state;
    sh("@ -s limited init");
    expect_error(74, "limited: its disk is full",
                 "ulimit -f 4096; v=$(head -c 60000 /dev/zero | tr '\\0' v); "
                 "for i in $(seq 99); do @ -s limited set b k$i $v || exit; "
                 "done");
    expect(0, "sound\n", "@ -s limited verify");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(init_once),
        cmocka_unit_test(limit_is_changed),
        cmocka_unit_test(figures),
        cmocka_unit_test(limits_need_no_store),
        cmocka_unit_test(verify_is_sound),
        cmocka_unit_test(backup_and_restore),
        cmocka_unit_test(forgotten_keys_come_back),
        cmocka_unit_test(a_restored_store_counts_on_its_own),
        cmocka_unit_test(damage_is_found),
        cmocka_unit_test(a_broken_page_is_named),
        cmocka_unit_test(a_file_at_its_limit),
    };
    return TEST_RUN_WITH(tests, run_setup, run_teardown);
}
