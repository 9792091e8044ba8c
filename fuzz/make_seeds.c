/* make_seeds.c: writes the seeds of the fuzz targets, out of real stores,
 * encoders and links; what formats change, `make fuzz-seeds` follows.
 *   make_seeds FOLDER */
#include "crdt/chunk_codec.h"
#include "crdt/guard.h"
#include "crdt/reconcile.h"
#include "fuzz/clocks.h"
#include "replication/clock_fp.h"
#include "replication/link/channel.h"
#include "replication/message.h"
#include "tests/support/packed.h"
#include "tests/support/support.h"
#include <sys/stat.h>

static const char *root;

/* FOLDER/target/name: bytes of head, then body. */
static void seed(const char *target, const char *name, slice head, slice body) {
    struct buf b = {0};
    char folder[400], path[500];
    snprintf(folder, sizeof folder, "%s/%s", root, target);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    mkdir(folder, 0777);
    buf_put(&b, head.data, head.len);
    buf_put(&b, body.data, body.len);
    file_write(path, b.data, b.len);
    buf_free(&b);
}

/* The same behind one byte; the buffer is emptied. */
static void seed_buf(const char *target, const char *name, int first,
                     struct buf *b) {
    uint8_t byte = (uint8_t)first;
    FUZZ_CHECK(!b->err);
    seed(target, name, slice_of(&byte, first >= 0), buf_slice(b));
    buf_clear(b);
}

static void seed_text(const char *target, const char *name, int first,
                      const char *text) {
    uint8_t byte = (uint8_t)first;
    seed(target, name, slice_of(&byte, first >= 0), ecrdt_str(text));
}

/* ---- links ---- */

static void frames(void) {
    struct buf b = {0};
    memcpy(frame_put(&b, 3), "abc", 3);
    memcpy(frame_put(&b, 1), "d", 1);
    memset(frame_put(&b, 300), 'e', 300);
    seed_buf("frame", "three", 3, &b);
    seed("frame", "empty", ECRDT_STR("\x02"), slice_of("\0\1x\0\0", 5));
    seed("frame", "too-long", ECRDT_STR("\x40"), ECRDT_STR("\x0f\xff..."));
    buf_free(&b);
}

static void handshakes(void) {
    static const uint8_t key[32] = {31};
    struct identity id;
    struct channel *ch;
    identity_init(&id, key);
    struct channel_conf conf = {
        .self = &id, .initiator = true, .realm = "prod", .ephemeral = {0, 1}};
    memcpy(conf.expect, id.pk, 32);
    FUZZ_CHECK(channel_open(&ch, &conf) == 0);
    seed("handshake", "stranger", slice_of("\1\xff", 2),
         buf_slice(channel_out(ch)));
    seed("handshake", "echo", slice_of("\3\xff", 2),
         buf_slice(channel_out(ch)));
    channel_close(ch);
    seed("handshake", "known", ECRDT_STR("\x04"), slice_of("\0\0\0\0\0", 5));
    seed("handshake", "unknown", slice_of("\0", 1), slice_of("\0\0\0\0", 4));
    seed("handshake", "changed", ECRDT_STR("\x04"),
         slice_of("\0\0\1\0\60\1\0", 7));
    seed("handshake", "hello-changed", ECRDT_STR("\x04"),
         slice_of("\2\0\5\1\0\13\1\0", 8));
    seed("handshake", "cut", ECRDT_STR("\x04"), slice_of("\0\1\7", 3));
}

static void channels(void) {
    seed("channel", "message", ECRDT_STR("\x01"),
         ECRDT_STR("\x07\x01\x05hello\x02\x01\x06"));
    seed("channel", "accept-message", slice_of("\0", 1),
         ECRDT_STR("\x02\x80\x01\x07\x01\x05hello"));
    seed("channel", "refuse", slice_of("\0", 1), ECRDT_STR("\x03\x80\x02\x01"));
    seed("channel", "rekey", ECRDT_STR("\x01"),
         ECRDT_STR("\x02\x80\x03\x05\x01\x05key"));
    seed("channel", "fragments", ECRDT_STR("\x01"),
         slice_of("\xff\x03\x05\x03\0ab", 7));
    seed("channel", "too-much", ECRDT_STR("\x01"),
         slice_of("\xff\x03\x05\xff\x02\0\xff\x02\0", 9));
}

