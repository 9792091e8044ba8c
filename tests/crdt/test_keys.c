/* test_keys.c: item ids against a second, naive encoder, against golden
 * bytes, and their order against memcmp on the keys. */
#include "crdt/keys.h"
#include "lib/crypto.h"
#include "tests/support/test.h"

static struct rng rng;

/* ---- a second encoder, after PROTOCOL 14 --------------------------------- */

struct bytes {
    uint8_t b[1024];
    size_t n;
};

static void put(struct bytes *out, const void *p, size_t n) {
    assert_true(out->n + n <= sizeof out->b);
    if (n)
        memcpy(out->b + out->n, p, n);
    out->n += n;
}

static void naive_groups(struct bytes *out, slice s, int last) {
    const uint8_t *p = s.data;
    for (size_t at = 0; at < s.len; at += 8) {
        size_t n = s.len - at < 8 ? s.len - at : 8;
        uint8_t zero[8] = {0};
        uint8_t marker = at + 8 < s.len ? 9 : last ? (uint8_t)last : (uint8_t)n;
        put(out, p + at, n);
        put(out, zero, 8 - n);
        put(out, &marker, 1);
    }
}

static void naive_k(struct bytes *out, slice key) {
    if (key.len <= 256) {
        naive_groups(out, key, 0);
        return;
    }
    uint8_t b[192 + 32];
    memcpy(b, key.data, 192);
    crypto_blake2b(b + 192, 32, key);
    naive_groups(out, slice_of(b, sizeof b), 10);
}

static void naive_element(struct bytes *out, slice key, slice elem) {
    uint8_t tag = 0x20, hash[32];
    naive_k(out, key);
    put(out, &tag, 1);
    put(out, elem.data, elem.len <= 160 ? elem.len : 160);
    if (elem.len <= 160)
        return;
    crypto_blake2b(hash, 32, elem);
    put(out, hash, 32);
}

/* n random bytes, often zeros and borders of the encoding. */
static slice random_bytes(size_t n) {
    static uint8_t ring[4][ECRDT_MAX_ELEM + 1];
    static unsigned at;
    static const uint8_t edges[] = {0, 1, 8, 9, 10, 255};
    uint8_t *p = ring[at++ % 4];
    bool edgy = rng_below(&rng, 2);
    for (size_t i = 0; i < n; i++)
        p[i] = edgy ? edges[rng_below(&rng, 6)] : (uint8_t)rng_u64(&rng);
    return slice_of(p, n);
}

static const size_t key_lens[] = {1,   2,   7,   8,   9,   16,  17,   191,
                                  192, 193, 200, 255, 256, 257, 1023, 1024};
static const size_t elem_lens[] = {0, 1, 8, 159, 160, 161, 65535, 65536};
#define COUNT(a) (sizeof(a) / sizeof *(a))

/* ---- tests -----------------------------------------------------------------
 */

static void ids_are_as_specified(void **state) {
    (void)state;
    for (size_t k = 0; k < COUNT(key_lens); k++)
        for (size_t e = 0; e < COUNT(elem_lens); e++) {
            slice key = random_bytes(key_lens[k]);
            slice elem = random_bytes(elem_lens[e]);
            struct bytes want = {.n = 0};
            struct item_key id;
            naive_element(&want, key, elem);
            item_key_make(&id, 7, key, TAG_ELEMENT);
            item_key_element(&id, elem);
            assert_slice_equal(item_key_id(&id), slice_of(want.b, want.n));
            assert_true(want.n <= ITEM_ID_MAX);
            assert_int_equal(item_key_bucket(item_key_db(&id)), 7);
            assert_true(item_key_db(&id).len <= 511); /* LMDB's limit */
        }
}

static void buckets_are_in_order(void **state) {
    (void)state;
    struct item_key last, k;
    for (uint32_t bucket = 0; bucket < ECRDT_MAX_BUCKETS; bucket++) {
        uint8_t b[BUCKET_PREFIX];
        item_key_make(&k, bucket, slice_str(bucket % 2 ? "a" : "z"),
                      TAG_REGISTER);
        slice key = item_key_db(&k), prefix = item_key_prefix(b, bucket);
        assert_int_equal(item_key_bucket(key), bucket);
        assert_true(item_key_in(key, bucket));
        assert_false(item_key_in(key, bucket + 1));
        assert_false(item_key_in(prefix, bucket)); /* no id */
        assert_slice_equal(item_key_id_of(key), item_key_id(&k));
        assert_true(slice_starts(key, prefix));
        assert_int_equal(prefix.len, bucket < 128 ? 1 : 2);
        if (bucket)
            assert_true(slice_cmp(item_key_db(&last), prefix) < 0);
        last = k;
    }
}

