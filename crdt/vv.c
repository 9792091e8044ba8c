/* vv.c: version vectors of chained heads: lookup, order, join, codec. */
#include "crdt/vv.h"
#include "lib/alloc.h"
#include "lib/mutant.h"

/* Index of the first entry >= origin; *found if it is origin's. */
static size_t find(const struct vv *v, const uint8_t *origin, bool *found) {
    size_t lo = 0, hi = v->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (memcmp(v->e[mid].origin, origin, ORIGIN_SIZE) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *found = lo < v->n && !memcmp(v->e[lo].origin, origin, ORIGIN_SIZE);
    return lo;
}

size_t vv_group(const struct vv *v, size_t i) {
    size_t n = 1;
    while (i + n < v->n &&
           !memcmp(v->e[i + n].origin, v->e[i].origin, ORIGIN_SIZE))
        n++;
    return n;
}

const struct head *vv_heads(const struct vv *v,
                            const uint8_t origin[ORIGIN_SIZE], size_t *n) {
    bool found;
    size_t i = find(v, origin, &found);
    *n = found ? vv_group(v, i) : 0;
    return found ? &v->e[i] : NULL;
}

uint64_t vv_seq(const struct vv *v, const uint8_t origin[ORIGIN_SIZE]) {
    bool found;
    size_t i = find(v, origin, &found);
    return found ? v->e[i].seq : 0;
}

/* Makes was entries from at on into is. 0 or ECRDT_ENOMEM. */
static int resize_at(struct vv *v, size_t at, size_t was, size_t is) {
    int rc = alloc_grow(&v->e, &v->cap, v->n - was + is, sizeof *v->e);
    if (rc < 0)
        return rc;
    size_t behind = v->n - at - was;
    if (behind) /* else e may be NULL */
        memmove(v->e + at + is, v->e + at + was, behind * sizeof *v->e);
    v->n = v->n - was + is;
    return ECRDT_OK;
}

int vv_set_heads(struct vv *v, const uint8_t origin[ORIGIN_SIZE],
                 const struct head *heads, size_t n) {
    bool found;
    size_t i = find(v, origin, &found);
    int rc = resize_at(v, i, found ? vv_group(v, i) : 0, n);
    if (rc == ECRDT_OK && n)
        memcpy(v->e + i, heads, n * sizeof *heads);
    return rc;
}

int vv_raise(struct vv *v, const uint8_t origin[ORIGIN_SIZE], uint64_t seq,
             uint64_t h) {
    struct head e = {.seq = seq, .h = h};
    if (seq <= vv_seq(v, origin))
        return ECRDT_OK;
    memcpy(e.origin, origin, ORIGIN_SIZE);
    return vv_set_heads(v, origin, &e, 1);
}

int vv_head_order(const struct head *a, const struct head *b) {
    int c = memcmp(a->origin, b->origin, ORIGIN_SIZE);
    return c != 0             ? c
           : a->seq != b->seq ? (a->seq > b->seq ? -1 : 1)
                              : (a->h > b->h) - (a->h < b->h);
}

int vv_unite(struct vv *v, const uint8_t origin[ORIGIN_SIZE],
             const struct head *heads, size_t n) {
    struct head sum[2 * VV_MAX_HEADS];
    size_t count;
    const struct head *had = vv_heads(v, origin, &count);
    if (count)
        memcpy(sum, had, count * sizeof *sum);
    for (size_t i = 0; i < n && count < 2 * VV_MAX_HEADS; i++) {
        if (vv_heads_have(sum, count, &heads[i]))
            continue;
        size_t at = count++;
        for (; at > 0 && vv_head_order(&sum[at - 1], &heads[i]) > 0; at--)
            sum[at] = sum[at - 1];
        sum[at] = heads[i];
    }
    return vv_set_heads(v, origin, sum,
                        count < VV_MAX_HEADS ? count : VV_MAX_HEADS);
}

static bool has_same(const struct head *heads, size_t n, const struct head *x) {
    for (size_t i = 0; i < n; i++)
        if (heads[i].seq == x->seq &&
            (heads[i].h == x->h || !heads[i].h || !x->h))
            return true;
    return false;
}

bool vv_heads_have(const struct head *heads, size_t n, const struct head *x) {
    for (size_t i = 0; i < n; i++)
        if (heads[i].seq == x->seq && heads[i].h == x->h)
            return true;
    return false;
}

bool vv_heads_same(const struct head *a, size_t na, const struct head *b,
                   size_t nb) {
    return na == nb && !memcmp(a, b, na * sizeof *a);
}

bool vv_heads_le(const struct head *a, size_t na, const struct head *b,
                 size_t nb) {
    if (na > nb)
        return false;
    for (size_t i = 0, j = 0; i < na; i++) {
        if (has_same(b, nb, &a[i]))
            continue;
        while (j < nb && has_same(a, na, &b[j]))
            j++; /* taken */
        if (j == nb || b[j].seq < a[i].seq ||
            (b[j].seq == a[i].seq && !MUTANT(nochain) && !MUTANT(dotreuse)))
            return false;
        j++;
    }
    return true;
}

/* Of two entries one of which covers the other: is it b that covers a? */
static bool heads_less(const struct head *a, size_t na, const struct head *b,
                       size_t nb) {
    return a->seq != b->seq
               ? a->seq < b->seq
               : vv_heads_le(a, na, b, nb) && !vv_heads_le(b, nb, a, na);
}

/* The next group of entries of one origin on either side; n = 0: that side
 * has none of this origin. */
struct pairing {
    size_t i, j, ni, nj;
};

static bool next_pairing(const struct vv *a, const struct vv *b,
                         struct pairing *p) {
    p->i += p->ni;
    p->j += p->nj;
    if (p->i == a->n && p->j == b->n)
        return false;
    int c = p->i == a->n ? 1
            : p->j == b->n
                ? -1
                : memcmp(a->e[p->i].origin, b->e[p->j].origin, ORIGIN_SIZE);
    p->ni = c <= 0 ? vv_group(a, p->i) : 0;
    p->nj = c >= 0 ? vv_group(b, p->j) : 0;
    return true;
}

int vv_join(struct vv *v, const struct vv *o) {
    struct vv sum = {0};
    struct pairing p = {0};
    int rc = alloc_grow(&sum.e, &sum.cap, v->n + o->n, sizeof *sum.e);
    if (rc < 0)
        return rc;
    while (next_pairing(v, o, &p)) {
        bool theirs =
            !p.ni || (p.nj && heads_less(v->e + p.i, p.ni, o->e + p.j, p.nj));
        size_t n = theirs ? p.nj : p.ni;
        memcpy(sum.e + sum.n, theirs ? o->e + p.j : v->e + p.i,
               n * sizeof *sum.e);
        sum.n += n;
    }
    vv_free(v);
    *v = sum;
    return ECRDT_OK;
}

bool vv_le(const struct vv *a, const struct vv *b) {
    struct pairing p = {0};
    while (next_pairing(a, b, &p))
        if (!vv_heads_le(a->e + p.i, p.ni, b->e + p.j, p.nj))
            return false;
    return true;
}

bool vv_floor_le(const struct vv *floor, const struct vv *base,
                 const struct vv *clk) {
    bool le = vv_le(floor, base);
    for (size_t i = 0, n, nb; i < clk->n && le && !MUTANT(floorfork); i += n) {
        n = vv_group(clk, i);
        if (n == 1 || !vv_seq(floor, clk->e[i].origin))
            continue;
        const struct head *b = vv_heads(base, clk->e[i].origin, &nb);
        le = vv_heads_le(&clk->e[i], n, b, nb);
    }
    return le;
}

bool vv_eq(const struct vv *a, const struct vv *b) {
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (memcmp(a->e[i].origin, b->e[i].origin, ORIGIN_SIZE) != 0 ||
            a->e[i].seq != b->e[i].seq || a->e[i].h != b->e[i].h)
            return false;
    return true;
}

/* Is entry i of v one of several of its origin? */
static bool branch(const struct vv *v, size_t i) {
    return vv_group(v, i) > 1 ||
           (i && !memcmp(v->e[i - 1].origin, v->e[i].origin, ORIGIN_SIZE));
}

int vv_within(struct vv *out, const struct vv *base, const struct vv *clk,
              const struct vv *floor) {
    int rc = alloc_grow(&out->e, &out->cap, base->n, sizeof *out->e);
    for (size_t i = 0, j = 0; i < base->n && rc == ECRDT_OK; i++) {
        const struct head *e = &base->e[i], *mine = NULL;
        while (j < clk->n &&
               memcmp(clk->e[j].origin, e->origin, ORIGIN_SIZE) < 0)
            j++;
        if (j < clk->n && !memcmp(clk->e[j].origin, e->origin, ORIGIN_SIZE))
            mine = &clk->e[j];
        bool beyond = e->seq > (mine ? mine->seq : 0) && !branch(base, i) &&
                      vv_seq(floor, e->origin) <= (mine ? mine->seq : 0);
        if (beyond)
            e = mine;
        if (e)
            out->e[out->n++] = *e;
    }
    return rc;
}

int vv_copy(struct vv *dst, const struct vv *src) {
    int rc = alloc_grow(&dst->e, &dst->cap, src->n, sizeof *dst->e);
    if (rc < 0)
        return rc;
    if (src->n)
        memcpy(dst->e, src->e, src->n * sizeof *dst->e);
    dst->n = src->n;
    return ECRDT_OK;
}

void vv_free(struct vv *v) {
    alloc_free(v->e);
    *v = (struct vv){0};
}

uint64_t vv_missing(const struct vv *a, const struct vv *b) {
    uint64_t missing = 0;
    struct pairing p = {0};
    while (next_pairing(a, b, &p)) {
        const struct head *x = a->e + p.i, *y = b->e + p.j;
        if (vv_heads_le(x, p.ni, y, p.nj))
            continue;
        uint64_t known = p.nj ? y->seq : 0;
        uint64_t n = x->seq > known ? x->seq - known : 1; /* a branch */
        if (!add_u64(&missing, n))
            return UINT64_MAX;
    }
    return missing;
}

void vv_encode(struct buf *out, const struct vv *v) {
    pack_array(out, (uint32_t)(3 * v->n));
    for (size_t i = 0; i < v->n; i++) {
        uint8_t h[8];
        store64(h, v->e[i].h);
        pack_bin(out, slice_of(v->e[i].origin, ORIGIN_SIZE));
        pack_uint(out, v->e[i].seq);
        pack_bin(out, slice_of(h, sizeof h));
    }
}

static bool in_order(const struct vv *v, const struct head *e) {
    bool many =
        v->n >= VV_MAX_HEADS &&
        !memcmp(v->e[v->n - VV_MAX_HEADS].origin, e->origin, ORIGIN_SIZE);
    return !many && (!v->n || vv_head_order(&v->e[v->n - 1], e) < 0);
}

static int decode_entry(struct unpack *u, struct vv *v) {
    struct head e;
    const uint8_t *origin = unpack_bin_exact(u, ORIGIN_SIZE);
    e.seq = unpack_uint_max(u, INT64_MAX);
    const uint8_t *h = unpack_bin_exact(u, 8);
    if (u->err)
        return u->err;
    memcpy(e.origin, origin, ORIGIN_SIZE);
    e.h = load64(h);
    if (!e.seq || !in_order(v, &e)) {
        unpack_fail(u);
        return u->err;
    }
    int rc = alloc_grow(&v->e, &v->cap, v->n + 1, sizeof *v->e);
    if (rc < 0)
        u->err = rc;
    else
        v->e[v->n++] = e;
    return rc;
}

int vv_decode(struct unpack *u, struct vv *v) {
    uint32_t n = unpack_array(u, 3 * VV_MAX_ENTRIES);
    if (n % 3)
        unpack_fail(u);
    for (uint32_t i = 0; i < n / 3 && !u->err; i++)
        decode_entry(u, v);
    unpack_leave(u);
    return u->err;
}