/* ---- values ---- */

static void messages(void) {
    struct clock_state *s = fuzz_clock(5, true);
    struct subscription some = {.others = true};
    struct buf b = {0};
    slice prefixes[2] = {ECRDT_STR("a"), ECRDT_STR("users/")};
    message_clock_encode(&b, 7, CLOCK_WAIT, FUZZ_B, &s->ranges, &s->floor);
    seed_buf("message", "clock", 0, &b);
    message_chunk_encode(&b, FUZZ_B, true, ECRDT_STR("word"),
                         ECRDT_STR("chunk"));
    seed_buf("message", "chunk", 1, &b);
    message_subscribe_encode(&b, 3, 2, NULL);
    seed_buf("message", "seen", 2, &b);
    FUZZ_CHECK(held_set(subscription_add(&some, ECRDT_STR("b")), prefixes, 2) ==
               0);
    some.b[0].kind = HELD_PREFIXES;
    FUZZ_CHECK(subscription_add(&some, ECRDT_STR("c")));
    some.b[1].kind = HELD_ALL;
    message_subscribe_encode(&b, 3, 2, &some);
    seed_buf("message", "subscribe", 2, &b);
    message_bye_encode(&b, BYE_LIMIT, "over a cap");
    seed_buf("message", "bye", 3, &b);
    struct hello h = {.name = "node", .role = 1};
    hello_encode(&b, &h);
    seed_buf("message", "hello", 4, &b);
    subscription_free(&some);
    clock_state_unref(s);
    buf_free(&b);
}

static void clockdiffs(void) {
    struct clock_state *from[3] = {fuzz_clock(0, false), fuzz_clock(3, true),
                                   fuzz_clock(30, false)};
    struct clock_state *to = fuzz_clock(7, true), *flat = fuzz_clock(4, false);
    const uint8_t nonce[CLOCK_FP_NONCE] = {1};
    struct buf b = {0};
    char name[] = "diff-0";
    for (int i = 0; i < 3; i++) {
        name[5] = (char)('0' + i);
        message_diff_encode(&b, 1, 0, FUZZ_B, from[i], i ? flat : to, i % 2);
        seed_buf("clockdiff", name, i, &b);
    }
    message_diff_encode(&b, 1, CLOCK_RESET, FUZZ_B, from[1], from[1], true);
    seed_buf("clockdiff", "equal", 1, &b);
    vv_origin_encode(&b, &from[1]->ranges.r[0].clk,
                     from[1]->ranges.r[0].clk.e[2].origin);
    seed_buf("clockdiff", "origin", 6, &b);
    struct clock_fp *f = clock_fp_new(to, nonce);
    clock_fp_first(f, &b);
    uint8_t len[3] = {7, (uint8_t)(b.len >> 8), (uint8_t)b.len};
    seed("clockdiff", "talk", slice_of(len, 3), buf_slice(&b));
    clock_fp_free(f);
    for (int i = 0; i < 3; i++)
        clock_state_unref(from[i]);
    clock_state_unref(to);
    clock_state_unref(flat);
    buf_free(&b);
}

/* FPs that stores send, over all and over the parts, to one at the same clock,
 * or, with the chains of all, to one without. */
