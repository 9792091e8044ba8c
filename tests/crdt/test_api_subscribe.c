/* test_api_subscribe.c: the public calls on a part of the data: arguments,
 * listing, digests of prefixes, deltas by hand between partial stores. */
#include "tests/crdt/kit.h"

static int subscribe(size_t i, const char *bucket, const char *prefix) {
    slice p = ecrdt_str(prefix);
    return ecrdt_subscribe(kit(i), bucket, prefix ? &p : NULL, prefix != NULL);
}

static void bad_arguments(void **state) {
    slice empty = {0}, a = ECRDT_STR("a"), over = kit_fill(193, 'x');
    uint8_t out[16];
    (void)state;
    assert_code(ECRDT_EINVAL, ecrdt_subscribe(NULL, KIT_B, NULL, 0));
    assert_code(ECRDT_EINVAL, ecrdt_unsubscribe(NULL, KIT_B));
    assert_code(ECRDT_EINVAL, ecrdt_subscribe(kit(0), KIT_B, &empty, 1));
    assert_code(ECRDT_EINVAL, ecrdt_subscribe(kit(0), KIT_B, NULL, 1));
    assert_code(ECRDT_EINVAL, ecrdt_subscribe(kit(0), NULL, &a, 1));
    assert_code(ECRDT_EINVAL, ecrdt_subscribe(kit(0), "", &a, 1));
    assert_code(ECRDT_EINVAL, ecrdt_subscriptions(kit(0), NULL, NULL));
    assert_code(ECRDT_EINVAL, ecrdt_digest_prefix(kit(0), KIT_B, a, NULL));
    assert_code(ECRDT_EINVAL, ecrdt_digest_prefix(NULL, KIT_B, a, out));
    assert_code(ECRDT_ETOOBIG, ecrdt_subscribe(kit(0), KIT_B, &over, 1));
    assert_code(ECRDT_ETOOBIG, ecrdt_digest_prefix(kit(0), KIT_B, over, out));
}

static int add_row(void *ctx, const ecrdt_subscription *row) {
    char *out = ctx;
    sprintf(out + strlen(out), "%s%s%s", row->bucket ? row->bucket : "*",
            row->all ? "=all" : "", row->leaving ? "!" : "");
    for (size_t i = 0; i < row->n; i++)
        sprintf(out + strlen(out), " %.*s", (int)row->prefixes[i].len,
                (const char *)row->prefixes[i].data);
    strcat(out, ";");
    return 0;
}

static int stop(void *ctx, const ecrdt_subscription *row) {
    (void)ctx, (void)row;
    return 1;
}

static void the_listing(void **state) {
    char out[200] = "";
    slice list[] = {ECRDT_STR("y/"), ECRDT_STR("x/")};
    (void)state;
    assert_ok(ecrdt_subscriptions(kit(0), add_row, out));
    assert_string_equal(out, "*=all;");
    kit_set(0, "k", "v");
    assert_code(0, subscribe(0, "a", NULL));
    assert_code(1, ecrdt_subscribe(kit(0), KIT_B, list, 2));
    assert_code(0, ecrdt_unsubscribe(kit(0), "c"));
    assert_code(0, ecrdt_unsubscribe(kit(0), NULL));
    out[0] = 0;
    assert_ok(ecrdt_subscriptions(kit(0), add_row, out));
    assert_string_equal(out, "a=all;" KIT_B "! x/ y/;c;*;");
    assert_code(ECRDT_ECANCELED, ecrdt_subscriptions(kit(0), stop, NULL));
}

