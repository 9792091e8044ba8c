/* test_api_iter.c: ordered iteration of keys, elements and siblings, in read,
 * write and auto handles. */
#include "tests/crdt/kit.h"

static struct rng rng;

/* The three kinds of handles. */
static ecrdt_txn *handle(int kind) {
    return assert_handle(kind == 0   ? ecrdt_read(kit(0))
                         : kind == 1 ? ecrdt_write(kit(0))
                                     : ecrdt_auto(kit(0)));
}

/* The keys of an iterator as "a,b,c,"; closes it. */
static const char *rest(ecrdt_iter *it, bool elems) {
    static char text[8192];
    size_t n = 0;
    ecrdt_entry row;
    int rc;
    text[0] = 0;
    while ((rc = ecrdt_next(it, &row)) == 1) {
        slice s = elems ? row.val : row.key;
        assert_true(n + s.len + 2 < sizeof text);
        n += (size_t)sprintf(text + n, "%.*s,", (int)s.len,
                             (const char *)s.data);
    }
    assert_ok(rc);
    assert_ok(ecrdt_next(it, &row)); /* the end stays the end */
    ecrdt_iter_close(it);
    return text;
}

static const char *keys(ecrdt_txn *t, const char *prefix, unsigned types) {
    return rest(assert_handle(ecrdt_keys(t, KIT_B, slice_str(prefix), types)),
                false);
}

static const char *elems(ecrdt_txn *t, const char *key, const char *prefix) {
    return rest(
        assert_handle(ecrdt_elems(t, KIT_B, slice_str(key), slice_str(prefix))),
        true);
}

static void some_keys(void) {
    ecrdt_txn *t = kit_write(0);
    static const char *const reg[] = {"b", "a", "ab", "abcdefgh", "abcdefghi"};
    for (size_t i = 0; i < 5; i++)
        assert_ok(ecrdt_reg_set(t, KIT_B, slice_str(reg[i]), slice_str("v")));
    assert_ok(ecrdt_reg_set(t, KIT_B, slice_str("gone"), slice_str("v")));
    assert_code(1, ecrdt_reg_del(t, KIT_B, slice_str("gone")));
    assert_code(1, ecrdt_set_add(t, KIT_B, slice_str("ab"), slice_str("x")));
    assert_code(1, ecrdt_set_add(t, KIT_B, slice_str("ab"), slice_str("y")));
    assert_code(1, ecrdt_set_add(t, KIT_B, slice_str("empty"), slice_str("")));
    assert_ok(ecrdt_set_clear(t, KIT_B, slice_str("empty")));
    assert_ok(ecrdt_counter_add(t, KIT_B, slice_str("ab"), 7, NULL));
    assert_ok(ecrdt_counter_add(t, KIT_B, slice_str("c"), -7, NULL));
    assert_ok(ecrdt_reg_set(t, "other", slice_str("a"), slice_str("v")));
    assert_ok(ecrdt_commit(t));
}

static void keys_come_in_order(void **state) {
    (void)state;
    some_keys();
    for (int kind = 0; kind < 3; kind++) {
        ecrdt_txn *t = handle(kind);
        assert_string_equal(keys(t, "", ECRDT_ANY),
                            "a,ab,ab,ab,abcdefgh,abcdefghi,b,c,");
        assert_string_equal(keys(t, "", ECRDT_REG),
                            "a,ab,abcdefgh,abcdefghi,b,");
        assert_string_equal(keys(t, "", ECRDT_SET), "ab,");
        assert_string_equal(keys(t, "", ECRDT_COUNTER), "ab,c,");
        assert_string_equal(keys(t, "", ECRDT_SET | ECRDT_COUNTER), "ab,ab,c,");
        assert_string_equal(keys(t, "ab", ECRDT_REG), "ab,abcdefgh,abcdefghi,");
        assert_string_equal(keys(t, "abcdefgh", ECRDT_ANY),
                            "abcdefgh,abcdefghi,");
        assert_string_equal(keys(t, "abcdefghi", ECRDT_ANY), "abcdefghi,");
        assert_string_equal(keys(t, "abd", ECRDT_ANY), "");
        assert_string_equal(keys(t, "g", ECRDT_ANY), "");
        ecrdt_abort(t);
    }
}

