/* test_dbfile.c: what data.mdb and lock.mdb must be before they are mapped,
 * and the disk blocks kept for them. */
#include "lib/dbfile.h"
#include "tests/lib/image.h"
#include <fcntl.h>
#include <lmdb.h>
#include <sys/mount.h>
#include <sys/stat.h>

enum { TABLES = DB_TABLES - 1, PAGE = 4096, META_TXN = 16 + 24 + 2 * 48 + 8 };

/* An environment with some commits in it. */
static int setup(void **state) {
    scratch_make(state);
    struct db *db = kit_open(dir, &kit_conf);
    for (int i = 0; i < 5; i++)
        if (kit_put(db, DB_ITEMS, "a", 'x', 5000) != 0)
            return 1;
    db_close(db);
    image_take("data.mdb");
    return 0;
}

static int check_with(const void *bytes, size_t n) {
    file_write(file, bytes, n);
    return dbfile_check(dir, TABLES, NULL);
}

static void whole_file(void **state) {
    (void)state;
    assert_int_equal(dbfile_check(dir, TABLES, NULL), 1);
    assert_code(ECRDT_ECORRUPT, dbfile_check(dir, TABLES + 1, NULL));
    dbfile_remove(dir);
    assert_int_equal(dbfile_check(dir, TABLES, NULL), 0);
    assert_int_equal(dbfile_check(path_join(dir, "no"), TABLES, NULL), 0);
}

/* As LMDB itself lists its free pages: where those end that are in use. */
static size_t end_of_use(void) {
    MDB_env *env;
    MDB_txn *t;
    MDB_cursor *c;
    MDB_val key, list;
    MDB_envinfo info;
    bool is_free[1 << 10] = {false};
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_open(env, dir, MDB_RDONLY, 0), 0);
    assert_int_equal(mdb_env_info(env, &info), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, MDB_RDONLY, &t), 0);
    assert_int_equal(mdb_cursor_open(t, 0, &c), 0);
    while (mdb_cursor_get(c, &key, &list, MDB_NEXT) == 0)
        for (size_t i = 1, *no = list.mv_data; i <= no[0]; i++)
            is_free[no[i]] = true;
    mdb_cursor_close(c);
    mdb_txn_abort(t);
    mdb_env_close(env);
    size_t last = info.me_last_pgno;
    while (is_free[last])
        last--;
    return (last + 1) * PAGE;
}

/* Every length below what the last commit needs: the pages that it uses, not
 * those behind them that are free. */
static void cut_off(void **state) {
    (void)state;
    struct db_stat st;
    struct db *db = kit_open(dir, &kit_conf);
    assert_ok(db_stat(db, &st));
    db_close(db);
    assert_true(image_len > st.bytes_used); /* the reserve */
    size_t end = end_of_use();
    assert_true(end < st.bytes_used);
    static const size_t some[] = {0, 1, 15, 16, 100, 4095, 4096, 4097, 8191};
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        assert_code(ECRDT_ECORRUPT, check_with(image, some[i]));
    kit_says("restore it from a backup or a peer");
    for (size_t n = 2 * PAGE; n < end; n += PAGE / 2)
        assert_code(ECRDT_ECORRUPT, check_with(image, n));
    kit_says("cut off at");
    assert_code(ECRDT_ECORRUPT, check_with(image, end - 1));
    for (size_t n = end; n <= st.bytes_used; n += PAGE / 2)
        assert_int_equal(check_with(image, n), 1);
}

static void foreign(void **state) {
    (void)state;
    uint8_t bytes[3 * PAGE];
    struct rng r = rng_seed();
    memset(bytes, 0, sizeof bytes);
    assert_code(ECRDT_ECORRUPT, check_with(bytes, sizeof bytes));
    for (int i = 0; i < 5; i++) {
        rng_bytes(&r, bytes, sizeof bytes);
        assert_code(ECRDT_ECORRUPT, check_with(bytes, sizeof bytes));
    }
    assert_code(ECRDT_ECORRUPT, check_with("SQLite format 3", 16));
    uint8_t was = image[20];
    image[20] = 2; /* version of LMDB's format */
    assert_code(ECRDT_EVERSION, check_with(image, image_len));
    image[20] = was;
}

