/* fork_send.c: the sender's side of forks: what a part may build on, and the
 * pairs by which the receiver sees where branches part. */
#include "crdt/chain.h"
#include "crdt/fork.h"
#include "lib/alloc.h"
#include "lib/mutant.h"

int fork_place_of(ecrdt_txn *t, struct bucket *bk, const struct vv *clk,
                  const struct head *x, size_t n) {
    int worst = CHAIN_ON;
    size_t ours;
    uint64_t on = 0; /* the greatest of those that lie on our one chain */
    vv_heads(clk, x->origin, &ours);
    for (size_t i = 0; i < n && worst != CHAIN_OFF; i++) {
        int place = chain_find(t, bk, clk, &x[i]);
        if (place < 0)
            return place;
        if (place == CHAIN_ON && ours == 1 && x[i].seq > on)
            on = x[i].seq;
        /* Theirs lie on different branches. */
        if (place == CHAIN_UNKNOWN && x[i].seq <= on && !MUTANT(otherbranch))
            place = CHAIN_OFF;
        if (place == CHAIN_UNKNOWN)
            atomic_fetch_add(&t->s->fork_unknown, 1);
        else if (place != CHAIN_ON)
            worst = place;
    }
    return worst;
}

/* Has a range of this store merged branches of that origin? */
static bool merged_here(const struct bucket *bk,
                        const uint8_t origin[ORIGIN_SIZE]) {
    for (size_t i = 0, n; i < bk->rs.n; i++)
        if (vv_heads(&bk->rs.r[i].clk, origin, &n) && n > 1)
            return true;
    return false;
}

/* Is the peer shown to have another branch of something that is news to it?
 * Nobody sends what lies where we are blind: whether our head of an origin that
 * is known to have branches lies on the chains of a greater one of the peer's
 * will never be seen here, so it counts as another branch, and the receiver
 * finds out. */
static int any_fork(ecrdt_txn *t, struct bucket *bk, const struct vv *clk,
                    const struct vv *peer, bool blind) {
    for (size_t i = 0, n, nc; i < peer->n; i += n) {
        const struct head *x = &peer->e[i];
        n = vv_group(peer, i);
        const struct head *y = vv_heads(clk, x->origin, &nc);
        if (!nc || vv_heads_same(y, nc, x, n))
            continue;
        int place = vv_heads_le(y, nc, x, n) ? CHAIN_AHEAD
                                             : fork_place_of(t, bk, clk, x, n);
        if (place < 0 || place == CHAIN_OFF)
            return place < 0 ? place : 1;
        if (place == CHAIN_AHEAD && blind && merged_here(bk, x->origin))
            return 1;
    }
    return 0;
}

/* If there is a fork, all is sent whole of which the peer may have another
 * branch: of one origin it can be seen only here, of the next only there, and
 * each would refuse the other's part. */
int fork_base(ecrdt_txn *t, struct bucket *bk, const struct vv *clk,
              const struct vv *peer, bool blind, struct vv *base,
              struct forks *fs) {
    int rc = vv_copy(base, peer);
    int any = rc < 0 ? rc : any_fork(t, bk, clk, peer, blind);
    for (size_t i = 0, n, nc; any == 1 && i < peer->n && rc >= 0; i += n) {
        const struct head *x = &peer->e[i];
        n = vv_group(peer, i);
        const struct head *y = vv_heads(clk, x->origin, &nc);
        if (!nc || vv_heads_same(y, nc, x, n))
            continue;
        rc = fork_place_of(t, bk, clk, x, n);
        if (rc <= CHAIN_ON)
            continue;
        if (!forks_of(fs, x->origin) && !forks_add(fs, x->origin))
            return ECRDT_ENOMEM;
        rc = vv_set_heads(base, x->origin, NULL, 0);
    }
    return any < 0 ? any : rc < 0 ? rc : ECRDT_OK;
}

/* The lowest head that some part's base has of an origin, 0 if one has none:
 * from there on the receiver has to be told. */
