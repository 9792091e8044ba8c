/* test_node_audit.c: nodes that compare with each other now and then: what is
 * counted, and what is logged. */
#include "lib/log.h"
#include "replication/node_audit.h"
#include "tests/replication/pair.h"
#include "tests/replication/tamper.h"

static char logged[4096];

static void keep_audits(int level, const char *line, void *ctx) {
    (void)ctx;
    if (level == ECRDT_LOG_ERROR && strstr(line, "AUDIT"))
        snprintf(logged, sizeof logged, "%s", line);
}

static const struct peer_record *record(const struct pair *p, size_t i) {
    return &p->node[i].n->peers.p[0]->r;
}

static bool audited(struct pair *p) {
    return record(p, 0)->audits >= 3 && record(p, 1)->audits >= 3;
}

static bool mismatched(struct pair *p) {
    return record(p, 0)->mismatches && record(p, 1)->mismatches;
}

static void open_two(struct pair *p, uint64_t audit_ms) {
    pair_open(p, 2);
    for (size_t i = 0; i < 2; i++) {
        p->node[i].n->conf.audit_ms = audit_ms;
        pair_set(p, i, i ? "x" : "y");
    }
    pair_list(p, 0, 1, true);
    pair_list(p, 1, 0, false);
    assert_true(pair_until(p, pair_synced, 5000));
}

static void equal_nodes_are_audited_and_fine(void **state) {
    struct pair p;
    (void)state;
    open_two(&p, 20);
    assert_true(pair_until(&p, audited, 10000));
    assert_int_equal(record(&p, 0)->mismatches, 0);
    assert_int_equal(record(&p, 1)->mismatches, 0);
    pair_close(&p);
}

static void a_mismatch_is_loud_and_counted(void **state) {
    struct pair p;
    (void)state;
    *logged = 0;
    open_two(&p, 20);
    tamper(p.node[1].s, "b", "y", true);
    for (size_t i = 0; i < 2; i++) {
        struct peer_record *r = &p.node[i].n->peers.p[0]->r;
        snprintf(r->name, sizeof r->name, "%s", "pe\"er\n");
    }
    assert_true(pair_until(&p, mismatched, 10000));
    assert_non_null(strstr(logged, "bucket=\"b\" key=\"register y\""));
    assert_non_null(strstr(logged, "peer=\"pe\\\"er\\x0a\" bucket="));
    assert_non_null(strstr(logged, "nothing"));
    node_stop(p.node[0].n, "test"); /* in the middle of one, perhaps */
    node_stop(p.node[1].n, "test");
    pair_close(&p);
}

static void zero_means_never(void **state) {
    struct pair p;
    (void)state;
    open_two(&p, 0);
    assert_false(pair_until(&p, audited, 300));
    assert_int_equal(record(&p, 0)->audits + record(&p, 1)->audits, 0);
    pair_close(&p);
}

static void keys_are_shown(void **state) {
    struct item_key k;
    char text[128];
    (void)state;
    item_key_make(&k, 0, ecrdt_str("a\nb"), TAG_ELEMENT);
    item_key_element(&k, ecrdt_str("e"));
    node_audit_key(text, sizeof text, item_key_id(&k));
    assert_string_equal(text, "set element a?b e");
    node_audit_key(text, sizeof text, slice_of("", 0));
    assert_string_equal(text, "the start");
    node_audit_key(text, sizeof text, slice_of("xyz", 3));
    assert_string_equal(text, "a range within keys");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_nodes_are_audited_and_fine),
        cmocka_unit_test(a_mismatch_is_loud_and_counted),
        cmocka_unit_test(zero_means_never),
        cmocka_unit_test(keys_are_shown),
    };
    ecrdt_set_log(keep_audits, NULL, ECRDT_LOG_ERROR);
    return TEST_RUN(tests);
}
