/* message.c: encoding and strict decoding of the messages of a session. */
#include "replication/message.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "replication/peers.h"

/* Domains of the signatures; each shorter than SIGNED_MAX - CRYPTO_PK. */
#define NODE_DOMAIN   "edgecrdt-node-owns-origin-1"
#define ORIGIN_DOMAIN "edgecrdt-origin-is-nodes-1"
#define ORIGIN_ID     "ecrdt-origin-1"

static const struct {
    const char *name;
    size_t limit;
} types[MESSAGE_TYPES] = {
    [MESSAGE_CLOCK] = {"clock", MESSAGE_CLOCK_MAX},
    [MESSAGE_CLOCKS_DONE] = {"clocks-done", 1},
    [MESSAGE_CHUNK] = {"chunk", MESSAGE_CHUNK_MAX},
    [MESSAGE_KEEPALIVE] = {"keepalive", 1},
    [MESSAGE_BYE] = {"bye", MESSAGE_HELLO_MAX},
    [MESSAGE_FP] = {"fp", MESSAGE_FP_MAX},
    [MESSAGE_SAME] = {"same", MESSAGE_FP_MAX},
    [MESSAGE_WANT] = {"want", MESSAGE_FP_MAX},
    [MESSAGE_PLACE] = {"place", MESSAGE_PLACE_MAX},
    [MESSAGE_PLACED] = {"placed", MESSAGE_FP_MAX},
    [MESSAGE_CLOCK_DIFF] = {"clock-diff", MESSAGE_CLOCK_MAX},
    [MESSAGE_CLOCK_FP] = {"clock-fp", MESSAGE_CLOCK_MAX},
    [MESSAGE_SUBSCRIBE] = {"subscribe", MESSAGE_SUBSCRIBE_MAX},
};

const char *message_name(unsigned type) {
    return type < MESSAGE_TYPES && types[type].name ? types[type].name : "?";
}

size_t message_limit(unsigned type) {
    return type < MESSAGE_TYPES ? types[type].limit : 0;
}

void message_text(char *out, size_t max, slice text) {
    const uint8_t *p = text.data;
    size_t n = text.len < max ? text.len : max;
    for (size_t i = 0; i < n; i++)
        out[i] = p[i] >= 0x20 && p[i] < 0x7f ? (char)p[i] : '?';
    out[n] = 0;
}

static int malformed(const char *what) {
    return err_set(ECRDT_EPEER,
                   "the peer sent a malformed %s message: it runs another "
                   "implementation or version; see the versions of both",
                   what);
}

enum { SIGNED_MAX = 64 };

/* Writes what a hello's signature is made over, a domain and the key it
 * speaks of, to out; returns the size. */
static size_t signed_bytes(uint8_t out[SIGNED_MAX], const char *domain,
                           const uint8_t pk[32]) {
    size_t n = strlen(domain);
    memcpy(out, domain, n);
    memcpy(out + n, pk, CRYPTO_PK);
    return n + CRYPTO_PK;
}

int hello_make(struct hello *h, ecrdt_store *s, const char *name, uint8_t role,
               const uint8_t node_pk[32], const uint8_t node_sk[64]) {
    uint8_t m[SIGNED_MAX];
    *h = (struct hello){.role = role};
    message_text(h->name, MESSAGE_NAME_MAX, ecrdt_str(name));
    size_t n = signed_bytes(m, ORIGIN_DOMAIN, node_pk);
    int rc = replica_sign(s, slice_of(m, n), h->by_origin, h->origin_pk);
    if (rc < 0)
        return rc;
    n = signed_bytes(m, NODE_DOMAIN, h->origin_pk);
    crypto_sign_make(h->by_node, slice_of(m, n), node_sk);
    return 0;
}

void hello_encode(struct buf *out, const struct hello *h) {
    pack_array(out, 6);
    pack_uint(out, MESSAGE_VERSION);
    pack_bin(out, ecrdt_str(h->name));
    pack_uint(out, h->role);
    pack_bin(out, slice_of(h->origin_pk, sizeof h->origin_pk));
    pack_bin(out, slice_of(h->by_node, sizeof h->by_node));
    pack_bin(out, slice_of(h->by_origin, sizeof h->by_origin));
}

/* Copies exactly n bytes of u to out; nothing after a failure. */
static void take(struct unpack *u, uint8_t *out, size_t n) {
    const uint8_t *p = unpack_bin_exact(u, n);
    if (p)
        memcpy(out, p, n);
}

