/* test_open.c: everything that may be wrong with a store's folder, its
 * options or its other users when it is opened. */
#include "tests/crash/scratch.h"
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

static int setup(void **state) {
    store_make(state);
    return chmod(dir, 0755);
}

static ecrdt_store *make(uint32_t flags) {
    ecrdt_store *s = assert_handle(crash_open(store, flags));
    assert_ok(crash_set(s, "k", "v"));
    return s;
}

static void opened_twice_in_one_process(void **state) {
    (void)state;
    ecrdt_store *a = make(0);
    assert_ptr_equal(crash_open(store, 0), a);
    assert_int_equal(symlink("s", path_join(dir, "alias")), 0);
    assert_ptr_equal(ecrdt_open(path_join(dir, "alias"), NULL), a);
    assert_ptr_equal(ecrdt_open(path_join(store, "../s/"), NULL), a);
    crash_refused(crash_open(store, ECRDT_RDONLY), ECRDT_EINVAL,
                  "other options");
    ecrdt_options o = crash_options(0);
    o.max_bytes = 1 << 20;
    crash_refused(ecrdt_open(store, &o), ECRDT_EINVAL, "max_bytes");
    crash_refused(crash_open(store, ECRDT_RELAXED), ECRDT_EINVAL,
                  "durability FULL");
    ecrdt_txn *t = ecrdt_read(a);
    for (int i = 0; i < 3; i++)
        assert_ok(ecrdt_close(a));
    assert_code(ECRDT_EBUSY, ecrdt_close(a));
    kit_says("1 transactions are open");
    assert_true(crash_has(a, "k", "v"));
    ecrdt_abort(t);
    assert_ok(ecrdt_close(a));
    ecrdt_store *b = assert_handle(crash_open(store, ECRDT_RDONLY));
    assert_true(crash_has(b, "k", "v"));
    crash_refused(crash_open(store, 0), ECRDT_EINVAL, "other options");
    assert_ok(ecrdt_close(b));
}

static void bad_arguments(void **state) {
    (void)state;
    crash_refused(ecrdt_open(NULL, NULL), ECRDT_EINVAL, "path");
    crash_refused(ecrdt_open("", NULL), ECRDT_EINVAL, "path");
    crash_refused(crash_open(store, 1u << 20), ECRDT_EINVAL, "0x100000");
    crash_refused(crash_open(store, ECRDT_FULL | ECRDT_EPHEMERAL), ECRDT_EINVAL,
                  "more than one durability");
    ecrdt_options o = crash_options(0);
    o.size = 3;
    crash_refused(ecrdt_open(store, &o), ECRDT_EINVAL, "ECRDT_OPTIONS_INIT");
    o = crash_options(0);
    o.max_readers = 5000000;
    crash_refused(ecrdt_open(store, &o), ECRDT_EINVAL, "max_readers");
    assert_code(ECRDT_EINVAL, ecrdt_close(NULL)); /* the last error */
}

static void no_such_store(void **state) {
    (void)state;
    crash_refused(crash_open(store, ECRDT_NOCREATE), ECRDT_ENOENT, "init");
    crash_refused(crash_open(store, ECRDT_RDONLY), ECRDT_ENOENT, "init");
    assert_int_equal(access(store, F_OK), -1);
    crash_refused(crash_open(path_join(dir, "a/b"), 0), ECRDT_ENOENT,
                  "make that first");
    file_write(path_join(dir, "file"), "x", 1);
    crash_refused(crash_open(path_join(dir, "file"), 0), ECRDT_EINVAL,
                  "not a folder");
    assert_int_equal(mkdir(store, 0700), 0); /* empty */
    crash_refused(crash_open(store, ECRDT_NOCREATE), ECRDT_ENOENT, "init");
    crash_refused(crash_open(store, ECRDT_RDONLY), ECRDT_ENOENT, "init");
    assert_ok(ecrdt_close(make(0)));
}

static void durability_stays(void **state) {
    (void)state;
    static const uint32_t levels[] = {ECRDT_FULL, ECRDT_RELAXED,
                                      ECRDT_EPHEMERAL};
    for (int i = 0; i < 3; i++) {
        static const char *const names[] = {"full", "relaxed", "ephemeral"};
        const char *path = path_join(dir, names[i]);
        ecrdt_store *s = assert_handle(crash_open(path, levels[i]));
        assert_ok(crash_set(s, "k", "v"));
        assert_ok(ecrdt_flush(s));
        assert_ok(ecrdt_close(s));
        for (int k = 0; k < 3; k++) {
            s = crash_open(path, levels[k]);
            if (i != k)
                crash_refused(s, ECRDT_EINVAL, "was created with durability");
            else
                assert_ok(ecrdt_close(s));
        }
        s = assert_handle(crash_open(path, 0));
        assert_int_equal(crash_stats(s).durability, levels[i]);
        assert_ok(ecrdt_close(s));
    }
}