static void fingerprints(void) {
    static const uint8_t key[RECONCILE_KEY] = "key";
    static const struct item_id lowest;
    struct buf b = {0};
    char name[] = "fp-0";
    for (size_t i = 0; i < 4; i++) {
        ecrdt_txn *t;
        struct fp m = {.bucket = ecrdt_str(FUZZ_B),
                       .flags = i == 3 ? FP_AUDIT : 0};
        struct reconcile r = {0};
        struct ranges rs = {0};
        struct vv none = {0};
        uint32_t no;
        FUZZ_CHECK(replica_expose(fuzz_store(i % 2, fuzz_content), &t) == 0);
        FUZZ_CHECK(replica_clock(t, FUZZ_B, &rs, &m.f) == 0);
        FUZZ_CHECK(fp_add_clock(&m, i % 2 ? &rs.r[0].clk : &none, &no) == 0);
        FUZZ_CHECK(fp_add(&m, &lowest, NULL, no, false));
        FUZZ_CHECK(reconcile_sum(&r, t, &m, i < 2 ? 1 : 4, key) == 0);
        FUZZ_CHECK(reconcile_step(&r, UINT64_MAX) == 1);
        name[3] = (char)('0' + i);
        fp_encode(&b, &r.split, true);
        seed_buf("fingerprint", name, 1, &b);
        fp_encode(&b, &r.split, false);
        name[0] = 's';
        seed_buf("fingerprint", name, 0, &b);
        name[0] = 'f';
        reconcile_free(&r);
        fp_free(&m);
        ranges_free(&rs);
        ecrdt_abort(t);
    }
    buf_free(&b);
}

/* ---- what stores say ---- */

static void one_chunk(const char *name, struct ranges *peer, uint32_t items,
                      bool linked) {
    struct chunk_budget budget = {CHUNK_PUSH_BYTES, items};
    struct chunk_tail tail = {.linked = linked};
    struct chunk_built built;
    struct buf b = {0};
    ecrdt_txn *t;
    FUZZ_CHECK(replica_expose(fuzz_store(1, fuzz_content), &t) == 0);
    FUZZ_CHECK(chunk_build(t, FUZZ_B, peer, &budget, &tail, &b, &built) == 1);
    uint8_t len[3] = {1, (uint8_t)((b.len - 1) >> 8), (uint8_t)(b.len - 1)};
    if (!linked)
        seed("import", name, slice_of(len, 3), buf_slice(&b));
    seed_buf("chunk", name, linked, &b);
    buf_free(&b);
    chunk_tail_free(&tail);
    ecrdt_abort(t);
}

static void peer_clock(struct ranges *rs) {
    struct vv floor = {0};
    ecrdt_txn *t;
    ranges_free(rs);
    FUZZ_CHECK(replica_expose(fuzz_store(0, fuzz_content), &t) == 0);
    FUZZ_CHECK(replica_clock(t, FUZZ_B, rs, &floor) == 0);
    ecrdt_abort(t);
    vv_free(&floor);
}

static void chunks(void) {
    struct ranges rs = {0};
    struct buf b = {0}, summary = {0};
    ecrdt_store *s = fuzz_store(1, fuzz_content);
    one_chunk("all", &rs, 2000, false);
    ranges_free(&rs);
    one_chunk("cut", &rs, 3, false);
    one_chunk("cut-on", &rs, 3, false);
    peer_clock(&rs);
    one_chunk("delta", &rs, 2000, false);
    peer_clock(&rs);
    one_chunk("linked", &rs, 2000, true);
    ranges_free(&rs);
    one_chunk("linked-all", &rs, 2000, true);
    FUZZ_CHECK(ecrdt_summary(fuzz_store(0, fuzz_content), buf_sink, &summary) ==
               0);
    FUZZ_CHECK(ecrdt_export(s, buf_slice(&summary), 0, buf_sink, &b) == 0);
    seed_buf("import", "export", 0, &b);
    seed_buf("import", "summary", 3, &summary);
    fuzz_now_ms += UINT64_C(86400000) * 365;
    FUZZ_CHECK(ecrdt_gc(s, 0, 0, NULL) >= 0);
    peer_clock(&rs);
    one_chunk("complete", &rs, 2000, false);
    ranges_free(&rs);
    buf_free(&b);
    buf_free(&summary);
    fuzz_reset();
}

/* ---- what stores hold ---- */

