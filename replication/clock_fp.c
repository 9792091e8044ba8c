/* clock_fp.c: a clock as a tree over the bits of its origins' ids; both sides
 * walk down where their fingerprints differ.
 *
 * msgpack [[vector, place, kind, what], ...], rising: vector 0 = clock, 1 =
 * floor; place = the first hex digits of the ids, a byte each; kind 0: what =
 * fingerprints of the 16 parts of the place (one not answered is equal);
 * 1: its entries, and tell me yours; 2: its entries. */
#include "replication/clock_fp.h"
#include "lib/alloc.h"
#include "lib/crypto.h"
#include "lib/err.h"

enum { KIND_SPLIT, KIND_ASK, KIND_TELL, KINDS };
enum { VECTORS = 2, SPLIT_AT_ONCE = 16 * CLOCK_FP_FAN };

/* A part of a vector: the entries whose ids begin with these digits. */
struct place {
    uint8_t vector;
    uint8_t depth;
    uint8_t digit[CLOCK_FP_DEEP];
};

bool clock_fp_worth(const struct clock_state *s) {
    return s->ranges.n == 1 && s->ranges.r[0].clk.n + s->floor.n > CLOCK_FP_MIN;
}

static struct vv *vector_of(struct clock_state *s, unsigned vector) {
    return vector ? &s->floor : &s->ranges.r[0].clk;
}

struct clock_fp *clock_fp_new(struct clock_state *mine,
                              const uint8_t nonce[CLOCK_FP_NONCE]) {
    struct clock_fp *f = alloc_zeroed(1, sizeof *f);
    if (!f)
        return NULL;
    f->mine = clock_state_ref(mine);
    f->theirs = clock_state_new();
    memcpy(f->nonce, nonce, sizeof f->nonce);
    int rc = f->theirs ? ECRDT_OK : ECRDT_ENOMEM;
    for (unsigned v = 0; v < VECTORS && rc == ECRDT_OK; v++)
        rc = vv_copy(vector_of(f->theirs, v), vector_of(mine, v));
    if (rc == ECRDT_OK)
        return f;
    clock_fp_free(f);
    return NULL;
}

void clock_fp_free(struct clock_fp *f) {
    if (!f)
        return;
    clock_state_unref(f->mine);
    clock_state_unref(f->theirs);
    alloc_free(f);
}

/* ---- places ---- */

static uint8_t digit(const uint8_t *origin, unsigned i) {
    return i % 2 ? origin[i / 2] & 15 : origin[i / 2] >> 4;
}

/* Where origin stands: before the place, in it, behind it. */
static int place_cmp(const struct place *p, const uint8_t *origin) {
    for (unsigned i = 0; i < p->depth; i++)
        if (digit(origin, i) != p->digit[i])
            return digit(origin, i) < p->digit[i] ? -1 : 1;
    return 0;
}