static void ids_come_apart_again(void **state) {
    (void)state;
    for (size_t k = 0; k < COUNT(key_lens); k++)
        for (size_t e = 0; e < COUNT(elem_lens); e++) {
            slice key = random_bytes(key_lens[k]);
            slice elem = random_bytes(elem_lens[e]);
            struct item_key id;
            struct item_parts p;
            item_key_make(&id, 1, key, TAG_ELEMENT);
            item_key_element(&id, elem);
            assert_true(item_id_parse(item_key_id(&id), &p));
            bool hashed = key.len > 256, elem_hashed = elem.len > 160;
            assert_int_equal(p.tag, TAG_ELEMENT);
            assert_int_equal(p.k_len, id.k_len);
            assert_int_equal(p.shape.key_hashed, hashed);
            assert_int_equal(p.shape.elem_hashed, elem_hashed);
            assert_slice_equal(slice_of(p.key, p.key_len),
                               slice_of(key.data, hashed ? 192 : key.len));
            assert_int_equal(p.sub.len, elem_hashed ? 192 : elem.len);
            assert_int_equal(item_id_key_matches(item_key_id(&id), &p, key),
                             hashed);
            assert_int_equal(item_id_elem_matches(&p, elem), elem_hashed);
            assert_int_equal(item_key_tag(&id), TAG_ELEMENT);
            assert_int_equal(item_key_shape(&id).key_hashed, hashed);
            assert_int_equal(item_key_shape(&id).elem_hashed, elem_hashed);
            struct item_key again;
            item_key_set(&again, 1, item_key_id(&id), p.k_len);
            assert_slice_equal(item_key_db(&again), item_key_db(&id));
        }
}

static void hashes_belong_to_their_bytes(void **state) {
    (void)state;
    struct item_key id;
    struct item_parts p;
    uint8_t key[300], elem[300];
    memset(key, 'k', sizeof key);
    memset(elem, 'e', sizeof elem);
    item_key_make(&id, 1, slice_of(key, 300), TAG_ELEMENT);
    item_key_element(&id, slice_of(elem, 300));
    assert_true(item_id_parse(item_key_id(&id), &p));
    slice b = item_key_id(&id);
    assert_true(item_id_key_matches(b, &p, slice_of(key, 300)));
    assert_false(item_id_key_matches(b, &p, slice_of(key, 299)));
    assert_false(item_id_key_matches(b, &p, slice_of(key, 256)));
    assert_true(item_id_elem_matches(&p, slice_of(elem, 300)));
    assert_false(item_id_elem_matches(&p, slice_of(elem, 299)));
    assert_false(item_id_elem_matches(&p, slice_of(elem, 160)));
    key[299] ^= 1;
    elem[0] ^= 1;
    assert_false(item_id_key_matches(b, &p, slice_of(key, 300)));
    assert_false(item_id_elem_matches(&p, slice_of(elem, 300)));
}

static void tags_and_subs_fit(void **state) {
    (void)state;
    struct item_key k, head;
    struct item_parts p;
    uint8_t origin[ORIGIN_SIZE] = {1, 2, 3};
    item_key_make(&k, 3, slice_str("key"), TAG_ENTRY);
    assert_false(item_id_parse(item_key_id(&k), &p)); /* no origin */
    item_key_origin(&k, origin);
    assert_true(item_id_parse(item_key_id(&k), &p));
    assert_slice_equal(p.sub, slice_of(origin, ORIGIN_SIZE));
    item_key_head(&head, &k, TAG_COUNTER_HEAD);
    assert_int_equal(item_key_tag(&head), TAG_COUNTER_HEAD);
    assert_int_equal(head.len, BUCKET_PREFIX + head.k_len + 1);
    assert_memory_equal(head.b, k.b, BUCKET_PREFIX + k.k_len);
    item_key_retag(&k, TAG_REGISTER);
    assert_true(item_id_parse(item_key_id(&k), &p));
    assert_int_equal(p.sub.len, 0);
    k.b[k.len++] = 0; /* a register with a sub */
    assert_false(item_id_parse(item_key_id(&k), &p));
    item_key_retag(&k, TAG_ELEMENT);
    for (size_t n = 0; n <= 200; n++) { /* 161 to 191 are no element's */
        item_key_retag(&k, TAG_ELEMENT);
        memset(k.b + k.len, 'x', n);
        k.len = (uint16_t)(k.len + n);
        assert_int_equal(item_id_parse(item_key_id(&k), &p),
                         n <= 160 || n == 192);
    }
    for (int tag = 0; tag < 256; tag++) {
        item_key_retag(&k, (uint8_t)tag);
        assert_int_equal(item_id_parse(item_key_id(&k), &p),
                         tag == TAG_REGISTER || tag == TAG_SET_HEAD ||
                             tag == TAG_COUNTER_HEAD || tag == TAG_ELEMENT);
    }
}