static void record_seed(enum db_table table, unsigned row, slice key,
                        slice value) {
    char name[32];
    uint8_t head[3] = {(uint8_t)table, (uint8_t)row, 0}, zero = 0;
    snprintf(name, sizeof name, "row-%d-%02u", (int)table, row);
    seed("record", name, slice_of(head, 3), value);
    if (table != DB_ITEMS)
        return;
    slice id = item_key_id_of(key);
    uint8_t of[4] = {1, KIND_PUT, (uint8_t)(id.len >> 8), (uint8_t)id.len};
    snprintf(name, sizeof name, "id-%02u", row);
    seed("item", name, slice_of(of, 4), id);
    snprintf(name, sizeof name, "record-%02u", row);
    seed("item", name, slice_of(&zero, 1), value);
}

/* Every third row, and the first ones, of each table. */
static void records(void) {
    ecrdt_txn *t = ecrdt_write(fuzz_store(1, fuzz_content));
    for (int table = 0; table < DB_TABLES; table++) {
        struct db_cursor *c;
        slice key, value;
        FUZZ_CHECK(db_cursor_open(t->db, (enum db_table)table, &c) == 0);
        for (unsigned i = 0; db_cursor_next(c, &key, &value) == 1; i++)
            if (i % 3 == 0 && i < 24)
                record_seed((enum db_table)table, i, key, value);
        db_cursor_close(c);
    }
    ecrdt_abort(t);
}

static void receipts(void) {
    ecrdt_receipt r;
    size_t len;
    struct guard g = {.before = {1}, .nonce = {2}};
    ecrdt_store *s = fuzz_store(0, fuzz_content);
    ecrdt_txn *t = ecrdt_write(s);
    FUZZ_CHECK(ecrdt_reg_set(t, FUZZ_B, ecrdt_str("a"), ecrdt_str("r")) == 0);
    FUZZ_CHECK(ecrdt_receipt_of(t, FUZZ_B, &r) == 0);
    FUZZ_CHECK(ecrdt_commit(t) == 0);
    g.facts = (struct guard_facts){.boot_ms = 3, .dev = 4, .ino = 5, .born = 6};
    FUZZ_CHECK(guard_save(replica_path(s), 0660, &g, false) == 0);
    char *guard = file_read(path_join(replica_path(s), "guard"), &len);
    seed("receipt", "whole", slice_of("\0", 1), slice_of(r.b, sizeof r));
    seed("receipt", "made", ECRDT_STR("\x02"), slice_of(r.b, 40));
    seed("receipt", "guard", ECRDT_STR("\x01"), slice_of(guard, len));
    seed("receipt", "guard-made", ECRDT_STR("\x03"),
         slice_of(guard + 8, len - 12));
    free(guard);
    fuzz_reset();
}

/* ---- texts ---- */

#define KEY "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static void texts(void) {
    seed_text("config", "least", -1, "store = \"/s\"\nkey_file = \"/k\"\n");
    seed_text("config", "most", -1,
              "store = \"/s\"\nkey_file = \"/k\"\nrealm = \"r\"\n"
              "name = \"n\"\nrole = \"core\"\n"
              "listen = {\"[::]:7433\", \"1.2.3.4:80\", \"*:9\"}\n"
              "max_links = 5\ndrain_timeout = 7\naudit_interval = 9\n"
              "gc_retention = 90\ngc_interval = 2\ngc_budget = 30\n"
              "log_level = \"debug\"\nlog_format = \"logfmt\"\n"
              "peer \"a\" { address = \"h\" key = \"" KEY "\" }\n"
              "subscribe \"b\" { prefixes = {\"x\", \"y/\"} }\n"
              "subscribe \"c\" { }\nsubscribe_others = \"none\"\n");
    seed_text("args", "set", -1, "-s\nd\nset\n--hex\nb\n6b\n00ff\n--receipt");
    seed_text("args", "sadd", -1, "--store=d\nsadd\nb\ns\n1\n2\n--json");
    seed_text("args", "init", -1, "init\n-s\nd\n--max-bytes\n16M\n--relaxed");
    seed_text("args", "wait", -1, "-s\nd\nwait\n00\n--peers\n2\n--timeout\n3");
    seed_text("args", "gc", -1, "-s\nd\ngc\n--retention\n7d\n--budget\n500ms");
    seed_text("args", "keys", -1, "keys\nb\n--type\nset\n--long\n--\n-x");
    seed_text("args", "help", -1, "help\nset");
    seed_text("args", "sync", -1, "sync\n--key\nk\n--realm\nr\n" KEY "@h:1");
    seed_text("identity", "file", 0,
              "ed25519-secret:AAAAAAAAAAAAAAAAAAAAAAAAA"
              "AAAAAAAAAAAAAAAAAA\n");
    seed_text("identity", "key", 1, KEY);
    seed_text("identity", "peer", 2, KEY "@edge-1.example.net:7433");
    seed_text("identity", "peer-v6", 2, KEY "@[fe80::1%eth0]:80");
    seed_text("identity", "peer-v4", 2, KEY "@10.0.0.1");
    seed_text("identity", "listen", 3, "[::]:7433");
    seed_text("identity", "listen-any", 3, "*:0");
}

