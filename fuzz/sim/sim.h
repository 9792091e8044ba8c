/* sim.h: the verbs of edgecrdt-sim and how it ends. */
#ifndef FUZZ_SIM_SIM_H
#define FUZZ_SIM_SIM_H

/* What the program returns. */
enum sim_exit {
    SIM_PASS = 0,
    SIM_BROKEN = 1,       /* a property does not hold */
    SIM_USAGE = 2,        /* arguments or a file are wrong */
    SIM_INCONCLUSIVE = 3, /* it could not be run, or not to the end */
    SIM_CRASH = 127       /* a signal or a broken invariant */
};

/* "1 step", but "2 steps": what follows the word. */
static inline const char *plural(unsigned long long n) {
    return n == 1 ? "" : "s";
}

/* A verb gets the arguments behind its name, and returns of sim_exit. */
typedef int (*sim_verb)(int argc, char **argv);

/* run.c: many seeds, each in a process of its own. */
int sim_run(int argc, char **argv);

/* replay.c: one seed, or the steps of a file. */
int sim_replay(int argc, char **argv);

/* min.c: fewer steps that break the same property. */
int sim_min(int argc, char **argv);

/* report_*.c: a journal as one page of HTML. */
int sim_report(int argc, char **argv);

/* trace_*.c: histories of others through real stores. */
int sim_trace(int argc, char **argv);
#endif
