/* test_damage.c: damaged data files through the public calls. Opened with
 * ECRDT_CHECK a file is refused with a sentence, or its damage is an error
 * where it is read, or it does no harm: never a signal, never a wrong value.
 * Without the flag the same files show what LMDB alone lets through.
 * DAMAGED_FILES=N says how many. Each is tried in a process of its own. */
#include "tests/crash/scratch.h"
#include "tests/lib/damage.h"

enum {
    FILES = 150,
    REGS = 490,
    LARGE_EACH = 97, /* each 97th register lies in overflow pages */
    LARGE = 9000,
    ELEMS = 300,
    COUNTERS = 60,
    BUCKETS = 12, /* so many heads that their tree has two levels */
    PAGE = 4096,
    SECTOR = 512
};

static size_t used;
static unsigned wanted = FILES;

/* ---- what is stored: a function of the number -----------------------------
 */

static ecrdt_slice name_of(char b[32], char type, unsigned i) {
    return slice_of(
        b, (size_t)sprintf(b, "%c-%07u", type, i * 2654435761u % 9999991u));
}

static const char *bucket_of(unsigned i) {
    static const char *const names[BUCKETS] = {
        "b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7", "b8", "b9", "ba", "bb"};
    return names[i % BUCKETS];
}

static bool is_deleted(unsigned i) {
    return i % 7 == 3;
}

static ecrdt_slice value_of(unsigned i) {
    static uint8_t v[LARGE + REGS];
    size_t n = i % LARGE_EACH == 5 ? LARGE + i : 8 + i % 120;
    for (size_t j = 0; j < n; j++)
        v[j] = (uint8_t)(j * 31 + i * 7);
    return slice_of(v, n);
}

static void write_one(ecrdt_txn *t, unsigned i) {
    char k[32], e[32];
    const char *b = bucket_of(i);
    ecrdt_slice key = name_of(k, 'r', i);
    ecrdt_reg_set(t, b, key, value_of(i));
    if (i < ELEMS)
        ecrdt_set_add(t, "b0", ECRDT_STR("set"), name_of(e, 'e', i));
    if (i < COUNTERS)
        ecrdt_counter_add(t, b, name_of(e, 'c', i), (int64_t)i + 1, NULL);
}

static void take_back(ecrdt_txn *t, unsigned i) {
    char k[32];
    ecrdt_reg_del(t, bucket_of(i), name_of(k, 'r', i));
    if (i < ELEMS)
        ecrdt_set_remove(t, "b0", ECRDT_STR("set"), name_of(k, 'e', i));
}

/* By way of a backup, which has no free pages and fills those it has: damage
 * hits something. */
static void make_store(void) {
    const char *first = path_join(dir, "first");
    ecrdt_store *s = assert_handle(crash_open(first, ECRDT_EPHEMERAL));
    for (unsigned i = 0; i < REGS;) {
        ecrdt_txn *t = ecrdt_write(s);
        for (unsigned n = 0; n < 35; n++)
            write_one(t, i++);
        assert_ok(ecrdt_commit(t));
    }
    ecrdt_txn *t = ecrdt_write(s);
    for (unsigned i = 0; i < REGS; i++)
        if (is_deleted(i))
            take_back(t, i);
    assert_ok(ecrdt_commit(t));
    assert_ok(ecrdt_backup(s, store));
    assert_ok(ecrdt_close(s));
    s = assert_handle(crash_open(store, 0));
    used = crash_stats(s).bytes_used;
    assert_ok(ecrdt_verify(s, crash_print, NULL));
    assert_ok(ecrdt_close(s));
}

static int setup(void **state) {
    const char *n = getenv("DAMAGED_FILES");
    wanted = n ? (unsigned)atoi(n) : FILES;
    store_make(state);
    make_store();
    return damage_setup("s/data.mdb");
}

/* ---- one trial, in a child ------------------------------------------------
 */

/* rc of a read, and whether what it gave is right. */
static void note(enum outcome *found, int rc, bool right) {
    enum outcome is = HARMLESS;
    if (rc < 0 && ecrdt_errcode() == rc && strlen(ecrdt_errmsg()) > 20)
        is = NOTICED;
    else if (rc < 0 || !right)
        is = WRONG;
    if (is > *found)
        *found = is;
}

static void read_one(ecrdt_txn *t, unsigned i, enum outcome *found) {
    char k[32];
    ecrdt_slice v;
    int64_t n;
    bool there = !is_deleted(i);
    int rc = ecrdt_reg_get(t, bucket_of(i), name_of(k, 'r', i), &v, NULL);
    note(found, rc, rc == there && (!rc || slice_eq(v, value_of(i))));
    if (i < ELEMS) {
        rc = ecrdt_set_has(t, "b0", ECRDT_STR("set"), name_of(k, 'e', i));
        note(found, rc, rc == there);
    }
    if (i < COUNTERS) {
        rc = ecrdt_counter_get(t, bucket_of(i), name_of(k, 'c', i), &n);
        note(found, rc, rc == 1 && n == (int64_t)i + 1);
    }
}

/* Rows of an iterator, or < 0. */
static int count_rows(ecrdt_iter *it) {
    ecrdt_entry e;
    int n = 0, rc = it ? 1 : ecrdt_errcode();
    while (rc == 1 && (rc = ecrdt_next(it, &e)) == 1)
        n++;
    ecrdt_iter_close(it);
    return rc < 0 ? rc : n;
}