static void packs(void) {
    struct buf b = {0};
    packed_message(&b);
    seed_buf("pack", "message", -1, &b);
    for (int i = 0; i < PACK_DEPTH + 1; i++)
        pack_array(&b, 1);
    pack_nil(&b);
    seed_buf("pack", "deep", -1, &b);
    for (int i = 0; i < 64; i += 7)
        pack_uint(&b, (UINT64_C(1) << i) - 1);
    seed_buf("pack", "many", -1, &b);
    buf_free(&b);
}

static void schedules(void) {
    uint8_t b[160];
    char name[] = "steps-0";
    for (unsigned i = 0; i < 6; i++) {
        struct rng r = {.s = 77 + i};
        rng_bytes(&r, b, sizeof b);
        name[6] = (char)('0' + i);
        seed("converge", name, slice_of(b, sizeof b), slice_of(NULL, 0));
    }
}

/* Which end of the link dials, then steps: see fuzz_session.c. */
static void sessions(void) {
    static const uint8_t all[2] = {0xf0, 0xf1}; /* sixteen messages each */
    struct buf b = {0};
    for (int i = 0; i < 8; i++)
        buf_put(&b, all, 2);
    seed_buf("session", "peace", 1, &b);
    for (int i = 0; i < 8; i++) {
        buf_put(&b, "\x0e\x00\x0f\x3d\x2c", 5); /* both write, 4 ms pass */
        buf_put(&b, all, 2);
    }
    seed_buf("session", "writes", 0, &b);
    for (int i = 0; i < 12; i++) {
        const uint8_t lie = (uint8_t)(6 + i % 2);
        buf_put(&b, all, (size_t)i % 3);
        buf_put(&b, &lie, 1);
        buf_put(&b, "\0\3\1\7\0\x20\xff\0\x11\1", 10);
    }
    seed_buf("session", "altered", 1, &b);
    for (int i = 0; i < 12; i++) {
        const uint8_t lie[2] = {(uint8_t)(6 + i % 2), (uint8_t)(1 + i / 2 % 3)};
        buf_put(&b, "\x10\x11", 2);
        buf_put(&b, lie, 2);
    }
    seed_buf("session", "order", 0, &b);
    buf_put(&b, all, 2);
    for (uint8_t type = 0; type < MESSAGE_TYPES; type++) {
        uint8_t own[3] = {10, type, 0};
        buf_put(&b, own, 3);
    }
    seed_buf("session", "own", 1, &b);
    buf_free(&b);
}

int main(int argc, char **argv) {
    root = argc > 1 ? argv[1] : "fuzz/seeds";
    mkdir(root, 0777);
    FUZZ_CHECK(crypto_init() == 0);
    frames();
    handshakes();
    channels();
    messages();
    clockdiffs();
    fingerprints();
    chunks();
    records();
    receipts();
    texts();
    packs();
    schedules();
    sessions();
    fuzz_reset();
    return 0;
}
