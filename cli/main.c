/* main.c: the program edgecrdt: reads the call, opens the store as the verb
 * asks, runs the verb, and ends with its exit code. */
#include "cli/verbs.h"
#include <signal.h>
#include <stdlib.h>

static int open_store(struct cli *c) {
    ecrdt_options opts = ECRDT_OPTIONS_INIT;
    uint32_t check = c->verb->use == USE_CHECK ? ECRDT_CHECK : 0;
    opts.flags = ECRDT_NOCREATE | check;
    if (c->verb->use == USE_READ || check)
        opts.flags |= ECRDT_RDONLY;
    c->s = ecrdt_open(c->store, &opts);
    if (!c->s && ecrdt_errcode() == ECRDT_ENOTSUP) {
        /* equal pids: reads take the lock */
        opts.flags = ECRDT_NOCREATE | check;
        c->s = ecrdt_open(c->store, &opts);
    }
    if (c->s)
        return 0;
    int rc = ecrdt_errcode();
    if (rc == ECRDT_ENOENT)
        return out_error(EXIT_NOINPUT,
                         "there is no store in %s: check -s, or create one "
                         "with 'edgecrdt -s %s init'",
                         c->store, c->store);
    return out_failed(rc);
}

/* Does this call need a folder named by -s? */
static bool wants_store(const struct cli *c) {
    return c->verb->use != USE_NONE && !c->limits;
}

static int run(struct cli *c) {
    if (wants_store(c) && (!c->store || !*c->store))
        return out_error(EXIT_USAGE,
                         "%s: which store? Name its folder with -s DIR or in "
                         "EDGECRDT_STORE",
                         c->verb->name);
    int code = 0;
    if (c->verb->use != USE_NEW && wants_store(c))
        code = open_store(c);
    if (!code)
        code = c->verb->run(c);
    int rc = ecrdt_close(c->s);
    if (c->s && rc < 0 && !code)
        code = out_failed(rc);
    return code;
}

int main(int argc, char **argv) {
    struct cli c = {.store = getenv("EDGECRDT_STORE")};
    signal(SIGXFSZ, SIG_IGN); /* a file at its limit is an error like others */
    int code = args_parse(&c, argc, argv) - 1;
    if (code < 0) {
        if (!c.verb && !c.store)
            code = help_print(NULL) ? EXIT_IO : EXIT_USAGE;
        else {
            if (!c.verb)
                c.verb = verb_find("status");
            code = run(&c);
        }
    }
    int flushed = out_flush();
    free(c.input);
    free(c.bytes);
    free(c.word);
    return code ? code : flushed;
}
