/* test_backup.c: a copy made while others write opens, is a replica of its
 * own, and holds exactly what some commit left. */
#include "tests/crash/scratch.h"
#include <sys/stat.h>

enum { WRITERS = 3, BACKUPS = 8 };

/* Each commit: a set member and the same count in a counter and a register;
 * so a state between two commits would show. */
static int write_on(int up, int down, void *arg) {
    (void)down;
    const int *no = arg;
    char key[16], elem[32], value[16];
    ecrdt_store *s = crash_open(store, ECRDT_EPHEMERAL);
    must(s);
    snprintf(key, sizeof key, "w%d", *no);
    kit_say(up);
    for (int i = 1;; i++) {
        ecrdt_txn *t = ecrdt_write(s);
        snprintf(elem, sizeof elem, "%d-%d", *no, i);
        snprintf(value, sizeof value, "%d", i);
        ecrdt_set_add(t, "b", ecrdt_str(key), ecrdt_str(elem));
        ecrdt_counter_add(t, "b", ecrdt_str(key), 1, NULL);
        ecrdt_reg_set(t, "b", ecrdt_str(key), ecrdt_str(value));
        must(ecrdt_commit(t) == 0);
    }
}

static void check_copy(uint64_t *commits) {
    ecrdt_store *s = assert_handle(crash_open(copy, 0));
    assert_ok(ecrdt_verify(s, crash_print, NULL));
    ecrdt_txn *t = ecrdt_read(s);
    for (int no = 0; no < WRITERS; no++) {
        char key[16], text[16];
        uint64_t size = 0;
        int64_t count = 0;
        ecrdt_slice v = {0};
        snprintf(key, sizeof key, "w%d", no);
        ecrdt_set_size(t, "b", ecrdt_str(key), &size);
        ecrdt_counter_get(t, "b", ecrdt_str(key), &count);
        int rc = ecrdt_reg_get(t, "b", ecrdt_str(key), &v, NULL);
        snprintf(text, sizeof text, "%d", (int)count);
        assert_int_equal(size, count);
        assert_true(rc == (count > 0));
        if (rc)
            assert_slice_equal(v, ecrdt_str(text));
        *commits += size;
    }
    ecrdt_abort(t);
    assert_ok(crash_set(s, "own", "write"));
    assert_ok(ecrdt_close(s));
}

static void backup_while_others_write(void **state) {
    (void)state;
    struct kit_proc p[WRITERS];
    int no[WRITERS];
    uint64_t commits = 0;
    ecrdt_store *s = assert_handle(crash_open(store, ECRDT_EPHEMERAL));
    assert_ok(crash_set(s, "k", "v"));
    for (int i = 0; i < WRITERS; i++) {
        no[i] = i;
        p[i] = kit_start(write_on, &no[i]);
    }
    for (int i = 0; i < BACKUPS; i++) {
        usleep(30000);
        assert_ok(ecrdt_backup(s, copy));
        check_copy(&commits);
        char rm[600];
        snprintf(rm, sizeof rm, "rm -r '%s'", copy);
        assert_int_equal(system(rm), 0);
    }
    for (int i = 0; i < WRITERS; i++)
        kit_end(&p[i], SIGKILL);
    printf("# %llu commits in %d copies\n", (unsigned long long)commits,
           BACKUPS);
    assert_ok(ecrdt_close(s));
}

/* Same content, same digest; another identity; no trace of the old key. */
static void copy_is_a_replica_of_its_own(void **state) {
    (void)state;
    uint8_t a[16], b[16];
    ecrdt_node old, new;
    ecrdt_store *s = assert_handle(crash_open(store, 0));
    for (int i = 0; i < 200; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        assert_ok(crash_set(s, key, "value"));
    }
    assert_ok(ecrdt_digest(s, "b", a));
    assert_ok(ecrdt_node_id(s, &old));
    assert_ok(ecrdt_backup(s, copy));
    assert_int_equal(kit_mode(copy) & 0777, 0700);
    assert_ok(ecrdt_close(s));
    s = assert_handle(crash_open(copy, 0));
    assert_ok(ecrdt_digest(s, "b", b));
    assert_ok(ecrdt_node_id(s, &new));
    assert_memory_equal(a, b, 16);
    assert_memory_not_equal(&old, &new, sizeof old);
    assert_true(crash_has(s, "199", "value"));
    assert_int_equal(crash_stats(s).durability, ECRDT_FULL);
    assert_ok(ecrdt_close(s));
    struct db *db = kit_open(store, &kit_conf);
    struct db_txn *t = kit_begin(db, false);
    slice key;
    size_t len;
    assert_int_equal(db_get(t, DB_META, ECRDT_STR("m.key"), &key), 1);
    char *bytes = file_read(path_join(copy, "data.mdb"), &len);
    assert_null(memmem(bytes, len, key.data, 32)); /* its secret half */
    free(bytes);
    db_abort(t);
    db_close(db);
}

static void refused_targets(void **state) {
    (void)state;
    ecrdt_store *s = assert_handle(crash_open(store, 0));
    assert_ok(crash_set(s, "k", "v"));
    assert_code(ECRDT_EINVAL, ecrdt_backup(s, NULL));
    assert_code(ECRDT_EINVAL, ecrdt_backup(s, ""));
    assert_code(ECRDT_EINVAL, ecrdt_backup(s, store));
    kit_says("not empty");
    assert_int_equal(mkdir(copy, 0700), 0);
    assert_ok(ecrdt_backup(s, copy)); /* an empty folder is fine */
    assert_code(ECRDT_EINVAL, ecrdt_backup(s, copy));
    kit_says("not empty");
    assert_code(ECRDT_ENOENT, ecrdt_backup(s, path_join(dir, "a/b")));
    file_write(path_join(dir, "file"), "x", 1);
    assert_code(ECRDT_EINVAL, ecrdt_backup(s, path_join(dir, "file")));
    assert_code(ECRDT_EINVAL, ecrdt_backup(NULL, copy));
    assert_ok(ecrdt_close(s));
}

/* Read-only handles make copies, too; a copy may be read where it lies. */
/* Two into one folder would write into each other's file. */
static void one_backup_at_a_time(void **state) {
    (void)state;
    int fd;
    uint64_t commits = 0;
    ecrdt_store *s = assert_handle(crash_open(store, 0));
    assert_ok(crash_set(s, "k", "v"));
    assert_int_equal(mkdir(copy, 0700), 0);
    assert_ok(os_claim_folder(copy, &fd));
    assert_code(ECRDT_EBUSY, ecrdt_backup(s, copy));
    kit_says("another call");
    close(fd);
    assert_ok(ecrdt_backup(s, copy));
    assert_ok(ecrdt_close(s));
    check_copy(&commits);
}

static void backup_by_a_reader(void **state) {
    (void)state;
    ecrdt_store *s = assert_handle(crash_open(store, 0));
    assert_ok(crash_set(s, "k", "v"));
    assert_ok(ecrdt_close(s));
    s = assert_handle(crash_open(store, ECRDT_RDONLY));
    assert_ok(ecrdt_backup(s, copy));
    assert_ok(ecrdt_close(s));
    s = assert_handle(crash_open(copy, ECRDT_RDONLY));
    assert_true(crash_has(s, "k", "v"));
    assert_ok(ecrdt_verify(s, crash_print, NULL));
    assert_ok(ecrdt_close(s));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        with_store(backup_while_others_write),
        with_store(copy_is_a_replica_of_its_own),
        with_store(refused_targets),
        with_store(one_backup_at_a_time),
        with_store(backup_by_a_reader),
    };
    return TEST_RUN(tests);
}
