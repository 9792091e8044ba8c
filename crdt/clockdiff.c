/* clockdiff.c: shared clocks, and their differences as bytes: what a link
 * says after it has said all once. */
#include "crdt/clockdiff.h"
#include "lib/alloc.h"

struct clock_state *clock_state_new(void) {
    struct clock_state *s = alloc_zeroed(1, sizeof *s);
    if (s && ranges_init(&s->ranges) < 0) {
        alloc_free(s);
        return NULL;
    }
    if (s)
        s->refs = 1;
    return s;
}

struct clock_state *clock_state_ref(struct clock_state *s) {
    if (s)
        s->refs++;
    return s;
}

void clock_state_unref(struct clock_state *s) {
    if (!s || --s->refs)
        return;
    ranges_free(&s->ranges);
    vv_free(&s->floor);
    alloc_free(s);
}

bool clock_state_eq(const struct clock_state *a, const struct clock_state *b) {
    return a == b ||
           (ranges_eq(&a->ranges, &b->ranges) && vv_eq(&a->floor, &b->floor));
}

size_t clock_state_bytes(const struct clock_state *s) {
    size_t n = sizeof *s + s->floor.n * sizeof *s->floor.e;
    for (size_t i = 0; i < s->ranges.n; i++)
        n += sizeof *s->ranges.r +
             s->ranges.r[i].clk.n * sizeof *s->ranges.r[i].clk.e;
    return n;
}

/* ---- one vector ---- */

static bool head_eq(const struct head *a, const struct head *b) {
    return a->seq == b->seq && a->h == b->h;
}

static void pack_change(struct buf *out, uint64_t gap, const struct head *e) {
    uint8_t h[8];
    pack_uint(out, gap);
    pack_uint(out, e ? e->seq : 0);
    if (!e) {
        pack_nil(out);
        return;
    }
    store64(h, e->h);
    pack_bin(out, slice_of(h, sizeof h));
}

static void pack_gone(struct buf *out, uint64_t *gap, size_t heads) {
    for (; heads; heads--, *gap = 0)
        pack_change(out, *gap, NULL);
}

/* Changes of entries of from; those that are new go to fresh. An origin with
 * branches on either side goes, and comes anew, unless nothing changed. */
static uint32_t pack_changes(struct buf *out, const struct vv *from,
                             const struct vv *to, struct vv *fresh) {
    uint64_t gap = 0;
    uint32_t n = 0;
    for (size_t i = 0, j = 0; i < from->n || j < to->n;) {
        int c = i == from->n ? 1
                : j == to->n
                    ? -1
                    : memcmp(from->e[i].origin, to->e[j].origin, ORIGIN_SIZE);
        const struct head *e = c < 0 ? NULL : &to->e[j];
        size_t ni = c <= 0 ? vv_group(from, i) : 0;
        size_t nj = c >= 0 ? vv_group(to, j) : 0;
        bool same = ni == nj;
        for (size_t k = 0; k < ni && same; k++)
            same = head_eq(&from->e[i + k], &e[k]);
        if (same) {
            gap += ni;
        } else if (ni == 1 && nj == 1) {
            pack_change(out, gap, e);
            gap = 0;
            n++;
        } else {
            pack_gone(out, &gap, ni);
            n += (uint32_t)ni;
            int rc = nj ? vv_set_heads(fresh, e->origin, e, nj) : ECRDT_OK;
            out->err = out->err ? out->err : rc;
        }
        i += ni;
        j += nj;
    }
    return n;
}

void vv_diff_encode(struct buf *out, const struct vv *from,
                    const struct vv *to) {
    struct vv fresh = {0};
    pack_array(out, 2);
    size_t place = pack_array_begin(out);
    uint32_t n = pack_changes(out, from, to, &fresh);
    pack_array_end(out, place, 3 * n);
    vv_encode(out, &fresh);
    vv_free(&fresh);
}

/* Are entries i - 1 and i of v two branches of one origin? */
static bool branches(const struct vv *v, size_t i) {
    return i && i < v->n &&
           !memcmp(v->e[i - 1].origin, v->e[i].origin, ORIGIN_SIZE);
}

/* Is entry at of from taken out together with its origin's others? None is
 * changed, or stays, by itself: greatest first would not hold. */
static bool whole_origin(const struct vv *from, size_t at, bool out,
                         const struct vv *to) {
    bool behind = branches(from, at);
    if (!behind && !branches(from, at + 1))
        return true;
    return out &&
           !(behind && to->n &&
             !memcmp(to->e[to->n - 1].origin, from->e[at].origin, ORIGIN_SIZE));
}