static void the_digest_of_a_prefix(void **state) {
    uint8_t all[16], part[16], other[16], none[16] = {0};
    (void)state;
    kit_set(0, "a/1", "x");
    kit_add(0, "a/s", "e");
    kit_count(0, "a/n", 3);
    kit_set(0, "b/1", "y");
    kit_pull(1, 0);
    kit_digest(0, all);
    assert_ok(ecrdt_digest_prefix(kit(0), KIT_B, slice_of(NULL, 0), part));
    assert_memory_equal(all, part, 16);
    assert_ok(ecrdt_digest_prefix(kit(0), KIT_B, ECRDT_STR("a/"), part));
    assert_memory_not_equal(all, part, 16);
    kit_set(1, "b/1", "z");
    kit_del(1, "b/1");
    assert_ok(ecrdt_digest_prefix(kit(1), KIT_B, ECRDT_STR("a/"), other));
    assert_memory_equal(other, part, 16);
    assert_ok(ecrdt_digest_prefix(kit(1), KIT_B, ECRDT_STR("b/"), other));
    assert_memory_equal(other, none, 16);
    assert_ok(ecrdt_digest_prefix(kit(1), "absent", ECRDT_STR("b/"), other));
    assert_memory_equal(other, none, 16);
}

static int take(void *ctx, const void *data, size_t len) {
    buf_put(ctx, data, len);
    return 0;
}

/* Exports ask for what is held and end, whatever else there is. */
static void deltas_by_hand(void **state) {
    struct buf summary = {0}, delta = {0};
    ecrdt_import_report r;
    (void)state;
    kit_set(1, "a/1", "x");
    kit_set(1, "b/1", "y");
    assert_code(0, subscribe(0, KIT_B, "a/"));
    kit_set(0, "b/2", "blind");
    for (int round = 0; round < 2; round++) {
        buf_clear(&summary);
        buf_clear(&delta);
        assert_ok(ecrdt_summary(kit(0), take, &summary));
        assert_memory_equal(summary.data, "ECRDTS2\n", 8);
        assert_code(0,
                    ecrdt_export(kit(1), buf_slice(&summary), 0, take, &delta));
        assert_ok(ecrdt_import(kit(0), buf_slice(&delta), &r));
        assert_int_equal(r.applied, round == 0);
        assert_int_equal(r.ahead + r.refused + r.foreign, 0);
    }
    assert_int_equal(delta.len, 16); /* the second time nothing at all */
    kit_expect(0, "a/1", "x");
    kit_expect(0, "b/1", NULL);
    for (size_t n = 0; n < summary.len; n++)
        if (n)
            assert_code(ECRDT_ECORRUPT,
                        ecrdt_export(kit(1), slice_of(summary.data, n), 0, take,
                                     &delta));
    buf_clear(&summary);
    buf_clear(&delta);
    assert_ok(ecrdt_summary(kit(1), take, &summary));
    assert_memory_equal(summary.data, "ECRDTS1\n", 8);
    assert_code(0, ecrdt_export(kit(0), buf_slice(&summary), 0, take, &delta));
    assert_ok(ecrdt_import(kit(1), buf_slice(&delta), &r));
    kit_expect(1, "b/2", "blind");
    buf_free(&summary);
    buf_free(&delta);
}

/* What was exported for a store that holds all is not lost without a word. */
static void an_import_says_what_is_not_held(void **state) {
    struct buf delta = {0};
    ecrdt_import_report r;
    (void)state;
    kit_set(1, "a/1", "x");
    kit_set(1, "b/1", "y");
    assert_code(0, subscribe(0, KIT_B, "a/"));
    assert_code(0, ecrdt_export(kit(1), slice_of(NULL, 0), 0, take, &delta));
    assert_ok(ecrdt_import(kit(0), buf_slice(&delta), &r));
    assert_int_equal(r.applied, 1);
    assert_int_equal(r.foreign, 1); /* its one part, partly */
    assert_true(ecrdt_unsubscribe(kit(0), KIT_B) >= 0);
    assert_ok(ecrdt_import(kit(0), buf_slice(&delta), &r));
    assert_int_equal(r.applied + r.known + r.ahead + r.refused, 0);
    assert_int_equal(r.foreign, 1);
    buf_free(&delta);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        kit_test(bad_arguments),
        kit_test(the_listing),
        kit_test(the_digest_of_a_prefix),
        kit_test(deltas_by_hand),
        kit_test(an_import_says_what_is_not_held),
    };
    return TEST_RUN(tests);
}
