/* chain.h: pairs (seq, h) of the chains of origins, by which a head is seen to
 * lie on a chain or on another branch (PROTOCOL 7, D5).
 *
 * The pairs of a chain are linked from each to the one before, in the table
 * pairs: bucket u32, origin number u32, seq u64 -> for each branch that has a
 * pair there: h, and the pair before it. The author keeps a pair of every head
 * that left it; receivers keep what chunks tell: all of the newest CHAIN_KEEP,
 * and of each CHAIN_MARK sequence numbers the first.
 *
 * No exposed head can be missed, though a commit writes no pair. Whoever
 * exposes a snapshot counts it (C) before it is begun; a commit reads C, stores
 * it with its head, and if C is not what the head before has stored, puts the
 * two heads before its own. Say a snapshot shows head v, its exposer counted
 * C = n, and W is the commit that replaced v. The exposer took its snapshot
 * anew until no writer had read n before it was taken; so v, which is in it,
 * stored less than n. W commits after the snapshot. If W reads C after the
 * count, it sees at least n: not what v stored, and v is put. If it reads C
 * before, it stores less than n, and the commit after W, which begins when W
 * is done, reads at least n: it puts W's head and the one before, v. Until
 * then v stands in the head record as the head or as the one before it. */
#ifndef CRDT_CHAIN_H
#define CRDT_CHAIN_H
#include "crdt/chain_list.h"
#include "crdt/store.h"

enum { CHAIN_KEEP = 4096, CHAIN_MARK = 1024 };

/* A pair and the one before it. prev_seq 0 and no gap: the chain begins here.
 * gap: pairs between the two, or before this one, may have been dropped. */
struct chain_link {
    uint64_t seq, h, prev_seq, prev_h;
    bool gap;
};

/* Where a head lies, seen from the heads of a clock. */
enum chain_place {
    CHAIN_ON,     /* on one of their chains                          */
    CHAIN_AHEAD,  /* beyond all of them                              */
    CHAIN_OFF,    /* on none of them: a fork                         */
    CHAIN_UNKNOWN /* so far back that it can be neither shown nor not */
};

/* Looks x up among the chains of here's heads of its origin: a place, < 0. */
int chain_find(ecrdt_txn *t, struct bucket *bk, const struct vv *here,
               const struct head *x);

/* Where x lies below top, a head of its origin that need not be ours: on its
 * chain, off it, unknown; < 0. */
int chain_find_below(ecrdt_txn *t, struct bucket *bk, const struct head *top,
                     const struct head *x);

/* Keeps a pair of the present incarnation; seq 0 is no pair. */
int chain_keep_own(ecrdt_txn *t, struct bucket *bk, uint64_t seq, uint64_t h);

/* Keeps a link of an origin's chain; one that closes a gap replaces what was
 * kept of the same pair. */
int chain_keep(ecrdt_txn *t, struct bucket *bk, uint32_t origin,
               const struct chain_link *l);

/* Keeps the head top and what list l of ls (NULL: nothing) tells below it,
 * which stands on below: the pair before the first, and whether pairs may be
 * missing between. */
int chain_keep_list(ecrdt_txn *t, struct bucket *bk,
                    const struct chain_lists *ls, const struct chain_list *l,
                    const struct head *top, const struct chain_link *below);

/* The link below that pair: 1 and *l, 0 if it is not kept. The store's own
 * head and the one before count as kept. */
int chain_link(ecrdt_txn *t, struct bucket *bk, uint32_t origin, uint64_t seq,
               uint64_t h, struct chain_link *l);

/* Appends the pairs below top down to the first that is <= floor, at most max
 * of them, through gaps if all is set. 0 or < 0. */
int chain_walk(ecrdt_txn *t, struct bucket *bk, const struct head *top,
               uint64_t floor, size_t max, bool all, struct chain_list *list,
               struct buf *pairs);

/* 1 if a head of the clock heard is of this store's present origin and not on
 * its chain: the store was copied or rolled back (PROTOCOL D5). */
int chain_is_cloned(ecrdt_txn *t, struct bucket *bk, const struct vv *heard);
#endif