/* One change of the entry that stands gap entries behind *at. */
static void take_change(struct unpack *u, const struct vv *from, size_t *at,
                        struct vv *to) {
    uint64_t gap = unpack_uint(u);
    uint64_t seq = unpack_uint_max(u, INT64_MAX);
    bool out = unpack_nil(u);
    const uint8_t *h = out ? NULL : unpack_bin_exact(u, 8);
    if (u->err || gap >= from->n - *at || out != !seq ||
        (gap && branches(from, *at))) {
        unpack_fail(u);
        return;
    }
    if (gap)
        memcpy(to->e + to->n, from->e + *at, gap * sizeof *to->e);
    to->n += gap;
    *at += gap;
    if (!whole_origin(from, *at, out, to)) {
        unpack_fail(u);
        return;
    }
    if (seq) {
        struct head *e = &to->e[to->n++];
        *e = from->e[*at];
        e->seq = seq;
        e->h = load64(h);
    }
    ++*at;
}

/* Is what is new of none of the origins that stay? An origin may go and come
 * anew with branches, or without those it had. */
static bool is_new(const struct vv *fresh, const struct vv *from,
                   const struct vv *to) {
    for (size_t i = 0, n, had; i < fresh->n; i += n) {
        n = vv_group(fresh, i);
        vv_heads(from, fresh->e[i].origin, &had);
        if (vv_seq(to, fresh->e[i].origin) || (n == 1 && had == 1))
            return false;
    }
    return true;
}

static void take_fresh(struct unpack *u, const struct vv *from, struct vv *to) {
    struct vv fresh = {0};
    vv_decode(u, &fresh);
    if (!u->err &&
        (!is_new(&fresh, from, to) || to->n + fresh.n > VV_MAX_ENTRIES))
        unpack_fail(u);
    int rc = u->err ? u->err : vv_join(to, &fresh);
    u->err = rc;
    vv_free(&fresh);
}

int vv_diff_decode(struct unpack *u, const struct vv *from, struct vv *to) {
    unpack_array_exact(u, 2);
    uint32_t n = unpack_array(u, 3 * VV_MAX_ENTRIES);
    if (n % 3 || n / 3 > from->n)
        unpack_fail(u);
    int rc = alloc_grow(&to->e, &to->cap, from->n, sizeof *to->e);
    if (rc < 0 && !u->err)
        u->err = rc;
    size_t at = 0;
    for (uint32_t i = 0; i < n / 3 && !u->err; i++)
        take_change(u, from, &at, to);
    unpack_leave(u);
    if (branches(from, at))
        unpack_fail(u);
    if (!u->err && from->n > at) {
        memcpy(to->e + to->n, from->e + at, (from->n - at) * sizeof *to->e);
        to->n += from->n - at;
    }
    take_fresh(u, from, to);
    unpack_leave(u);
    return u->err;
}

/* ---- an origin ---- */

void vv_origin_encode(struct buf *out, const struct vv *v,
                      const uint8_t origin[ORIGIN_SIZE]) {
    size_t n;
    const struct head *at = vv_heads(v, origin, &n);
    uint8_t place[4];
    if (!at) {
        pack_bin(out, slice_of(origin, ORIGIN_SIZE));
        return;
    }
    unsigned zeros = 0;
    store32(place, (uint32_t)(at - v->e));
    while (zeros < 3 && !place[zeros])
        zeros++;
    pack_bin(out, slice_of(place + zeros, 4 - zeros));
}

void vv_origin_decode(struct unpack *u, const struct vv *v,
                      uint8_t origin[ORIGIN_SIZE]) {
    slice s = unpack_bin(u, ORIGIN_SIZE);
    const uint8_t *p = s.data;
    size_t n;
    if (!u->err && s.len == ORIGIN_SIZE && !vv_heads(v, p, &n)) {
        memcpy(origin, p, ORIGIN_SIZE);
        return;
    }
    size_t place = 0;
    for (size_t i = 0; i < s.len && i < 4; i++)
        place = place << 8 | p[i];
    bool shortest = s.len && s.len <= 4 && (s.len == 1 || p[0]);
    if (u->err || !shortest || place >= v->n)
        unpack_fail(u);
    else
        memcpy(origin, v->e[place].origin, ORIGIN_SIZE);
}

/* ---- a whole clock ---- */

