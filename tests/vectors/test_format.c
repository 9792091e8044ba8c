/* test_format.c: the vectors of FORMAT.md, made anew by the code: every line
 * of its "vectors" blocks must be what the code writes, and none may be left
 * out. FORMAT_PRINT=1 prints the lines instead of comparing. */
#include "crdt/tombs.h"
#include "crdt/chunk_codec.h"
#include "crdt/receipt.h"
#include "crdt/clocks.h"
#include "crdt/hlc.h"
#include "crdt/items.h"
#include "crdt/keyhead.h"
#include "crdt/place.h"
#include "crdt/reconcile.h"
#include "crdt/type.h"
#include "lib/crc32c.h"
#include "replication/link/channel.h"
#include "replication/message.h"
#include "tests/support/test.h"
#include <ctype.h>
#include <string.h>

/* ---- the vectors of the page ----------------------------------------------
 */

enum { VECTORS = 128, BYTES = 2048, EVENTS = 3 };

static struct vector {
    char name[32], text[2 * BYTES]; /* hex digits, or "text" */
    bool made;
} page[VECTORS];
static size_t n_page;

/* A line "name  hex" begins a vector, an indented one goes on with it. */
static void take_line(const char *line, size_t len) {
    if (!len)
        return;
    if (!isspace((unsigned char)*line)) {
        assert_true(n_page < VECTORS);
        size_t n = strcspn(line, " \n");
        assert_true(n < sizeof page->name && n <= len);
        memcpy(page[n_page++].name, line, n);
        line += n;
        len -= n;
    }
    struct vector *v = &page[n_page - 1];
    size_t at = strlen(v->text);
    for (; len; line++, len--)
        if (!isspace((unsigned char)*line)) {
            assert_true(at + 1 < sizeof v->text);
            v->text[at++] = *line;
        }
}

static int load_page(void **state) {
    (void)state;
    size_t len;
    char *all = file_read("FORMAT.md", &len);
    bool inside = false;
    for (char *p = all; *p;) {
        size_t n = strcspn(p, "\n");
        if (!strncmp(p, "```", 3))
            inside = !strncmp(p, "```vectors", 10);
        else if (inside)
            take_line(p, n);
        p += n + (p[n] != 0);
    }
    free(all);
    return crypto_init();
}

static void print_vector(const char *name, const char *text) {
    printf("%s", name);
    for (size_t i = 0; text[i]; i++)
        printf("%s%c", i % 72 ? "" : "\n    ", text[i]);
    printf("\n");
}

/* The code made text under that name. */
static void made_text(const char *name, const char *text) {
    if (getenv("FORMAT_PRINT")) {
        print_vector(name, text);
        return;
    }
    for (size_t i = 0; i < n_page; i++)
        if (!strcmp(page[i].name, name)) {
            assert_string_equal(page[i].text, text);
            page[i].made = true;
            return;
        }
    fail_msg("FORMAT.md has no vector \"%s\"", name);
}

static void made(const char *name, slice bytes) {
    static char text[2 * BYTES];
    const uint8_t *p = bytes.data;
    assert_true(bytes.len < BYTES);
    text[0] = 0;
    for (size_t i = 0; i < bytes.len; i++)
        sprintf(text + 2 * i, "%02x", p[i]);
    made_text(name, text);
}

static void made_buf(const char *name, struct buf *b) {
    assert_int_equal(b->err, 0);
    made(name, buf_slice(b));
    buf_free(b);
}

static void made_string(const char *name, const char *text) {
    char quoted[256];
    snprintf(quoted, sizeof quoted, "\"%s\"", text);
    made_text(name, quoted);
}

/* ---- what the examples are made of ----------------------------------------
 */

static uint8_t pk[32], origin[ORIGIN_SIZE], salt[16], e16[EVENTS][16];
static uint64_t chain;
static struct item_key key[EVENTS];
static struct event event[EVENTS];
static const uint8_t five[4] = {5, 0, 0, 0};

/* Bucket "b": register "k" = "v", element "x" of set "s", counter "n" + 5, in
 * one commit of the origin of pk = 01 02 .. 20, at 2023-11-14T22:13:20Z. */