static void rows_tell_all(void **state) {
    (void)state;
    some_keys();
    ecrdt_node me;
    assert_ok(ecrdt_node_id(kit(0), &me));
    for (int kind = 0; kind < 3; kind++) {
        ecrdt_txn *t = handle(kind);
        ecrdt_entry row;
        ecrdt_iter *it =
            assert_handle(ecrdt_keys(t, KIT_B, slice_str("ab"), ECRDT_ANY));
        assert_code(1, ecrdt_next(it, &row));
        assert_int_equal(row.type, ECRDT_REG);
        assert_slice_equal(row.val, slice_str("v"));
        assert_memory_equal(row.who.by.b, me.b, 16);
        assert_true(row.who.wall_ms > 0);
        assert_int_equal(row.num, 0);
        assert_code(1, ecrdt_next(it, &row));
        assert_int_equal(row.type, ECRDT_SET);
        assert_int_equal(row.num, 2);
        assert_int_equal(row.val.len, 0);
        assert_int_equal(row.who.wall_ms, 0);
        assert_code(1, ecrdt_next(it, &row));
        assert_int_equal(row.type, ECRDT_COUNTER);
        assert_int_equal(row.num, 7);
        ecrdt_abort(t); /* closes it */
    }
}

static void arguments_are_checked(void **state) {
    (void)state;
    some_keys();
    ecrdt_txn *t = kit_read(0);
    slice none = slice_of(NULL, 0);
    static const unsigned bad[] = {0, 8, 15};
    for (size_t i = 0; i < 3; i++) {
        assert_null(ecrdt_keys(t, KIT_B, none, bad[i]));
        assert_int_equal(ecrdt_errcode(), ECRDT_EINVAL);
    }
    assert_null(ecrdt_keys(t, NULL, none, ECRDT_ANY));
    assert_null(ecrdt_keys(t, "", none, ECRDT_ANY));
    assert_null(ecrdt_keys(t, KIT_B, kit_fill(1025, 'k'), ECRDT_ANY));
    assert_int_equal(ecrdt_errcode(), ECRDT_ETOOBIG);
    assert_null(ecrdt_elems(t, KIT_B, slice_str("s"), kit_fill(65537, 'e')));
    assert_int_equal(ecrdt_errcode(), ECRDT_ETOOBIG);
    ecrdt_iter *it = assert_handle(ecrdt_keys(t, KIT_B, none, ECRDT_ANY));
    assert_code(ECRDT_EINVAL, ecrdt_next(it, NULL));
    assert_code(ECRDT_ETOOBIG, ecrdt_seek(it, kit_fill(1025, 'k')));
    ecrdt_iter *sib =
        assert_handle(ecrdt_reg_siblings(t, KIT_B, slice_str("a")));
    assert_code(ECRDT_EINVAL, ecrdt_seek(sib, slice_str("a")));
    ecrdt_entry row;
    assert_code(1, ecrdt_next(it, &row)); /* still good */
    it = assert_handle(ecrdt_keys(t, "no bucket", none, ECRDT_ANY));
    assert_ok(ecrdt_next(it, &row));
    ecrdt_abort(t);
}

static void seeks_go_both_ways(void **state) {
    (void)state;
    some_keys();
    for (int kind = 0; kind < 3; kind++) {
        ecrdt_txn *t = handle(kind);
        ecrdt_entry row;
        ecrdt_iter *it =
            assert_handle(ecrdt_keys(t, KIT_B, slice_of(NULL, 0), ECRDT_REG));
        static const struct {
            const char *at, *want;
        } rows[] = {{"b", "b"},
                    {"a", "a"},
                    {"aa", "ab"},
                    {"c", NULL},
                    {"abcdefg", "abcdefgh"},
                    {"", "a"},
                    {"abd", "b"},
                    {"abcdefgh", "abcdefgh"}};
        for (size_t i = 0; i < 8; i++) {
            assert_ok(ecrdt_seek(it, slice_str(rows[i].at)));
            assert_code(rows[i].want != NULL, ecrdt_next(it, &row));
            if (rows[i].want)
                assert_slice_equal(row.key, slice_str(rows[i].want));
        }
        ecrdt_iter_close(it);
        it = assert_handle(ecrdt_keys(t, KIT_B, slice_str("ab"), ECRDT_REG));
        assert_ok(ecrdt_seek(it, slice_str("a"))); /* not before the prefix */
        assert_code(1, ecrdt_next(it, &row));
        assert_slice_equal(row.key, slice_str("ab"));
        assert_ok(ecrdt_seek(it, slice_str("b"))); /* nor behind it */
        assert_ok(ecrdt_next(it, &row));
        assert_ok(ecrdt_seek(it, slice_str("abc")));
        assert_code(1, ecrdt_next(it, &row));
        assert_slice_equal(row.key, slice_str("abcdefgh"));
        ecrdt_abort(t);
    }
}

