/* plan.h: a run as a list of explicit steps: made from a seed, written to a
 * file and read from one, thinned out. */
#ifndef FUZZ_SIM_PLAN_H
#define FUZZ_SIM_PLAN_H
#include "fuzz/sim/net.h"
#include "lib/buf.h"

enum {
    PLAN_REPLICAS = 8, /* of a plan; copies come on top */
    PLAN_BUCKETS = 2,
    PLAN_OPS = 400,   /* of a transaction */
    PLAN_NAMES = 700, /* keys and elements of a plan */
    PLAN_NAME = 320,  /* bytes of one */
    PLAN_STEPS = 4000
};

/* Steps: X(name, what its numbers a, b and c are). */
#define PLAN_DO(X)                                                             \
    X(txn, "ops")                                                              \
    X(wait, "ms")                                                              \
    X(export, "to, of an old summary, bytes at most")                          \
    X(import, "which of those on their way, -1: the last, how often it may "   \
              "come again")                                                    \
    X(cut, "the other side")                                                   \
    X(partition, "replicas on one side, as bits; 1: links break at once")      \
    X(stall, "where nothing arrives any more")                                 \
    X(slow, "to whom, bytes a ms, ms")                                         \
    X(heal, "")                                                                \
    X(crash, "1: the machine, its unflushed tail is lost")                     \
    X(stop, "")                                                                \
    X(start, "")                                                               \
    X(save, "which of two places")                                             \
    X(restore, "from where, 1: with its guard, as nobody can see")             \
    X(clone, "1: with all that a guard could tell it by, new replica")         \
    X(wipe, "")                                                                \
    X(skew, "ms that the wall clock goes wrong by")                            \
    X(gc, "retention in ms")                                                   \
    X(subscribe, "prefixes, as bits; 0: everything; bucket")                   \
    X(peers, "the other side, 1: know each other, 0: do not")                  \
    X(retire, "")                                                              \
    X(fold, "1: also of those that did not say goodbye")                       \
    X(forget, "which prefix, bucket")                                          \
    X(full, "1: no block is left on the disk, 0: there is room; 1: without "   \
            "the reserve; KiB that the file may still grow by")                \
    X(verify, "")

enum plan_do {
#define PLAN_ENUM(name, numbers) DO_##name,
    PLAN_DO(PLAN_ENUM)
#undef PLAN_ENUM
        PLAN_KINDS
};

enum plan_opcode {
    OP_set,
    OP_del,
    OP_add,
    OP_remove,
    OP_clear,
    OP_count,
    OP_reset,
    OP_KINDS
};

struct plan_op {
    uint8_t code, bucket;
    uint16_t key, elem; /* names */
    int32_t num;        /* set: bytes of the value; count: what is added */
};

struct plan_step {
    uint32_t n; /* its number when it was made; it stays when others go */
    uint8_t what;
    uint8_t r;
    int64_t a, b, c;
    struct plan_op *ops;
    size_t n_ops;
};

enum plan_level { LEVEL_full, LEVEL_relaxed, LEVEL_ephemeral, LEVELS };

struct plan {
    uint64_t seed;
    char profile[32];
    uint32_t replicas;
    struct {
        bool core;
        uint8_t level;
        uint32_t dials; /* replicas, as bits */
    } at[PLAN_REPLICAS];
    uint32_t delay_lo, delay_hi;
    uint32_t audit_ms, gc_ms; /* of each node; 0: none */
    uint32_t log_cap;         /* bytes of a dots log; 0: as it is */
    uint32_t talk_items;      /* fewer go without fingerprints; 0: as it is */
    uint32_t talk_leaf;       /* so few are not split; 0: as it is */
    uint32_t faults;          /* kinds of steps that were on, as bits */
    struct plan_name {
        uint16_t len;
        char b[PLAN_NAME];
    } * names;
    size_t n_names;
    struct plan_step *steps;
    size_t n_steps, cap_steps;
};

/* What a plan is made from. */
struct plan_wish {
    uint64_t seed;
    uint32_t replicas;   /* 0: the default */
    const char *profile; /* NULL: all */
};

/* plan_make.c: 0, or ECRDT_EINVAL for an unknown profile. */
int plan_make(struct plan *p, const struct plan_wish *wish);

/* The prefixes that subscribe and forget mean. */
enum { PLAN_PREFIXES = 8, PLAN_NOTHING = 1 << PLAN_PREFIXES };
extern const char plan_prefix[PLAN_PREFIXES + 1];

/* The names of the profiles, for people. */
const char *plan_profiles(void);

/* plan.c: frees what p holds. */
void plan_free(struct plan *p);

/* Into the empty dst, without the steps whose number is set in skip. */
int plan_copy(struct plan *dst, const struct plan *p, const uint8_t *skip);

/* A step at the end, with room for n_ops; NULL when there are too many. */
struct plan_step *plan_add(struct plan *p, enum plan_do what, unsigned r,
                           size_t n_ops);

/* The number of a name, which is added if need be; -1 when there are too
 * many. */
int plan_name(struct plan *p, const void *name, size_t len);

/* plan_who.c: are the replicas that each step names there when its turn comes?
 * 0, or ECRDT_EINVAL with a sentence that names step and value. */
int plan_check(const struct plan *p);

/* Leaves out the steps at or with replicas that are not there by then, which
 * would do nothing. */
void plan_prune(struct plan *p);

/* plan.c: one line about a step, for people. */
void plan_say(const struct plan *p, const struct plan_step *s, char *out,
              size_t size);

/* The words of files; "?" for a number out of range. */
const char *plan_do_name(unsigned what);
const char *plan_op_name(unsigned code);
const char *plan_level_name(unsigned level);

/* plan_file.c: as JSON. 0 or a negative code with a sentence. */
int plan_write(const struct plan *p, const char *path);
int plan_read(struct plan *p, const char *path);
#endif
