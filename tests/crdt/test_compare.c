/* test_compare.c: items of a chunk against ours: each difference is named
 * once, with the dots that only one side has. */
#include "crdt/compare.h"
#include "crdt/reconcile.h"
#include "tests/crdt/kit.h"
#include "tests/replication/tamper.h"

static struct seen {
    size_t n;
    char keys[32][16];
    size_t here[32], there[32];
    size_t stop_at;
} seen;

static int note(void *ctx, const struct difference *d) {
    struct seen *s = ctx;
    struct item_parts p;
    assert_true(item_id_parse(d->id, &p));
    assert_string_equal(d->bucket, KIT_B);
    memcpy(s->keys[s->n], p.key, p.key_len);
    s->keys[s->n][p.key_len] = 0;
    s->here[s->n] = d->n_here;
    s->there[s->n++] = d->n_there;
    return s->n == s->stop_at;
}

/* Everything that store 0 holds, with payloads, as an audit shows it. */
static void show(struct buf *out) {
    struct fp m = {.bucket = slice_str(KIT_B), .flags = FP_AUDIT};
    struct item_id lowest = {0};
    struct chunk_budget budget = {1 << 20, 1000};
    struct chunk_built built;
    ecrdt_txn *t = kit_read(0);
    assert_non_null(fp_add(&m, &lowest, NULL, 0, false));
    assert_code(1, reconcile_chunk(t, &m, &budget, out, &built));
    assert_int_equal(m.n, 0);
    ecrdt_abort(t);
    fp_free(&m);
}

static void set(const char *k, const char *v) {
    ecrdt_txn *t = kit_write(0);
    if (v)
        assert_ok(ecrdt_reg_set(t, KIT_B, slice_str(k), slice_str(v)));
    else
        assert_code(1, ecrdt_reg_del(t, KIT_B, slice_str(k)));
    assert_ok(ecrdt_commit(t));
}

static int compare(const struct buf *chunk, size_t stop_at, size_t *parts) {
    struct fp shown = {0};
    seen = (struct seen){.stop_at = stop_at};
    ecrdt_txn *t = kit_read(0);
    int rc = compare_chunk(t, buf_slice(chunk), note, &seen, &shown);
    ecrdt_abort(t);
    *parts = shown.n;
    fp_free(&shown);
    return rc;
}

static void differences_are_named(void **state) {
    struct buf chunk = {0};
    size_t parts;
    (void)state;
    for (char k[2] = "a"; *k <= 'f'; ++*k)
        set(k, "value");
    set("f", NULL); /* tombs do not count */
    show(&chunk);
    assert_ok(compare(&chunk, 99, &parts));
    assert_int_equal(seen.n, 0);
    assert_int_equal(parts, 1);
    tamper(kit(0), KIT_B, "a", true);
    tamper(kit(0), KIT_B, "c", false);
    tamper(kit(0), KIT_B, "f", true);
    assert_ok(compare(&chunk, 99, &parts));
    assert_int_equal(seen.n, 2);
    assert_string_equal(seen.keys[0], "a");
    assert_true(seen.here[0] == 0 && seen.there[0] == 1);
    assert_string_equal(seen.keys[1], "c"); /* one dot, other content */
    assert_true(seen.here[1] == 1 && seen.there[1] == 1);
    assert_code(1, compare(&chunk, 1, &parts)); /* enough */
    buf_clear(&chunk);
    show(&chunk); /* the other way round: there they are missing */
    tamper(kit(0), KIT_B, "e", true);
    assert_ok(compare(&chunk, 99, &parts));
    assert_int_equal(seen.n, 1);
    assert_string_equal(seen.keys[0], "e");
    set("g", "a later write: another clock");
    assert_ok(compare(&chunk, 99, &parts));
    assert_true(seen.n == 0 && parts == 0);
    chunk.len--;
    assert_code(ECRDT_ECORRUPT, compare(&chunk, 99, &parts));
    buf_free(&chunk);
}

static void dots_as_text(void **state) {
    char text[COMPARE_DOTS * COMPARE_DOT_TEXT];
    struct dot d[COMPARE_DOTS] = {{.origin = {0xab}, .seq = 12},
                                  {.origin = {1}, .seq = 3}};
    (void)state;
    compare_dots_text(text, d, 0);
    assert_string_equal(text, "nothing");
    compare_dots_text(text, d, 2);
    assert_string_equal(text, "ab000000000000000000000000000000:12 "
                              "01000000000000000000000000000000:3");
    for (size_t i = 0; i < COMPARE_DOTS; i++)
        d[i].seq = UINT64_MAX;
    compare_dots_text(text, d, COMPARE_DOTS); /* it fits */
}

int main(void) {
    const struct CMUnitTest tests[] = {kit_test(differences_are_named),
                                       kit_test(dots_as_text)};
    return TEST_RUN(tests);
}
