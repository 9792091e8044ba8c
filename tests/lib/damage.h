/* damage.h: a data file is damaged again and again, and what comes of each
 * trial, in a process of its own, is counted. */
#ifndef TESTS_LIB_DAMAGE_H
#define TESTS_LIB_DAMAGE_H
#include "tests/lib/image.h"

enum outcome { HARMLESS, AT_OPEN, NOTICED, WRONG, SIGNAL, OUTCOMES };
static const char *const outcomes[OUTCOMES] = {
    "without effect", "refused at open", "an error later", "SILENTLY WRONG",
    "SIGNAL"};
struct counts {
    unsigned n[OUTCOMES];
};

static uint8_t *bytes; /* to be damaged; as long as the image */

static inline int damage_setup(const char *name) {
    image_take(name);
    bytes = malloc(image_len);
    return bytes ? 0 : 1;
}

static inline int damage_teardown(void **state) {
    free(bytes);
    return image_remove(state);
}

/* How trial(arg), which gives an outcome, ends with n of the bytes as file. */
static inline enum outcome damage_try(size_t n, int (*trial)(void *arg),
                                      void *arg, struct counts *c) {
    file_write(file, bytes, n);
    int rc = kit_child(trial, arg);
    enum outcome o = rc >= SIGNAL ? SIGNAL : (enum outcome)rc;
    c->n[o]++;
    return o;
}

static inline void damage_show(const char *what, const struct counts *c) {
    printf("# %-28s", what);
    for (int i = 0; i < OUTCOMES; i++)
        printf(" %5u %s%s", c->n[i], outcomes[i], i + 1 < OUTCOMES ? "," : "");
    printf("\n");
}
#endif