static int open_and_close(void *arg) {
    struct db *db;
    (void)arg;
    int rc = db_open(&db, dir, &kit_conf);
    if (rc < 0)
        return rc == ECRDT_ECORRUPT || rc == ECRDT_EVERSION ? 1 : 2;
    rc = kit_get(db, DB_ITEMS, "a");
    db_close(db);
    return rc == 5000 ? 0 : rc == ECRDT_ECORRUPT ? 1 : 3;
}

/* A bit of each byte that LMDB reads of both meta pages: an error or no
 * effect at all, never an older state, never a signal. */
static void flipped_meta(void **state) {
    (void)state;
    struct rng r = rng_seed();
    unsigned noticed = 0, harmless = 0;
    for (size_t i = 0; i < 2 * META_TXN; i++) {
        size_t at = i < META_TXN ? i : PAGE + i - META_TXN;
        uint8_t bit = (uint8_t)(1 << rng_below(&r, 8));
        image[at] ^= bit;
        file_write(file, image, image_len);
        image[at] ^= bit;
        int rc = kit_child(open_and_close, NULL);
        if (rc > 1)
            fail_msg("byte %zu of page %zu, bit %x: %d", at % PAGE, at / PAGE,
                     bit, rc);
        noticed += rc == 1;
        harmless += rc == 0;
    }
    printf("# flipped meta: %u noticed, %u without effect\n", noticed,
           harmless);
    assert_true(noticed > harmless);
}

/* Looking at the file while another process commits never finds a fault. */
static int commit_on(int up, int down, void *arg) {
    struct db *db;
    (void)down;
    (void)arg;
    must(db_open(&db, dir, &kit_conf) == 0);
    must(db_set_sync(db, DB_SYNC_NONE) == 0);
    kit_say(up);
    for (unsigned i = 0;; i++) {
        char key[16];
        sprintf(key, "%u", i % 500);
        must(kit_put(db, DB_ITEMS, key, 'x', i * 7919 % 20000) == 0);
    }
}

static void while_others_commit(void **state) {
    (void)state;
    struct kit_proc p = kit_start(commit_on, NULL);
    for (int i = 0; i < 20000; i++)
        assert_int_equal(dbfile_check(dir, TABLES, NULL), 1);
    kit_end(&p, SIGKILL);
    assert_int_equal(dbfile_check(dir, TABLES, NULL), 1);
}

/* ---- disk blocks ----------------------------------------------------------
 */

static void lock_file_has_its_blocks(void **state) {
    (void)state;
    struct stat st;
    const char *name = path_join(dir, "lock.mdb");
    unlink(name);
    assert_ok(dbfile_make_lock(dir, 0640, 1000, false));
    assert_int_equal(stat(name, &st), 0);
    assert_int_equal(kit_mode(name), 0640);
    assert_true(st.st_blocks * 512 >= 1000 * 64);
    assert_ok(dbfile_make_lock(dir, 0600, 1000, true));
    assert_int_equal(kit_mode(name), 0640); /* as it was made */
    assert_int_equal(kit_child(open_and_close, NULL), 0);
}

static void reserve_never_shrinks(void **state) {
    (void)state;
    struct stat st;
    int fd = open(file, O_RDWR | O_CLOEXEC);
    assert_int_equal(dbfile_reserve(fd, image_len, 100000), 1);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, image_len + 100000);
    assert_int_equal(dbfile_reserve(fd, 0, PAGE), 1);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, image_len + 100000);
    close(fd);
    size_t len;
    char *now = file_read(file, &len);
    assert_memory_equal(now, image, image_len);
    free(now);
    fd = open("/dev/null", O_RDWR);
    assert_int_equal(dbfile_reserve(fd, 0, PAGE), 0);
    close(fd);
}

/* Blocks go and come back; the length and the rest of the bytes stay. */
static void punched_and_filled(void **state) {
    (void)state;
    static char bytes[1 << 20], zeros[1 << 19];
    struct stat st;
    int fd = open(path_join(dir, "punched"), O_RDWR | O_CREAT, 0600);
    memset(bytes, 'x', sizeof bytes);
    assert_int_equal(write(fd, bytes, sizeof bytes), sizeof bytes);
    uint64_t held = dbfile_bytes_held(fd);
    assert_true(held >= sizeof bytes);
    assert_true(dbfile_punch(fd, 1 << 18, 1 << 19));
    assert_int_equal(dbfile_bytes_held(fd), held - (1 << 19));
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, sizeof bytes);
    assert_int_equal(pread(fd, bytes, sizeof bytes, 0), sizeof bytes);
    assert_memory_equal(bytes + (1 << 18), zeros, sizeof zeros);
    assert_int_equal(bytes[(1 << 18) - 1], 'x');
    assert_int_equal(bytes[3 << 18], 'x');
    dbfile_fill(fd, 1 << 18, 1 << 19);
    assert_int_equal(dbfile_bytes_held(fd), held);
    close(fd);
    fd = open("/dev/null", O_RDWR);
    assert_false(dbfile_punch(fd, 0, PAGE));
    close(fd);
}

