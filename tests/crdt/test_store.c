/* test_store.c: opening a store's folder: options, sharing, identity,
 * durability levels, and what is refused. */
#include "crdt/store.h"
#include "tests/crdt/kit.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

static ecrdt_store *open_with(size_t i, uint32_t flags) {
    ecrdt_options o = ECRDT_OPTIONS_INIT;
    o.flags = flags;
    o.max_readers = 32;
    o.max_bytes = UINT64_C(1) << 28;
    return ecrdt_open(kit_path(i), &o);
}

static void refused(int code, ecrdt_store *s) {
    assert_null(s);
    assert_int_equal(ecrdt_errcode(), code);
    assert_true(strlen(ecrdt_errmsg()) > 20);
}

static void options_are_checked(void **state) {
    (void)state;
    ecrdt_options o = ECRDT_OPTIONS_INIT;
    refused(ECRDT_EINVAL, ecrdt_open(NULL, NULL));
    refused(ECRDT_EINVAL, ecrdt_open("", NULL));
    char *longest = calloc(1, 4000);
    assert_non_null(longest);
    memset(longest, '/', 3901);
    refused(ECRDT_EINVAL, ecrdt_open(longest, NULL));
    free(longest);
    refused(ECRDT_EINVAL, open_with(0, ECRDT_FULL | ECRDT_RELAXED));
    refused(ECRDT_EINVAL, open_with(0, 64));
    o.size = 0;
    refused(ECRDT_EINVAL, ecrdt_open(kit_path(0), &o));
    refused(ECRDT_ENOENT, open_with(0, ECRDT_NOCREATE));
    refused(ECRDT_ENOENT, open_with(0, ECRDT_RDONLY));
    assert_int_equal(access(kit_path(0), F_OK), -1); /* nothing was made */
    refused(ECRDT_ENOENT, ecrdt_open(path_join(kit_dir, "no/such"), NULL));
}

/* A caller built with a shorter or a longer struct. */
static void options_may_grow(void **state) {
    (void)state;
    struct {
        ecrdt_options o;
        uint64_t later;
    } longer = {.o = ECRDT_OPTIONS_INIT, .later = 77};
    longer.o.size = sizeof longer;
    longer.o.flags = ECRDT_EPHEMERAL;
    ecrdt_store *s = assert_handle(ecrdt_open(kit_path(0), &longer.o));
    assert_ok(ecrdt_close(s));
    longer.o.size = offsetof(ecrdt_options, max_readers);
    longer.o.max_readers = 0xffffffff; /* not read */
    s = assert_handle(ecrdt_open(kit_path(0), &longer.o));
    assert_ok(ecrdt_close(s));
}

static void one_handle_per_store_and_process(void **state) {
    (void)state;
    ecrdt_store *a = assert_handle(open_with(0, 0));
    ecrdt_store *b = assert_handle(open_with(0, 0));
    assert_ptr_equal(a, b);
    char link[600];
    snprintf(link, sizeof link, "%s/link", kit_dir);
    assert_int_equal(symlink(kit_path(0), link), 0);
    assert_ptr_equal(ecrdt_open(link, NULL), a); /* the same folder */
    refused(ECRDT_EINVAL, open_with(0, ECRDT_RDONLY));
    refused(ECRDT_EINVAL, open_with(0, ECRDT_RELAXED));
    ecrdt_options o = ECRDT_OPTIONS_INIT;
    o.max_bytes = 123456789;
    refused(ECRDT_EINVAL, ecrdt_open(kit_path(0), &o));
    assert_ok(ecrdt_close(a));
    assert_ok(ecrdt_close(a));
    ecrdt_txn *t = assert_handle(ecrdt_read(a));
    assert_code(ECRDT_EBUSY, ecrdt_close(a)); /* stays open */
    assert_true(strstr(ecrdt_errmsg(), "1 transaction") != NULL);
    ecrdt_abort(t);
    assert_ok(ecrdt_close(a));
}

/* In place, as a disk would: another bound of the nodes of each page that
 * holds the text. */
