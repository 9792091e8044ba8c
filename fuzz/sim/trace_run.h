/* trace_run.h: a history through real stores, compared with what it says. */
#ifndef FUZZ_SIM_TRACE_RUN_H
#define FUZZ_SIM_TRACE_RUN_H
#include "fuzz/sim/trace_stores.h"

enum verdict {
    AS_EXPECTED,
    DIFFERS,   /* the first difference is told in why           */
    NO_ANSWER, /* the machine, not the history, is at fault     */
};

/* Runs h once by deltas and once by complete chunks; parts counts what
 * travelled (of deltas, complete). why gets a sentence, allocated with
 * malloc(), unless all is as expected. */
enum verdict trace_run(const struct history *h, uint64_t parts[2], char **why);
#endif
