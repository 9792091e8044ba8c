/* iterate.c: walks a bucket in the order of its keys, all from one snapshot:
 * registers with their conflicts, sets with their elements, counters. */
#include "edgecrdt.h"
#include <stdio.h>

static void print(const char *before, ecrdt_slice s) {
    printf("%s%.*s", before, (int)s.len, s.len ? (const char *)s.data : "");
}

/* All concurrent values of a register; more than one is a conflict. */
static int values(ecrdt_txn *t, const char *bucket, ecrdt_slice key) {
    ecrdt_entry v;
    ecrdt_iter *it = ecrdt_reg_siblings(t, bucket, key);
    int rc, n = 0;
    for (; (rc = ecrdt_next(it, &v)) > 0; n++)
        print(n ? " | or, at the same time: " : " = ", v.val);
    ecrdt_iter_close(it);
    return rc;
}

static int elements(ecrdt_txn *t, const char *bucket, ecrdt_slice key) {
    ecrdt_entry e;
    ecrdt_iter *it = ecrdt_elems(t, bucket, key, (ecrdt_slice){NULL, 0});
    int rc, n = 0;
    for (; (rc = ecrdt_next(it, &e)) > 0; n++)
        print(n ? ", " : " = {", e.val);
    puts(n ? "}" : " = {}");
    ecrdt_iter_close(it);
    return rc;
}

int main(int argc, char **argv) {
    if (argc != 3 && argc != 4) {
        fprintf(stderr, "usage: iterate STORE BUCKET [PREFIX]\n");
        return 64;
    }
    ecrdt_options opts = ECRDT_OPTIONS_INIT;
    opts.flags = ECRDT_RDONLY | ECRDT_NOCREATE;
    ecrdt_store *s = ecrdt_open(argv[1], &opts);
    ecrdt_txn *t = ecrdt_read(s); /* never waits for a writer */
    ecrdt_iter *it = ecrdt_keys(t, argv[2], ecrdt_str(argv[3]), ECRDT_ANY);
    ecrdt_entry e;
    int rc;
    while ((rc = ecrdt_next(it, &e)) > 0) {
        print("", e.key);
        if (e.type == ECRDT_REG && (rc = values(t, argv[2], e.key)) == 0)
            puts("");
        else if (e.type == ECRDT_SET)
            rc = elements(t, argv[2], e.key);
        else if (e.type == ECRDT_COUNTER)
            printf(" = %lld\n", (long long)e.num);
        if (rc < 0)
            break;
    }
    if (rc < 0)
        fprintf(stderr, "iterate: %s\n", ecrdt_errmsg());
    ecrdt_abort(t);
    return ecrdt_close(s) < 0 || rc < 0;
}