static void break_pages(const char *folder, const char *text) {
    enum { PAGE = 4096, LOWER = 12 };
    char file[600];
    size_t len, n = strlen(text);
    snprintf(file, sizeof file, "%s/data.mdb", folder);
    char *b = file_read(file, &len), *p = b;
    int fd = open(file, O_WRONLY);
    while ((p = memmem(p, len - (size_t)(p - b), text, n)) != NULL) {
        size_t page = (size_t)(p - b) / PAGE;
        char lower = b[page * PAGE + LOWER] ^ 0x40;
        assert_int_equal(pwrite(fd, &lower, 1, (off_t)(page * PAGE + LOWER)),
                         1);
        p = b + (page + 1) * PAGE;
    }
    close(fd);
    free(b);
}

static void a_shared_open_checks_too(void **state) {
    char key[16];
    (void)state;
    ecrdt_store *s = assert_handle(open_with(0, 0));
    ecrdt_txn *t = assert_handle(ecrdt_write(s));
    for (int i = 0; i < 400; i++) {
        snprintf(key, sizeof key, "key-%03d", i);
        assert_ok(ecrdt_reg_set(t, "b", ecrdt_str(key), ecrdt_str("found")));
    }
    assert_ok(ecrdt_commit(t));
    assert_ptr_equal(open_with(0, ECRDT_CHECK), s);
    break_pages(kit_path(0), "found");
    refused(ECRDT_ECORRUPT, open_with(0, ECRDT_CHECK));
    assert_ok(ecrdt_close(s));
    assert_ok(ecrdt_close(s));
    refused(ECRDT_ECORRUPT, open_with(0, ECRDT_CHECK));
}

/* The store "s" of the working folder, written to from another one. */
static ecrdt_node write_from(const char *elsewhere) {
    ecrdt_node id;
    ecrdt_store *s = assert_handle(ecrdt_open("s", NULL));
    assert_int_equal(chdir(elsewhere), 0);
    ecrdt_txn *t = ecrdt_auto(s);
    assert_ok(ecrdt_reg_set(t, "b", ECRDT_STR("k"), ECRDT_STR("v")));
    ecrdt_abort(t);
    assert_ok(ecrdt_node_id(s, &id));
    assert_ok(ecrdt_close(s));
    return id;
}

/* Neither store is taken for the other, or for a copy. */
static void the_working_folder_may_change(void **state) {
    (void)state;
    const char *folder[] = {kit_path(0), kit_path(1)};
    ecrdt_node was[2], is;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(mkdir(folder[i], 0700), 0);
        assert_int_equal(chdir(folder[i]), 0);
        was[i] = write_from(folder[i]);
    }
    assert_int_equal(chdir(folder[0]), 0);
    for (int i = 0; i < 4; i++) {
        is = write_from(folder[(i + 1) % 2]);
        assert_memory_equal(&is, &was[i % 2], sizeof is);
    }
    assert_int_equal(chdir("/"), 0); /* from where it is removed */
}

static void a_level_is_fixed_at_creation(void **state) {
    (void)state;
    static const uint32_t levels[] = {ECRDT_FULL, ECRDT_RELAXED,
                                      ECRDT_EPHEMERAL};
    for (size_t i = 0; i < 3; i++) {
        ecrdt_store *s = assert_handle(open_with(i, levels[i]));
        ecrdt_stats st = {.size = sizeof st};
        assert_ok(ecrdt_stat_read(s, &st));
        assert_int_equal(st.durability, levels[i]);
        assert_ok(ecrdt_flush(s));
        assert_ok(replica_flush(s));
        assert_ok(ecrdt_close(s));
        for (size_t k = 0; k < 3; k++)
            if (k != i)
                refused(ECRDT_EINVAL, open_with(i, levels[k]));
        s = assert_handle(open_with(i, 0)); /* as created */
        assert_ok(ecrdt_stat_read(s, &st));
        assert_int_equal(st.durability, levels[i]);
        assert_ok(ecrdt_close(s));
    }
    ecrdt_store *s = assert_handle(open_with(3, 0)); /* FULL by default */
    ecrdt_stats st = {.size = sizeof st};
    assert_ok(ecrdt_stat_read(s, &st));
    assert_int_equal(st.durability, ECRDT_FULL);
    assert_ok(ecrdt_close(s));
}