static void iterate(ecrdt_txn *t, enum outcome *found) {
    int keys = 0, elems = 0, want_elems = 0, want_keys = 1 + COUNTERS;
    for (unsigned i = 0; i < REGS; i++)
        want_keys += !is_deleted(i);
    for (unsigned i = 0; i < ELEMS; i++)
        want_elems += !is_deleted(i);
    for (unsigned i = 0; i < BUCKETS && keys >= 0; i++) {
        int n = count_rows(
            ecrdt_keys(t, bucket_of(i), slice_of(NULL, 0), ECRDT_ANY));
        keys = n < 0 ? n : keys + n;
    }
    note(found, keys, keys == want_keys);
    elems =
        count_rows(ecrdt_elems(t, "b0", ECRDT_STR("set"), slice_of(NULL, 0)));
    note(found, elems, elems == want_elems);
}

static enum outcome read_all(ecrdt_store *s) {
    enum outcome found = HARMLESS;
    ecrdt_txn *t = ecrdt_read(s);
    if (!t)
        return NOTICED;
    for (unsigned i = 0; i < REGS; i++)
        read_one(t, i, &found);
    iterate(t, &found);
    ecrdt_abort(t);
    note(&found, ecrdt_verify(s, crash_ignore, NULL), true);
    return found;
}

/* Rewrites some of it with the same values: what is read stays the same. */
static void write_some(ecrdt_store *s) {
    for (unsigned i = 0; i < REGS; i += 5) {
        ecrdt_txn *t = ecrdt_write(s);
        if (!is_deleted(i))
            ecrdt_reg_set(t, bucket_of(i), (ecrdt_slice){NULL, 0}, value_of(i));
        char k[32];
        if (!is_deleted(i))
            ecrdt_reg_set(t, bucket_of(i), name_of(k, 'r', i), value_of(i));
        ecrdt_commit(t);
    }
}

static uint32_t checked = ECRDT_CHECK, unchecked; /* flags */

static int trial(void *arg) {
    const uint32_t *flags = arg;
    ecrdt_store *s = crash_open(store, *flags);
    if (!s)
        return strlen(ecrdt_errmsg()) > 20 ? AT_OPEN : WRONG;
    enum outcome found = read_all(s);
    if (found < WRONG) {
        write_some(s);
        enum outcome after = read_all(s);
        found = after > found ? after : found;
    }
    return (int)found;
}

/* ---- damage ---------------------------------------------------------------
 */

enum damage { BIT, WORD, SECTOR_ZERO, PAGE_ZERO, PAGE_MOVED, CUT, DAMAGES };
static const char *const damages[DAMAGES] = {
    "one bit flipped", "8 random bytes",      "a sector of zeros",
    "a page of zeros", "a page over another", "cut off"};

/* Damages bytes; the length of the file. */
static size_t damage(enum damage kind, struct rng *r, size_t *at) {
    size_t pages = used / PAGE, page = rng_below(r, pages) * PAGE;
    memcpy(bytes, image, image_len);
    *at = rng_below(r, used);
    if (kind == BIT)
        bytes[*at] ^= (uint8_t)(1 << rng_below(r, 8));
    else if (kind == WORD)
        rng_bytes(r, bytes + (*at &= ~(size_t)7), 8);
    else if (kind == SECTOR_ZERO)
        memset(bytes + (*at &= ~(size_t)(SECTOR - 1)), 0, SECTOR);
    else if (kind == PAGE_ZERO)
        memset(bytes + (*at = page), 0, PAGE);
    else if (kind == PAGE_MOVED)
        memcpy(bytes + (*at = page), image + rng_below(r, pages) * PAGE, PAGE);
    else
        return *at;
    return image_len;
}

static void add(struct counts *sum, const struct counts *c) {
    for (int i = 0; i < OUTCOMES; i++)
        sum->n[i] += c->n[i];
}

/* Two of three files have one flipped bit: the hardest to notice. */
static void checked_at_open(void **state) {
    (void)state;
    struct rng r = rng_seed();
    struct counts c[DAMAGES] = {0}, all = {0}, alone = {0};
    for (unsigned i = 0; i < wanted; i++) {
        enum damage kind = i % 3 ? BIT : (enum damage)(i / 3 % DAMAGES);
        size_t at, n = damage(kind, &r, &at);
        enum outcome o = damage_try(n, trial, &checked, &c[kind]);
        if (o >= WRONG)
            printf("# %s at 0x%zx: %s\n", damages[kind], at, outcomes[o]);
        damage_try(n, trial, &unchecked, &alone);
    }
    for (int i = 0; i < DAMAGES; i++) {
        damage_show(damages[i], &c[i]);
        add(&all, &c[i]);
    }
    damage_show("all, with ECRDT_CHECK", &all);
    damage_show("all, without", &alone);
    assert_int_equal(all.n[SIGNAL], 0);
    assert_int_equal(all.n[WRONG], 0);
    assert_true(all.n[AT_OPEN] + all.n[NOTICED] > wanted / 2);
    /* Some in a thousand bits are LMDB's: see docs/decisions. */
    assert_in_range(alone.n[SIGNAL] + alone.n[WRONG], 0, wanted / 20);
}

/* The other files of the folder say nothing about the data. */
static void other_files(void **state) {
    (void)state;
    static const char *const names[] = {"guard", "lock.ecrdt", "lock.mdb",
                                        "wake", "boot"};
    struct rng r = rng_seed();
    struct counts c = {0};
    memcpy(bytes, image, image_len);
    for (unsigned i = 0; i < wanted / 5; i++) {
        const char *name = path_join(store, names[i % 4]);
        uint8_t junk[400];
        size_t n = rng_below(&r, sizeof junk);
        rng_bytes(&r, junk, sizeof junk);
        file_write(name, junk, n);
        damage_try(image_len, trial, &unchecked, &c);
    }
    damage_show("files beside it overwritten", &c);
    assert_int_equal(c.n[HARMLESS], wanted / 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checked_at_open),
        cmocka_unit_test(other_files),
    };
    return TEST_RUN_WITH(tests, setup, damage_teardown);
}