/* ---- other users ----------------------------------------------------------
 */

enum { NOBODY = 65534 };

static int as_nobody(void *arg) {
    const bool *rdonly = arg;
    must(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
    ecrdt_store *s = crash_open(store, *rdonly ? ECRDT_RDONLY : 0);
    if (!s) {
        fprintf(stderr, "# %s\n", ecrdt_errmsg());
        return strstr(ecrdt_errmsg(), "ermission") ? -ecrdt_errcode() : 99;
    }
    bool ok = crash_has(s, "k", "v") && (*rdonly || !crash_set(s, "k", "v"));
    return ecrdt_close(s) == 0 && ok ? 0 : 98;
}

/* Another user, without any right and with the group's. */
static void permissions(void **state) {
    (void)state;
    if (geteuid())
        skip();
    bool yes = true, no = false;
    mode_t was = umask(077);
    assert_ok(ecrdt_close(make(0)));
    umask(was);
    assert_int_equal(kit_child(as_nobody, &yes), -ECRDT_EIO);
    assert_int_equal(chmod(store, 0755), 0);
    assert_int_equal(kit_child(as_nobody, &yes), -ECRDT_EIO);
    assert_int_equal(kit_child(as_nobody, &no), -ECRDT_EIO);
    static const char *const files[] = {"data.mdb", "lock.mdb", "lock.ecrdt",
                                        "guard", "wake"};
    for (int i = 0; i < 5; i++)
        assert_int_equal(chown(path_join(store, files[i]), (uid_t)-1, NOBODY),
                         0);
    /* A folder that cannot be written to, with files that can. */
    assert_int_equal(kit_child(as_nobody, &yes), 0);
    assert_int_equal(kit_child(as_nobody, &no), 0);
}

static void set_group_of_the_folder(void **state) {
    (void)state;
    mode_t was = umask(077);
    assert_ok(ecrdt_close(make(0)));
    umask(was);
    assert_int_equal(kit_mode(store), 02770);
    static const char *const files[] = {"data.mdb", "lock.mdb", "lock.ecrdt",
                                        "guard", "wake"};
    for (int i = 0; i < 4; i++)
        assert_int_equal(kit_mode(path_join(store, files[i])), 0660);
}

static void filesystem_without_space(void **state) {
    (void)state;
    assert_int_equal(mkdir(store, 0700), 0);
    if (mount("none", store, "tmpfs", 0, "size=16k"))
        skip();
    ecrdt_store *s = crash_open(store, 0);
    int rc = ecrdt_errcode();
    umount2(store, MNT_DETACH);
    assert_null(s);
    assert_int_equal(rc, ECRDT_EFULL);
}

/* ---- PID namespaces -------------------------------------------------------
 */

static unsigned warnings;

static void count_warning(int level, const char *line, void *ctx) {
    (void)ctx;
    warnings += level == ECRDT_LOG_WARN && strstr(line, "PID");
}

/* Becomes pid 1 of a namespace of its own. */
static void new_namespace(int fail_code) {
    if (unshare(CLONE_NEWPID))
        _exit(fail_code);
    pid_t pid = fork();
    must(pid >= 0);
    if (pid) {
        int status;
        must(waitpid(pid, &status, 0) == pid);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 200);
    }
    must(getpid() == 1);
}

static int read_in_namespace(int up, int down, void *arg) {
    (void)arg;
    new_namespace(77);
    ecrdt_store *s = crash_open(store, 0);
    must(s);
    ecrdt_txn *t = ecrdt_read(s);
    must(t);
    kit_say(up);
    kit_hear(down);
    must(crash_stats(s).pidns_reads == 0);
    ecrdt_abort(t);
    must(ecrdt_close(s) == 0);
    return 0;
}

