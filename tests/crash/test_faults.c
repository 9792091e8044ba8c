/* test_faults.c: each public call, with its n-th allocation, write, sync or
 * map failing for n = 1, 2, ... until it passes: it fails with the code for
 * that and a sentence, nothing acknowledged is lost, what failed did nothing,
 * and the store can be used on and is sound. */
#include "tests/crash/faults.h"
#include "tests/crash/kit.h"
#include "tests/lib/scratch.h"
#include <sys/stat.h>

enum { MOST = 3000, LARGE = 30000 };
#define K        ECRDT_STR("k")
#define NO_SLICE ((ecrdt_slice){NULL, 0})

static const char *path, *copy;
static ecrdt_store *store, *other;
static int64_t acked; /* the number in register "last" */
static struct crash_bytes summary, delta, exported;

static ecrdt_slice large(void) {
    static char v[LARGE];
    memset(v, 'x', sizeof v);
    return slice_of(v, sizeof v);
}

static int ignore_row(void *ctx, const ecrdt_subscription *row) {
    (void)ctx, (void)row;
    return 0;
}

/* ---- the calls: each < 0 if it fails --------------------------------------
 */

/* A write transaction around op, which also raises the number. */
static int written(void (*op)(ecrdt_txn *t)) {
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)acked + 1);
    ecrdt_txn *t = ecrdt_write(store);
    if (!t)
        return ecrdt_errcode();
    ecrdt_reg_set(t, "b", ECRDT_STR("last"), ecrdt_str(text));
    op(t);
    int rc = ecrdt_commit(t);
    acked += rc == 0;
    return rc;
}

static void reg_set(ecrdt_txn *t) {
    ecrdt_reg_set(t, "b", K, ECRDT_STR("v"));
    ecrdt_reg_set(t, "b", ECRDT_STR("large"), large());
}
static void reg_del(ecrdt_txn *t) {
    ecrdt_reg_set(t, "b", K, ECRDT_STR("v"));
    ecrdt_reg_del(t, "b", K);
}
static void set_write(ecrdt_txn *t) {
    ecrdt_set_add(t, "b", K, ECRDT_STR("one"));
    ecrdt_set_add(t, "b", K, ECRDT_STR("two"));
    ecrdt_set_remove(t, "b", K, ECRDT_STR("one"));
}
static void set_clear(ecrdt_txn *t) {
    ecrdt_set_add(t, "b", ECRDT_STR("cleared"), ECRDT_STR("one"));
    ecrdt_set_clear(t, "b", ECRDT_STR("cleared"));
}
static void counter_write(ecrdt_txn *t) {
    int64_t n;
    ecrdt_counter_add(t, "b", K, 3, &n);
    ecrdt_counter_add(t, "c", K, 3, &n);
    ecrdt_counter_reset(t, "c", K);
}
static void apply(ecrdt_txn *t) {
    const ecrdt_op ops[] = {{ECRDT_OP_REG_SET, "b", K, ECRDT_STR("batch"), 0},
                            {ECRDT_OP_SET_ADD, "c", K, ECRDT_STR("batch"), 0},
                            {ECRDT_OP_COUNTER_ADD, "c", K, {NULL, 0}, 7}};
    ecrdt_apply(t, ops, 3);
}
static ecrdt_receipt receipt;
static void take_receipt(ecrdt_txn *t) {
    ecrdt_reg_set(t, "b", K, ECRDT_STR("received"));
    ecrdt_receipt_of(t, "b", &receipt);
}

static int do_reg_set(void) {
    return written(reg_set);
}
static int do_reg_del(void) {
    return written(reg_del);
}
static int do_set_write(void) {
    return written(set_write);
}
static int do_set_clear(void) {
    return written(set_clear);
}
static int do_counter(void) {
    return written(counter_write);
}
static int do_apply(void) {
    return written(apply);
}
static int do_receipt(void) {
    return written(take_receipt);
}

static int do_auto(void) {
    ecrdt_slice v;
    ecrdt_txn *t = ecrdt_auto(store);
    if (!t)
        return ecrdt_errcode();
    int rc = ecrdt_reg_set(t, "b", ECRDT_STR("auto"), ECRDT_STR("v"));
    if (rc >= 0)
        rc = ecrdt_reg_get(t, "b", ECRDT_STR("auto"), &v, NULL);
    ecrdt_abort(t);
    return rc;
}