static void make_events(void) {
    for (int i = 0; i < 32; i++)
        pk[i] = (uint8_t)(i + 1);
    slice parts[2] = {slice_str("ecrdt-origin-1"), slice_of(pk, 32)};
    crypto_blake2b_parts(origin, 16, parts, 2);
    crypto_blake2b(salt, 16, slice_str("b"));
    item_key_make(&key[0], 0, slice_str("k"), TAG_REGISTER);
    item_key_make(&key[1], 0, slice_str("n"), TAG_ENTRY);
    item_key_origin(&key[1], origin);
    item_key_make(&key[2], 0, slice_str("s"), TAG_ELEMENT);
    item_key_element(&key[2], slice_str("x"));
    event[0] = (struct event){.seq = 1, .kind = KIND_PUT, .len = 1};
    event[0].payload = (const uint8_t *)"v";
    event[1] = (struct event){.seq = 3, .kind = KIND_COUNT, .len = 4};
    event[1].payload = five;
    event[2] = (struct event){.seq = 2, .kind = KIND_PUT};
    event[2].payload = (const uint8_t *)"";
    struct buf scratch = {0};
    for (int i = 0; i < EVENTS; i++) {
        event[i].hlc = hlc_make(1700000000000, 0);
        assert_ok(event_e16(e16[i], salt, origin, item_key_id(&key[i]),
                            &event[i], &scratch));
        event[i].e16 = e16[i];
    }
    buf_free(&scratch);
    static const uint8_t zeros[8];
    uint8_t sum[16];
    slice links[4] = {slice_of(zeros, 8), slice_of(e16[0], 16),
                      slice_of(e16[2], 16), slice_of(e16[1], 16)};
    crypto_blake2b_parts(sum, 16, links, 4);
    chain = load64(sum);
}

static void make_clock(struct vv *v) {
    assert_ok(vv_raise(v, origin, 3, chain));
}

/* The heads of a clock, asked about between two ids; all lie there. */
static void make_place(const struct vv *heads, struct buf *b) {
    struct placed ask = {.lo = {1, {'a'}}, .hi = {1, {'b'}}, .heads = *heads};
    struct fp m = {.gen = 1};
    assert_ok(place_ask(&ask, "b", &m));
    fp_encode(b, &m, false);
    made_buf("message.place", b);
    m.n = 0;
    while (m.n_clks)
        vv_free(&m.clks[--m.n_clks]);
    fp_encode(b, &m, false);
    made_buf("message.placed", b);
    fp_free(&m);
}

/* The bucket as one part, on a link whose handshake hash is 00 to 3f. */
static void make_fingerprint(ecrdt_txn *t) {
    struct fp ask = {.bucket = slice_str("b")};
    struct item_id lowest = {0};
    struct reconcile r = {0};
    struct buf b = {0};
    uint8_t hash[64], fp_key[32];
    for (int i = 0; i < 64; i++)
        hash[i] = (uint8_t)i;
    slice parts[2] = {slice_str("edgecrdt-fingerprints-1"), slice_of(hash, 64)};
    crypto_blake2b_parts(fp_key, 32, parts, 2);
    made("fp.key", slice_of(fp_key, 32));
    assert_non_null(fp_add(&ask, &lowest, NULL, 0, false));
    assert_ok(reconcile_sum(&r, t, &ask, 1, fp_key));
    assert_code(1, reconcile_step(&r, UINT64_MAX));
    fp_encode(&b, &r.split, true);
    made_buf("message.fp", &b);
    fp_encode(&b, &r.split, false);
    made_buf("message.same", &b);
    make_place(&r.split.clks[0], &b);
    reconcile_free(&r);
}