static int second_in_namespace(void *arg) {
    (void)arg;
    new_namespace(77);
    ecrdt_set_log(count_warning, NULL, ECRDT_LOG_INFO);
    must(!crash_open(store, ECRDT_RDONLY));
    must(ecrdt_errcode() == ECRDT_ENOTSUP);
    must(strstr(ecrdt_errmsg(), "PID namespace"));
    ecrdt_store *s = crash_open(store, 0);
    must(s);
    for (int i = 0; i < 20; i++)
        must(crash_has(s, "k", "v"));
    ecrdt_txn *a = ecrdt_auto(s);
    ecrdt_slice v;
    for (int i = 0; i < 5; i++) {
        must(ecrdt_reg_get(a, "b", ECRDT_STR("k"), &v, NULL) == 1);
        must(ecrdt_reg_set(a, "b", ECRDT_STR("auto"), v) == 0);
    }
    must(ecrdt_commit(a) == 0);
    must(crash_set(s, "second", "w") == 0);
    must(crash_has(s, "second", "w"));
    must(crash_stats(s).pidns_reads >= 20);
    must(ecrdt_verify(s, crash_print, NULL) == 0);
    must(ecrdt_backup(s, path_join(dir, "copy")) == 0);
    must(ecrdt_close(s) == 0);
    must(warnings == 1);
    return 0;
}

/* Containers whose only process is pid 1 share a store. */
static void equal_pids_in_two_namespaces(void **state) {
    (void)state;
    if (geteuid())
        skip();
    ecrdt_store *s = make(0);
    struct kit_proc p = kit_start(read_in_namespace, NULL);
    assert_int_equal(kit_child(second_in_namespace, NULL), 0);
    kit_say(p.down);
    assert_int_equal(kit_end(&p, 0), 0);
    assert_true(crash_has(s, "second", "w"));
    assert_ok(ecrdt_close(s));
}

static int die_in_namespace(void *arg) {
    (void)arg;
    new_namespace(77);
    ecrdt_store *s = crash_open(store, 0);
    must(s && ecrdt_read(s));
    return 9; /* nothing is closed */
}

static int again_in_namespace(void *arg) {
    (void)arg;
    new_namespace(77);
    for (int i = 0; i < 2; i++) {
        ecrdt_store *s = crash_open(store, i ? ECRDT_RDONLY : ECRDT_CHECK);
        must(s);
        ecrdt_stats st = crash_stats(s);
        must(st.oldest_reader_pid == 0 && st.readers == 1); /* the other's */
        must(st.cleared_readers == !i);
        must(crash_has(s, "k", "v"));
        must(ecrdt_close(s) == 0);
    }
    return 0;
}

/* A container whose process has died in a snapshot is started anew, while
 * another process keeps the store open: the snapshot must not stay. */
static void equal_pids_one_after_the_other(void **state) {
    (void)state;
    if (geteuid())
        skip();
    ecrdt_store *s = make(0);
    ecrdt_txn *a = ecrdt_auto(s); /* its slot is that of this process */
    ecrdt_slice v;
    assert_int_equal(ecrdt_reg_get(a, "b", ECRDT_STR("k"), &v, NULL), 1);
    assert_int_equal(kit_child(die_in_namespace, NULL), 9);
    assert_int_equal(kit_child(again_in_namespace, NULL), 0);
    assert_int_equal(ecrdt_reg_get(a, "b", ECRDT_STR("k"), &v, NULL), 1);
    ecrdt_abort(a);
    assert_ok(ecrdt_close(s));
}

/* ---- another boot ---------------------------------------------------------
 */

static bool of_store(ecrdt_store *s, ecrdt_node *out) {
    return ecrdt_node_id(s, out) == 0;
}

/* Makes the store's note of its boot that of another one. */
static void forge_boot(void) {
    char *path = strdup(path_join(store, "boot")), *id;
    if (access(path, F_OK) == 0) {
        size_t len;
        id = file_read(path, &len);
        id[0] ^= 1;
        file_write(path, id, len);
        free(id);
    }
    free(path);
    struct db *db = kit_open(store, &kit_conf);
    struct db_txn *t = kit_begin(db, true);
    struct buf v = {0};
    memset(buf_extend(&v, 16), 7, 16);
    assert_ok(db_put(t, DB_META, ECRDT_STR("m.boot"), &v));
    assert_ok(db_commit(t));
    buf_free(&v);
    db_close(db);
}

static void ephemeral_of_another_boot(void **state) {
    (void)state;
    ecrdt_node a, b;
    ecrdt_store *s = make(ECRDT_EPHEMERAL);
    assert_true(of_store(s, &a));
    assert_ok(ecrdt_close(s));
    s = assert_handle(crash_open(store, 0)); /* of this one: it stays */
    assert_true(crash_has(s, "k", "v"));
    assert_true(of_store(s, &b));
    assert_memory_equal(&a, &b, sizeof a);
    assert_ok(ecrdt_close(s));
    forge_boot();
    s = assert_handle(crash_open(store, 0));
    assert_true(crash_has(s, "k", NULL));
    assert_true(of_store(s, &b));
    assert_memory_not_equal(&a, &b, sizeof a);
    assert_int_equal(crash_stats(s).durability, ECRDT_EPHEMERAL);
    assert_ok(crash_set(s, "k", "new"));
    assert_ok(ecrdt_verify(s, crash_print, NULL));
    assert_ok(ecrdt_close(s));
}

