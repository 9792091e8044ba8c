/* rate.c: a steady load on a store: commits of one register each, evenly. It
 * prints how many there were, their keys' bytes and how long it took.
 *
 * rate STORE BUCKET PREFIX PER_SECOND SECONDS BYTES */
#include "edgecrdt.h"
#include "lib/crypto.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_us(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static _Noreturn void die(void) {
    fprintf(stderr, "rate: %s\n", ecrdt_errmsg());
    exit(2);
}

int main(int argc, char **a) {
    ecrdt_store *s = argc == 7 ? ecrdt_open(a[1], NULL) : NULL;
    if (!s || crypto_init() < 0)
        die();
    uint64_t per = (uint64_t)atol(a[4]), n = per * (uint64_t)atol(a[5]);
    size_t size = (size_t)atol(a[6]), keys = 0;
    uint8_t *value = calloc(1, size + 8);
    uint64_t begin = now_us();
    for (uint64_t i = 0; i < n; i++) {
        char key[64];
        uint64_t at = begin + i * 1000000 / per;
        if (at > now_us())
            usleep((useconds_t)(at - now_us()));
        keys += (size_t)snprintf(key, sizeof key, "%s%06llu", a[3],
                                 (unsigned long long)i);
        crypto_random(value, size);
        ecrdt_txn *t = ecrdt_auto(s);
        if (ecrdt_reg_set(t, a[2], ecrdt_str(key), slice_of(value, size)) < 0)
            die();
        ecrdt_abort(t);
    }
    printf("events=%llu keys=%zu ms=%llu\n", (unsigned long long)n, keys,
           (unsigned long long)(now_us() - begin) / 1000);
    free(value);
    return ecrdt_close(s) < 0;
}