static int walk(ecrdt_iter *it, bool seek) {
    ecrdt_entry e;
    int rc = it ? 0 : ecrdt_errcode();
    if (rc >= 0 && seek)
        rc = ecrdt_seek(it, ECRDT_STR("a"));
    while (rc >= 0 && (rc = ecrdt_next(it, &e)) == 1)
        continue;
    ecrdt_iter_close(it);
    return rc;
}

static int do_reads(void) {
    ecrdt_slice v;
    ecrdt_stamp who;
    uint64_t size;
    int64_t n;
    ecrdt_txn *t = ecrdt_read(store);
    if (!t)
        return ecrdt_errcode();
    int rc = ecrdt_reg_get(t, "b", ECRDT_STR("large"), &v, &who);
    if (rc >= 0)
        rc = ecrdt_set_has(t, "b", K, ECRDT_STR("two"));
    if (rc >= 0)
        rc = ecrdt_set_size(t, "b", K, &size);
    if (rc >= 0)
        rc = ecrdt_counter_get(t, "b", K, &n);
    if (rc >= 0)
        rc = walk(ecrdt_reg_siblings(t, "b", ECRDT_STR("large")), false);
    if (rc >= 0)
        rc = walk(ecrdt_keys(t, "b", NO_SLICE, ECRDT_ANY), true);
    if (rc >= 0)
        rc = walk(ecrdt_elems(t, "b", K, NO_SLICE), true);
    ecrdt_abort(t);
    return rc;
}

static int do_questions(void) {
    ecrdt_node id;
    uint8_t digest[16];
    ecrdt_stats st = {.size = sizeof st};
    int rc = ecrdt_node_id(store, &id);
    if (rc >= 0)
        rc = ecrdt_digest(store, "b", digest);
    if (rc >= 0)
        rc = ecrdt_digest_prefix(store, "b", ECRDT_STR("k"), digest);
    if (rc >= 0)
        rc = ecrdt_settled(store, "b");
    if (rc >= 0)
        rc = ecrdt_buckets(store, crash_ignore, NULL);
    if (rc >= 0)
        rc = ecrdt_subscriptions(store, ignore_row, NULL);
    return rc < 0 ? rc : ecrdt_stat_read(store, &st);
}

static int do_flush(void) {
    return ecrdt_flush(store);
}
static int do_verify(void) {
    return ecrdt_verify(store, crash_ignore, NULL);
}

static void remove_copy(void) {
    static const char *const names[] = {"data.mdb",   "lock.mdb", "guard",
                                        "lock.ecrdt", "wake",     "boot"};
    for (int i = 0; i < 6; i++)
        unlink(path_join(copy, names[i]));
    rmdir(path_join(copy, "new"));
    rmdir(copy);
}

static int do_backup(void) {
    int rc = ecrdt_backup(store, copy);
    return rc;
}

static int do_wait(void) {
    int rc = ecrdt_wait(store, &receipt, ECRDT_HERE, 0);
    return rc < 0 ? rc : ecrdt_wait(store, &receipt, ECRDT_AT_CORE, 0);
}

static int do_summary(void) {
    summary.len = 0;
    return ecrdt_summary(store, crash_keep, &summary);
}

static int do_export(void) {
    exported.len = 0;
    return ecrdt_export(store, NO_SLICE, 0, crash_keep, &exported);
}

/* Something new from the other store, once the last one is here. */
static bool imported = true;

static void before_import(void) {
    if (!imported)
        return;
    delta.len = 0;
    assert_ok(crash_set(other, "theirs", "v"));
    assert_true(ecrdt_export(other, NO_SLICE, 0, crash_keep, &delta) >= 0);
}

static int do_import(void) {
    int rc = ecrdt_import(store, slice_of(delta.data, delta.len), NULL);
    imported = rc >= 0;
    return rc;
}

static int do_subscribe(void) {
    ecrdt_slice prefix = ECRDT_STR("k");
    int rc = ecrdt_subscribe(store, "d", &prefix, 1);
    if (rc >= 0)
        rc = ecrdt_subscribe(store, "d", NULL, 0);
    return rc < 0 ? rc : ecrdt_unsubscribe(store, "e");
}

static int do_setting(void) {
    uint64_t v;
    int rc = ecrdt_setting_set(store, ECRDT_GC_RETENTION_MS, 1000);
    return rc < 0 ? rc : ecrdt_setting_get(store, ECRDT_GC_RETENTION_MS, &v);
}

