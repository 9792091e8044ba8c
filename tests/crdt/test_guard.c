/* test_guard.c: what the guard file tells a store by, and what it does not
 * mistake for a copy. */
#include "crdt/guard.h"
#include "tests/crdt/kit.h"
#include <sys/stat.h>
#include <unistd.h>

static void me(size_t i, ecrdt_node *out) {
    assert_ok(ecrdt_node_id(kit(i), out));
}

/* Closes store i, does what, opens it: is it a new incarnation? */
static bool renewed_by(size_t i, void (*what)(const char *path)) {
    ecrdt_node was, is;
    kit_set(i, "k", "v");
    me(i, &was);
    kit_close(i);
    if (what)
        what(kit_path(i));
    kit_open(i, 0);
    me(i, &is);
    kit_set(i, "k", "w");
    kit_sound(i);
    return memcmp(&was, &is, sizeof is) != 0;
}

static void change(const char *path, void (*fn)(struct guard *g)) {
    struct guard g;
    assert_code(1, guard_load(path, &g));
    fn(&g);
    assert_ok(guard_save(path, 0660, &g, true));
}

static void another_boot(struct guard *g) {
    g->facts.boot[0] ^= 1;
    g->facts.boot_ms += UINT64_C(1) << 40;
    g->facts.dev += 7; /* numbered anew */
}
static void another_machine(struct guard *g) {
    memset(g->facts.machine, 1, GUARD_ID);
}
static void another_vm(struct guard *g) {
    memset(g->facts.vm, 1, GUARD_ID);
}
static void another_nonce(struct guard *g) {
    g->nonce[0] ^= 1;
    g->before[0] ^= 1;
}
static void later(struct guard *g) {
    g->facts.boot_ms += 1000000;
}
static void unknown_machine(struct guard *g) {
    memset(g->facts.machine, 0, GUARD_ID);
    memset(g->facts.vm, 0, GUARD_ID);
    g->facts.ino = g->facts.born = g->facts.dev = 0;
}

static void reboot(const char *path) {
    change(path, another_boot);
}
static void travel(const char *path) {
    change(path, another_machine);
}
static void mix(const char *path) {
    change(path, another_nonce);
}
static void set_back(const char *path) {
    change(path, later);
}
static void know_less(const char *path) {
    change(path, unknown_machine);
}
static void copy_whole(const char *path) {
    char cmd[2000];
    snprintf(cmd, sizeof cmd, "cp -a %s %s.c && rm -rf %s && mv %s.c %s", path,
             path, path, path, path);
    assert_int_equal(system(cmd), 0);
}
static void move(const char *path) {
    char cmd[2000];
    snprintf(cmd, sizeof cmd, "mv %s %s.m && mv %s.m %s", path, path, path,
             path);
    assert_int_equal(system(cmd), 0);
}
static void lose_guard(const char *path) {
    unlink(path_join(path, "guard"));
}
static void damage_guard(const char *path) {
    file_write(path_join(path, "guard"), "ECRDTG1\nnonsense", 16);
}

static void what_is_no_copy(void **state) {
    (void)state;
    kit_open(0, 0);
    assert_false(renewed_by(0, NULL));
    assert_false(renewed_by(0, reboot));
    assert_false(renewed_by(0, know_less));
    assert_false(renewed_by(0, move));
    assert_false(renewed_by(0, NULL));
}

static void what_is_one(void **state) {
    (void)state;
    kit_open(0, 0);
    struct guard g;
    assert_code(1, guard_load(kit_path(0), &g));
    uint8_t none[GUARD_ID] = {0};
    if (memcmp(g.facts.machine, none, GUARD_ID))
        assert_true(renewed_by(0, travel));
    assert_true(renewed_by(0, mix));
    assert_true(renewed_by(0, set_back));
    assert_true(renewed_by(0, copy_whole));
    assert_true(renewed_by(0, lose_guard));
    assert_true(renewed_by(0, damage_guard));
    assert_false(renewed_by(0, NULL));
}

static void facts_are_compared(void **state) {
    (void)state;
    struct guard g = {0}, h;
    guard_facts_read(kit_path(0), &g.facts); /* no store there */
    assert_int_equal(g.facts.ino, 0);
    kit_open(0, 0);
    guard_facts_read(kit_path(0), &g.facts);
    assert_true(g.facts.ino != 0);
    h = g;
    assert_null(guard_compare(&g.facts, &h.facts));
    memset(g.facts.vm, 2, GUARD_ID);
    h = g;
    another_vm(&h);
    assert_non_null(guard_compare(&g.facts, &h.facts));
    h = g;
    h.facts.ino++;
    assert_non_null(guard_compare(&g.facts, &h.facts));
    h = g;
    h.facts.born += 5;
    assert_int_equal(guard_compare(&g.facts, &h.facts) != NULL,
                     g.facts.born != 0);
    h = g;
    h.facts.boot_ms = 1; /* the same boot, and earlier */
    assert_non_null(guard_compare(&g.facts, &h.facts));
}