/* Any bytes: what parses must be what the encoder makes of its parts. */
static void only_canonical_ids_parse(void **state) {
    (void)state;
    unsigned parsed = 0;
    for (int round = 0; round < 200000; round++) {
        struct item_key id, again;
        struct item_parts p;
        slice key = random_bytes(1 + rng_below(&rng, 20));
        item_key_make(&id, 0, key, TAG_REGISTER);
        uint8_t *b = id.b + BUCKET_PREFIX;
        size_t n = item_key_id(&id).len;
        b[rng_below(&rng, n)] = (uint8_t)rng_below(&rng, 12);
        if (!item_id_parse(slice_of(b, n), &p))
            continue;
        parsed++;
        if (p.shape.key_hashed)
            continue;
        item_key_make(&again, 0, slice_of(p.key, p.key_len), p.tag);
        put(&(struct bytes){.n = 0}, p.sub.data, p.sub.len);
        memcpy(again.b + again.len, p.sub.data, p.sub.len);
        assert_memory_equal(again.b + BUCKET_PREFIX, b, n);
    }
    assert_true(parsed > 1000);
    struct item_parts p;
    assert_false(item_id_parse(slice_of(NULL, 0), &p));
    static const uint8_t endless[ITEM_ID_MAX + 1] = {[8] = 9, [17] = 9};
    assert_false(item_id_parse(slice_of(endless, 9), &p));
    assert_false(item_id_parse(slice_of(endless, ITEM_ID_MAX), &p));
}

static void too_long_ids_do_not_parse(void **state) {
    (void)state;
    struct item_key id;
    struct item_parts p;
    uint8_t key[ECRDT_MAX_KEY];
    memset(key, 'k', sizeof key);
    item_key_make(&id, 0, slice_of(key, 256), TAG_ELEMENT);
    assert_int_equal(id.k_len, KEY_K_MAX);
    item_key_element(&id, slice_of(key, 161));
    assert_true(item_id_parse(item_key_id(&id), &p));
    assert_int_equal(item_key_id(&id).len, KEY_K_MAX + 1 + ELEM_HASHED);
    assert_true(KEY_K_MAX + 1 + ELEM_HASHED <= ITEM_ID_MAX);
    /* 33 groups: a key of 257 bytes, not hashed */
    uint8_t b[33 * 9 + 1];
    for (size_t g = 0; g < 33; g++) {
        memset(b + 9 * g, 'k', 8);
        b[9 * g + 8] = g < 32 ? 9 : 8;
    }
    b[33 * 9] = TAG_REGISTER;
    assert_false(item_id_parse(slice_of(b, sizeof b), &p));
    b[31 * 9 + 8] = 8;
    b[32 * 9] = TAG_REGISTER;
    assert_true(item_id_parse(slice_of(b, 32 * 9 + 1), &p));
    assert_int_equal(p.key_len, 256);
    b[31 * 9 + 8] = 10; /* hashed, but of another length */
    assert_false(item_id_parse(slice_of(b, 32 * 9 + 1), &p));
}

/* Ids of raw keys sort as the keys do, whatever their tags; no id lies
 * between the ids of another key. */
static void ids_sort_as_keys(void **state) {
    (void)state;
    static const uint8_t tags[] = {TAG_REGISTER, TAG_ELEMENT, TAG_ENTRY};
    for (int round = 0; round < 100000; round++) {
        slice a = random_bytes(1 + rng_below(&rng, 24));
        slice b = random_bytes(1 + rng_below(&rng, 24));
        size_t common = rng_below(&rng, a.len + 1);
        if (common > b.len)
            common = b.len;
        memcpy((void *)(uintptr_t)b.data, a.data, common);
        struct item_key x, y;
        item_key_make(&x, 1, a, tags[rng_below(&rng, 3)]);
        item_key_make(&y, 1, b, tags[rng_below(&rng, 3)]);
        int want = slice_cmp(a, b);
        int got = slice_cmp(item_key_id(&x), item_key_id(&y));
        if (want)
            assert_true((want < 0) == (got < 0));
        else
            assert_true(got == (x.b[x.len - 1] > y.b[y.len - 1]) -
                                   (x.b[x.len - 1] < y.b[y.len - 1]) ||
                        got * (x.b[x.len - 1] - y.b[y.len - 1]) > 0);
    }
}

/* Exactly the keys that begin with the prefix have ids that begin with its
 * bytes, up to zeros at the end, which a caller must filter. */
