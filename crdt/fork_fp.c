/* fork_fp.c: forks and fingerprints: what is told of chains beside a clock, and
 * whether another clock may rise by it where the items are equal. */
#include "crdt/chain.h"
#include "crdt/fork.h"
#include "lib/mutant.h"

/* Adds to ls the chain of our head y down to the lowest of the peer's heads x,
 * or max pairs of it, and those of x that are not shown to lie elsewhere. */
static int tell(ecrdt_txn *t, struct bucket *bk, const struct head *y,
                const struct head *x, size_t nx, size_t max,
                struct chain_lists *ls) {
    struct head top = *y;
    struct vv only = {.e = &top, .n = 1};
    uint64_t least = nx ? x[nx - 1].seq : 1;
    struct chain_list l;
    int rc = ECRDT_OK;
    if (!chain_lists_of(ls, y)) {
        least = least < y->seq ? least : y->seq;
        rc = chain_walk(t, bk, y, least - 1, max, false, &l, &ls->pairs);
        if (rc == ECRDT_OK && (nx || l.n || l.since < y->seq))
            rc = chain_lists_add(ls, &l);
    }
    for (size_t i = 0; i < nx && rc == ECRDT_OK; i++) {
        int place = chain_find(t, bk, &only, &x[i]);
        if (place == CHAIN_ON || place == CHAIN_UNKNOWN || place < 0)
            rc = place < 0 ? place : chain_lists_put(ls, y, &x[i]);
    }
    return rc;
}

int fork_vouch(ecrdt_txn *t, struct bucket *bk, const struct vv *clk,
               const struct vv *peer, struct chain_lists *ls) {
    size_t news = fork_news(peer, clk->e, clk->n);
    size_t max = FORK_BULK_PAIRS / (news + !news);
    int rc = ECRDT_OK;
    for (size_t i = 0, n, nx; i < clk->n && rc == ECRDT_OK; i += n) {
        const struct head *y = &clk->e[i];
        const struct head *x = vv_heads(peer, y->origin, &nx);
        n = vv_group(clk, i);
        if (vv_heads_same(y, n, x, nx) || MUTANT(fpfork))
            continue;
        int place = nx ? fork_place_of(t, bk, clk, x, nx) : CHAIN_ON;
        if (place < 0 || place == CHAIN_OFF)
            return place < 0 ? place : 1;
        for (size_t k = 0; k < n && place == CHAIN_ON && rc == ECRDT_OK; k++)
            if (!vv_heads_have(x, nx, &y[k]))
                rc = tell(t, bk, &y[k], x, nx, max, ls);
    }
    return rc;
}

/* ---- the receiver ---------------------------------------------------------
 */

enum side { SIDE_OURS, SIDE_THEIRS, SIDE_NEITHER };

/* Does our head x lie on the chains of their heads y: is it one of them, is it
 * told, or do our own chains show it? 1, 0, < 0. */
static int is_theirs(ecrdt_txn *t, struct bucket *bk, const struct vv *clk,
                     const struct chain_lists *ls, const struct head *y,
                     size_t ny, const struct head *x) {
    bool told = vv_heads_have(y, ny, x);
    for (size_t k = 0; k < ny && !told; k++)
        told = chain_lists_have(ls, chain_lists_of(ls, &y[k]), x);
    int place = told ? CHAIN_ON : chain_find(t, bk, clk, x);
    return place < 0 ? place : place == CHAIN_ON;
}

/* Whose heads of y's origin both clocks together have. */
static int side_of(ecrdt_txn *t, struct bucket *bk, const struct vv *here,
                   const struct vv *clk, const struct chain_lists *ls,
                   const struct head *y, size_t ny) {
    size_t nx;
    const struct head *x = vv_heads(here, y->origin, &nx);
    if (vv_heads_same(x, nx, y, ny))
        return SIDE_OURS;
    int theirs = 1;
    for (size_t i = 0; i < nx && theirs == 1; i++)
        theirs = is_theirs(t, bk, clk, ls, y, ny, &x[i]);
    if (theirs < 0 || (theirs && nx < 2 && ny < 2))
        return theirs < 0 ? theirs : SIDE_THEIRS;
    int ours = fork_all_ours(t, bk, here, y, ny);
    if (ours < 0)
        return ours;
    if (!theirs && !ours)
        return SIDE_NEITHER;
    return theirs && (!ours || fork_comes_first(y, ny, x, nx)) ? SIDE_THEIRS
                                                               : SIDE_OURS;
}

/* What of clk takes the place of heads of here: 1; 0 if some of both are not
 * known to lie on each other's chains. */
static int choose(ecrdt_txn *t, struct bucket *bk, const struct vv *here,
                  const struct vv *clk, const struct chain_lists *ls,
                  struct vv *take) {
    if (MUTANT(fpfork))
        return vv_copy(take, clk) < 0 ? ECRDT_ENOMEM : 1;
    for (size_t i = 0, n; i < clk->n; i += n) {
        n = vv_group(clk, i);
        int side = side_of(t, bk, here, clk, ls, &clk->e[i], n);
        if (side < 0 || side == SIDE_NEITHER)
            return side < 0 ? side : 0;
        int rc = side == SIDE_THEIRS
                     ? vv_set_heads(take, clk->e[i].origin, &clk->e[i], n)
                     : ECRDT_OK;
        if (rc < 0)
            return rc;
    }
    return 1;
}

int fork_raise_by(ecrdt_txn *t, struct bucket *bk, struct vv *here,
                  const struct vv *clk, const struct chain_lists *ls) {
    struct vv take = {0};
    int rc = choose(t, bk, here, clk, ls, &take);
    for (size_t i = 0; rc == 1 && i < take.n; i++) {
        const struct head *y = &take.e[i];
        const struct chain_list *l =
            MUTANT(fpchain) ? NULL : chain_lists_of(ls, y);
        struct chain_link below = {.gap = !l || l->since > 0};
        size_t n;
        const struct head *x = vv_heads(here, y->origin, &n);
        int kept = vv_heads_have(x, n, y)
                       ? ECRDT_OK
                       : chain_keep_list(t, bk, ls, l, y, &below);
        rc = kept < 0 ? kept : 1;
    }
    for (size_t i = 0, n, nx; rc == 1 && i < take.n; i += n) {
        n = vv_group(&take, i);
        vv_heads(here, take.e[i].origin, &nx);
        if ((n > 1 || nx > 1) && !MUTANT(fpfork) &&
            vv_set_heads(here, take.e[i].origin, &take.e[i], n) < 0)
            rc = ECRDT_ENOMEM;
    }
    if (rc == 1 && vv_join(here, &take) < 0)
        rc = ECRDT_ENOMEM;
    vv_free(&take);
    return rc;
}