static void make_chunk(struct buf *out, bool linked) {
    struct chunk c = {.bucket = slice_str("b"), .linked = linked};
    struct chunk_part *p = chunk_add_part(&c);
    make_clock(&p->clk);
    c.first = &p->clk;
    p->count = EVENTS;
    c.origins = &origin;
    c.n_origins = 1;
    struct chunk_item items[EVENTS];
    for (uint32_t i = 0; i < EVENTS; i++)
        items[i] = (struct chunk_item){
            .id = item_key_id(&key[i]), .first = i, .count = 1};
    c.items = items;
    c.n_items = EVENTS;
    c.events = event;
    c.n_events = EVENTS;
    struct chain_list list = {.top = p->clk.e[0]}; /* nothing lies below */
    c.chains.l = &list;
    c.chains.n = 1;
    c.told = true;
    chunk_encode(out, &c);
    c.chains.l = NULL;
    c.origins = NULL; /* ours, not the chunk's */
    c.items = NULL;
    c.events = NULL;
    chunk_free(&c);
}

static void make_export(struct buf *out) {
    struct buf chunk = {0};
    uint8_t n[4];
    make_chunk(&chunk, false);
    store32(n, (uint32_t)chunk.len);
    buf_put(out, "ECRDTX1\n", 8);
    buf_put(out, n, 4);
    buf_put(out, chunk.data, chunk.len);
    buf_put(out, "\0\0\0\0", 4);
    store32(n, crc32c(0, out->data, out->len));
    buf_put(out, n, 4);
    buf_free(&chunk);
}

/* ---- numbers, ids, events -------------------------------------------------
 */

static void made_key(const char *name, struct item_key *k) {
    made(name, item_key_id(k));
}

static void ids(void **state) {
    (void)state;
    static char many[257];
    struct item_key k;
    uint8_t b[BUCKET_PREFIX];
    made("bucket.127", item_key_prefix(b, 127));
    made("bucket.128", item_key_prefix(b, 128));
    made("bucket.1023", item_key_prefix(b, 1023));
    memset(many, 'k', sizeof many);
    item_key_make(&k, 0, slice_str("a"), TAG_REGISTER);
    made_key("id.register.a", &k);
    item_key_make(&k, 0, slice_str("abcdefgh"), TAG_REGISTER);
    made_key("id.register.8", &k);
    item_key_make(&k, 0, slice_str("abcdefghi"), TAG_REGISTER);
    made_key("id.register.9", &k);
    item_key_make(&k, 0, slice_of(many, sizeof many), TAG_REGISTER);
    made_key("id.register.257", &k);
    item_key_make(&k, 0, slice_str("s"), TAG_ELEMENT);
    made_key("id.element.empty", &k);
    made_key("id.element.x", &key[2]);
    item_key_make(&k, 0, slice_str("s"), TAG_ELEMENT);
    item_key_element(&k, slice_of(many, 161));
    made_key("id.element.161", &k);
    made_key("id.entry", &key[1]);
    item_key_head(&k, &key[1], TAG_COUNTER_HEAD);
    made_key("id.counter-head", &k);
}

static void events(void **state) {
    (void)state;
    uint8_t b[VARINT_MAX], input[64], again[16], word[8], sum[16] = {0};
    made("varint.300", slice_of(b, varint_put(b, 300)));
    store32(word, crc32c(0, "123456789", 9));
    made("crc32c", slice_of(word, 4));
    made("origin.key", slice_of(pk, 32));
    made("origin.id", slice_of(origin, 16));
    made("salt.b", slice_of(salt, 16));
    store64(word, event[0].hlc);
    made("hlc", slice_of(word, 8));

    slice id = item_key_id(&key[0]);
    memcpy(input, origin, 16);
    store64(input + 16, 1);
    store64(input + 24, event[0].hlc);
    input[32] = KIND_PUT;
    store16(input + 33, (uint16_t)id.len);
    memcpy(input + 35, id.data, id.len);
    input[35 + id.len] = 'v';
    slice all = slice_of(input, 36 + id.len);
    crypto_blake2b_salted(again, all, salt,
                          (const uint8_t *)"ecrdt-event-1\0\0");
    made("e16.input", all);
    assert_memory_equal(again, e16[0], 16);
    made("e16.register", slice_of(e16[0], 16));
    made("e16.counter", slice_of(e16[1], 16));
    made("e16.element", slice_of(e16[2], 16));
    for (int i = 0; i < EVENTS; i++)
        digest_add(sum, e16[i]);
    made("digest", slice_of(sum, 16));
    store64(word, chain);
    made("chain", slice_of(word, 8));
}

