/* chain_list.c: pairs below heads, found, added, to bytes and strictly back. */
#include "crdt/chain_list.h"
#include "lib/alloc.h"

enum { LIST_FIELDS = 5 };

void chain_lists_free(struct chain_lists *ls) {
    alloc_free(ls->l);
    buf_free(&ls->pairs);
    *ls = (struct chain_lists){0};
}

const struct chain_list *chain_lists_of(const struct chain_lists *ls,
                                        const struct head *top) {
    size_t lo = 0, hi = ls->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int order = vv_head_order(&ls->l[mid].top, top);
        if (order == 0)
            return &ls->l[mid];
        if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

const struct chain_pair *chain_lists_pairs(const struct chain_lists *ls,
                                           const struct chain_list *l) {
    return (const struct chain_pair *)(const void *)ls->pairs.data + l->first;
}

/* How many pairs of l have a lower seq. */
static size_t pairs_below(const struct chain_lists *ls,
                          const struct chain_list *l, uint64_t seq) {
    const struct chain_pair *p = l->n ? chain_lists_pairs(ls, l) : NULL;
    size_t lo = 0, hi = l->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (p[mid].seq < seq)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

bool chain_lists_have(const struct chain_lists *ls, const struct chain_list *l,
                      const struct head *x) {
    size_t at = l ? pairs_below(ls, l, x->seq) : 0;
    if (!l || at == l->n)
        return false;
    const struct chain_pair *p = chain_lists_pairs(ls, l) + at;
    return p->seq == x->seq && p->h == x->h;
}

int chain_lists_add(struct chain_lists *ls, const struct chain_list *l) {
    if (alloc_grow(&ls->l, &ls->cap, ls->n + 1, sizeof *ls->l) < 0)
        return ECRDT_ENOMEM;
    size_t at = ls->n++;
    for (; at > 0 && vv_head_order(&ls->l[at - 1].top, &l->top) > 0; at--)
        ls->l[at] = ls->l[at - 1];
    ls->l[at] = *l;
    return ECRDT_OK;
}

int chain_lists_put(struct chain_lists *ls, const struct head *top,
                    const struct head *x) {
    struct chain_pair pair = {x->seq, x->h}, *p;
    const struct chain_list *found = chain_lists_of(ls, top);
    if (!found || x->seq >= top->seq || chain_lists_have(ls, found, x))
        return ECRDT_OK;
    struct chain_list *l = &ls->l[found - ls->l];
    size_t at = l->first + pairs_below(ls, l, x->seq);
    size_t n = ls->pairs.len / sizeof pair;
    buf_put(&ls->pairs, &pair, sizeof pair);
    if (ls->pairs.err)
        return ls->pairs.err;
    p = (struct chain_pair *)(void *)ls->pairs.data;
    memmove(p + at + 1, p + at, (n - at) * sizeof pair);
    p[at] = pair;
    for (size_t i = 0; i < ls->n; i++)
        ls->l[i].first += &ls->l[i] != l && ls->l[i].first >= at;
    l->n++;
    return ECRDT_OK;
}

/* ---- bytes ----------------------------------------------------------------
 */

static void encode_list(struct buf *out, const struct chain_lists *ls,
                        const struct chain_list *l, struct buf *scratch) {
    const struct chain_pair *p = l->n ? chain_lists_pairs(ls, l) : NULL;
    uint64_t before = 0;
    uint8_t h[8];
    buf_clear(scratch);
    for (size_t i = 0; i < l->n; i++) {
        uint8_t seq[VARINT_MAX];
        buf_put(scratch, seq, varint_put(seq, p[i].seq - before));
        store64(h, p[i].h);
        buf_put(scratch, h, sizeof h);
        before = p[i].seq;
    }
    store64(h, l->top.h);
    pack_bin(out, slice_of(l->top.origin, ORIGIN_SIZE));
    pack_uint(out, l->top.seq);
    pack_bin(out, slice_of(h, sizeof h));
    pack_uint(out, l->since);
    pack_bin(out, buf_slice(scratch));
}

void chain_lists_encode(struct buf *out, const struct chain_lists *ls) {
    struct buf scratch = {0};
    pack_array(out, (uint32_t)(LIST_FIELDS * ls->n));
    for (size_t i = 0; i < ls->n; i++)
        encode_list(out, ls, &ls->l[i], &scratch);
    if (scratch.err)
        out->err = scratch.err;
    buf_free(&scratch);
}

/* Pairs rise, and lie below the head. */
static void decode_pairs(struct unpack *u, struct chain_lists *ls,
                         struct chain_list *l, slice s) {
    const uint8_t *p = s.data, *end = p + s.len;
    struct chain_pair pair = {0};
    l->first = ls->pairs.len / sizeof pair;
    for (uint64_t more; p < end && !u->err; p += 8) {
        size_t n = varint_get(p, end, &more);
        if (!n || !more || end - p - (ptrdiff_t)n < 8 ||
            !add_u64(&pair.seq, more) || pair.seq >= l->top.seq ||
            ls->pairs.len >= CHAIN_PAIRS_MAX * sizeof pair) {
            unpack_fail(u);
            return;
        }
        p += n;
        pair.h = load64(p);
        buf_put(&ls->pairs, &pair, sizeof pair);
        l->n++;
    }
    if (ls->pairs.err)
        u->err = ls->pairs.err;
}

static void decode_list(struct unpack *u, struct chain_lists *ls) {
    struct chain_list l = {0};
    const uint8_t *origin = unpack_bin_exact(u, ORIGIN_SIZE);
    l.top.seq = unpack_uint(u);
    const uint8_t *h = unpack_bin_exact(u, 8);
    l.since = unpack_uint_max(u, l.top.seq);
    slice pairs = unpack_bin(u, CHAIN_PAIRS_MAX * (VARINT_MAX + 8));
    if (u->err)
        return;
    memcpy(l.top.origin, origin, ORIGIN_SIZE);
    l.top.h = load64(h);
    if (ls->n && vv_head_order(&ls->l[ls->n - 1].top, &l.top) >= 0)
        unpack_fail(u);
    decode_pairs(u, ls, &l, pairs);
    if (!u->err)
        ls->l[ls->n++] = l;
}

void chain_lists_decode(struct unpack *u, struct chain_lists *ls) {
    uint32_t n = unpack_array(u, LIST_FIELDS * CHAIN_LISTS_MAX);
    if (n % LIST_FIELDS)
        unpack_fail(u);
    else if (alloc_grow(&ls->l, &ls->cap, n / LIST_FIELDS, sizeof *ls->l) < 0)
        u->err = ECRDT_ENOMEM;
    for (uint32_t i = 0; i < n / LIST_FIELDS && !u->err; i++)
        decode_list(u, ls);
    unpack_leave(u);
}