static void elements_come_in_order(void **state) {
    (void)state;
    static const char *const e[] = {"b", "", "a", "ab", "abc", "c", "\xff"};
    for (size_t i = 0; i < 7; i++)
        kit_add(0, "s", e[i]);
    kit_add(0, "sa", "other");
    kit_add(0, "r", "other");
    kit_set(0, "s", "register");
    for (int kind = 0; kind < 3; kind++) {
        ecrdt_txn *t = handle(kind);
        assert_string_equal(elems(t, "s", ""), ",a,ab,abc,b,c,\xff,");
        assert_string_equal(elems(t, "s", "a"), "a,ab,abc,");
        assert_string_equal(elems(t, "s", "abc"), "abc,");
        assert_string_equal(elems(t, "s", "x"), "");
        assert_string_equal(elems(t, "none", ""), "");
        ecrdt_iter *it = assert_handle(
            ecrdt_elems(t, KIT_B, slice_str("s"), slice_of(NULL, 0)));
        ecrdt_entry row;
        assert_ok(ecrdt_seek(it, slice_str("abb")));
        assert_code(1, ecrdt_next(it, &row));
        assert_slice_equal(row.val, slice_str("abc"));
        assert_slice_equal(row.key, slice_str("s"));
        assert_int_equal(row.type, ECRDT_SET);
        assert_ok(ecrdt_seek(it, slice_of(NULL, 0)));
        assert_string_equal(rest(it, true), ",a,ab,abc,b,c,\xff,");
        ecrdt_abort(t);
    }
}

/* ---- long ones
 * ------------------------------------------------------------------ */

static void long_keys_are_whole_and_filtered(void **state) {
    (void)state;
    uint8_t key[1024];
    memset(key, 'k', sizeof key);
    ecrdt_txn *t = kit_write(0);
    for (uint8_t i = 0; i < 6; i++) { /* differ behind byte 192 only */
        key[500] = (uint8_t)('a' + i);
        assert_ok(
            ecrdt_reg_set(t, KIT_B, slice_of(key, 1024), slice_of(&i, 1)));
        assert_code(
            1, ecrdt_set_add(t, KIT_B, slice_of(key, 1000), slice_of(&i, 1)));
        assert_ok(ecrdt_counter_add(t, KIT_B, slice_of(key, 900), i, NULL));
    }
    assert_ok(ecrdt_commit(t));
    for (int kind = 0; kind < 3; kind++) {
        t = handle(kind);
        for (size_t len = 0; len <= 1024; len += 64) { /* 0, 64, ... 192, ... */
            key[500] = 'c';
            ecrdt_iter *it = assert_handle(
                ecrdt_keys(t, KIT_B, slice_of(key, len), ECRDT_ANY));
            ecrdt_entry row;
            size_t n = 0, want = 0;
            for (; ecrdt_next(it, &row) == 1; n++) {
                assert_true(slice_starts(row.key, slice_of(key, len)));
                assert_int_equal(row.key.len, row.type == ECRDT_REG   ? 1024
                                              : row.type == ECRDT_SET ? 1000
                                                                      : 900);
            }
            want = len <= 500 ? 18 : len <= 900 ? 3 : len <= 1000 ? 2 : 1;
            assert_int_equal(n, want);
            ecrdt_iter_close(it);
        }
        ecrdt_abort(t);
    }
}

