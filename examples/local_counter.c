/* local_counter.c: counts how often it was run: the smallest useful program.
 * Run several at once: no increment is lost. */
#include "edgecrdt.h"
#include <stdio.h>

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: local_counter STORE\n");
        return 64;
    }
    int64_t runs = 0;
    ecrdt_store *s = ecrdt_open(argv[1], NULL); /* creates it if need be */
    ecrdt_txn *t = ecrdt_auto(s);               /* each call commits     */
    ecrdt_counter_add(t, "demo", ECRDT_STR("runs"), 1, &runs);
    ecrdt_abort(t);
    if (ecrdt_errcode()) { /* the first failure of the chain */
        fprintf(stderr, "local_counter: %s\n", ecrdt_errmsg());
        ecrdt_close(s);
        return 1;
    }
    printf("run number %lld\n", (long long)runs);
    return ecrdt_close(s) < 0;
}
