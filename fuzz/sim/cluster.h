/* cluster.h: the replicas of one run: their stores, nodes and machines, the
 * network between them, what is wrong with it, and what was seen so far. */
#ifndef FUZZ_SIM_CLUSTER_H
#define FUZZ_SIM_CLUSTER_H
#include "crdt/spans.h"
#include "fuzz/sim/journal.h"
#include "fuzz/sim/net.h"
#include "fuzz/sim/oracle.h"
#include "fuzz/sim/plan.h"
#include "fuzz/sim/senses.h"
#include "replication/node.h"
#include <setjmp.h>

enum {
    CLUSTER_LETTERS = 16,  /* exports on their way */
    CLUSTER_CLOCKS = 4096, /* clocks whose digest is remembered */
    CLUSTER_SAVES = 2,
    CLUSTER_TEXT = 600
};

/* What was exercised: X(name, how it is counted). The first ones count by
 * themselves when a step of that name is done. */
#define CLUSTER_FEATURES(X)                                                    \
    X(commits, "local transactions")                                           \
    X(links, "handshakes that came to an end")                                 \
    X(chunks, "chunks over links")                                             \
    X(wholes, "complete chunks: parts over links for a store below a floor")   \
    X(deltas, "parts of exports that are deltas")                              \
    X(completes, "complete parts of exports, for a store below the floor")     \
    X(fps, "FPs, SAMEs and WANTs of talks and audits")                         \
    X(talks, "fingerprint talks begun")                                        \
    X(sames, "SAMEs: clocks raised where both sides are equal")                \
    X(stale, "SAMEs that came too late, for something had changed")            \
    X(audits, "audits that came to an end")                                    \
    X(cuts_seen, "buckets seen in the middle of a bulk")                       \
    X(lost, "commits lost with the machine")                                   \
    X(renewed, "new incarnations")                                             \
    X(twins, "copies that no guard could tell")                                \
    X(forks, "forks: branches of one origin merged")                           \
    X(narrowings, "narrowings: clocks that fell, a core keeps the rest")       \
    X(tombs_dropped, "GCs: tombs dropped")                                     \
    X(folded, "folds: counter entries folded")                                 \
    X(fold_removed, "folds: ... and removed")                                  \
    X(disk_full, "full disk: transactions refused")                            \
    X(full_gc, "full disk: collections of tombs refused")                      \
    X(full_other, "full disk: starts, imports and acts of people refused")     \
    X(full_apply, "full disk: relays that stopped pulling")                    \
    X(full_over, "full disk: ... and went on when there was room")             \
    X(prunes, "links that turned lazy")                                        \
    X(siblings, "registers with several values")

enum cluster_feature {
#define CLUSTER_ENUM(name, text) F_##name,
    CLUSTER_FEATURES(CLUSTER_ENUM)
#undef CLUSTER_ENUM
        F_COUNT
};

/* Figures of runs; add up. */
struct figures {
    uint64_t steps[PLAN_KINDS]; /* done, not left out */
    uint64_t feature[F_COUNT];
    uint64_t events, net_events, bytes, virtual_ms, settle_ms_most;
};

/* A data file as it was, with its guard and what was known of it. */
struct save {
    bool there;
    struct buf data, guard;
    uint8_t me[ORIGIN_SIZE];
    int own[PLAN_BUCKETS];
};

struct replica {
    bool used; /* it exists */
    bool core;
    bool may_fall;             /* its clock may fall at the next look */
    bool claimed;              /* replica 0 has claimed to be the heir ... */
    uint8_t heir[ORIGIN_SIZE]; /* ... under this identity */
    bool full;                 /* its disk is */
    bool stuck;                /* ... and it does not apply what comes in */
    bool crashed;              /* its machine did, and it is not up again */
    uint8_t level;             /* of plan_level */
    char dir[128];
    ecrdt_store *s;
    struct node *node;
    struct loop *loop;
    struct identity self;
    uint32_t knows; /* peers it is configured with, as bits */
    uint32_t dials;
    int64_t skew_ms;
    uint64_t seen_txn; /* of the last look */
    uint8_t me[ORIGIN_SIZE];
    int own[PLAN_BUCKETS]; /* its newest commit, -1: none yet */
    struct bits have;      /* all that its clocks cover */
    struct spans held[PLAN_BUCKETS];
    uint32_t was; /* replicas that it is a copy of, as bits */
    int outside;  /* an event of others that it does not hold; -1: none */
    struct save save[CLUSTER_SAVES];
    struct buf summary;           /* an old one */
    unsigned chunks, fps, raised; /* of its links, as counted so far */
    uint64_t audits;
    uint64_t down_fault, skew_fault, full_fault; /* ids in the journal */
    uint8_t told_digest[16];
    unsigned told_missing;
};

