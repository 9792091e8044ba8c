/* test_dbopen.c: an environment appears whole or not at all, for whoever may
 * use it, by whoever makes it first. */
#include "lib/dbfile.h"
#include "tests/lib/scratch.h"
#include <sys/stat.h>

static void modes_whatever_the_umask(void **state) {
    (void)state;
    mode_t was = umask(077);
    db_close(kit_open(dir, &kit_conf));
    umask(was);
    assert_int_equal(kit_mode(path_join(dir, "data.mdb")), 0660);
    assert_int_equal(kit_mode(path_join(dir, "lock.mdb")), 0660);
    /* What someone changed on purpose stays. */
    assert_int_equal(chmod(path_join(dir, "data.mdb"), 0666), 0);
    db_close(kit_open(dir, &kit_conf));
    assert_int_equal(kit_mode(path_join(dir, "data.mdb")), 0666);
}

static void read_only(void **state) {
    (void)state;
    struct db *db;
    struct db_txn *t;
    struct db_conf conf = kit_conf;
    conf.rdonly = true;
    assert_code(ECRDT_ENOENT, db_open(&db, dir, &conf));
    assert_null(db);
    assert_int_equal(access(path_join(dir, "data.mdb"), F_OK), -1);
    db = kit_open(dir, &kit_conf);
    assert_ok(kit_put(db, DB_META, "a", 'x', 3));
    db_close(db);
    db = kit_open(dir, &conf);
    assert_int_equal(kit_get(db, DB_META, "a"), 3);
    assert_true(db_begin(db, true, &t) < 0);
    assert_ok(db_flush(db));
    db_close(db);
}

static void limits(void **state) {
    (void)state;
    struct db *db;
    struct db_conf conf = kit_conf;
    conf.max_readers = 2000000;
    assert_code(ECRDT_EINVAL, db_open(&db, dir, &conf));
    kit_says("max_readers");
    conf = kit_conf;
    conf.max_bytes = UINT64_C(1) << 60; /* no address space */
    assert_code(ECRDT_ENOMEM, db_open(&db, dir, &conf));
    kit_says("max_bytes");
    db_close(NULL);
    db_forget(NULL);
}

static void damaged_files_are_left_alone(void **state) {
    (void)state;
    struct db *db;
    size_t len;
    file_write(path_join(dir, "data.mdb"), "", 0);
    assert_code(ECRDT_ECORRUPT, db_open(&db, dir, &kit_conf));
    file_write(path_join(dir, "data.mdb"), "junk", 4);
    assert_code(ECRDT_ECORRUPT, db_open(&db, dir, &kit_conf));
    char *now = file_read(path_join(dir, "data.mdb"), &len);
    assert_string_equal(now, "junk");
    free(now);
}

/* Whoever is killed while making it: the next one makes it. */
static int open_once(void *arg) {
    struct db *db;
    struct os_lock *lock;
    struct db_conf conf = kit_conf;
    must(os_lock_open(dir, "lock.ecrdt", 0660, &lock) == 0);
    conf.lock = lock;
    conf.wait_ms = 10000;
    must(db_open(&db, dir, &conf) == 0);
    must(kit_put(db, DB_META, arg ? arg : "a", 'x', 3) == 0);
    db_close(db);
    os_lock_close(lock);
    return 0;
}

static void killed_while_making(void **state) {
    (void)state;
    unsigned killed = 0;
    struct rng r = rng_seed();
    for (int i = 0; i < 150; i++) {
        fflush(NULL);
        pid_t pid = fork();
        if (pid == 0)
            _exit(open_once(NULL));
        usleep((useconds_t)rng_below(&r, 1500));
        kill(pid, SIGKILL);
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        killed += WIFSIGNALED(status);
        assert_in_range(dbfile_check(dir, DB_TABLES - 1, NULL), 0, 1);
        assert_int_equal(kit_child(open_once, NULL), 0);
        rmdir(path_join(dir, "new")); /* may be left, empty */
        assert_int_equal(access(path_join(dir, "new"), F_OK), -1);
        unlink(path_join(dir, "data.mdb"));
        unlink(path_join(dir, "lock.mdb"));
    }
    printf("# killed %u of 150 in time\n", killed);
}

static int open_when_told(int up, int down, void *arg) {
    kit_say(up);
    kit_hear(down);
    return open_once(arg);
}

static void made_by_many_at_once(void **state) {
    (void)state;
    static char names[4][2] = {"a", "b", "c", "d"};
    for (int i = 0; i < 25; i++) {
        struct kit_proc p[4];
        for (int k = 0; k < 4; k++)
            p[k] = kit_start(open_when_told, names[k]);
        for (int k = 0; k < 4; k++)
            kit_say(p[k].down);
        for (int k = 0; k < 4; k++)
            assert_int_equal(kit_end(&p[k], 0), 0);
        struct db *db = kit_open(dir, &kit_conf);
        for (int k = 0; k < 4; k++)
            assert_int_equal(kit_get(db, DB_META, names[k]), 3);
        db_close(db);
        unlink(path_join(dir, "data.mdb"));
        unlink(path_join(dir, "lock.mdb"));
    }
}

/* Making waits for the writer lock, and not for ever. */
static void making_waits_for_the_lock(void **state) {
    (void)state;
    struct os_lock *lock;
    struct db *db;
    struct db_conf conf = kit_conf;
    assert_ok(os_lock_open(dir, "lock.ecrdt", 0660, &lock));
    conf.lock = lock;
    assert_ok(os_lock_take(lock, 0, dir));
    assert_code(ECRDT_EBUSY, db_open(&db, dir, &conf));
    os_lock_give(lock);
    assert_ok(db_open(&db, dir, &conf));
    db_close(db);
    assert_ok(os_lock_take(lock, 0, dir)); /* opening what is there does not */
    assert_ok(db_open(&db, dir, &conf));
    db_close(db);
    os_lock_give(lock);
    os_lock_close(lock);
}

static void each_allocation_may_fail(void **state) {
    (void)state;
    struct db *db;
    for (unsigned long n = 1;; n++) {
        fault_alloc_at(n);
        int rc = db_open(&db, dir, &kit_conf);
        fault_alloc_at(0);
        if (rc == 0)
            break;
        assert_int_equal(rc, ECRDT_ENOMEM);
        assert_null(db);
        assert_int_equal(fault_alloc_live(), 0);
        assert_in_range(n, 1, 50);
    }
    db_close(db);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        with_folder(modes_whatever_the_umask),
        with_folder(read_only),
        with_folder(limits),
        with_folder(damaged_files_are_left_alone),
        with_folder(killed_while_making),
        with_folder(made_by_many_at_once),
        with_folder(making_waits_for_the_lock),
        with_folder(each_allocation_may_fail),
    };
    fault_alloc_install();
    return TEST_RUN(tests);
}
