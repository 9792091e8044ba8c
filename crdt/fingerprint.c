/* fingerprint.c: fingerprints of ranges to bytes, and strictly back. */
#include "crdt/fingerprint.h"
#include "lib/alloc.h"

enum { FIELDS = 9, PART_FIELDS = 4, SUM_FIELDS = 2 };

void fp_free(struct fp *m) {
    for (size_t i = 0; i < m->n_clks; i++)
        vv_free(&m->clks[i]);
    alloc_free(m->clks);
    alloc_free(m->parts);
    vv_free(&m->f);
    vv_free(&m->floor);
    chain_lists_free(&m->chains);
    *m = (struct fp){0};
}

struct fp_part *fp_add(struct fp *m, const struct item_id *lo,
                       const struct item_id *hi, uint32_t clk, bool join) {
    struct fp_part *last = m->n ? &m->parts[m->n - 1] : NULL;
    if (!join || !last || last->clk != clk || !last->bounded ||
        !slice_eq(item_id_slice(&last->hi), item_id_slice(lo))) {
        if (alloc_grow(&m->parts, &m->cap, m->n + 1, sizeof *m->parts) < 0)
            return NULL;
        last = &m->parts[m->n++];
        last->lo = *lo;
        last->clk = clk;
        last->count = 0;
        memset(last->sum, 0, sizeof last->sum);
    }
    last->bounded = hi != NULL;
    if (hi)
        last->hi = *hi;
    return last;
}

int fp_add_clock(struct fp *m, const struct vv *clk, uint32_t *no) {
    *no = (uint32_t)m->n_clks - 1;
    if (m->n_clks && vv_eq(&m->clks[m->n_clks - 1], clk))
        return ECRDT_OK;
    int rc = alloc_grow(&m->clks, &m->cap_clks, m->n_clks + 1, sizeof *m->clks);
    if (rc < 0)
        return rc;
    *no = (uint32_t)m->n_clks++;
    m->clks[*no] = (struct vv){0};
    return vv_copy(&m->clks[*no], clk);
}

static void encode_part(struct buf *out, const struct fp *m, size_t i,
                        bool sums) {
    static const struct item_id lowest;
    const struct fp_part *p = &m->parts[i];
    slice lo = item_id_slice(&p->lo), hi = item_id_slice(&p->hi);
    size_t same = slice_shared(item_id_slice(i ? &p[-1].lo : &lowest), lo);
    pack_array(out, PART_FIELDS + (sums ? SUM_FIELDS : 0));
    pack_uint(out, same);
    pack_bin(out, slice_of(p->lo.b + same, lo.len - same));
    bool goes_on = i + 1 < m->n && slice_eq(hi, item_id_slice(&p[1].lo));
    if (p->bounded && !goes_on)
        pack_bin(out, hi);
    else
        pack_nil(out);
    pack_uint(out, p->clk);
    if (!sums)
        return;
    pack_uint(out, p->count);
    pack_bin(out, slice_of(p->sum, FP_SUM));
}

void fp_encode(struct buf *out, const struct fp *m, bool sums) {
    pack_array(out, FIELDS);
    pack_bin(out, m->bucket);
    pack_uint(out, m->flags);
    pack_uint(out, m->gen);
    vv_encode(out, &m->f);
    vv_encode(out, &m->floor);
    pack_array(out, (uint32_t)m->n_clks);
    for (size_t i = 0; i < m->n_clks; i++)
        vv_encode(out, &m->clks[i]);
    pack_array(out, (uint32_t)m->n);
    for (size_t i = 0; i < m->n; i++)
        encode_part(out, m, i, sums);
    chain_lists_encode(out, &m->chains);
    pack_bin(out, m->items);
}

