/* fork.h: what a sender and a receiver do about branches of one origin, which
 * two stores wrote on with one identity (PROTOCOL 7, D5 and D6). */
#ifndef CRDT_FORK_H
#define CRDT_FORK_H
#include "crdt/chunk_codec.h"
#include "crdt/keys.h"
#include "crdt/store.h"

enum {
    FORK_PUSH_PAIRS = 16384, /* of all lists of a chunk without forks ... */
    FORK_BULK_PAIRS = 1024   /* ... and of one of a bulk */
};

/* A forked origin, and the greatest seq of a pair that both branches have: up
 * to there they are one, beyond it they count as two origins. */
struct fork {
    uint32_t no;
    uint8_t origin[ORIGIN_SIZE];
    uint64_t cut;
};

/* Zero-initialise, forks_free(). */
struct forks {
    struct fork *f;
    size_t n, cap;
    uint64_t restated, losers; /* items, and values that were not kept */
};
void forks_free(struct forks *fs);

/* One more, of origin, and that of origin; NULL without memory, or if there is
 * none. */
struct fork *forks_add(struct forks *fs, const uint8_t *origin);
const struct fork *forks_of(const struct forks *fs, const uint8_t *origin);

/* Has base or clock of a part several heads of origin? With several no single
 * one of base is what all of them stand on. */
bool fork_branched(const struct chunk_part *p, const uint8_t *origin);

/* Is e, by that number of origin, beyond the cut of a fork? */
bool forks_beyond(const struct forks *fs, uint32_t no, uint64_t seq);

/* ---- the sender: fork_send.c ---- */

/* What a part for a peer at clock peer may build on: base becomes peer without
 * the origins of which it has another branch than clk, noted in fs, or, in a
 * range that this store does not hold (blind), perhaps has. */
int fork_base(ecrdt_txn *t, struct bucket *bk, const struct vv *clk,
              const struct vv *peer, bool blind, struct vv *base,
              struct forks *fs);

/* The place of the heads x of an origin that is least ours, who are at clk:
 * CHAIN_ON, or one that is shown to lie on another branch, or beyond what we
 * have; < 0. What cannot be shown counts as lag. */
int fork_place_of(ecrdt_txn *t, struct bucket *bk, const struct vv *clk,
                  const struct head *x, size_t n);

/* How many of ny heads are news to a receiver at base. */
size_t fork_news(const struct vv *base, const struct head *y, size_t ny);

/* Adds to the whole chunk c the pairs that its receiver needs: the newest of
 * those between base and clk, and all there are of the origins in fs. In a bulk
 * those are left out that came with another range of heard, what its receiver
 * said that it has (NULL: nothing). 1 if some were; 0; < 0. */
int fork_lists(ecrdt_txn *t, struct bucket *bk, struct chunk *c,
               const struct ranges *heard, const struct forks *fs);

/* ---- the receiver: fork.c ---- */

/* Compares part p with the clock here of our range: 0 = it fits, and the
 * forks to merge it across are in fs; 1 = it does not: it is a delta across a
 * fork, or builds on what cannot be shown to be ours; < 0. */
int fork_judge(ecrdt_txn *t, struct bucket *bk, const struct chunk *c,
               const struct chunk_part *p, const struct vv *here,
               struct forks *fs);

/* Do all n heads y of an origin lie on the chains of here, ours? What cannot
 * be shown counts as lag. 1, 0, < 0. */
int fork_all_ours(ecrdt_txn *t, struct bucket *bk, const struct vv *here,
                  const struct head *y, size_t n);

/* Of two sets of heads the one to keep, where either would do: a? */
bool fork_comes_first(const struct head *a, size_t na, const struct head *b,
                      size_t nb);

/* Adds e, beyond a cut, to the siblings in after, unless it is there: the same
 * dot is not the same event. 0 or ECRDT_ENOMEM. */
int fork_place(struct item *after, const struct event *e);

/* Ends the branches on item k: what of after lies beyond a cut, and this
 * store's own sibling beside it, is superseded by an event of its own with the
 * winner's value, live before tomb. A counter's is the maximum of them. */
int fork_restate(ecrdt_txn *t, struct bucket *bk, struct item_key *k,
                 struct forks *fs, struct item *after);

/* Says in the log what was merged, and counts it. */
void fork_log(ecrdt_txn *t, struct bucket *bk, const struct forks *fs);

/* v with the entries of forked origins cut. 0 or ECRDT_ENOMEM. */
int fork_cut(const struct vv *v, const struct forks *fs, struct vv *out);

/* Raises here by p's clock, after p was joined: branches become the union of
 * their heads. The pairs that c tells are kept. */
int fork_raise(ecrdt_txn *t, struct bucket *bk, const struct chunk *c,
               const struct chunk_part *p, struct vv *here,
               const struct forks *fs);

/* ---- fingerprints: fork_fp.c ---- */

/* Adds to ls the chains of the heads of our clock clk down to the heads of
 * peer, a clock of who is told, which stand in them: it lies on ours. 1 if some
 * are shown not to: then fingerprints are of no use there; 0; < 0. */
int fork_vouch(ecrdt_txn *t, struct bucket *bk, const struct vv *clk,
               const struct vv *peer, struct chain_lists *ls);

/* Raises here by a clock of equal items and the chains told with it: 1. Not if
 * for some origin neither side's heads are known to lie on the other's chains,
 * as then the next write of a branch would look covered: 0. Or < 0. */
int fork_raise_by(ecrdt_txn *t, struct bucket *bk, struct vv *here,
                  const struct vv *clk, const struct chain_lists *ls);
#endif