static bool certifies(const char *domain, const uint8_t signer_pk[32],
                      const uint8_t sig[64], const uint8_t of_pk[32]) {
    uint8_t m[SIGNED_MAX];
    size_t n = signed_bytes(m, domain, of_pk);
    return crypto_sign_check(sig, slice_of(m, n), signer_pk);
}

int hello_decode(slice body, const uint8_t node_pk[32], struct hello *h) {
    struct unpack u;
    *h = (struct hello){0};
    unpack_init(&u, body);
    uint32_t n = unpack_array(&u, 32);
    uint64_t version = unpack_uint(&u);
    if (!u.err && version != MESSAGE_VERSION)
        return err_set(ECRDT_EVERSION,
                       "the peer speaks replication version %llu, this node "
                       "%d: upgrade the older one",
                       (unsigned long long)version, MESSAGE_VERSION);
    message_text(h->name, MESSAGE_NAME_MAX, unpack_bin(&u, MESSAGE_NAME_MAX));
    h->role = (uint8_t)unpack_uint_max(&u, PEER_ROLES - 1);
    take(&u, h->origin_pk, sizeof h->origin_pk);
    take(&u, h->by_node, sizeof h->by_node);
    take(&u, h->by_origin, sizeof h->by_origin);
    if (unpack_end(&u) || n != 6)
        return malformed("hello");
    if (!certifies(NODE_DOMAIN, node_pk, h->by_node, h->origin_pk) ||
        !certifies(ORIGIN_DOMAIN, h->origin_pk, h->by_origin, node_pk))
        return err_set(ECRDT_EAUTH,
                       "the peer's store and node key do not certify each "
                       "other: its key file or its store was exchanged while "
                       "it ran; restart it");
    return 0;
}

void hello_origin(const struct hello *h, uint8_t origin[ORIGIN_SIZE]) {
    slice parts[2] = {ecrdt_str(ORIGIN_ID),
                      slice_of(h->origin_pk, sizeof h->origin_pk)};
    crypto_blake2b_parts(origin, ORIGIN_SIZE, parts, 2);
}

/* A bucket's name into out; false if it is none. */
static bool take_bucket(char out[ECRDT_MAX_BUCKET_NAME + 1], slice name) {
    if (!name.len || name.len > ECRDT_MAX_BUCKET_NAME ||
        memchr(name.data, 0, name.len))
        return false;
    memcpy(out, name.data, name.len);
    out[name.len] = 0;
    return true;
}

void message_clock_encode(struct buf *out, uint64_t acked, uint8_t flags,
                          const char *bucket, const struct ranges *ranges,
                          const struct vv *floor) {
    pack_array(out, 3);
    pack_uint(out, acked);
    pack_uint(out, flags);
    clock_encode(out, ecrdt_str(bucket), ranges, floor);
}

int message_clock_decode(slice body, struct clock *c) {
    struct unpack u;
    slice name = {0};
    unpack_init(&u, body);
    unpack_array_exact(&u, 3);
    c->acked = unpack_uint(&u);
    c->flags = (uint8_t)unpack_uint_max(&u, CLOCK_FLAGS);
    if (u.err)
        return malformed("clock");
    c->state = clock_state_new();
    if (!c->state)
        return ECRDT_ENOMEM;
    ranges_free(&c->state->ranges);
    int rc = clock_decode(&u, &name, &c->state->ranges, &c->state->floor);
    if (rc == ECRDT_ENOMEM)
        return rc;
    unpack_leave(&u);
    if (rc < 0 || unpack_end(&u) || !take_bucket(c->bucket, name))
        return malformed("clock");
    return 0;
}

void clock_free(struct clock *c) {
    clock_state_unref(c->state);
    *c = (struct clock){0};
}

/* BLAKE2b-128 of the whole clock as CLOCK has it. */
static int sum_of(const char *bucket, const struct clock_state *s,
                  uint8_t out[CRYPTO_E16]) {
    struct buf b = {0};
    clock_encode(&b, ecrdt_str(bucket), &s->ranges, &s->floor);
    int rc = b.err;
    if (!rc)
        crypto_blake2b(out, CRYPTO_E16, buf_slice(&b));
    buf_free(&b);
    return rc;
}

void message_diff_encode(struct buf *out, uint64_t acked, uint8_t flags,
                         const char *bucket, const struct clock_state *from,
                         const struct clock_state *to, bool sum) {
    uint8_t of_to[CRYPTO_E16];
    pack_array(out, 5);
    pack_uint(out, acked);
    pack_uint(out, flags);
    pack_bin(out, ecrdt_str(bucket));
    if (clock_state_eq(from, to))
        pack_nil(out);
    else
        clock_diff_encode(out, from, to);
    int rc = sum ? sum_of(bucket, to, of_to) : ECRDT_OK;
    if (sum)
        pack_bin(out, slice_of(of_to, sizeof of_to));
    else
        pack_nil(out);
    out->err = out->err ? out->err : rc;
}

