/* spans.c: stretches of item ids: those of key prefixes, and what is left. */
#include "crdt/spans.h"
#include "crdt/keys.h"
#include "lib/alloc.h"

static bool is_all(const struct spans *sp) {
    return !sp || !sp->some;
}

size_t spans_count(const struct spans *sp) {
    return is_all(sp) ? 1 : sp->n;
}

void spans_at(const struct spans *sp, size_t i, slice *lo, slice *hi) {
    *lo = *hi = slice_of(NULL, 0);
    if (is_all(sp))
        return;
    *lo = item_id_slice(&sp->s[i].lo);
    *hi = item_id_slice(&sp->s[i].hi);
}

/* The stretch with the greatest lo <= id; NULL if there is none. */
static const struct id_span *find(const struct spans *sp, slice id) {
    size_t lo = 0, hi = sp->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (slice_cmp(item_id_slice(&sp->s[mid].lo), id) <= 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo ? &sp->s[lo - 1] : NULL;
}

bool spans_have(const struct spans *sp, slice id) {
    if (is_all(sp))
        return true;
    const struct id_span *s = find(sp, id);
    return s && (!s->hi.len || slice_cmp(id, item_id_slice(&s->hi)) < 0);
}

bool spans_cover(const struct spans *sp, slice lo, slice hi) {
    if (is_all(sp))
        return true;
    const struct id_span *s = find(sp, lo);
    return s && (!s->hi.len ||
                 (hi.len && slice_cmp(hi, item_id_slice(&s->hi)) <= 0));
}

int spans_add(struct spans *sp, slice lo, slice hi) {
    sp->some = true;
    struct id_span *last = sp->n ? &sp->s[sp->n - 1] : NULL;
    if (last && slice_eq(item_id_slice(&last->hi), lo)) {
        item_id_set(&last->hi, hi);
        return ECRDT_OK;
    }
    int rc = alloc_grow(&sp->s, &sp->cap, sp->n + 1, sizeof *sp->s);
    if (rc < 0)
        return rc;
    item_id_set(&sp->s[sp->n].lo, lo);
    item_id_set(&sp->s[sp->n].hi, hi);
    sp->n++;
    return ECRDT_OK;
}

int spans_add_prefix(struct spans *sp, slice prefix) {
    uint8_t lo[KEY_K_MAX], hi[KEY_K_MAX];
    size_t n = key_prefix(lo, prefix), m = n;
    memcpy(hi, lo, n);
    while (m && hi[m - 1] == 0xff)
        m--;
    if (m)
        hi[m - 1]++;
    return spans_add(sp, slice_of(lo, n), slice_of(hi, m));
}

int spans_rest(struct spans *dst, const struct spans *sp) {
    slice from = slice_of(NULL, 0), lo, hi = from;
    size_t n = spans_count(sp);
    int rc = ECRDT_OK;
    dst->some = true;
    for (size_t i = 0; i < n && rc == ECRDT_OK; i++, from = hi) {
        spans_at(sp, i, &lo, &hi);
        if (!slice_eq(from, lo))
            rc = spans_add(dst, from, lo);
    }
    if (rc == ECRDT_OK && (!n || hi.len))
        rc = spans_add(dst, from, slice_of(NULL, 0));
    return rc;
}

int spans_common(struct spans *dst, const struct spans *a,
                 const struct spans *b) {
    int rc = ECRDT_OK;
    dst->some = true;
    for (size_t i = 0; i < spans_count(a); i++)
        for (size_t j = 0; j < spans_count(b) && rc == ECRDT_OK; j++) {
            slice lo, hi, from, to;
            spans_at(a, i, &lo, &hi);
            spans_at(b, j, &from, &to);
            lo = slice_cmp(lo, from) < 0 ? from : lo;
            hi = !hi.len || (to.len && slice_cmp(to, hi) < 0) ? to : hi;
            if (!hi.len || slice_cmp(lo, hi) < 0)
                rc = spans_add(dst, lo, hi);
        }
    return rc;
}

void spans_free(struct spans *sp) {
    alloc_free(sp->s);
    *sp = (struct spans){0};
}