static uint64_t floor_of(const struct chunk *c, const uint8_t *origin) {
    uint64_t floor = UINT64_MAX;
    for (size_t i = 0; i < c->n_parts; i++) {
        size_t n;
        const struct head *b = vv_heads(&c->parts[i].base, origin, &n);
        uint64_t least = n ? b[n - 1].seq : 0;
        if (vv_seq(&c->parts[i].clk, origin) && least < floor)
            floor = least;
    }
    return floor;
}

/* The greatest head of y's origin on y's chain that the peer said some range of
 * its has: what lies below came with it; 0 if there is none. < 0. */
static int64_t told_before(ecrdt_txn *t, struct bucket *bk,
                           const struct ranges *heard, const struct vv *clk,
                           const struct head *y) {
    const struct head *best = NULL;
    for (size_t i = 0, n; i < heard->n; i++) {
        const struct head *x = vv_heads(&heard->r[i].clk, y->origin, &n);
        if (n == 1 && x->seq <= y->seq && (!best || x->seq > best->seq))
            best = x;
    }
    int place = best ? chain_find(t, bk, clk, best) : CHAIN_OFF;
    return place < 0 ? place : place == CHAIN_ON ? (int64_t)best->seq : 0;
}

/* The lists of chunk c for a receiver who said that it has heard. */
struct telling {
    ecrdt_txn *t;
    struct bucket *bk;
    struct chunk *c;
    const struct ranges *heard;
    const struct forks *fs;
    bool left_out;
    size_t news, most; /* heads that are news; pairs to be told of them */
};

/* What is known below the head top of part p, if it is of use. */
static int list_below(struct telling *w, const struct chunk_part *p,
                      const struct head *top) {
    struct chain_list l;
    struct chunk *c = w->c;
    bool forked = forks_of(w->fs, top->origin) || fork_branched(p, top->origin);
    uint64_t floor = forked ? 0 : floor_of(c, top->origin);
    size_t max = forked ? CHAIN_PAIRS_MAX / 16 : w->most / (w->news + !w->news);
    int64_t told = 0;
    if (!forked && !c->told)
        return ECRDT_OK;
    if (!forked && !floor && c->bulk && w->heard && !MUTANT(retell))
        told = told_before(w->t, w->bk, w->heard, &p->clk, top);
    if (told < 0)
        return (int)told;
    w->left_out = w->left_out || told;
    uint64_t known = (uint64_t)told;
    int rc = chain_walk(w->t, w->bk, top, known ? known - 1 : floor, max,
                        forked, &l, &c->chains.pairs);
    if (l.since < known)
        l.since = known; /* it stands in the list, by which that goes on */
    /* Without a list the receiver takes it that nothing lies between. */
    bool of_use = l.n || forked || !floor || l.since > floor;
    return rc == ECRDT_OK && of_use ? chain_lists_add(&c->chains, &l) : rc;
}

size_t fork_news(const struct vv *base, const struct head *y, size_t ny) {
    size_t news = 0;
    for (size_t i = 0, n; i < ny; i++) {
        const struct head *b = vv_heads(base, y[i].origin, &n);
        news += !vv_heads_have(b, n, &y[i]);
    }
    return news;
}

static size_t count_news(const struct chunk *c) {
    size_t n = 0;
    for (size_t i = 0; i < c->n_parts; i++) {
        const struct chunk_part *p = &c->parts[i];
        n += fork_news(&p->base, p->clk.e, p->clk.n);
    }
    return n;
}

int fork_lists(ecrdt_txn *t, struct bucket *bk, struct chunk *c,
               const struct ranges *heard, const struct forks *fs) {
    struct telling w = {.t = t, .bk = bk, .c = c, .heard = heard, .fs = fs};
    w.news = count_news(c);
    w.most = c->bulk ? FORK_BULK_PAIRS : FORK_PUSH_PAIRS;
    c->told = w.news <= w.most;
    for (size_t i = 0; i < c->n_parts; i++) {
        const struct chunk_part *p = &c->parts[i];
        for (size_t k = 0; k < p->clk.n; k++) {
            const struct head *y = &p->clk.e[k];
            if (!fork_news(&p->base, y, 1) || chain_lists_of(&c->chains, y))
                continue;
            int rc = list_below(&w, p, y);
            if (rc < 0)
                return rc;
        }
    }
    return w.left_out;
}