/* ---- records of a store that imported the three events --------------------
 */

/* The record as it lies in LMDB: the value and its checksum. */
static void made_record(const char *name, slice db_key, slice value) {
    char with[48];
    struct buf b = {0};
    uint8_t crc[4];
    snprintf(with, sizeof with, "%s.key", name);
    made(with, db_key);
    store32(crc,
            crc32c(crc32c(0, db_key.data, db_key.len), value.data, value.len));
    buf_put(&b, value.data, value.len);
    buf_put(&b, crc, 4);
    snprintf(with, sizeof with, "%s.value", name);
    made_buf(with, &b);
}

/* The counter's row if another origin had made the only entry's sibling, and
 * the rows if there were a second entry. */
static void counter_rows(ecrdt_store *s) {
    struct bucket *bk;
    struct item_key k;
    slice rec;
    ecrdt_txn *t = assert_handle(ecrdt_write(s));
    assert_code(1, txn_bucket(t, "b", false, &bk));
    item_key_head(&k, &key[1], TAG_COUNTER_HEAD);
    assert_code(1, db_get(t->db, DB_ITEMS, item_key_db(&k), &rec));
    struct item it = {0};
    struct buf row = {0};
    assert_ok(item_decode(&it, rec));
    it.ev[0].origin = 0;
    assert_ok(counter_row_begin(t, &row, &key[1], 0));
    item_encode(&row, &it);
    made_record("disk.counter-of-other", item_key_db(&k), buf_slice(&row));
    item_free(&it);
    buf_free(&row);
    struct keyhead *h = keyhead_edit(t, bk, &k, slice_of(NULL, 0));
    assert_non_null(h);
    h->rows = 2;
    assert_ok(keyhead_part(t, h));
    assert_code(1, db_get(t->db, DB_ITEMS, item_key_db(&k), &rec));
    made_record("disk.counter-head", item_key_db(&k), rec);
    assert_code(1, db_get(t->db, DB_ITEMS, item_key_db(&key[1]), &rec));
    made_record("disk.entry", item_key_db(&key[1]), rec);
    ecrdt_abort(t);
}

static void made_table(ecrdt_txn *t, enum db_table table, const char *prefix,
                       const char *const *names) {
    struct db_cursor *c;
    slice k = slice_str(prefix), v;
    assert_ok(db_cursor_open(t->db, table, &c));
    int rc = db_cursor_seek(c, &k, &v);
    for (; *names; names++) {
        assert_int_equal(rc, 1);
        made_record(*names, k, v);
        rc = names[1] || table != DB_HEADS ? db_cursor_next(c, &k, &v) : 0;
    }
    if (table != DB_META && table != DB_HEADS) /* these two hold more */
        assert_int_equal(rc, 0);
    db_cursor_close(c);
}

/* Somebody waits for the commit until the same time of the next day; a core
 * has it. */
static void make_ack(ecrdt_store *s) {
    struct want w = {.until_ms = 1700086400000};
    struct ack a = {.seq = EVENTS, .kind = ACK_PEER_CORE};
    ecrdt_receipt r;
    memcpy(w.of.salt, salt, sizeof w.of.salt);
    memcpy(w.of.origin, origin, sizeof w.of.origin);
    memcpy(a.peer, pk, sizeof a.peer);
    ecrdt_txn *t = assert_handle(ecrdt_write(s));
    assert_ok(want_put(t, &w));
    assert_ok(ack_put(t, &w.of, &a));
    assert_ok(ecrdt_commit(t));
    receipt_encode(&r, &w.of, EVENTS);
    made("receipt", slice_of(r.b, sizeof r.b));
}

