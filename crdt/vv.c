/* vv.c: version vectors of chained heads: lookup, order, join, codec. */
#include "crdt/vv.h"
#include "lib/alloc.h"

/* Index of the first entry >= origin; *found if it is origin's. */
static size_t find(const struct vv *v, const uint8_t *origin, bool *found) {
    size_t lo = 0, hi = v->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int c = memcmp(v->e[mid].origin, origin, ORIGIN_SIZE);
        if (c == 0) {
            *found = true;
            return mid;
        }
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *found = false;
    return lo;
}

uint64_t vv_seq(const struct vv *v, const uint8_t origin[ORIGIN_SIZE]) {
    bool found;
    size_t i = find(v, origin, &found);
    return found ? v->e[i].seq : 0;
}

int vv_raise(struct vv *v, const uint8_t origin[ORIGIN_SIZE], uint64_t seq,
             uint64_t h) {
    if (!seq)
        return ECRDT_OK;
    bool found;
    size_t i = find(v, origin, &found);
    if (found && v->e[i].seq >= seq)
        return ECRDT_OK;
    if (!found) {
        int rc = alloc_grow(&v->e, &v->cap, v->n + 1, sizeof *v->e);
        if (rc < 0)
            return rc;
        memmove(v->e + i + 1, v->e + i, (v->n - i) * sizeof *v->e);
        v->n++;
        memcpy(v->e[i].origin, origin, ORIGIN_SIZE);
    }
    v->e[i].seq = seq;
    v->e[i].h = h;
    return ECRDT_OK;
}

/* Both are sorted: count the union, then fill from the back in place. */
int vv_join(struct vv *v, const struct vv *o) {
    size_t n = 0;
    for (size_t i = 0, j = 0; i < v->n || j < o->n; n++) {
        int c = i == v->n ? 1
                : j == o->n
                    ? -1
                    : memcmp(v->e[i].origin, o->e[j].origin, ORIGIN_SIZE);
        i += c <= 0;
        j += c >= 0;
    }
    int rc = alloc_grow(&v->e, &v->cap, n, sizeof *v->e);
    if (rc < 0)
        return rc;
    size_t i = v->n, j = o->n;
    for (size_t k = n; k > 0 && j > 0;) {
        int c = i == 0 ? -1
                       : memcmp(v->e[i - 1].origin, o->e[j - 1].origin,
                                ORIGIN_SIZE);
        struct head next = c < 0 ? o->e[j - 1] : v->e[i - 1];
        if (c == 0 && o->e[j - 1].seq > next.seq)
            next = o->e[j - 1];
        i -= c >= 0;
        j -= c <= 0;
        v->e[--k] = next;
    }
    v->n = n;
    return ECRDT_OK;
}

bool vv_le(const struct vv *a, const struct vv *b) {
    size_t j = 0;
    for (size_t i = 0; i < a->n; i++) {
        while (j < b->n &&
               memcmp(b->e[j].origin, a->e[i].origin, ORIGIN_SIZE) < 0)
            j++;
        if (j == b->n ||
            memcmp(b->e[j].origin, a->e[i].origin, ORIGIN_SIZE) != 0 ||
            b->e[j].seq < a->e[i].seq)
            return false;
    }
    return true;
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
    for (size_t i = 0; i < a->n; i++) {
        uint64_t known = vv_seq(b, a->e[i].origin);
        if (a->e[i].seq > known && !add_u64(&missing, a->e[i].seq - known))
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

static int decode_entry(struct unpack *u, struct vv *v) {
    const uint8_t *origin = unpack_bin_exact(u, ORIGIN_SIZE);
    uint64_t seq = unpack_uint(u);
    const uint8_t *h = unpack_bin_exact(u, 8);
    if (u->err)
        return u->err;
    if (!seq ||
        (v->n && memcmp(v->e[v->n - 1].origin, origin, ORIGIN_SIZE) >= 0)) {
        unpack_fail(u);
        return u->err;
    }
    int rc = vv_raise(v, origin, seq, load64(h));
    if (rc < 0)
        u->err = rc;
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
