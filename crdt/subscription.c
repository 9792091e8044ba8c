/* subscription.c: what a node holds, as a value: its prefixes, its ids, its
 * form on the wire and in words. */
#include "crdt/subscription.h"
#include "lib/alloc.h"
#include "lib/err.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- one bucket -----------------------------------------------------------
 */

int held_next(const struct held *h, size_t *at, slice *prefix) {
    if (h->kind != HELD_PREFIXES || *at >= h->prefixes.len)
        return 0;
    const uint8_t *p = h->prefixes.data + *at;
    *prefix = slice_of(p + 1, p[0]);
    *at += 1u + p[0];
    return 1;
}

static void add_prefix(struct held *h, slice prefix) {
    uint8_t len = (uint8_t)prefix.len;
    buf_put(&h->prefixes, &len, 1);
    buf_put(&h->prefixes, prefix.data, prefix.len);
}

static int by_bytes(const void *a, const void *b) {
    return slice_cmp(*(const slice *)a, *(const slice *)b);
}

static int check_prefixes(const slice *prefixes, size_t n) {
    if (n > SUBSCRIPTION_PREFIXES)
        return err_set(ECRDT_ETOOBIG,
                       "cannot subscribe to %zu prefixes of one bucket, the "
                       "limit is %d: use shorter ones",
                       n, SUBSCRIPTION_PREFIXES);
    for (size_t i = 0; i < n; i++)
        if (!prefixes[i].len || prefixes[i].len > SUBSCRIPTION_PREFIX)
            return err_set(prefixes[i].len ? ECRDT_ETOOBIG : ECRDT_EINVAL,
                           "cannot subscribe to a prefix of %zu bytes: it has "
                           "1 to %d; no prefix at all means all keys",
                           prefixes[i].len, SUBSCRIPTION_PREFIX);
    return ECRDT_OK;
}

int held_set(struct held *h, const slice *prefixes, size_t n) {
    int rc = check_prefixes(prefixes, n);
    if (rc < 0)
        return rc;
    slice *sorted = alloc_resize(NULL, n + 1, sizeof *sorted);
    if (!sorted)
        return ECRDT_ENOMEM;
    if (n)
        memcpy(sorted, prefixes, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_bytes);
    buf_clear(&h->prefixes);
    h->kind = n ? HELD_PREFIXES : HELD_ALL;
    const slice *last = NULL;
    for (size_t i = 0; i < n; i++) {
        if (last && slice_starts(sorted[i], *last))
            continue;
        last = &sorted[i];
        add_prefix(h, *last);
    }
    alloc_free(sorted);
    return h->prefixes.err;
}

int held_spans(const struct held *h, struct spans *sp) {
    slice prefix;
    int rc = ECRDT_OK;
    sp->some = h->kind != HELD_ALL;
    for (size_t at = 0; rc == ECRDT_OK && held_next(h, &at, &prefix);)
        rc = spans_add_prefix(sp, prefix);
    return rc;
}

bool held_eq(const struct held *a, const struct held *b) {
    return a->kind == b->kind &&
           (a->kind != HELD_PREFIXES ||
            slice_eq(buf_slice(&a->prefixes), buf_slice(&b->prefixes)));
}

void held_free(struct held *h) {
    buf_free(&h->prefixes);
    *h = (struct held){0};
}

/* ---- all buckets ----------------------------------------------------------
 */

void subscription_init(struct subscription *s) {
    *s = (struct subscription){.others = true};
}

bool subscription_whole(const struct subscription *s) {
    for (size_t i = 0; i < s->n; i++)
        if (s->b[i].kind != HELD_ALL)
            return false;
    return s->others;
}

