/* one.h: one run of one plan, here or in a process of its own. */
#ifndef FUZZ_SIM_ONE_H
#define FUZZ_SIM_ONE_H
#include "fuzz/sim/cluster.h"
#include "fuzz/sim/sim.h"
#include <sys/types.h>

/* How a run ended. */
struct outcome {
    int exit;    /* enum sim_exit */
    uint32_t at; /* the step that it ended at */
    char text[CLUSTER_TEXT];
    uint8_t hash[16];
    struct figures fig;
};

struct one {
    struct plan *plan;
    const char *journal; /* a file, or NULL */
    const char *command; /* for its first line */
    bool verbose;
    int64_t until; /* the last step to be done; -1: all, and the end */
};

/* Runs it in this process, which is spoilt then. Stores lie in dir. */
void one_run(const struct one *one, const char *dir, struct outcome *out);

/* A place where a child works and leaves its outcome. */
struct one_slot {
    pid_t pid; /* 0: free */
    char *dir;
    struct outcome *out; /* shared with the child */
    uint64_t seed, begun_ms;
    bool again;        /* it is the second run of its seed */
    uint8_t first[16]; /* the hash of the first one */
};

/* 0, or a negative code with a sentence. */
int one_slot_open(struct one_slot *s);
void one_slot_close(struct one_slot *s);

/* Begins a run in a child: of one, or, if it is NULL, of the plan of wish. 0
 * or a negative code. */
int one_begin(struct one_slot *s, const struct one *one,
              const struct plan_wish *wish);

/* Takes over how the child ended, whose status wait() gave. */
void one_end(struct one_slot *s, int status);

/* Both, and waits in between. */
int one_fork(struct one_slot *s, const struct one *one);

/* The plan of a number (by wish) or of a file; tells of an error. replay.c. */
int plan_load(struct plan *p, const char *what, struct plan_wish *wish);

/* Adds the figures of b to a. */
void figures_add(struct figures *a, const struct figures *b);

/* Hex of a hash, in a static buffer. */
const char *hash_text(const uint8_t hash[16]);
#endif