/* The next lo over the one before; it must lie behind it. */
static void decode_lo(struct unpack *u, const struct fp_part *before,
                      struct item_id *lo) {
    size_t had = before ? before->lo.len : 0;
    size_t same = (size_t)unpack_uint_max(u, had);
    slice rest = unpack_bin(u, ITEM_ID_MAX - same);
    if (u->err)
        return;
    const uint8_t *next = rest.data;
    bool more = same < had && rest.len && before->lo.b[same] == next[0];
    if (same)
        memcpy(lo->b, before->lo.b, same);
    if (rest.len)
        memcpy(lo->b + same, rest.data, rest.len);
    lo->len = (uint16_t)(same + rest.len);
    if (more || (before &&
                 slice_cmp(item_id_slice(&before->lo), item_id_slice(lo)) >= 0))
        unpack_fail(u);
}

/* The end of part before, once the next one's lo is known: one encoding. */
static void settle_hi(struct unpack *u, struct fp_part *before,
                      const struct item_id *lo) {
    if (!before->bounded) {
        before->bounded = true;
        before->hi = *lo;
    } else if (slice_cmp(item_id_slice(&before->hi), item_id_slice(lo)) >= 0) {
        unpack_fail(u);
    }
}

static void decode_part(struct unpack *u, struct fp *m, bool sums) {
    struct fp_part *before = m->n ? &m->parts[m->n - 1] : NULL;
    struct fp_part *p = &m->parts[m->n];
    memset(p, 0, sizeof *p);
    unpack_array_exact(u, PART_FIELDS + (sums ? SUM_FIELDS : 0));
    decode_lo(u, before, &p->lo);
    p->bounded = !unpack_nil(u);
    if (p->bounded) {
        item_id_set(&p->hi, unpack_bin(u, ITEM_ID_MAX));
        if (slice_cmp(item_id_slice(&p->lo), item_id_slice(&p->hi)) >= 0)
            unpack_fail(u);
    }
    if (!m->n_clks)
        unpack_fail(u);
    p->clk = (uint32_t)unpack_uint_max(u, m->n_clks - 1);
    if (sums) {
        p->count = unpack_uint(u);
        const uint8_t *sum = unpack_bin_exact(u, FP_SUM);
        if (sum)
            memcpy(p->sum, sum, FP_SUM);
    }
    unpack_leave(u);
    if (!u->err && before)
        settle_hi(u, before, &p->lo);
    m->n++;
}

static void decode_clocks(struct unpack *u, struct fp *m) {
    uint32_t n = unpack_array(u, FP_CLOCKS_MAX);
    if (alloc_grow(&m->clks, &m->cap_clks, n, sizeof *m->clks) < 0) {
        u->err = ECRDT_ENOMEM;
        return;
    }
    for (; m->n_clks < n && !u->err; m->n_clks++) {
        m->clks[m->n_clks] = (struct vv){0};
        vv_decode(u, &m->clks[m->n_clks]);
    }
    unpack_leave(u);
}

int fp_decode(slice bytes, bool sums, struct fp *m) {
    struct unpack u;
    unpack_init(&u, bytes);
    unpack_array_exact(&u, FIELDS);
    m->bucket = unpack_bin(&u, ECRDT_MAX_BUCKET_NAME);
    if (!m->bucket.len || memchr(m->bucket.data, 0, m->bucket.len))
        unpack_fail(&u);
    m->flags = (uint8_t)unpack_uint_max(&u, FP_FLAGS);
    m->gen = unpack_uint(&u);
    vv_decode(&u, &m->f);
    vv_decode(&u, &m->floor);
    decode_clocks(&u, m);
    uint32_t n = unpack_array(&u, FP_PARTS_MAX);
    if (alloc_grow(&m->parts, &m->cap, n, sizeof *m->parts) < 0)
        u.err = ECRDT_ENOMEM;
    for (uint32_t i = 0; i < n && !u.err; i++)
        decode_part(&u, m, sums);
    unpack_leave(&u);
    chain_lists_decode(&u, &m->chains);
    m->items = unpack_bin(&u, FP_ITEMS_MAX);
    unpack_leave(&u);
    return u.err == ECRDT_ENOMEM ? u.err : unpack_end(&u);
}
