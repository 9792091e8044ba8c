/* trace_history.h: a history of operations as a value: what each line of a
 * trace file says, checked. docs/traces.md has the format. */
#ifndef FUZZ_SIM_TRACE_HISTORY_H
#define FUZZ_SIM_TRACE_HISTORY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <jansson.h>

enum {
    HISTORY_MAX_REPLICAS = 16,
    HISTORY_MAX_STEPS = 100000,
    HISTORY_MAX_NAME = 200, /* bytes of an id or of a replica's name */
    HISTORY_MAX_WHY = 600,  /* bytes of a sentence, with its NUL     */
    HISTORY_MAX_LINE = 1 << 26,
};
#define HISTORY_MAX_CLOCK_MS (INT64_C(1) << 46)

enum history_type { HISTORY_ORSET = 1, HISTORY_COUNTER = 2, HISTORY_LWW = 4 };

enum step_verb {
    STEP_SET_ADD,
    STEP_SET_RM,
    STEP_SET_CLEAR,
    STEP_COUNTER_ADD,
    STEP_COUNTER_RESET,
    STEP_REG_SET,
    STEP_REG_DEL,
    STEP_CLOCK,
    STEP_SYNC
};

struct step {
    enum step_verb verb;
    size_t at, to; /* replicas by their place; to: of a sync        */
    char *text;    /* element or value as compact JSON; else NULL   */
    int64_t num;   /* amount to add, or milliseconds of a clock     */
};

/* Zero-initialise, history_free(). Values are texts in one canonical form,
 * so that equal values are equal strings. */
struct history {
    char *id;
    enum history_type type;
    char *replicas[HISTORY_MAX_REPLICAS];
    size_t n_replicas;
    struct step *steps;
    size_t n_steps;
    char *views[HISTORY_MAX_REPLICAS];
    char *merged;
};

/* Takes a line apart: false with a sentence in why that says what is wrong
 * and how it should look. h may be freed in either case. */
bool history_parse(struct history *h, const char *line, size_t len,
                   char why[HISTORY_MAX_WHY]);

/* Frees what h holds; h is as new. */
void history_free(struct history *h);

/* The canonical text of a set with these n elements, which it sorts; NULL
 * without memory. The caller frees it. */
char *history_set_text(char **elems, size_t n);

/* A JSON value as compact text for people and for comparison; NULL without
 * memory. The caller frees it. */
char *history_json_text(const json_t *value);
#endif
