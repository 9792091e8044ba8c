/* main.c: edgecrdt-sim, the deterministic simulator of a cluster. */
#include "fuzz/sim/sim.h"
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    sim_verb fn;
    const char *usage, *what;
} verbs[] = {
    {"run", sim_run,
     "[--seeds A..B | --minutes M] [--replicas N] [--profile P] [--jobs J]",
     "runs seeds, and tells what they exercised"},
    {"replay", sim_replay,
     "SEED|FILE [--until STEP] [--verbose] [--journal FILE]",
     "runs one seed, or the steps of a file, again"},
    {"min", sim_min, "SEED|FILE [-o FILE]",
     "looks for fewer steps that break the same"},
    {"report", sim_report, "JOURNAL [-o FILE.html]",
     "draws what replay wrote with --journal as one page"},
    {"trace", sim_trace, "FILE.jsonl...",
     "runs histories of any system through real stores (docs/traces.md)"},
    {NULL, NULL, NULL, NULL},
};

static int usage(void) {
    fputs("edgecrdt-sim: a cluster of real stores in virtual time, from one "
          "seed\n",
          stderr);
    for (size_t i = 0; verbs[i].name; i++)
        fprintf(stderr, "  edgecrdt-sim %s %s\n      %s\n", verbs[i].name,
                verbs[i].usage, verbs[i].what);
    fputs("Ends with 0 pass, 1 a property is broken, 2 usage, 3 inconclusive, "
          "127 a crash.\n",
          stderr);
    return SIM_USAGE;
}

int main(int argc, char **argv) {
    for (size_t i = 0; argc > 1 && verbs[i].name; i++)
        if (!strcmp(argv[1], verbs[i].name))
            return verbs[i].fn(argc - 2, argv + 2);
    return usage();
}