static bool same_cuts(const struct ranges *a, const struct ranges *b) {
    for (size_t i = 0; a->n == b->n && i < a->n; i++)
        if (!slice_eq(item_id_slice(&a->r[i].lo), item_id_slice(&b->r[i].lo)))
            return false;
    return a->n == b->n;
}

static void pack_ranges(struct buf *out, const struct ranges *from,
                        const struct ranges *to, bool recut) {
    uint64_t gap = 0;
    uint32_t n = 0;
    size_t place = pack_array_begin(out);
    for (size_t i = 0; i < to->n; i++) {
        slice lo = item_id_slice(&to->r[i].lo);
        const struct range *old = &from->r[recut ? ranges_find(from, lo) : i];
        if (!recut && vv_eq(&old->clk, &to->r[i].clk)) {
            gap++;
            continue;
        }
        if (recut)
            pack_bin(out, lo);
        else
            pack_uint(out, gap);
        vv_diff_encode(out, &old->clk, &to->r[i].clk);
        gap = 0;
        n++;
    }
    pack_array_end(out, place, 2 * n);
}

void clock_diff_encode(struct buf *out, const struct clock_state *from,
                       const struct clock_state *to) {
    bool recut = !same_cuts(&from->ranges, &to->ranges);
    pack_array(out, 3);
    vv_diff_encode(out, &from->floor, &to->floor);
    pack_bool(out, recut);
    pack_ranges(out, &from->ranges, &to->ranges, recut);
}

static int take_range(struct unpack *u, const struct vv *from, struct vv *to) {
    struct vv clk = {0};
    int rc = vv_diff_decode(u, from, &clk);
    vv_free(to);
    *to = clk;
    return rc;
}

/* The ranges of from, n of them changed. */
static void take_changed(struct unpack *u, uint32_t n,
                         const struct ranges *from, struct ranges *to) {
    size_t at = 0;
    int rc = u->err ? u->err : ranges_copy(to, from);
    for (uint32_t i = 0; i < n && rc == ECRDT_OK; i++, at++) {
        uint64_t gap = unpack_uint(u);
        if (gap >= from->n - at)
            unpack_fail(u);
        at += u->err ? 0 : (size_t)gap;
        rc = u->err ? u->err : take_range(u, &from->r[at].clk, &to->r[at].clk);
    }
    u->err = rc;
}

/* n ranges with cuts of their own; the most that they may take is checked as
 * they come, for each can be as large as the largest of from. */
static void take_recut(struct unpack *u, uint32_t n, const struct ranges *from,
                       struct ranges *to) {
    size_t entries = 0;
    if (!n)
        unpack_fail(u);
    for (uint32_t i = 0; i < n && !u->err; i++) {
        slice lo = unpack_bin(u, ITEM_ID_MAX);
        size_t at = 0;
        bool rising = i == 0
                          ? lo.len == 0
                          : slice_cmp(item_id_slice(&to->r[i - 1].lo), lo) < 0;
        if (!rising)
            unpack_fail(u);
        int rc = u->err ? u->err : ranges_init(to);
        if (rc == ECRDT_OK && i)
            rc = ranges_cut(to, lo, 0, &at);
        u->err = rc;
        if (!u->err)
            take_range(u, &from->r[ranges_find(from, lo)].clk, &to->r[at].clk);
        if (!u->err && (entries += to->r[at].clk.n) > VV_MAX_ENTRIES && i)
            unpack_fail(u);
    }
}

static void take_ranges(struct unpack *u, const struct ranges *from,
                        struct ranges *to) {
    bool recut = unpack_bool(u);
    uint32_t n = unpack_array(u, 2 * RANGES_MAX);
    if (n % 2)
        unpack_fail(u);
    if (recut)
        take_recut(u, n / 2, from, to);
    else
        take_changed(u, n / 2, from, to);
    unpack_leave(u);
}

int clock_diff_decode(struct unpack *u, const struct clock_state *from,
                      struct clock_state **to) {
    *to = clock_state_new();
    if (!*to && !u->err)
        u->err = ECRDT_ENOMEM;
    if (u->err)
        goto out;
    unpack_array_exact(u, 3);
    vv_diff_decode(u, &from->floor, &(*to)->floor);
    take_ranges(u, &from->ranges, &(*to)->ranges);
    unpack_leave(u);
out:
    if (u->err) {
        clock_state_unref(*to);
        *to = NULL;
    }
    return u->err;
}