/* The first entry that is not before (behind: that is behind) the place. */
static size_t place_edge(const struct vv *v, const struct place *p,
                         bool behind) {
    size_t lo = 0, hi = v->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (place_cmp(p, v->e[mid].origin) < (behind ? 1 : 0))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* The entries of v in the place, borrowed. */
static struct vv cut_out(const struct vv *v, const struct place *p) {
    size_t from = place_edge(v, p, false), to = place_edge(v, p, true);
    return (struct vv){.e = to > from ? v->e + from : NULL, .n = to - from};
}

static struct place child_of(const struct place *p, unsigned i) {
    struct place c = *p;
    c.digit[c.depth++] = (uint8_t)i;
    return c;
}

/* ---- saying ---- */

struct saying {
    struct buf *out;
    struct clock_fp *f;
    uint32_t parts;
    bool asks; /* the peer has to answer */
};

static void say_part(struct saying *s, const struct place *p, unsigned kind) {
    pack_array(s->out, 4);
    pack_uint(s->out, p->vector);
    pack_bin(s->out, slice_of(p->digit, p->depth));
    pack_uint(s->out, kind);
    s->parts++;
    s->asks = s->asks || kind != KIND_TELL;
}

static void say_entries(struct saying *s, const struct place *p,
                        unsigned kind) {
    struct vv in = cut_out(vector_of(s->f->mine, p->vector), p);
    say_part(s, p, kind);
    vv_encode(s->out, &in);
}

static void fingerprint(const struct clock_fp *f, const struct place *p,
                        uint8_t fp[CLOCK_FP_SIZE], struct buf *scratch) {
    struct vv in = cut_out(vector_of(f->mine, p->vector), p);
    buf_clear(scratch);
    buf_put(scratch, f->nonce, sizeof f->nonce);
    buf_put(scratch, &p->vector, 1);
    for (size_t i = 0; i < in.n; i++) {
        uint8_t *b = buf_extend(scratch, ORIGIN_SIZE + 16);
        if (!b)
            return;
        memcpy(b, in.e[i].origin, ORIGIN_SIZE);
        store64(b + ORIGIN_SIZE, in.e[i].seq);
        store64(b + ORIGIN_SIZE + 8, in.e[i].h);
    }
    if (!scratch->err)
        crypto_blake2b(fp, CLOCK_FP_SIZE, buf_slice(scratch));
}

static void say_split(struct saying *s, const struct place *p) {
    uint8_t fps[CLOCK_FP_FAN * CLOCK_FP_SIZE] = {0};
    struct buf scratch = {0};
    for (unsigned i = 0; i < CLOCK_FP_FAN; i++) {
        struct place c = child_of(p, i);
        fingerprint(s->f, &c, fps + (size_t)i * CLOCK_FP_SIZE, &scratch);
    }
    if (scratch.err && !s->out->err)
        s->out->err = scratch.err;
    buf_free(&scratch);
    say_part(s, p, KIND_SPLIT);
    pack_bin(s->out, slice_of(fps, sizeof fps));
}

/* What differs is split again, or told if there is little of it here. */
static void say_difference(struct saying *s, const struct place *p) {
    struct vv in = cut_out(vector_of(s->f->mine, p->vector), p);
    if (in.n <= CLOCK_FP_LEAF || p->depth == CLOCK_FP_DEEP)
        say_entries(s, p, KIND_ASK);
    else
        say_split(s, p);
}

void clock_fp_first(struct clock_fp *f, struct buf *out) {
    struct saying s = {.out = out, .f = f};
    size_t place = pack_array_begin(out);
    for (uint8_t v = 0; v < VECTORS; v++) {
        struct place all = {.vector = v};
        if (vector_of(f->mine, v)->n <= SPLIT_AT_ONCE)
            say_split(&s, &all);
        for (unsigned i = 0;
             i < CLOCK_FP_FAN && vector_of(f->mine, v)->n > SPLIT_AT_ONCE;
             i++) {
            struct place c = child_of(&all, i);
            say_split(&s, &c);
        }
    }
    pack_array_end(out, place, s.parts);
    f->turns++;
}

/* ---- hearing ---- */

/* Replaces places of a vector from left to right. */
struct patch {
    struct vv out;
    size_t at; /* entries of the old one that are done with */
};

static int append(struct vv *v, const struct head *e, size_t n) {
    int rc = alloc_grow(&v->e, &v->cap, v->n + n, sizeof *v->e);
    if (rc == ECRDT_OK && n)
        memcpy(v->e + v->n, e, n * sizeof *e);
    v->n += rc == ECRDT_OK ? n : 0;
    return rc;
}

static int patch_place(struct patch *x, const struct vv *old,
                       const struct place *p, const struct vv *fresh) {
    size_t from = place_edge(old, p, false);
    int rc = append(&x->out, old->e + x->at, from - x->at);
    if (rc == ECRDT_OK)
        rc = append(&x->out, fresh->e, fresh->n);
    x->at = place_edge(old, p, true);
    return rc;
}

static int patch_end(struct patch *x, struct vv *old) {
    int rc = x->at < old->n ? append(&x->out, old->e + x->at, old->n - x->at)
                            : ECRDT_OK;
    if (rc == ECRDT_OK && x->out.n > VV_MAX_ENTRIES)
        rc = ECRDT_EPEER;
    if (rc < 0) {
        vv_free(&x->out);
        return rc;
    }
    vv_free(old);
    *old = x->out;
    return rc;
}

static void take_place(struct unpack *u, struct place *p) {
    p->vector = (uint8_t)unpack_uint_max(u, VECTORS - 1);
    slice digits = unpack_bin(u, CLOCK_FP_DEEP);
    p->depth = (uint8_t)digits.len;
    if (digits.len)
        memcpy(p->digit, digits.data, digits.len);
    for (unsigned i = 0; i < p->depth; i++)
        if (p->digit[i] >= CLOCK_FP_FAN)
            unpack_fail(u);
}

/* Does p stand behind the place before it, without overlap? */
static bool rises(const struct place *before, const struct place *p) {
    if (before->vector != p->vector)
        return before->vector < p->vector;
    for (unsigned i = 0; i < before->depth && i < p->depth; i++)
        if (before->digit[i] != p->digit[i])
            return before->digit[i] < p->digit[i];
    return false;
}

static void take_split(struct unpack *u, const struct place *p,
                       struct saying *s) {
    const uint8_t *fps = unpack_bin_exact(u, CLOCK_FP_FAN * CLOCK_FP_SIZE);
    struct buf scratch = {0};
    if (p->depth == CLOCK_FP_DEEP)
        unpack_fail(u);
    if (!u->err && s->parts >= CLOCK_FP_GROW) {
        say_entries(s, p, KIND_ASK);
        return;
    }
    for (unsigned i = 0; i < CLOCK_FP_FAN && !u->err; i++) {
        uint8_t fp[CLOCK_FP_SIZE] = {0};
        struct place c = child_of(p, i);
        fingerprint(s->f, &c, fp, &scratch);
        if (memcmp(fp, fps + (size_t)i * CLOCK_FP_SIZE, sizeof fp) != 0)
            say_difference(s, &c);
    }
    if (scratch.err)
        s->out->err = scratch.err;
    buf_free(&scratch);
}

static int take_entries(struct unpack *u, const struct place *p,
                        struct clock_fp *f, struct patch *x) {
    struct vv fresh = {0};
    vv_decode(u, &fresh);
    for (size_t i = 0; i < fresh.n && !u->err; i++)
        if (place_cmp(p, fresh.e[i].origin) != 0)
            unpack_fail(u);
    int rc = u->err ? u->err
                    : patch_place(&x[p->vector],
                                  vector_of(f->theirs, p->vector), p, &fresh);
    vv_free(&fresh);
    return rc;
}

/* One part; does it want an answer? */
static bool take_part(struct unpack *u, struct saying *s, struct place *last,
                      struct patch *x) {
    struct place p = {0};
    unpack_array_exact(u, 4);
    take_place(u, &p);
    unsigned kind = (unsigned)unpack_uint_max(u, KINDS - 1);
    if (last->depth <= CLOCK_FP_DEEP && !rises(last, &p))
        unpack_fail(u);
    *last = p;
    int rc = u->err;
    if (!rc && kind == KIND_SPLIT)
        take_split(u, &p, s);
    else if (!rc)
        rc = take_entries(u, &p, s->f, x);
    if (!u->err && kind == KIND_ASK)
        say_entries(s, &p, KIND_TELL);
    if (rc < 0 && !u->err)
        u->err = rc;
    unpack_leave(u);
    return kind != KIND_TELL;
}

int clock_fp_answer(struct clock_fp *f, struct unpack *u, struct buf *out) {
    struct patch x[VECTORS] = {0};
    struct saying s = {.out = out, .f = f};
    struct place last = {.depth = UINT8_MAX}; /* none yet */
    bool asked = false;
    size_t place = pack_array_begin(out);
    uint32_t n = unpack_array(u, CLOCK_FP_PARTS);
    for (uint32_t i = 0; i < n && !u->err; i++)
        asked |= take_part(u, &s, &last, x);
    unpack_leave(u);
    pack_array_end(out, place, s.parts);
    int rc = u->err ? u->err : out->err;
    for (unsigned v = 0; v < VECTORS; v++)
        if (rc < 0)
            vv_free(&x[v].out);
        else
            rc = patch_end(&x[v], vector_of(f->theirs, v));
    if (rc == ECRDT_OK && ++f->turns > CLOCK_FP_TURNS)
        rc = ECRDT_EPEER;
    if (rc < 0)
        return rc == ECRDT_ENOMEM ? rc : ECRDT_EPEER;
    return !asked ? 0 : s.asks ? 1 : 2;
}
