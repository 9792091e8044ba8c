/* kit.h: what the robustness tests share: stores by the public calls alone,
 * and children that end in a known way. */
#ifndef TESTS_CRASH_KIT_H
#define TESTS_CRASH_KIT_H
#include "tests/lib/kit.h"
#include <edgecrdt.h>

static inline ecrdt_options crash_options(uint32_t flags) {
    ecrdt_options o = ECRDT_OPTIONS_INIT;
    o.flags = flags;
    o.max_bytes = 64 << 20;
    o.max_readers = 64;
    o.lock_timeout_ms = 3000;
    return o;
}

static inline ecrdt_store *crash_open(const char *path, uint32_t flags) {
    ecrdt_options o = crash_options(flags);
    return ecrdt_open(path, &o);
}

/* One write of its own: 0 or < 0. */
static inline int crash_set(ecrdt_store *s, const char *key, const char *v) {
    ecrdt_txn *t = ecrdt_write(s);
    ecrdt_reg_set(t, "b", ecrdt_str(key), ecrdt_str(v));
    return ecrdt_commit(t);
}

/* Does key read as v (NULL: absent)? */
static inline bool crash_has(ecrdt_store *s, const char *key, const char *v) {
    ecrdt_txn *t = ecrdt_read(s);
    ecrdt_slice got;
    int rc = ecrdt_reg_get(t, "b", ecrdt_str(key), &got, NULL);
    bool yes = rc == (v != NULL) && (!v || slice_eq(got, ecrdt_str(v)));
    ecrdt_abort(t);
    return yes;
}

/* What a call gives away, in memory of our own, which does not fail. */
struct crash_bytes {
    size_t len;
    char data[8 << 20];
};

static inline int crash_keep(void *ctx, const void *data, size_t len) {
    struct crash_bytes *b = ctx;
    if (len > sizeof b->data - b->len)
        return 1;
    memcpy(b->data + b->len, data, len);
    b->len += len;
    return 0;
}

static inline int crash_ignore(void *ctx, const void *data, size_t len) {
    (void)ctx, (void)data, (void)len;
    return 0;
}

static inline int crash_print(void *ctx, const void *line, size_t len) {
    (void)ctx;
    printf("# %.*s\n", (int)len, (const char *)line);
    return 0;
}

static inline ecrdt_stats crash_stats(ecrdt_store *s) {
    ecrdt_stats st = {.size = sizeof st};
    must(ecrdt_stat_read(s, &st) == 0);
    return st;
}

/* The open must fail with code and a sentence that holds part. */
static inline void crash_refused(ecrdt_store *s, int code, const char *part) {
    if (s || ecrdt_errcode() != code)
        fail_msg("%s, not %s: %s",
                 s ? "opened" : ecrdt_strerror(ecrdt_errcode()),
                 ecrdt_strerror(code), ecrdt_errmsg());
    kit_says(part);
}
#endif
