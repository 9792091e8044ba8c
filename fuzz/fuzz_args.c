/* fuzz_args.c: a command line, one word a line: it ends with an exit code of
 * ours and a sentence, or as a call that its verb can take.
 * Covers: cli/args.c */
#include "cli/cli.h"
#include "fuzz/fuzz.h"
#include <getopt.h>

enum { WORDS = 64 };

/* Parses with messages and pages going nowhere. */
static int parse(struct cli *c, int argc, char **argv) {
    static FILE *nowhere;
    FILE *out = stdout, *err = stderr;
    if (!nowhere) {
        nowhere = fopen("/dev/null", "w");
        FUZZ_CHECK(nowhere && freopen("/dev/null", "r", stdin));
    }
    stderr = stdout = nowhere;
    optind = 0; /* getopt() begins anew */
    int rc = args_parse(c, argc, argv);
    stdout = out;
    stderr = err;
    return rc;
}

static void fits(const struct cli *c) {
    const char *p = c->verb->operands, *optional = strchr(p, '|');
    size_t min = optional ? (size_t)(optional - p) : strlen(p);
    size_t max = strlen(p) - !!optional;
    if (strchr(p, '+'))
        min -= !optional, max = WORDS;
    FUZZ_CHECK((size_t)c->n >= min && (size_t)c->n <= max);
    for (int i = 0; i < c->n; i++)
        FUZZ_CHECK(c->word[i] && c->bytes[i].len <= ECRDT_MAX_VALUE + 1);
    FUZZ_CHECK(c->timeout_ms >= 0);
    FUZZ_CHECK(c->max_bytes <= INT64_MAX && c->retention_ms <= INT64_MAX);
    FUZZ_CHECK(!(c->types & ~(unsigned)ECRDT_ANY));
}

/* Numbers, sizes and times as words alone. */
static void numbers(const char *text) {
    int64_t n;
    uint64_t size, ms;
    size_t digits = strspn(text, "+-0123456789");
    if (args_int64(text, &n))
        FUZZ_CHECK(!text[digits] && digits);
    if (args_size(text, &size))
        FUZZ_CHECK(size > 0 && size <= INT64_MAX && !strchr(text, ' ') &&
                   strlen(text) - digits <= 1);
    if (args_duration(text, &ms))
        FUZZ_CHECK(ms <= INT64_MAX && strlen(text) - digits <= 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = malloc(size + 1), *argv[WORDS + 2] = {"edgecrdt"};
    struct cli c = {.store = NULL};
    int argc = 1;
    if (!text || memchr(data, 0, size)) {
        free(text);
        return 0;
    }
    memcpy(text, data, size);
    text[size] = 0;
    for (char *p = text; p && argc <= WORDS; argc++) {
        argv[argc] = p;
        p = strchr(p, '\n');
        if (p)
            *p++ = 0;
        numbers(argv[argc]);
    }
    argv[argc] = NULL;
    int rc = parse(&c, argc, argv);
    FUZZ_CHECK(rc >= 0 && rc <= EXIT_NOPERM + 1);
    if (rc == 0 && c.verb)
        fits(&c);
    free(c.input);
    free(c.bytes);
    free(c.word);
    free(text);
    return 0;
}
