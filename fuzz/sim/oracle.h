/* oracle.h: the naive reference CRDT. It keeps every event that was ever made,
 * with the set of events on its item that its author had seen, and every
 * commit, with the commit that it stands on. What a store must hold is then a
 * function of the heads in its clock and of nothing else. */
#ifndef FUZZ_SIM_ORACLE_H
#define FUZZ_SIM_ORACLE_H
#include "crdt/item.h"
#include "crdt/keys.h"
#include "crdt/type.h"
#include "fuzz/sim/plan.h"

enum {
    ORACLE_EVENTS = 3072,
    ORACLE_WORDS = ORACLE_EVENTS / 64,
    ORACLE_ITEMS = 1024,
    ORACLE_COMMITS = 3072,
    ORACLE_HASH = 8192 /* slots of each table */
};

/* A set of events. */
struct bits {
    uint64_t w[ORACLE_WORDS];
};
static inline bool bits_has(const struct bits *b, size_t i) {
    return b->w[i / 64] >> (i % 64) & 1;
}
static inline void bits_set(struct bits *b, size_t i) {
    b->w[i / 64] |= UINT64_C(1) << (i % 64);
}
static inline void bits_join(struct bits *a, const struct bits *b) {
    for (size_t i = 0; i < ORACLE_WORDS; i++)
        a->w[i] |= b->w[i];
}

struct oracle_event {
    uint32_t item, commit;
    unsigned by; /* the replica that made it */
    uint8_t origin[ORIGIN_SIZE], e16[16];
    uint64_t seq, hlc;
    bool live, bye;
    bool reset;     /* it takes back the adds in obs */
    bool ours;      /* made by a step, not by the library itself */
    bool gone;      /* may be lost: a fault took the last store with it */
    bool orphan;    /* ... the last that keeps it: who is told that it is kept,
                       late, may let go of what is nowhere else then */
    uint64_t value; /* of a register, 0: not known */
    struct count pay; /* of a counter entry */
    int64_t delta;    /* what it adds */
    struct bits ctx;  /* events on the item that it supersedes */
    struct bits obs;
};

struct oracle_item {
    struct item_id id;
    uint8_t bucket, tag;
    uint16_t k_len; /* of K, which all items of a key share */
    int key, elem;  /* names of the plan; -1: of no set */
    uint32_t n, cap;
    uint32_t *events;
};

/* Where a clock can stand: the end of one transaction of one bucket. */
struct oracle_commit {
    uint8_t bucket;
    uint8_t origin[ORIGIN_SIZE];
    uint64_t seq, h;
    int parent;
    struct bits covers; /* the chain's events up to here */
};

struct oracle {
    struct oracle_event *ev; /* of ORACLE_EVENTS */
    struct oracle_item *items;
    struct oracle_commit *commits;
    uint32_t n_ev, n_items, n_commits;
    uint16_t by_e16[ORACLE_HASH], by_id[ORACLE_HASH], by_head[ORACLE_HASH];
    bool twins; /* two stores may have written as one origin */
};

/* Nothing was made yet. 0 or ECRDT_ENOMEM; freed by oracle_free(). */
int oracle_init(struct oracle *o);
void oracle_free(struct oracle *o);

/* The item of an id, or -1. */
int oracle_find(const struct oracle *o, unsigned bucket, slice id);

/* The same, made if need be; -1 when there are too many. */
int oracle_item(struct oracle *o, unsigned bucket, slice id, int key, int elem);

/* The event of that name, or -1. */
int oracle_event(const struct oracle *o, const uint8_t e16[16]);

/* A new event of an item; NULL when there are too many. The caller fills in
 * the rest. e16 must be new. */
struct oracle_event *oracle_add(struct oracle *o, uint32_t item,
                                const uint8_t e16[16]);

/* The commit where a head stands, or -1. */
int oracle_head(const struct oracle *o, unsigned bucket, const struct head *h);

/* A new commit on parent (-1: an origin's first); -1 when there are too
 * many. The caller adds its events to covers. */
int oracle_commit(struct oracle *o, unsigned bucket, const struct head *h,
                  int parent);

/* The events of an item that are in have. */
void oracle_seen(const struct oracle *o, uint32_t item, const struct bits *have,
                 struct bits *out);

/* Of those that none of the others supersedes: the siblings. */
void oracle_siblings(const struct oracle *o, uint32_t item,
                     const struct bits *seen, struct bits *out);

/* Is one of an item's events in set live? Has one said goodbye? */
bool oracle_live(const struct oracle *o, uint32_t item, const struct bits *set);
bool oracle_bye(const struct oracle *o, uint32_t item, const struct bits *set);

/* The live event of the siblings that is read; -1 if there is none. */
int oracle_winner(const struct oracle *o, uint32_t item,
                  const struct bits *siblings);

/* Totals of a counter entry: the greatest of each, over a set of events. */
struct count oracle_count(const struct oracle *o, uint32_t item,
                          const struct bits *set);

/* The same over the siblings of what was seen. */
struct count oracle_count_now(const struct oracle *o, uint32_t item,
                              const struct bits *seen);

/* What an entry must read as by the log of adds alone: those seen, less those
 * that a reset which is seen had taken back. */
int64_t oracle_truth(const struct oracle *o, uint32_t item,
                     const struct bits *seen);
#endif