static void full_disk(void **state) {
    (void)state;
    const char *mnt = path_join(dir, "mnt");
    assert_int_equal(mkdir(mnt, 0700), 0);
    if (mount("none", mnt, "tmpfs", 0, "size=64k"))
        skip();
    assert_false(dbfile_disk_full(dir));
    assert_true(dbfile_disk_full(mnt) ||
                dbfile_make_lock(mnt, 0600, 10, false) == 0);
    int rc = dbfile_make_lock(mnt, 0600, 100000, false);
    int fd = open(path_join(mnt, "f"), O_RDWR | O_CREAT, 0600);
    int got = dbfile_reserve(fd, 0, 1 << 20);
    close(fd);
    umount(mnt);
    assert_int_equal(rc, ECRDT_EFULL);
    kit_says("lock file");
    assert_int_equal(got, ECRDT_EFULL);
}

/* A mount that is read-only here while others may write: readers could not
 * keep their place, so it is refused; a filesystem that nobody can write to
 * is read without a lock file. */
static void read_only_mounts(void **state) {
    (void)state;
    const char *mnt = path_join(dir, "mnt");
    assert_int_equal(mkdir(mnt, 0700), 0);
    if (mount(dir, mnt, NULL, MS_BIND, NULL))
        skip();
    assert_int_equal(
        mount(NULL, mnt, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL), 0);
    struct db_conf conf = kit_conf;
    struct db *db;
    conf.rdonly = true;
    int rc = db_open(&db, mnt, &conf);
    umount(mnt);
    assert_int_equal(rc, ECRDT_ENOTSUP);
    kit_says("read-only mount");
    assert_int_equal(mount("none", mnt, "tmpfs", 0, "size=4m"), 0);
    file_write(path_join(mnt, "data.mdb"), image, image_len);
    assert_int_equal(mount(NULL, mnt, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    rc = db_open(&db, mnt, &conf);
    int len = rc < 0 ? rc : kit_get(db, DB_ITEMS, "a");
    if (rc == 0)
        db_close(db);
    umount(mnt);
    assert_int_equal(len, 5000);
}

/* ---- making it ------------------------------------------------------------
 */

static void new_folder(void **state) {
    (void)state;
    char name[4096];
    struct stat st;
    assert_ok(dbfile_begin_new(dir, name, sizeof name));
    file_write(path_join(name, "data.mdb"), "left by the dead", 16);
    assert_ok(dbfile_begin_new(dir, name, sizeof name));
    assert_int_equal(access(path_join(name, "data.mdb"), F_OK), -1);
    file_write(path_join(name, "data.mdb"), "new", 3);
    assert_ok(dbfile_end_new(dir, name, 0640));
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_size, 3);
    assert_int_equal(kit_mode(file), 0640);
    assert_int_equal(access(name, F_OK), -1);
    assert_ok(dbfile_begin_new(dir, name, sizeof name));
    assert_true(dbfile_end_new(dir, name, 0640) < 0); /* there is none */
    assert_int_equal(access(name, F_OK), -1);
    assert_ok(dbfile_begin_new(dir, name, sizeof name));
    dbfile_abort_new(name);
    assert_int_equal(access(name, F_OK), -1);
}

#define with_file(f) cmocka_unit_test_setup_teardown(f, setup, image_remove)

int main(void) {
    const struct CMUnitTest tests[] = {
        with_file(whole_file),
        with_file(cut_off),
        with_file(foreign),
        with_file(flipped_meta),
        with_file(while_others_commit),
        with_file(lock_file_has_its_blocks),
        with_file(reserve_never_shrinks),
        with_file(punched_and_filled),
        with_file(full_disk),
        with_file(read_only_mounts),
        with_file(new_folder),
    };
    return TEST_RUN(tests);
}