static void prefixes_find_their_keys(void **state) {
    (void)state;
    for (int round = 0; round < 100000; round++) {
        slice key = random_bytes(1 + rng_below(&rng, 24));
        slice prefix = random_bytes(rng_below(&rng, 20));
        if (rng_below(&rng, 2))
            prefix = slice_of(key.data, rng_below(&rng, key.len + 1));
        uint8_t b[KEY_K_MAX];
        size_t n = key_prefix(b, prefix);
        struct item_key id;
        item_key_make(&id, 1, key, TAG_REGISTER);
        bool found = slice_starts(item_key_id(&id), slice_of(b, n));
        if (slice_starts(key, prefix))
            assert_true(found);
        else if (found) /* only zeros tell them apart */
            for (size_t i = key.len; i < prefix.len; i++)
                assert_int_equal(((const uint8_t *)prefix.data)[i], 0);
    }
    uint8_t b[KEY_K_MAX];
    slice longest = random_bytes(ECRDT_MAX_KEY);
    struct item_key id;
    item_key_make(&id, 1, longest, TAG_REGISTER);
    for (size_t n = 0; n <= ECRDT_MAX_KEY; n++)
        assert_true(slice_starts(
            item_key_id(&id),
            slice_of(b, key_prefix(b, slice_of(longest.data, n)))));
}

/* ---- golden bytes ----------------------------------------------------------
 */

/* "6b6579" or "6b*300". */
static slice spec(const char *text) {
    static uint8_t ring[4][2048];
    static unsigned at;
    uint8_t *p = ring[at++ % 4];
    char hex[64];
    const char *star = strchr(text, '*');
    if (!strcmp(text, "-"))
        return slice_of(p, 0);
    if (!star)
        return slice_of(p, hex_decode(p, 2048, text));
    memcpy(hex, text, 2);
    hex[2] = 0;
    hex_decode(p, 1, hex);
    size_t n = strtoul(star + 1, NULL, 10);
    memset(p, p[0], n);
    return slice_of(p, n);
}

/* tests/vectors/ids.txt: tag, key, sub, id; docs/FORMAT.md quotes it. */
static void golden_ids(void **state) {
    (void)state;
    char *text = file_read("tests/vectors/ids.txt", NULL), *save;
    unsigned n = 0;
    for (char *line = strtok_r(text, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        char tag[8], key[1024], sub[1024], id[1024];
        if (*line == '#')
            continue;
        assert_int_equal(
            sscanf(line, "%7s %1023s %1023s %1023s", tag, key, sub, id), 4);
        struct item_key k;
        uint8_t want[ITEM_ID_MAX];
        item_key_make(&k, 0, spec(key), (uint8_t)strtoul(tag, NULL, 16));
        if (item_key_tag(&k) == TAG_ENTRY)
            item_key_origin(&k, spec(sub).data);
        else if (item_key_tag(&k) == TAG_ELEMENT)
            item_key_element(&k, spec(sub));
        slice golden = slice_of(want, hex_decode(want, sizeof want, id));
        assert_slice_equal(item_key_id(&k), golden);
        n++;
    }
    assert_true(n >= 10);
    free(text);
}

static void empty_key(void) {
    struct item_key k;
    item_key_make(&k, 0, slice_of("", 0), TAG_REGISTER);
}
static void long_key(void) {
    struct item_key k;
    item_key_make(&k, 0, random_bytes(ECRDT_MAX_KEY + 1), TAG_REGISTER);
}
static void long_elem(void) {
    struct item_key k;
    item_key_make(&k, 0, slice_str("k"), TAG_ELEMENT);
    item_key_element(&k, random_bytes(ECRDT_MAX_ELEM + 1));
}

static void limits_are_invariants(void **state) {
    (void)state;
    assert_true(aborts(empty_key));
    assert_true(aborts(long_key));
    assert_true(aborts(long_elem));
}

int main(void) {
    if (crypto_init() < 0)
        return 1;
    rng = rng_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_as_specified),
        cmocka_unit_test(buckets_are_in_order),
        cmocka_unit_test(ids_come_apart_again),
        cmocka_unit_test(hashes_belong_to_their_bytes),
        cmocka_unit_test(tags_and_subs_fit),
        cmocka_unit_test(only_canonical_ids_parse),
        cmocka_unit_test(too_long_ids_do_not_parse),
        cmocka_unit_test(ids_sort_as_keys),
        cmocka_unit_test(prefixes_find_their_keys),
        cmocka_unit_test(golden_ids),
        cmocka_unit_test(limits_are_invariants),
    };
    return TEST_RUN(tests);
}