static void long_elements_are_whole_and_filtered(void **state) {
    (void)state;
    uint8_t elem[4000];
    memset(elem, 'e', sizeof elem);
    ecrdt_txn *t = kit_write(0);
    slice s = slice_str("s");
    for (uint8_t i = 0; i < 6; i++) {
        elem[1000] = i;
        assert_code(1, ecrdt_set_add(t, KIT_B, s, slice_of(elem, 4000)));
    }
    elem[1000] = 3;
    assert_code(1, ecrdt_set_add(t, KIT_B, s, slice_of(elem, 160)));
    assert_code(1, ecrdt_set_add(t, KIT_B, s, slice_of(elem, 161)));
    assert_ok(ecrdt_commit(t));
    static const struct {
        size_t len, want;
    } rows[] = {{0, 8},   {159, 8},  {160, 8},  {161, 7},
                {162, 6}, {1000, 6}, {1001, 1}, {4000, 1}};
    for (int kind = 0; kind < 3; kind++) {
        t = handle(kind);
        for (size_t i = 0; i < 8; i++) {
            slice prefix = slice_of(elem, rows[i].len);
            ecrdt_iter *it = assert_handle(ecrdt_elems(t, KIT_B, s, prefix));
            ecrdt_entry row;
            size_t n = 0;
            for (; ecrdt_next(it, &row) == 1; n++)
                assert_true(slice_starts(row.val, prefix));
            assert_int_equal(n, rows[i].want);
            ecrdt_iter_close(it);
        }
        ecrdt_abort(t);
    }
}

/* ---- order
 * ------------------------------------------------------------------------ */

static int by_bytes(const void *a, const void *b) {
    return slice_cmp(*(const slice *)a, *(const slice *)b);
}

/* Random keys of up to 256 bytes come in memcmp's order, from any seek. */
static void order_is_bytewise(void **state) {
    (void)state;
    enum { N = 400 };
    static uint8_t bytes[N][256];
    slice key[N];
    ecrdt_txn *t = kit_write(0);
    for (size_t i = 0; i < N; i++) {
        size_t len = rng_below(&rng, 4) ? 1 + rng_below(&rng, 20)
                                        : 200 + rng_below(&rng, 57);
        if (i && rng_below(&rng, 2)) /* share a beginning */
            memcpy(bytes[i], bytes[i - 1], 256);
        for (size_t k = rng_below(&rng, len); k < len; k++)
            bytes[i][k] = (uint8_t)(rng_below(&rng, 2) ? rng_below(&rng, 3)
                                                       : rng_u64(&rng));
        key[i] = slice_of(bytes[i], len);
        assert_ok(ecrdt_reg_set(t, KIT_B, key[i], slice_str("v")));
    }
    assert_ok(ecrdt_commit(t));
    qsort(key, N, sizeof *key, by_bytes);
    t = kit_read(0);
    ecrdt_iter *it =
        assert_handle(ecrdt_keys(t, KIT_B, slice_of(NULL, 0), ECRDT_ANY));
    ecrdt_entry row;
    for (size_t i = 0; i < N; i++) {
        if (i && slice_eq(key[i], key[i - 1]))
            continue;
        assert_code(1, ecrdt_next(it, &row));
        assert_slice_equal(row.key, key[i]);
    }
    assert_ok(ecrdt_next(it, &row));
    for (int round = 0; round < 1000; round++) {
        uint8_t at[24];
        slice s = slice_of(at, 1 + rng_below(&rng, 24));
        slice like = key[rng_below(&rng, N)];
        rng_bytes(&rng, at, sizeof at);
        memcpy(at, like.data, like.len < s.len ? like.len : s.len);
        at[s.len - 1] = (uint8_t)(at[s.len - 1] + rng_below(&rng, 3) - 1);
        size_t i = 0;
        while (i < N && slice_cmp(key[i], s) < 0)
            i++;
        assert_ok(ecrdt_seek(it, s));
        assert_code(i < N, ecrdt_next(it, &row));
        if (i < N)
            assert_slice_equal(row.key, key[i]);
    }
    ecrdt_abort(t);
}

/* ---- changes under the iterator
 * ------------------------------------------------- */

static void deleting_while_iterating(void **state) {
    (void)state;
    for (int kind = 1; kind < 3; kind++) {
        for (int i = 0; i < 100; i++) {
            char key[16];
            snprintf(key, sizeof key, "%03d", i);
            kit_set(0, key, "v");
            kit_add(0, "set", key);
        }
        ecrdt_txn *t = handle(kind);
        ecrdt_entry row;
        ecrdt_iter *it =
            assert_handle(ecrdt_keys(t, KIT_B, slice_of(NULL, 0), ECRDT_REG));
        int n = 0;
        for (; ecrdt_next(it, &row) == 1; n++)
            assert_code(1, ecrdt_reg_del(t, KIT_B, row.key));
        assert_int_equal(n, 100);
        ecrdt_iter_close(it);
        it = assert_handle(
            ecrdt_elems(t, KIT_B, slice_str("set"), slice_of(NULL, 0)));
        for (n = 0; ecrdt_next(it, &row) == 1; n++)
            assert_code(1,
                        ecrdt_set_remove(t, KIT_B, slice_str("set"), row.val));
        assert_int_equal(n, 100);
        assert_string_equal(keys(t, "", ECRDT_ANY), "");
        assert_ok(ecrdt_commit(t));
        kit_sound(0);
    }
}