static void others_do_not_mind_another_boot(void **state) {
    (void)state;
    ecrdt_node a, b;
    ecrdt_store *s = make(ECRDT_RELAXED);
    assert_true(of_store(s, &a));
    assert_ok(ecrdt_close(s));
    forge_boot();
    s = assert_handle(crash_open(store, 0));
    assert_true(crash_has(s, "k", "v"));
    assert_true(of_store(s, &b));
    assert_memory_equal(&a, &b, sizeof a);
    assert_ok(ecrdt_close(s));
}

/* ---- fork -----------------------------------------------------------------
 */

static int child_of_open_store(void *arg) {
    ecrdt_store *s = arg;
    uint8_t digest[16];
    must(!ecrdt_read(s) && ecrdt_errcode() == ECRDT_EFORK);
    must(strstr(ecrdt_errmsg(), "close the handle"));
    must(!ecrdt_write(s) && ecrdt_errcode() == ECRDT_EFORK);
    must(!ecrdt_auto(s) && ecrdt_errcode() == ECRDT_EFORK);
    must(ecrdt_flush(s) == ECRDT_EFORK);
    must(ecrdt_digest(s, "b", digest) == ECRDT_EFORK);
    must(ecrdt_verify(s, crash_print, NULL) == ECRDT_EFORK);
    must(ecrdt_backup(s, path_join(dir, "copy")) == ECRDT_EFORK);
    must(ecrdt_close(s) == 0);
    s = crash_open(store, 0);
    must(s);
    must(crash_has(s, "k", "v"));
    must(crash_set(s, "child", "c") == 0);
    must(ecrdt_close(s) == 0);
    return 0;
}

static void fork_with_a_snapshot(void **state) {
    (void)state;
    ecrdt_store *s = make(0);
    ecrdt_txn *t = ecrdt_read(s), *a = ecrdt_auto(s);
    ecrdt_slice v;
    assert_int_equal(ecrdt_reg_get(a, "b", ECRDT_STR("k"), &v, NULL), 1);
    assert_int_equal(kit_child(child_of_open_store, s), 0);
    assert_int_equal(ecrdt_reg_get(t, "b", ECRDT_STR("child"), &v, NULL), 0);
    assert_int_equal(ecrdt_reg_get(a, "b", ECRDT_STR("child"), &v, NULL), 1);
    ecrdt_abort(t);
    ecrdt_abort(a);
    assert_ok(crash_set(s, "k", "w"));
    assert_ok(ecrdt_close(s));
}

static int child_of_writer(void *arg) {
    ecrdt_store *s = arg;
    must(ecrdt_close(s) == 0);
    ecrdt_options o = crash_options(0);
    o.lock_timeout_ms = 100;
    s = ecrdt_open(store, &o);
    must(s);
    must(!ecrdt_write(s) && ecrdt_errcode() == ECRDT_EBUSY);
    char who[32];
    snprintf(who, sizeof who, "pid %d (", (int)getppid());
    must(strstr(ecrdt_errmsg(), who));
    must(crash_has(s, "k", "v"));
    must(ecrdt_close(s) == 0);
    return 0;
}

static void fork_inside_a_write(void **state) {
    (void)state;
    ecrdt_store *s = make(0);
    ecrdt_txn *t = ecrdt_write(s);
    assert_ok(ecrdt_reg_set(t, "b", ECRDT_STR("k"), ECRDT_STR("w")));
    assert_int_equal(kit_child(child_of_writer, s), 0);
    assert_ok(ecrdt_commit(t));
    assert_true(crash_has(s, "k", "w"));
    assert_ok(ecrdt_close(s));
}

#define with_open_folder(f)                                                    \
    cmocka_unit_test_setup_teardown(f, setup, scratch_remove)

int main(void) {
    const struct CMUnitTest tests[] = {
        with_open_folder(opened_twice_in_one_process),
        with_open_folder(bad_arguments),
        with_open_folder(no_such_store),
        with_open_folder(durability_stays),
        with_open_folder(permissions),
        with_open_folder(set_group_of_the_folder),
        with_open_folder(filesystem_without_space),
        with_open_folder(equal_pids_in_two_namespaces),
        with_open_folder(equal_pids_one_after_the_other),
        with_open_folder(ephemeral_of_another_boot),
        with_open_folder(others_do_not_mind_another_boot),
        with_open_folder(fork_with_a_snapshot),
        with_open_folder(fork_inside_a_write),
    };
    return TEST_RUN(tests);
}