const struct held *subscription_find(const struct subscription *s,
                                     const char *bucket) {
    size_t lo = 0, hi = s->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int c = strcmp(s->b[mid].bucket, bucket);
        if (c == 0)
            return &s->b[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

int subscription_spans(const struct subscription *s, const char *bucket,
                       struct spans *sp) {
    const struct held *h = subscription_find(s, bucket);
    if (h)
        return held_spans(h, sp);
    sp->some = !s->others;
    return ECRDT_OK;
}

bool subscription_eq(const struct subscription *a,
                     const struct subscription *b) {
    bool eq = a->n == b->n && a->others == b->others;
    for (size_t i = 0; i < a->n && eq; i++)
        eq = !strcmp(a->b[i].bucket, b->b[i].bucket) &&
             held_eq(&a->b[i], &b->b[i]);
    return eq;
}

struct held *subscription_add(struct subscription *s, slice bucket) {
    if (alloc_grow(&s->b, &s->cap, s->n + 1, sizeof *s->b) < 0)
        return NULL;
    struct held *h = &s->b[s->n++];
    *h = (struct held){0};
    memcpy(h->bucket, bucket.data, bucket.len);
    return h;
}

void subscription_free(struct subscription *s) {
    for (size_t i = 0; i < s->n; i++)
        held_free(&s->b[i]);
    alloc_free(s->b);
    *s = (struct subscription){0};
}

/* ---- bytes ----------------------------------------------------------------
 */

static void encode_held(struct buf *out, const struct held *h) {
    slice prefix;
    uint32_t n = 0;
    pack_bin(out, ecrdt_str(h->bucket));
    if (h->kind == HELD_ALL) {
        pack_nil(out);
        return;
    }
    for (size_t at = 0; held_next(h, &at, &prefix);)
        n++;
    pack_array(out, n);
    for (size_t at = 0; held_next(h, &at, &prefix);)
        pack_bin(out, prefix);
}

void subscription_encode(struct buf *out, const struct subscription *s) {
    pack_array(out, (uint32_t)(1 + 2 * s->n));
    pack_bool(out, s->others);
    for (size_t i = 0; i < s->n; i++)
        encode_held(out, &s->b[i]);
}

/* Rising, and none begins with the one before: one encoding. */
static void decode_prefixes(struct unpack *u, struct held *h) {
    uint32_t n = unpack_array(u, SUBSCRIPTION_PREFIXES);
    slice last = {0};
    h->kind = n ? HELD_PREFIXES : HELD_NONE;
    for (uint32_t i = 0; i < n && !u->err; i++) {
        slice prefix = unpack_bin(u, SUBSCRIPTION_PREFIX);
        if (!prefix.len ||
            (i && (slice_cmp(last, prefix) >= 0 || slice_starts(prefix, last))))
            unpack_fail(u);
        if (!u->err)
            add_prefix(h, prefix);
        last = prefix;
    }
    if (h->prefixes.err)
        u->err = h->prefixes.err;
    unpack_leave(u);
}

static void decode_held(struct unpack *u, struct subscription *s) {
    slice name = unpack_bin(u, ECRDT_MAX_BUCKET_NAME);
    if (!name.len || memchr(name.data, 0, name.len))
        unpack_fail(u);
    struct held *h = u->err ? NULL : subscription_add(s, name);
    if (!h) {
        u->err = u->err ? u->err : ECRDT_ENOMEM;
        return;
    }
    if (s->n > 1 && strcmp(h[-1].bucket, h->bucket) >= 0)
        unpack_fail(u);
    h->kind = HELD_ALL;
    if (!unpack_nil(u))
        decode_prefixes(u, h);
}

int subscription_decode(struct unpack *u, struct subscription *s) {
    uint32_t n = unpack_array(u, 1 + 2 * ECRDT_MAX_BUCKETS);
    if (n % 2 == 0)
        unpack_fail(u);
    s->others = unpack_bool(u);
    for (uint32_t i = 0; i < n / 2 && !u->err; i++)
        decode_held(u, s);
    unpack_leave(u);
    return u->err;
}

/* ---- words ----------------------------------------------------------------
 */

static void say(char *out, size_t size, size_t *n, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static void say(char *out, size_t size, size_t *n, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    int more = vsnprintf(out + *n, size - *n, fmt, ap);
    va_end(ap);
    *n += more > 0 ? (size_t)more : 0;
    if (*n >= size)
        *n = size - 1;
}

static void say_bytes(char *out, size_t size, size_t *n, slice s) {
    const uint8_t *p = s.data;
    for (size_t i = 0; i < s.len; i++)
        if (p[i] > 0x20 && p[i] < 0x7f && p[i] != '\\')
            say(out, size, n, "%c", p[i]);
        else
            say(out, size, n, "\\x%02x", p[i]);
}

void subscription_text(char *out, size_t size, const struct subscription *s) {
    size_t n = 0;
    slice prefix;
    out[0] = 0;
    for (size_t i = 0; i < s->n; i++) {
        const struct held *h = &s->b[i];
        say_bytes(out, size, &n, ecrdt_str(h->bucket));
        say(out, size, &n, ":%s",
            h->kind == HELD_ALL    ? " all"
            : h->kind == HELD_NONE ? " nothing"
                                   : "");
        for (size_t at = 0; held_next(h, &at, &prefix);) {
            say(out, size, &n, " ");
            say_bytes(out, size, &n, prefix);
        }
        say(out, size, &n, ", ");
    }
    say(out, size, &n, "%s%s", s->n ? "others: " : "",
        s->others ? (s->n ? "all" : "everything") : "nothing");
    if (n == size - 1 && size > 4)
        memcpy(out + size - 4, "...", 4);
}