static void data_outlives_the_handle(void **state) {
    (void)state;
    kit_open(0, ECRDT_FULL);
    kit_set(0, "k", "v");
    kit_add(0, "s", "e");
    kit_count(0, "c", 5);
    kit_close(0);
    kit_open(0, ECRDT_RDONLY);
    kit_expect(0, "k", "v");
    assert_int_equal(kit_value(0, "c"), 5);
    assert_null(ecrdt_write(kit(0)));
    assert_int_equal(ecrdt_errcode(), ECRDT_ERDONLY);
    ecrdt_txn *t = assert_handle(ecrdt_auto(kit(0)));
    assert_code(ECRDT_ERDONLY,
                ecrdt_reg_set(t, KIT_B, slice_str("k"), slice_str("w")));
    ecrdt_abort(t);
    kit_sound(0);
}

static void an_ephemeral_store_of_another_boot_is_emptied(void **state) {
    (void)state;
    ecrdt_node a, b;
    kit_set(0, "k", "v"); /* kit() opens EPHEMERAL */
    assert_ok(ecrdt_node_id(kit(0), &a));
    kit_close(0);
    kit_expect(0, "k", "v"); /* the same boot */
    static const uint8_t other[16] = {1};
    kit_close(0);
    file_write(path_join(kit_path(0), "boot"), other, sizeof other);
    refused(ECRDT_ERDONLY, open_with(0, ECRDT_RDONLY)); /* cannot empty it */
    kit_expect(0, "k", NULL);
    assert_ok(ecrdt_node_id(kit(0), &b));
    assert_memory_not_equal(&a, &b, sizeof a);
    kit_set(0, "k", "again");
    kit_sound(0);
    ecrdt_stats st = {.size = sizeof st};
    assert_ok(ecrdt_stat_read(kit(0), &st));
    assert_int_equal(st.buckets, 1);
    assert_int_equal(st.items, 1);
}

/* A backup of an ephemeral store, once opened, is one of this boot. */
static void an_ephemeral_backup_gets_a_boot_file(void **state) {
    (void)state;
    kit_set(0, "k", "v");
    assert_ok(ecrdt_backup(kit(0), kit_path(1)));
    kit_expect(1, "k", "v");
    kit_close(1);
    size_t len;
    char *boot = file_read(path_join(kit_path(1), "boot"), &len);
    assert_int_equal(len, 16);
    free(boot);
}

static void another_format_is_refused(void **state) {
    (void)state;
    ecrdt_txn *t = kit_write(0);
    assert_ok(meta_put_u32(t, "m.format", STORE_FORMAT + 1));
    assert_ok(ecrdt_commit(t));
    kit_close(0);
    refused(ECRDT_EVERSION, open_with(0, 0));
    assert_true(strstr(ecrdt_errmsg(), "newer") != NULL);
}

static void foreign_files_are_refused(void **state) {
    (void)state;
    static const char junk[8192] = "this is no store";
    assert_int_equal(mkdir(kit_path(0), 0700), 0);
    file_write(path_join(kit_path(0), "data.mdb"), junk, sizeof junk);
    refused(ECRDT_ECORRUPT, open_with(0, 0));
    size_t len;
    char *now = file_read(path_join(kit_path(0), "data.mdb"), &len);
    assert_int_equal(len, sizeof junk); /* and left alone */
    assert_memory_equal(now, junk, sizeof junk);
    free(now);
    assert_int_equal(mkdir(kit_path(2), 0700), 0);
    assert_int_equal(mkfifo(path_join(kit_path(2), "data.mdb"), 0600), 0);
    alarm(10); /* an open that waits for its other end */
    refused(ECRDT_ECORRUPT, open_with(2, 0));
    alarm(0);
    file_write(kit_path(1), "x", 1); /* a file, not a folder */
    assert_null(open_with(1, 0));
    assert_true(ecrdt_errcode() < 0);
}

