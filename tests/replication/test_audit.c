/* test_audit.c: an audit between two nodes at equal clocks: it names what
 * differs, changes nothing, and does not speak of what it cannot compare. */
#include "replication/audit.h"
#include "tests/replication/tamper.h"
#include "tests/replication/world.h"

enum { ITEMS = 5000 };
static struct world w;
static struct world_link *l;
static struct audit a;
static struct found {
    size_t n;
    char keys[32][32];
    size_t here[32], there[32];
} found;

static void note(void *ctx, const struct difference *d) {
    struct found *f = ctx;
    struct item_parts p;
    assert_true(f->n < 32 && item_id_parse(d->id, &p));
    memcpy(f->keys[f->n], p.key, p.key_len);
    f->keys[f->n][p.key_len] = 0;
    f->here[f->n] = d->n_here;
    f->there[f->n++] = d->n_there;
}

static void begin(unsigned retries) {
    struct session *s = l->end[0].s;
    found.n = 0;
    assert_ok(audit_begin(&a, mirrors_find(&s->mirrors, "b"), NULL, NULL,
                          retries, w.now));
    a.found = note;
    a.ctx = &found;
    s->audit = &a;
}

static void run(unsigned retries) {
    begin(retries);
    for (int i = 0; a.state != AUDIT_IDLE; i++) {
        assert_true(i < 5000);
        world_run(&w, 1);
    }
    l->end[0].s->audit = NULL;
    assert_ok(a.error);
}

static int setup(void **state) {
    (void)state;
    a = (struct audit){0};
    world_open(&w, 2);
    world_fill(&w, 0, "b", "k", ITEMS, 8);
    world_set(&w, 1, "b", "other", "writer");
    l = world_connect(&w, 0, 1);
    world_settle(&w, 20000);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    audit_end(&a);
    world_close(&w);
    return 0;
}

static void equal_stores_differ_in_nothing(void **state) {
    (void)state;
    uint64_t txn = replica_txn_id(w.node[0].s) + replica_txn_id(w.node[1].s);
    uint64_t bytes = w.moved;
    run(0);
    assert_true(a.compared == 1 && !a.findings && !a.skipped);
    assert_true(w.moved - bytes < 1000);
    assert_int_equal(replica_txn_id(w.node[0].s) + replica_txn_id(w.node[1].s),
                     txn);
}

static void what_differs_is_named(void **state) {
    (void)state;
    tamper(w.node[0].s, "b", "k001234", true);
    tamper(w.node[1].s, "b", "k004999", true);
    tamper(w.node[1].s, "b", "other", false);
    run(0);
    assert_int_equal(found.n, 3);
    assert_string_equal(found.keys[0], "k001234");
    assert_true(!found.here[0] && found.there[0] == 1);
    assert_string_equal(found.keys[1], "k004999");
    assert_true(found.here[1] == 1 && !found.there[1]);
    assert_string_equal(found.keys[2], "other");
    assert_true(found.here[2] == 1 && found.there[2] == 1);
    run(0); /* nothing was repaired, or hidden */
    assert_int_equal(found.n, 3);
}

/* A tomb that one side has dropped is no difference. */
static void dropped_tombs_are_no_difference(void **state) {
    (void)state;
    ecrdt_txn *t = assert_handle(ecrdt_auto(w.node[0].s));
    assert_code(1, ecrdt_reg_del(t, "b", ecrdt_str("k000001")));
    ecrdt_abort(t);
    world_settle(&w, 5000);
    tamper(w.node[1].s, "b", "k000001", true);
    run(0);
    assert_true(a.compared && !a.findings);
}

static void of_many_the_first_are_named(void **state) {
    (void)state;
    for (int i = 0; i < 40; i++) {
        char k[16];
        snprintf(k, sizeof k, "k%06d", i * 100);
        tamper(w.node[0].s, "b", k, i & 1);
    }
    run(0);
    assert_int_equal(found.n, AUDIT_FINDINGS);
    for (int i = 0; i < AUDIT_FINDINGS; i++) { /* the first ones, in order */
        char k[16];
        snprintf(k, sizeof k, "k%06d", i * 100);
        assert_string_equal(found.keys[i], k);
    }
}

/* The other side has written meanwhile: no word of it; later once more. */
static void unequal_clocks_are_not_compared(void **state) {
    (void)state;
    tamper(w.node[0].s, "b", "k001234", true);
    begin(0);
    world_turn(&w); /* the FP is made */
    world_set(&w, 1, "b", "new", "v");
    for (int i = 0; a.state != AUDIT_IDLE; i++) {
        assert_true(i < 5000);
        world_run(&w, 1);
    }
    assert_true(!a.findings && !a.compared && a.skipped == 1);
    run(1000);
    assert_int_equal(found.n, 1);
    assert_int_equal(a.skipped, 0);
}

static void silence_ends_it(void **state) {
    (void)state;
    begin(0);
    l->end[1].deaf = true;
    world_run(&w, AUDIT_ANSWER_MS + 10);
    l->end[0].s->audit = NULL;
    assert_int_equal(a.state, AUDIT_IDLE);
    assert_code(ECRDT_ETIMEOUT, a.error);
    l->end[1].deaf = false;
}

int main(void) {
#define ROW(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        ROW(equal_stores_differ_in_nothing),  ROW(what_differs_is_named),
        ROW(dropped_tombs_are_no_difference), ROW(of_many_the_first_are_named),
        ROW(unequal_clocks_are_not_compared), ROW(silence_ends_it),
    };
    return TEST_RUN(tests);
}