static void rows_follow_writes(void **state) {
    (void)state;
    kit_set(0, "b", "v");
    kit_set(0, "d", "v");
    for (int kind = 1; kind < 3; kind++) {
        ecrdt_txn *t = handle(kind);
        ecrdt_entry row;
        ecrdt_iter *it =
            assert_handle(ecrdt_keys(t, KIT_B, slice_of(NULL, 0), ECRDT_ANY));
        assert_code(1, ecrdt_next(it, &row));
        assert_slice_equal(row.key, slice_str("b"));
        slice a = slice_str("a"), c = slice_str("c");
        assert_ok(ecrdt_reg_set(t, KIT_B, a, a)); /* behind us */
        assert_ok(ecrdt_counter_add(t, KIT_B, c, 5, NULL));
        assert_code(1, ecrdt_next(it, &row));
        assert_slice_equal(row.key, c);
        assert_int_equal(row.num, 5);
        assert_ok(ecrdt_counter_add(t, KIT_B, c, 1, NULL));
        assert_ok(ecrdt_seek(it, c));
        assert_code(1, ecrdt_next(it, &row));
        assert_int_equal(row.num, 6);
        assert_code(1, ecrdt_reg_del(t, KIT_B, slice_str("d")));
        assert_ok(ecrdt_next(it, &row));
        assert_ok(ecrdt_reg_set(t, KIT_B, slice_str("d"), a));
        assert_ok(ecrdt_counter_reset(t, KIT_B, c));
        if (kind == 1) {
            ecrdt_abort(t);
            continue;
        }
        ecrdt_abort(t);
        kit_sound(0);
    }
}

/* A bucket that comes to be while its iterator is open. */
static void a_new_bucket_is_followed_too(void **state) {
    (void)state;
    ecrdt_txn *first = handle(2); /* the new ones have not number 0 */
    assert_code(1, ecrdt_set_add(first, KIT_B, slice_str("s"), slice_str("y")));
    ecrdt_abort(first);
    for (int kind = 1; kind < 3; kind++) {
        ecrdt_txn *t = handle(kind);
        ecrdt_entry row;
        char name[16];
        snprintf(name, sizeof name, "n%d", kind);
        ecrdt_iter *it =
            assert_handle(ecrdt_keys(t, name, slice_of(NULL, 0), ECRDT_ANY));
        assert_ok(ecrdt_next(it, &row));
        assert_ok(ecrdt_reg_set(t, name, slice_str("k"), slice_str("v")));
        assert_code(1, ecrdt_next(it, &row));
        assert_slice_equal(row.key, slice_str("k"));
        assert_code(1, ecrdt_set_add(t, name, slice_str("s"), slice_str("x")));
        assert_code(1, ecrdt_next(it, &row)); /* from the key heads */
        assert_slice_equal(row.key, slice_str("s"));
        assert_int_equal(row.type, ECRDT_SET);
        ecrdt_abort(t);
    }
}

/* In an auto handle a row stays good until the next step, whatever happens,
 * and no snapshot is held. */
static void auto_rows_are_copies(void **state) {
    (void)state;
    kit_set(0, "a", "first");
    kit_set(0, "b", "second");
    ecrdt_txn *t = handle(2);
    ecrdt_entry row;
    ecrdt_iter *it =
        assert_handle(ecrdt_keys(t, KIT_B, slice_of(NULL, 0), ECRDT_ANY));
    assert_code(1, ecrdt_next(it, &row));
    kit_set(0, "a", "changed");
    kit_del(0, "a");
    kit_set(0, "aa", "new");
    slice v;
    assert_code(1, ecrdt_reg_get(t, KIT_B, slice_str("aa"), &v, NULL));
    assert_slice_equal(row.key, slice_str("a"));
    assert_slice_equal(row.val, slice_str("first"));
    assert_slice_equal(v, slice_str("new"));
    assert_code(1, ecrdt_next(it, &row)); /* sees the present */
    assert_slice_equal(row.key, slice_str("aa"));
    assert_code(1, ecrdt_next(it, &row));
    assert_slice_equal(row.key, slice_str("b"));
    ecrdt_stats st = {.size = sizeof st};
    assert_ok(ecrdt_stat_read(kit(0), &st));
    assert_int_equal(st.oldest_reader_pid, 0);
    ecrdt_abort(t);
}