static void a_small_limit_fills_up(void **state) {
    (void)state;
    ecrdt_options o = ECRDT_OPTIONS_INIT;
    o.flags = ECRDT_EPHEMERAL;
    o.max_readers = 32;
    o.max_bytes = 1 << 20;
    kit_stores[0] = assert_handle(ecrdt_open(kit_path(0), &o));
    kit_set(0, "k", "v");
    ecrdt_txn *t = kit_write(0);
    int rc = 0;
    char key[16];
    for (int i = 0; i < 64 && rc == 0; i++) {
        snprintf(key, sizeof key, "k%d", i);
        rc = ecrdt_reg_set(t, KIT_B, slice_str(key), kit_fill(65536, 'x'));
    }
    assert_int_equal(rc, ECRDT_EFULL);
    assert_code(ECRDT_EFULL, ecrdt_commit(t)); /* sticks */
    kit_expect(0, "k", "v");
    kit_set(0, "k", "w"); /* a small write still fits */
    kit_sound(0);
}

static void a_commit_wakes_who_watches(void **state) {
    (void)state;
    struct stat before, after;
    kit_set(0, "k", "v");
    assert_string_equal(replica_path(kit(0)), kit_path(0));
    assert_int_equal(stat(replica_wake_path(kit(0)), &before), 0);
    usleep(20000);
    kit_expect(0, "k", "v"); /* reading does not wake */
    kit_set(0, "k", "nobody watches");
    assert_int_equal(stat(replica_wake_path(kit(0)), &after), 0);
    assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
    replica_watch(kit(0), true);
    kit_set(0, "k", "w");
    replica_watch(kit(0), false);
    assert_int_equal(stat(replica_wake_path(kit(0)), &after), 0);
    assert_true(before.st_mtim.tv_nsec != after.st_mtim.tv_nsec ||
                before.st_mtim.tv_sec != after.st_mtim.tv_sec);
}

struct opener {
    ecrdt_options o;
    ecrdt_store *s;
    atomic_bool done;
};

static void *open_slowly(void *ctx) {
    struct opener *op = ctx;
    op->s = ecrdt_open(kit_path(1), &op->o);
    atomic_store(&op->done, true);
    return NULL;
}

/* One store's snapshots do not wait while another store is made, whose lock
 * somebody has. */
static void exposing_waits_for_no_open(void **state) {
    (void)state;
    struct opener op = {.o = ECRDT_OPTIONS_INIT};
    struct os_lock *lock;
    pthread_t thread;
    ecrdt_txn *t;
    kit_set(0, "k", "v");
    op.o.flags = ECRDT_EPHEMERAL;
    op.o.max_bytes = UINT64_C(1) << 30;
    op.o.lock_timeout_ms = 20000;
    assert_int_equal(mkdir(kit_path(1), 0770), 0);
    assert_ok(os_lock_open(kit_path(1), "lock.ecrdt", 0660, &lock));
    assert_ok(os_lock_take(lock, 2000, kit_path(1)));
    assert_int_equal(pthread_create(&thread, NULL, open_slowly, &op), 0);
    while (!os_lock_waiters(lock) && !atomic_load(&op.done))
        usleep(1000);
    assert_ok(replica_expose(kit(0), &t));
    ecrdt_abort(t);
    assert_false(atomic_load(&op.done));
    os_lock_give(lock);
    pthread_join(thread, NULL);
    os_lock_close(lock);
    kit_stores[1] = assert_handle(op.s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(options_are_checked),
        kit_test(options_may_grow),
        kit_test(one_handle_per_store_and_process),
        kit_test(a_shared_open_checks_too),
        kit_test(the_working_folder_may_change),
        kit_test(a_level_is_fixed_at_creation),
        kit_test(data_outlives_the_handle),
        kit_test(an_ephemeral_store_of_another_boot_is_emptied),
        kit_test(an_ephemeral_backup_gets_a_boot_file),
        kit_test(another_format_is_refused),
        kit_test(foreign_files_are_refused),
        kit_test(a_small_limit_fills_up),
        kit_test(a_commit_wakes_who_watches),
        kit_test(exposing_waits_for_no_open),
    };
    return TEST_RUN(tests);
}