/* A data file of the session before is older than its guard. */
static void an_earlier_data_file(void **state) {
    (void)state;
    ecrdt_node was, is;
    char cmd[1500];
    kit_open(0, 0);
    kit_set(0, "k", "v");
    kit_close(0);
    snprintf(cmd, sizeof cmd, "cp %s/data.mdb %s/../old", kit_path(0),
             kit_path(0));
    assert_int_equal(system(cmd), 0);
    kit_open(0, 0);
    kit_set(0, "k", "later");
    me(0, &was);
    kit_close(0);
    snprintf(cmd, sizeof cmd, "cat %s/../old >%s/data.mdb", kit_path(0),
             kit_path(0));
    assert_int_equal(system(cmd), 0);
    kit_open(0, 0);
    me(0, &is);
    assert_memory_not_equal(&was, &is, sizeof is);
    kit_expect(0, "k", "v");
}

/* Only the first writer of a session writes the guard. */
static void one_write_a_session(void **state) {
    (void)state;
    struct guard a, b;
    kit_open(0, 0);
    kit_set(0, "k", "v");
    assert_code(1, guard_load(kit_path(0), &a));
    assert_memory_equal(a.nonce, a.before, GUARD_ID);
    kit_set(0, "k", "w");
    assert_code(1, guard_load(kit_path(0), &b));
    assert_memory_equal(&a, &b, sizeof a);
    kit_close(0);
    kit_open(0, ECRDT_RDONLY);
    kit_close(0);
    kit_open(0, 0); /* opened and read: nothing */
    kit_expect(0, "k", "w");
    assert_code(1, guard_load(kit_path(0), &b));
    assert_memory_equal(&a, &b, sizeof a);
    ecrdt_txn *t = kit_write(0); /* given up: both nonces are good */
    ecrdt_abort(t);
    assert_code(1, guard_load(kit_path(0), &b));
    assert_memory_not_equal(a.nonce, b.nonce, GUARD_ID);
    assert_memory_equal(a.nonce, b.before, GUARD_ID);
    assert_false(renewed_by(0, NULL));
}

/* Who opens a store while another one begins the session has a snapshot from
 * before: that is no other data file. */
static void an_open_beside_the_first_write(void **state) {
    (void)state;
    kit_open(0, 0);
    kit_close(0);
    kit_open(0, 0);
    uint64_t before = os_lock_session(kit(0)->lock);
    assert_int_equal(before, 0);
    ecrdt_txn *t = kit_read(0), *later;
    kit_set(0, "k", "v");
    uint64_t begun = os_lock_session(kit(0)->lock);
    assert_true(guard_check(t, before) >= 0);
    ecrdt_abort(t);
    later = kit_read(0);
    assert_code(0, guard_check(later, begun));
    assert_code(ECRDT_EBUSY, guard_check(later, begun + 2));
    assert_non_null(strstr(ecrdt_errmsg(), "before its data file was"));
    ecrdt_abort(later);
}

/* Writes to a data file that is gone would be lost: they are refused. */
static void a_data_file_that_is_gone(void **state) {
    (void)state;
    kit_open(0, 0);
    kit_set(0, "k", "v");
    unlink(path_join(kit_path(0), "data.mdb"));
    ecrdt_txn *t; /* one may begin that looked just before */
    while ((t = ecrdt_write(kit(0))))
        ecrdt_abort(t);
    assert_null(ecrdt_write(kit(0))); /* and again */
    assert_int_equal(ecrdt_errcode(), ECRDT_EIO);
    assert_non_null(strstr(ecrdt_errmsg(), "removed or replaced"));
    kit_close(0);
    kit_open(0, 0); /* begins anew */
    kit_expect(0, "k", NULL);
    kit_set(0, "k", "v");
    kit_sound(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(what_is_no_copy),
        kit_test(what_is_one),
        kit_test(facts_are_compared),
        kit_test(an_earlier_data_file),
        kit_test(one_write_a_session),
        kit_test(a_data_file_that_is_gone),
        kit_test(an_open_beside_the_first_write),
    };
    return TEST_RUN(tests);
}