/* Siblings are those of the moment the iterator was opened. */
static void siblings_are_a_copy(void **state) {
    (void)state;
    kit_set(0, "k", "a");
    kit_set(1, "k", "b");
    kit_pull(0, 1);
    for (int kind = 1; kind < 3; kind++) {
        ecrdt_txn *t = handle(kind);
        ecrdt_entry row;
        ecrdt_iter *it =
            assert_handle(ecrdt_reg_siblings(t, KIT_B, slice_str("k")));
        assert_code(1, ecrdt_next(it, &row));
        char first = *(const char *)row.val.data;
        assert_ok(ecrdt_reg_set(t, KIT_B, slice_str("k"), slice_str("c")));
        assert_code(1, ecrdt_next(it, &row));
        assert_int_equal(*(const char *)row.val.data, 'a' + 'b' - first);
        assert_ok(ecrdt_next(it, &row));
        if (kind == 1)
            ecrdt_abort(t);
        else
            assert_ok(ecrdt_commit(t));
    }
}

static void many_iterators_at_once(void **state) {
    (void)state;
    some_keys();
    for (int kind = 0; kind < 3; kind++) {
        ecrdt_txn *t = handle(kind);
        ecrdt_iter *it[20];
        ecrdt_entry row;
        for (size_t i = 0; i < 20; i++)
            it[i] = assert_handle(
                ecrdt_keys(t, KIT_B, slice_of(NULL, 0), ECRDT_REG));
        for (size_t i = 0; i < 20; i++) /* each at a place of its own */
            for (size_t n = 0; n <= i % 5; n++)
                assert_code(1, ecrdt_next(it[i], &row));
        for (size_t i = 0; i < 20; i += 3)
            ecrdt_iter_close(it[i]);
        assert_string_equal(rest(it[1], false), "abcdefgh,abcdefghi,b,");
        ecrdt_abort(t); /* the rest */
    }
}

/* LMDB takes keys that are longer than any of ours. */
static void an_element_that_is_too_long_is_damage(void **state) {
    (void)state;
    struct item_key k;
    struct buf rec = {0};
    uint8_t b[511];
    ecrdt_entry row;
    some_keys();
    ecrdt_txn *t = kit_write(0);
    item_key_make(&k, kit_bucket(t)->id, slice_str("ab"), TAG_ELEMENT);
    slice first = item_key_db(&k);
    memset(b, 'z', sizeof b);
    memcpy(b, first.data, first.len);
    buf_put(&rec, "?", 1);
    assert_ok(db_put(t->db, DB_ITEMS, slice_of(b, sizeof b), &rec));
    assert_ok(ecrdt_commit(t));
    t = kit_read(0);
    ecrdt_iter *it = assert_handle(
        ecrdt_elems(t, KIT_B, slice_str("ab"), slice_of(NULL, 0)));
    assert_code(1, ecrdt_next(it, &row)); /* x */
    assert_code(1, ecrdt_next(it, &row)); /* y */
    assert_code(ECRDT_ECORRUPT, ecrdt_next(it, &row));
    ecrdt_abort(t);
    buf_free(&rec);
}

int main(void) {
    rng = rng_seed();
    const struct CMUnitTest tests[] = {
        kit_test(keys_come_in_order),
        kit_test(rows_tell_all),
        kit_test(arguments_are_checked),
        kit_test(seeks_go_both_ways),
        kit_test(elements_come_in_order),
        kit_test(long_keys_are_whole_and_filtered),
        kit_test(long_elements_are_whole_and_filtered),
        kit_test(order_is_bytewise),
        kit_test(deleting_while_iterating),
        kit_test(rows_follow_writes),
        kit_test(a_new_bucket_is_followed_too),
        kit_test(auto_rows_are_copies),
        kit_test(siblings_are_a_copy),
        kit_test(many_iterators_at_once),
        kit_test(an_element_that_is_too_long_is_damage),
    };
    return TEST_RUN(tests);
}
