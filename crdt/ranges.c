/* ranges.c: cuts of the item ids and the clock of each range between them. */
#include "crdt/ranges.h"
#include "crdt/spans.h"
#include "lib/alloc.h"
#include "lib/assert.h"
#include "lib/mutant.h"

void item_id_set(struct item_id *id, slice s) {
    INVARIANT(s.len <= ITEM_ID_MAX);
    id->len = (uint16_t)s.len;
    if (s.len)
        memcpy(id->b, s.data, s.len);
}

static int insert(struct ranges *rs, size_t at) {
    int rc = alloc_grow(&rs->r, &rs->cap, rs->n + 1, sizeof *rs->r);
    if (rc < 0)
        return rc;
    memmove(rs->r + at + 1, rs->r + at, (rs->n - at) * sizeof *rs->r);
    memset(rs->r + at, 0, sizeof *rs->r);
    rs->n++;
    return ECRDT_OK;
}

static void erase(struct ranges *rs, size_t at) {
    vv_free(&rs->r[at].clk);
    memmove(rs->r + at, rs->r + at + 1, (rs->n - at - 1) * sizeof *rs->r);
    rs->n--;
}

int ranges_init(struct ranges *rs) {
    return rs->n ? ECRDT_OK : insert(rs, 0);
}

size_t ranges_find(const struct ranges *rs, slice id) {
    INVARIANT(rs->n > 0 && rs->r[0].lo.len == 0);
    size_t lo = 0, hi = rs->n; /* r[lo].lo <= id < r[hi].lo */
    while (hi - lo > 1) {
        size_t mid = (lo + hi) / 2;
        if (slice_cmp(item_id_slice(&rs->r[mid].lo), id) <= 0)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

/* The right part keeps the number: a moving cut then leaves the clock of
 * what is yet to come untouched on disk. */
int ranges_cut(struct ranges *rs, slice id, uint32_t no, size_t *at) {
    size_t i = ranges_find(rs, id);
    *at = i;
    if (slice_eq(item_id_slice(&rs->r[i].lo), id))
        return ECRDT_OK;
    int rc = insert(rs, i);
    if (rc < 0)
        return rc;
    struct range *left = &rs->r[i], *right = &rs->r[i + 1];
    left->lo = right->lo;
    left->no = no;
    item_id_set(&right->lo, id);
    *at = i + 1;
    return vv_copy(&left->clk, &right->clk);
}

/* The lower number, which is the older one, stays: it is on disk already. */
void ranges_join_equal(struct ranges *rs) {
    for (size_t i = 1; i < rs->n;) {
        struct range *left = &rs->r[i - 1], *right = &rs->r[i];
        if (!vv_eq(&left->clk, &right->clk)) {
            i++;
            continue;
        }
        if (right->no < left->no)
            left->no = right->no;
        erase(rs, i);
    }
}

const struct item_id *ranges_hi(const struct ranges *rs, size_t i) {
    return i + 1 < rs->n ? &rs->r[i + 1].lo : NULL;
}

int ranges_copy(struct ranges *dst, const struct ranges *src) {
    ranges_free(dst);
    for (size_t i = 0; i < src->n; i++) {
        int rc = insert(dst, i);
        if (rc < 0)
            return rc;
        dst->r[i].lo = src->r[i].lo;
        dst->r[i].no = src->r[i].no;
        rc = vv_copy(&dst->r[i].clk, &src->r[i].clk);
        if (rc < 0)
            return rc;
    }
    return ECRDT_OK;
}

bool ranges_eq(const struct ranges *a, const struct ranges *b) {
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!slice_eq(item_id_slice(&a->r[i].lo), item_id_slice(&b->r[i].lo)) ||
            !vv_eq(&a->r[i].clk, &b->r[i].clk))
            return false;
    return true;
}

int ranges_cut_at(struct ranges *rs, const struct spans *at) {
    slice bound[2];
    size_t where;
    int rc = ranges_init(rs);
    for (size_t i = 0; i < spans_count(at); i++) {
        spans_at(at, i, &bound[0], &bound[1]);
        for (int k = 0; k < 2 && rc == ECRDT_OK; k++)
            if (bound[k].len)
                rc = ranges_cut(rs, bound[k], 0, &where);
    }
    return rc;
}

/* The clocks of a and b on one stretch; false ends the walk. */
typedef bool (*overlap_fn)(const struct vv *a, const struct vv *b, void *ctx);

/* Calls for each stretch from lo to hi on which both have one clock. */
static bool overlap_between(const struct ranges *a, const struct ranges *b,
                            slice lo, slice hi, overlap_fn fn, void *ctx) {
    static const struct vv none;
    size_t i = ranges_find(a, lo), j = b->n ? ranges_find(b, lo) : 0;
    for (;;) {
        if (!fn(&a->r[i].clk, b->n ? &b->r[j].clk : &none, ctx))
            return false;
        const struct item_id *ea = ranges_hi(a, i);
        const struct item_id *eb = b->n ? ranges_hi(b, j) : NULL;
        if (!ea && !eb)
            return true;
        int c = !ea   ? 1
                : !eb ? -1
                      : slice_cmp(item_id_slice(ea), item_id_slice(eb));
        if (hi.len && slice_cmp(item_id_slice(c <= 0 ? ea : eb), hi) >= 0)
            return true;
        i += c <= 0;
        j += c >= 0;
    }
}

static void each_overlap(const struct ranges *a, const struct ranges *b,
                         const struct spans *within, overlap_fn fn, void *ctx) {
    slice lo, hi;
    bool on = a->n > 0;
    for (size_t i = 0; i < spans_count(within) && on; i++) {
        spans_at(within, i, &lo, &hi);
        on = overlap_between(a, b, lo, hi, fn, ctx);
    }
}

static bool note_le(const struct vv *a, const struct vv *b, void *ctx) {
    bool *le = ctx;
    return *le = vv_le(a, b);
}

bool ranges_le_in(const struct ranges *a, const struct ranges *b,
                  const struct spans *within) {
    bool le = true;
    each_overlap(a, b, within, note_le, &le);
    return le;
}

struct ranges_walk ranges_pieces(const struct ranges *rs, slice lo, slice hi) {
    struct ranges_walk w = {.rs = rs, .hi = lo, .end = hi};
    w.next = ranges_find(rs, lo);
    return w;
}

bool ranges_piece(struct ranges_walk *w) {
    if (w->next >= w->rs->n)
        return false;
    w->i = w->next++;
    const struct item_id *hi = ranges_hi(w->rs, w->i);
    bool last =
        !hi || (w->end.len && slice_cmp(item_id_slice(hi), w->end) >= 0);
    w->lo = w->hi;
    w->hi = last ? w->end : item_id_slice(hi);
    if (last)
        w->next = w->rs->n;
    return true;
}

bool ranges_at(const struct ranges *rs, const struct item_id *lo,
               const struct item_id *hi, const struct vv *clk) {
    slice end = hi ? item_id_slice(hi) : slice_of(NULL, 0);
    struct ranges_walk w = ranges_pieces(rs, item_id_slice(lo), end);
    while (ranges_piece(&w))
        if (!vv_eq(&rs->r[w.i].clk, clk))
            return false;
    return true;
}

bool ranges_le(const struct ranges *a, const struct ranges *b) {
    return ranges_le_in(a, b, NULL);
}

static bool note_missing(const struct vv *a, const struct vv *b, void *ctx) {
    uint64_t *most = ctx, n = vv_missing(a, b);
    if (n > *most)
        *most = n;
    return true;
}

uint64_t ranges_missing_in(const struct ranges *a, const struct ranges *b,
                           const struct spans *within) {
    uint64_t most = 0;
    each_overlap(a, b, within, note_missing, &most);
    return most;
}

uint64_t ranges_least(const struct ranges *rs,
                      const uint8_t origin[ORIGIN_SIZE]) {
    uint64_t least = rs->n ? UINT64_MAX : 0;
    size_t n = rs->n && MUTANT(receiptrange) ? 1 : rs->n;
    for (size_t i = 0; i < n; i++) {
        uint64_t seq = vv_seq(&rs->r[i].clk, origin);
        least = seq < least ? seq : least;
    }
    return least;
}

uint64_t ranges_missing(const struct ranges *a, const struct ranges *b) {
    return ranges_missing_in(a, b, NULL);
}

struct settled {
    const struct vv *first;
    bool one;
};

static bool note_settled(const struct vv *a, const struct vv *b, void *ctx) {
    struct settled *s = ctx;
    (void)b;
    if (!s->first)
        s->first = a;
    return s->one = vv_eq(s->first, a);
}

bool ranges_settled(const struct ranges *rs, const struct spans *within) {
    struct settled s = {NULL, true};
    each_overlap(rs, rs, within, note_settled, &s);
    return s.one;
}

void ranges_free(struct ranges *rs) {
    for (size_t i = 0; i < rs->n; i++)
        vv_free(&rs->r[i].clk);
    alloc_free(rs->r);
    *rs = (struct ranges){0};
}

void clock_encode(struct buf *out, slice bucket, const struct ranges *rs,
                  const struct vv *floor) {
    pack_array(out, 3);
    pack_bin(out, bucket);
    vv_encode(out, floor);
    pack_array(out, (uint32_t)(2 * rs->n));
    for (size_t i = 0; i < rs->n; i++) {
        pack_bin(out, item_id_slice(&rs->r[i].lo));
        vv_encode(out, &rs->r[i].clk);
    }
}

static int decode_range(struct unpack *u, struct ranges *rs) {
    slice lo = unpack_bin(u, ITEM_ID_MAX);
    size_t i = rs->n;
    bool rising = i == 0 ? lo.len == 0
                         : slice_cmp(item_id_slice(&rs->r[i - 1].lo), lo) < 0;
    if (!rising)
        unpack_fail(u);
    if (u->err)
        return u->err;
    int rc = insert(rs, i);
    if (rc < 0) {
        u->err = rc;
        return rc;
    }
    item_id_set(&rs->r[i].lo, lo);
    return vv_decode(u, &rs->r[i].clk);
}

int clock_decode(struct unpack *u, slice *bucket, struct ranges *rs,
                 struct vv *floor) {
    unpack_array_exact(u, 3);
    *bucket = unpack_bin(u, ECRDT_MAX_BUCKET_NAME);
    vv_decode(u, floor);
    uint32_t n = unpack_array(u, 2 * RANGES_MAX);
    if (n % 2 || n == 0 || bucket->len == 0)
        unpack_fail(u);
    for (uint32_t i = 0; i < n / 2 && !u->err; i++)
        decode_range(u, rs);
    unpack_leave(u);
    unpack_leave(u);
    return u->err;
}