int message_diff_begin(slice body, struct unpack *u, struct clock *c) {
    unpack_init(u, body);
    unpack_array_exact(u, 5);
    c->acked = unpack_uint(u);
    c->flags = (uint8_t)unpack_uint_max(u, CLOCK_FLAGS);
    slice name = unpack_bin(u, ECRDT_MAX_BUCKET_NAME);
    if (u->err || !take_bucket(c->bucket, name))
        return malformed("clock-diff");
    return 0;
}

int message_diff_end(struct unpack *u, struct clock_state *from,
                     struct clock *c) {
    if (unpack_nil(u))
        c->state = clock_state_ref(from);
    else if (clock_diff_decode(u, from, &c->state) == ECRDT_ENOMEM)
        return ECRDT_ENOMEM;
    uint8_t here[CRYPTO_E16];
    const uint8_t *there =
        unpack_nil(u) ? NULL : unpack_bin_exact(u, CRYPTO_E16);
    unpack_leave(u);
    if (unpack_end(u))
        return malformed("clock-diff");
    int rc = there ? sum_of(c->bucket, c->state, here) : ECRDT_OK;
    c->differs = there && !rc && memcmp(here, there, sizeof here) != 0;
    return rc;
}

void message_fp_header(struct buf *out, const char *bucket) {
    pack_array(out, 2);
    pack_bin(out, ecrdt_str(bucket));
}

int message_fp_begin(slice body, struct unpack *u,
                     char bucket[ECRDT_MAX_BUCKET_NAME + 1]) {
    unpack_init(u, body);
    unpack_array_exact(u, 2);
    slice name = unpack_bin(u, ECRDT_MAX_BUCKET_NAME);
    if (u->err || !take_bucket(bucket, name))
        return malformed("clock-fp");
    return 0;
}

void message_chunk_encode(struct buf *out, const char *bucket, bool more,
                          slice word, slice chunk) {
    pack_array(out, 4);
    pack_bin(out, ecrdt_str(bucket));
    pack_bool(out, more);
    pack_bin(out, word);
    pack_bin(out, chunk);
}

int message_chunk_decode(slice body, struct chunk_message *m) {
    struct unpack u;
    *m = (struct chunk_message){0};
    unpack_init(&u, body);
    unpack_array_exact(&u, 4);
    slice name = unpack_bin(&u, ECRDT_MAX_BUCKET_NAME);
    m->more = unpack_bool(&u);
    m->word = unpack_bin(&u, MESSAGE_CLOCK_MAX);
    m->chunk = unpack_bin(&u, CHUNK_MAX_BYTES);
    if (unpack_end(&u) || !take_bucket(m->bucket, name))
        return malformed("chunk");
    return 0;
}

void message_subscribe_encode(struct buf *out, uint64_t number, uint64_t seen,
                              const struct subscription *holds) {
    pack_array(out, 3);
    pack_uint(out, number);
    pack_uint(out, seen);
    if (holds)
        subscription_encode(out, holds);
    else
        pack_nil(out);
}

int message_subscribe_decode(slice body, struct subscribe *m) {
    struct unpack u;
    unpack_init(&u, body);
    unpack_array_exact(&u, 3);
    m->number = unpack_uint(&u);
    m->seen = unpack_uint(&u);
    m->told = !unpack_nil(&u);
    if (m->told && !u.err && subscription_decode(&u, &m->holds) < 0 &&
        u.err == ECRDT_ENOMEM)
        return ECRDT_ENOMEM;
    return unpack_end(&u) ? malformed("subscribe") : 0;
}

void message_bye_encode(struct buf *out, uint8_t code, const char *sentence) {
    size_t n = strlen(sentence);
    pack_array(out, 2);
    pack_uint(out, code);
    pack_bin(out,
             slice_of(sentence,
                      n < MESSAGE_SENTENCE_MAX ? n : MESSAGE_SENTENCE_MAX));
}

int message_bye_decode(slice body, struct bye *b) {
    struct unpack u;
    *b = (struct bye){0};
    unpack_init(&u, body);
    unpack_array_exact(&u, 2);
    b->code = (uint8_t)unpack_uint_max(&u, BYE_CODES - 1);
    slice text = unpack_bin(&u, MESSAGE_SENTENCE_MAX);
    message_text(b->sentence, MESSAGE_SENTENCE_MAX, text);
    if (unpack_end(&u) || !b->code)
        return malformed("bye");
    return 0;
}