/* What the store holds, and how its summary says so. */
static void make_held(ecrdt_store *s) {
    static const char *const held[] = {"disk.held", NULL};
    const slice prefixes[] = {ECRDT_STR("k"), ECRDT_STR("n/")};
    struct buf out = {0};
    assert_code(1, ecrdt_subscribe(s, "b", prefixes, 2));
    ecrdt_txn *t = assert_handle(ecrdt_read(s));
    made_table(t, DB_META, "sb", held);
    ecrdt_abort(t);
    assert_ok(ecrdt_summary(s, buf_sink, &out));
    made_buf("summary.part", &out);
}

static void records(void **state) {
    (void)state;
    static const char *const heads[] = {"disk.head", NULL},
                             *const items[] = {"disk.register", "disk.counter",
                                               "disk.element", NULL},
                             *const keys[] = {"disk.set-head", NULL},
                             *const clocks[] = {"disk.clock", NULL},
                             *const pairs[] = {"disk.pair", NULL},
                             *const bucket[] = {"disk.bucket", NULL},
                             *const peers[] = {"disk.want", "disk.ack", NULL},
                             *const format[] = {"disk.durability",
                                                "disk.format", NULL};
    char *dir = tmpdir_make();
    struct buf delta = {0}, out = {0};
    make_export(&delta);
    ecrdt_store *s = assert_handle(ecrdt_open(path_join(dir, "s"), NULL));
    ecrdt_import_report r;
    assert_ok(ecrdt_import(s, buf_slice(&delta), &r));
    assert_int_equal(r.applied, EVENTS);
    assert_ok(ecrdt_verify(s, NULL, NULL));
    make_ack(s);
    counter_rows(s);
    ecrdt_txn *t = assert_handle(ecrdt_read(s));
    made_table(t, DB_PEERS, "", peers);
    made_table(t, DB_META, "b", bucket);
    made_table(t, DB_META, "m.durability", format);
    made_table(t, DB_HEADS, "H", heads);
    made_table(t, DB_ITEMS, "", items);
    made_table(t, DB_KEYS, "", keys);
    made_table(t, DB_CLOCKS, "", clocks);
    make_fingerprint(t);
    made_table(t, DB_PAIRS, "", pairs);
    ecrdt_abort(t);

    assert_ok(ecrdt_summary(s, buf_sink, &out));
    made_buf("summary", &out);
    assert_ok(ecrdt_export(s, slice_of(NULL, 0), 0, buf_sink, &out));
    assert_slice_equal(buf_slice(&out), buf_slice(&delta));
    buf_free(&out);
    made_buf("export", &delta);
    make_held(s);
    assert_ok(ecrdt_close(s));
    tmpdir_remove(dir);
}

/* The register deleted a millisecond later (sequence 4), which came here at
 * 22:14:20. */
static void tombs(void **state) {
    (void)state;
    uint8_t name[CRYPTO_E16], b[TOMB_KEY];
    struct event e = {.origin = 1,
                      .seq = 4,
                      .hlc = event[0].hlc + (1 << 16),
                      .kind = KIND_TOMB,
                      .arrival_ms = 1700000060000,
                      .e16 = name};
    struct tomb_row row = {e.arrival_ms, e.seq, e.origin};
    struct item it = {.ev = &e, .n = 1};
    struct buf scratch = {0}, rec = {0};
    assert_ok(
        event_e16(name, salt, origin, item_key_id(&key[0]), &e, &scratch));
    item_encode(&rec, &it);
    made_record("disk.tomb", item_key_db(&key[0]), buf_slice(&rec));
    made_record("disk.tomb-row", tomb_key(b, 0, &row), item_key_id(&key[0]));
    buf_free(&scratch);
    buf_free(&rec);
}

/* ---- between nodes --------------------------------------------------------
 */