/* An export on its way. */
struct letter {
    unsigned to;
    uint64_t id; /* in the journal */
    struct buf b;
};

/* A clock that some bucket stood at, and the digest it had there. */
struct known_clock {
    uint64_t key; /* 0: not in use */
    uint8_t digest[16];
};

struct cluster {
    struct plan *plan;
    struct net net;
    struct oracle o;
    struct journal journal;
    struct replica r[NET_NODES];
    struct letter letters[CLUSTER_LETTERS];
    size_t n_letters;
    struct known_clock *clocks; /* of CLUSTER_CLOCKS */
    /* What the transaction under way will have made of each item. */
    struct oracle_event *planned; /* of PLAN_OPS */
    size_t n_planned;
    bool planning;
    bool copied; /* there were copies of stores */
    struct figures fig;
    struct rng rng;  /* of the step under way */
    char dir[100];   /* of the stores */
    uint64_t values; /* given to registers so far */
    int at;          /* index of the step under way */
    const char *doing;
    bool verbose;
    uint32_t parts[NET_NODES]; /* whom each cannot reach */
    uint64_t way_fault[NET_NODES][NET_NODES], part_fault;
    jmp_buf over;
    char text[CLUSTER_TEXT]; /* what is broken */
};

extern const char *const cluster_buckets[PLAN_BUCKETS];

/* cluster.c: stores in dir, which must be empty; all replicas of the plan are
 * up and know each other. */
void cluster_open(struct cluster *c, struct plan *p, const char *dir);

/* Opens a replica's store and begins its node: false if its disk is too full
 * for that. Ends them in order or not. */
bool replica_start(struct cluster *c, unsigned r);
void replica_stop(struct cluster *c, unsigned r, bool in_order);

/* Tells its node whom it knows. */
void replica_peers(struct cluster *c, unsigned r);

/* A new one, which knows what the other knows. */
void replica_make(struct cluster *c, unsigned r, bool core, uint8_t level);

/* Is it up and running? */
bool replica_up(const struct cluster *c, unsigned r);

/* Who runs now: its clock is the process's. */
void cluster_enter(struct cluster *c, unsigned r);

/* Lets virtual time pass, with all that happens in it. */
void cluster_run(struct cluster *c, uint64_t ms);

/* Nothing is wrong with any link; journal conditions end. */
void cluster_heal(struct cluster *c);

/* A property is broken: says which and does not return. */
_Noreturn void broken(struct cluster *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
#define HOLDS(c, cond, ...)                                                    \
    do {                                                                       \
        if (!(cond))                                                           \
            broken(c, __VA_ARGS__);                                            \
    } while (0)

/* A call that must not fail. */
#define MUST(c, call)                                                          \
    HOLDS(c, (call) >= 0, "%s failed: %s", #call, ecrdt_errmsg())

/* Was a call refused, which gave rc, because r's disk is full? It must not
 * fail in another way. */
bool refused(struct cluster *c, unsigned r, int rc, const char *call);
#define REFUSED(c, r, call) refused(c, r, call, #call)

/* look.c: learns what r's store has committed since the last look, and holds
 * all of it against the oracle. */
void look(struct cluster *c, unsigned r);

/* The same if anything was committed. */
void look_if_new(struct cluster *c, unsigned r);

/* look_values.c: what a user can read of every key, by the public calls. */
void look_values(struct cluster *c, unsigned r, const struct bits *seen);

/* look_dump.c: prints its clocks. */
void look_dump(struct cluster *c, unsigned r);

/* steps.c: does one step; false if it makes no sense now. */
bool step_do(struct cluster *c, const struct plan_step *s);

/* steps_txn.c: a transaction on store and oracle. */
bool step_txn(struct cluster *c, const struct plan_step *s);

/* steps_net.c */
bool step_net(struct cluster *c, const struct plan_step *s);

/* steps_store.c: foresee() looks at the steps from at on: what a crash of a
 * machine needs begins before it. */
bool step_store(struct cluster *c, const struct plan_step *s);
void step_foresee(struct cluster *c, size_t at);

/* steps_admin.c */
bool step_admin(struct cluster *c, const struct plan_step *s);

/* settle.c: heals all, waits until all are equal, and judges the end; hash is
 * that of the final state. */
void settle(struct cluster *c, uint8_t hash[16]);
#endif
