/* replay.c: runs a fuzz target over its seeds, and over small changes of each,
 * with any compiler; prints TAP.
 *   fuzz_NAME [FILE...]    default: all of fuzz/seeds/NAME
 *   FUZZ_KEEP=FILE         the input that runs is written there before */
#include "fuzz/fuzz.h"
#include "tests/support/support.h"
#include <dirent.h>

enum { CHANGES = 24 };

static void run(const uint8_t *data, size_t size) {
    const char *keep = getenv("FUZZ_KEEP");
    uint8_t *exact = malloc(size + !size); /* sanitizers see a step too far */
    if (!exact)
        abort();
    memcpy(exact, data, size);
    if (keep)
        file_write(keep, exact, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

/* Cut off, with bits flipped, with a piece of itself elsewhere. */
static void run_changed(const uint8_t *seed, size_t len, struct rng *r) {
    uint8_t *b = malloc(len + 1);
    if (!b)
        abort();
    for (int i = 0; i < CHANGES && len; i++) {
        size_t n = rng_below(r, 4) ? len : rng_below(r, len);
        memcpy(b, seed, len);
        for (uint64_t k = rng_below(r, 4); k > 0; k--)
            b[rng_below(r, len)] = (uint8_t)rng_u64(r);
        if (rng_below(r, 4) == 0)
            memmove(b + len / 2, b + rng_below(r, len - len / 4), len / 4);
        run(b, n);
    }
    free(b);
}

static int no_dots(const struct dirent *e) {
    return e->d_name[0] != '.';
}

static void run_file(const char *name, int number) {
    struct rng r = {.s = 0x9e3779b97f4a7c15};
    char path[600];
    snprintf(path, sizeof path, "%s", name);
    size_t len;
    char *data = file_read(path, &len);
    printf("# %s\n", path);
    fflush(stdout);
    run((const uint8_t *)data, len);
    run_changed((const uint8_t *)data, len, &r);
    printf("ok %d - %s\n", number, path);
    free(data);
}

int main(int argc, char **argv) {
    const char *name = strrchr(argv[0], '/');
    name = name ? name + 1 : argv[0];
    char folder[512];
    snprintf(folder, sizeof folder, "fuzz/seeds/%s",
             !strncmp(name, "fuzz_", 5) ? name + 5 : name);
    for (int i = 1; i < argc; i++)
        run_file(argv[i], i);
    struct dirent **list = NULL;
    int n = argc > 1 ? 0 : scandir(folder, &list, no_dots, alphasort);
    if (n < 0) {
        fprintf(stderr, "no seeds in %s: make fuzz-seeds\n", folder);
        return 1;
    }
    for (int i = 0; i < n; i++) {
        run_file(path_join(folder, list[i]->d_name), i + 1);
        free(list[i]);
    }
    free(list);
    printf("1..%d\n", argc > 1 ? argc - 1 : n);
    return 0;
}