static void keys_and_link(void **state) {
    (void)state;
    uint8_t seed[32];
    char text[IDENTITY_TEXT], *dir = tmpdir_make(), *file;
    size_t len;
    struct identity id;
    for (int i = 0; i < 32; i++)
        seed[i] = (uint8_t)i;
    identity_init(&id, seed);
    made_string("key.public", identity_text(text, id.pk));
    made("key.x25519", slice_of(id.dh_pk, 32));
    assert_ok(identity_create(path_join(dir, "key"), seed));
    file = file_read(path_join(dir, "key"), &len);
    assert_int_equal(file[len - 1], '\n');
    file[len - 1] = 0;
    made_string("key.file", file);
    free(file);
    tmpdir_remove(dir);

    struct channel *ch;
    struct channel_conf conf = {
        .self = &id, .initiator = true, .realm = "prod"};
    assert_ok(channel_open(&ch, &conf));
    made("link.hello", slice_of(channel_out(ch)->data, LINK_HELLO_SIZE));
    channel_close(ch);
}

/* Signatures by the domains that FORMAT.md tells; hello_decode() judges. */
static void sign_hello(struct hello *h, const struct identity *node) {
    uint8_t origin_sk[64], m[64];
    static const uint8_t seed[32] = {7};
    crypto_sign_key_from_seed(h->origin_pk, origin_sk, seed);
    memcpy(m, "edgecrdt-node-owns-origin-1", 27);
    memcpy(m + 27, h->origin_pk, 32);
    crypto_sign_make(h->by_node, slice_of(m, 59), node->sk);
    memcpy(m, "edgecrdt-origin-is-nodes-1", 26);
    memcpy(m + 26, node->pk, 32);
    crypto_sign_make(h->by_origin, slice_of(m, 58), origin_sk);
}

static void messages(void **state) {
    (void)state;
    struct buf b = {0}, chunk = {0}, word = {0};
    struct clock_state *from = clock_state_new(), *to = clock_state_new();
    struct identity id;
    static const uint8_t seed[32] = {1};
    struct hello h = {.name = "edge", .role = 0}, back;
    identity_init(&id, seed);
    sign_hello(&h, &id);
    hello_encode(&b, &h);
    assert_ok(hello_decode(buf_slice(&b), id.pk, &back));
    made_buf("message.hello", &b);

    make_clock(&to->ranges.r[0].clk);
    message_clock_encode(&b, 2, CLOCK_RESET, "b", &to->ranges, &to->floor);
    made_buf("message.clock", &b);
    message_diff_encode(&word, 2, 0, "b", from, to, false);
    make_chunk(&chunk, true);
    message_chunk_encode(&b, "b", false, buf_slice(&word), buf_slice(&chunk));
    made_buf("message.chunk", &b);
    made_buf("message.clock-diff", &word);
    made_buf("chunk.linked", &chunk);
    make_chunk(&chunk, false);
    made_buf("chunk", &chunk);
    to->ranges.r[0].clk.e[0].seq++;
    message_diff_encode(&b, 3, CLOCK_LAZY, "b", to, from, true);
    made_buf("message.clock-gone", &b);
    clock_state_unref(from);
    clock_state_unref(to);
    struct subscription sub = {.others = false};
    const slice prefixes[] = {ECRDT_STR("user/"), ECRDT_STR("org/")};
    assert_ok(held_set(subscription_add(&sub, ECRDT_STR("b")), prefixes, 2));
    subscription_add(&sub, ECRDT_STR("c"))->kind = HELD_ALL;
    message_subscribe_encode(&b, 2, 1, &sub);
    made_buf("message.subscribe", &b);
    subscription_free(&sub);
    message_bye_encode(&b, BYE_STOP, "the node stops");
    made_buf("message.bye", &b);
}

static void none_is_left_out(void **state) {
    (void)state;
    for (size_t i = 0; i < n_page && !getenv("FORMAT_PRINT"); i++)
        if (!page[i].made)
            fail_msg("FORMAT.md has a vector that nothing checks: \"%s\"",
                     page[i].name);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(ids),
                                       cmocka_unit_test(events),
                                       cmocka_unit_test(records),
                                       cmocka_unit_test(tombs),
                                       cmocka_unit_test(keys_and_link),
                                       cmocka_unit_test(messages),
                                       cmocka_unit_test(none_is_left_out)};
    if (crypto_init() < 0)
        return 1;
    make_events();
    return TEST_RUN_WITH(tests, load_page, NULL);
}
