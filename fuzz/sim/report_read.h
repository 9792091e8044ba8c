/* report_read.h: the journal of a run as what the report's page draws from:
 * checked, and small. */
#ifndef FUZZ_SIM_REPORT_READ_H
#define FUZZ_SIM_REPORT_READ_H
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zero-initialise, report_free(). */
struct report {
    uint64_t seed;
    uint64_t replicas;
    char *command, *profile; /* as they stand in the file: not escaped */
    bool ended;              /* there is a verdict */
    bool ok;                 /* it is: nothing is broken */
    /* JSON in ASCII without '<', '>' and '&', harmless inside of HTML: an
     * array of rows [kind, ms since the row before, ...], the order of the
     * members as in journal.h, texts as places in the array of names. */
    char *rows, *names;
};

/* Reads the file; false with a sentence on standard error. What a run that
 * was killed left behind is read to the last whole line. */
bool report_read(struct report *r, const char *path);

/* Frees what r holds. */
void report_free(struct report *r);

/* value as JSON that is harmless inside of HTML; NULL without memory. */
char *report_json(const json_t *value);
#endif