static int do_gc(void) {
    return ecrdt_gc(store, 0, 0, NULL);
}
static int do_forget(void) {
    return ecrdt_forget(store, "c", K, NULL);
}
static int do_retire(void) {
    return ecrdt_retire(store);
}
static int do_fold(void) {
    return ecrdt_fold(store, ECRDT_FOLD_CLAIM | ECRDT_FOLD_ALL, NULL);
}

static int open_and_close(const char *p, uint32_t flags) {
    ecrdt_store *s = crash_open(p, flags);
    int rc = s ? 0 : ecrdt_errcode();
    assert_true(!s || ecrdt_close(s) == 0);
    return rc;
}
static int do_open_new(void) {
    return open_and_close(copy, 0);
}
static int do_open(void) {
    int rc = ecrdt_close(store);
    assert_ok(rc);
    store = crash_open(path, ECRDT_CHECK);
    return store ? 0 : ecrdt_errcode();
}

static const struct call {
    const char *name;
    int (*run)(void);
    void (*before)(void);
} calls[] = {{"ecrdt_open() of a new store", do_open_new, NULL},
             {"ecrdt_open()", do_open, NULL},
             {"ecrdt_reg_set()", do_reg_set, NULL},
             {"ecrdt_reg_del()", do_reg_del, NULL},
             {"ecrdt_set_add() and _remove()", do_set_write, NULL},
             {"ecrdt_set_clear()", do_set_clear, NULL},
             {"ecrdt_counter_add() and _reset()", do_counter, NULL},
             {"ecrdt_apply()", do_apply, NULL},
             {"ecrdt_auto()", do_auto, NULL},
             {"ecrdt_receipt_of()", do_receipt, NULL},
             {"reads and iterators", do_reads, NULL},
             {"questions to the store", do_questions, NULL},
             {"ecrdt_flush()", do_flush, NULL},
             {"ecrdt_verify()", do_verify, NULL},
             {"ecrdt_backup()", do_backup, NULL},
             {"ecrdt_wait()", do_wait, NULL},
             {"ecrdt_summary()", do_summary, NULL},
             {"ecrdt_export()", do_export, NULL},
             {"ecrdt_import()", do_import, before_import},
             {"ecrdt_subscribe() and _unsubscribe()", do_subscribe, NULL},
             {"ecrdt_setting_set()", do_setting, NULL},
             {"ecrdt_gc()", do_gc, NULL},
             {"ecrdt_forget()", do_forget, NULL},
             {"ecrdt_retire()", do_retire, NULL},
             {"ecrdt_fold()", do_fold, NULL}};
enum { CALLS = sizeof calls / sizeof *calls };

/* ---- faults ---------------------------------------------------------------
 */

/* FAULT_NONE stands for allocations. */
static const struct kind {
    const char *name;
    enum fault_kind kind;
    int errnum, codes[2];
} kinds[] = {
    {"allocation", FAULT_NONE, 0, {ECRDT_ENOMEM, 0}},
    {"write: EIO", FAULT_WRITE, EIO, {ECRDT_EIO, 0}},
    {"write: ENOSPC", FAULT_WRITE, ENOSPC, {ECRDT_EFULL, ECRDT_EIO}},
    {"write: half of it", FAULT_WRITE, 0, {ECRDT_EIO, ECRDT_EFULL}},
    {"sync: EIO", FAULT_SYNC, EIO, {ECRDT_EIO, 0}},
    {"map: ENOMEM", FAULT_MAP, ENOMEM, {ECRDT_ENOMEM, 0}},
};

static void arm(const struct kind *k, unsigned long n) {
    if (k->kind == FAULT_NONE)
        fault_alloc_at(n);
    else
        fault_io_at(k->kind, n, k->errnum);
}

static bool disarm(const struct kind *k) {
    bool hit = k->kind == FAULT_NONE ? fault_alloc_hit() : fault.hit;
    fault_alloc_at(0);
    fault_io_at(FAULT_NONE, 0, 0);
    return hit;
}

static void check_error(const struct kind *k, const struct call *c,
                        unsigned long n, int rc) {
    bool known = rc == k->codes[0] || (k->codes[1] && rc == k->codes[1]);
    if (!known || ecrdt_errcode() != rc || strlen(ecrdt_errmsg()) < 20)
        fail_msg("%s, %s no. %lu: %s: %s", c->name, k->name, n,
                 ecrdt_strerror(rc), ecrdt_errmsg());
}

/* The number that the store shows; -1 if it cannot be read. */
static int64_t shown(void) {
    ecrdt_slice v;
    char text[32] = "";
    ecrdt_txn *t = ecrdt_read(store);
    int rc = ecrdt_reg_get(t, "b", ECRDT_STR("last"), &v, NULL);
    if (rc == 1)
        memcpy(text, v.data, v.len < sizeof text ? v.len : sizeof text - 1);
    ecrdt_abort(t);
    return rc < 0 ? -1 : atoll(text);
}

static int ok_anyway(void) {
    return written(reg_set);
}

/* After a failure: usable as it is, or, where the disk failed in the middle of
 * a commit, once it is opened again, as the sentence says. */
static void check_usable(const struct kind *k, const struct call *c,
                         unsigned long n) {
    int64_t now = store ? shown() : -1;
    if (store && now < 0) {
        kit_says("close the store and open it again");
        assert_ok(ecrdt_close(store));
        store = NULL;
    }
    if (!store) {
        store = assert_handle(crash_open(path, 0));
        now = shown();
    }
    if (now != acked)
        fail_msg("%s, %s no. %lu: shows %lld, acknowledged %lld", c->name,
                 k->name, n, (long long)now, (long long)acked);
    assert_ok(ok_anyway());
}

static unsigned long try_call(const struct kind *k, const struct call *c) {
    unsigned long n, failed = 0;
    for (n = 1; n < MOST; n++) {
        if (c->before)
            c->before();
        arm(k, n);
        int rc = c->run();
        bool hit = disarm(k);
        if (!hit && rc < 0)
            fail_msg("%s: %s", c->name, ecrdt_errmsg());
        if (rc < 0)
            check_error(k, c, n, rc);
        failed += rc < 0;
        remove_copy();
        if (!hit)
            break;
        check_usable(k, c, n);
    }
    assert_in_range(n, 1, MOST - 1);
    return failed;
}

static int setup(void **state) {
    scratch_make(state);
    path = scratch_path("s");
    copy = scratch_path("copy");
    store = assert_handle(crash_open(path, 0));
    other = assert_handle(crash_open(path_join(dir, "other"), ECRDT_RELAXED));
    acked = 0;
    imported = true;
    for (int i = 0; i < CALLS; i++) { /* each once, so that all is there */
        if (calls[i].before)
            calls[i].before();
        if (calls[i].run() < 0)
            fail_msg("%s: %s", calls[i].name, ecrdt_errmsg());
        remove_copy();
    }
    return 0;
}

static int teardown(void **state) {
    ecrdt_close(store);
    ecrdt_close(other);
    return scratch_remove(state);
}

static void each_call(void **state) {
    const struct kind *k = *state;
    unsigned long all = 0;
    for (int i = 0; i < CALLS; i++) {
        all += try_call(k, &calls[i]);
        assert_ok(ecrdt_verify(store, crash_print, NULL));
    }
    printf("# %lu failed calls: %s\n", all, k->name);
    assert_true(all > 0);
}

static int begin(void **state) {
    void *k = *state;
    int rc = setup(state);
    *state = k;
    return rc;
}

/* Each public function is in this file, but for those that cannot fail. */
static void none_is_left_out(void **state) {
    (void)state;
    static const char *const harmless =
        "ecrdt_str ecrdt_errcode ecrdt_errmsg ecrdt_strerror ecrdt_version "
        "ecrdt_set_allocator ecrdt_set_log ";
    char *api = file_read("include/edgecrdt.h", NULL), *at = api;
    char *here = file_read("tests/crash/test_faults.c", NULL);
    unsigned n = 0;
    while ((at = strstr(at, "ECRDT_API "))) {
        char *end = strpbrk(at, "(\n"), *begins = end;
        if (!end || *end != '(' || strncmp(at, "ECRDT_API __", 12) == 0) {
            at++;
            continue;
        }
        while (begins[-1] == '_' || (begins[-1] >= 'a' && begins[-1] <= 'z'))
            begins--;
        *end = '\0';
        if (!strstr(here, begins) && !strstr(harmless, begins))
            fail_msg("%s() is not tried", begins);
        at = end + 1;
        n++;
    }
    assert_in_range(n, 50, 200);
    free(api);
    free(here);
}

int main(void) {
    struct CMUnitTest tests[sizeof kinds / sizeof *kinds + 1] = {
        cmocka_unit_test(none_is_left_out)};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        tests[i + 1] =
            (struct CMUnitTest){kinds[i].name, each_call, begin, teardown,
                                (void *)(uintptr_t)&kinds[i]};
    fault_alloc_install();
    return TEST_RUN(tests);
}
