/* two_stores.c: two processes, each with a store of its own, change the same
 * data apart and then converge by export and import over two pipes. */
#include "edgecrdt.h"
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct bytes {
    char data[1 << 16];
    size_t len;
};

static int append(void *ctx, const void *data, size_t len) {
    struct bytes *b = ctx;
    if (len > sizeof b->data - b->len)
        return 1;
    memcpy(b->data + b->len, data, len);
    b->len += len;
    return 0;
}

/* Sends what b holds as length and bytes, then receives the other side's;
 * a small message fits the pipe, so both may send first. */
static int swap(int in, int out, struct bytes *b) {
    size_t len = b->len;
    if (write(out, &len, sizeof len) != sizeof len ||
        write(out, b->data, len) != (ssize_t)len ||
        read(in, &b->len, sizeof b->len) != sizeof b->len ||
        b->len > sizeof b->data)
        return 0;
    for (size_t got = 0; got < b->len;) {
        ssize_t n = read(in, b->data + got, b->len - got);
        if (n <= 0)
            return 0;
        got += (size_t)n;
    }
    return 1;
}

/* One node's life: write alone, exchange, read. */
static int node(const char *path, const char *city, int in, int out) {
    static struct bytes summary, delta;
    ecrdt_store *s = ecrdt_open(path, NULL);
    ecrdt_txn *t = ecrdt_auto(s);
    ecrdt_counter_add(t, "shop", ECRDT_STR("visits"), 3, NULL);
    ecrdt_set_add(t, "shop", ECRDT_STR("cities"), ecrdt_str(city));

    int64_t visits = 0;
    uint64_t cities = 0;
    int ok = ecrdt_summary(s, append, &summary) == 0 &&
             swap(in, out, &summary) &&
             ecrdt_export(s, (ecrdt_slice){summary.data, summary.len}, 0,
                          append, &delta) == 0 &&
             swap(in, out, &delta) &&
             ecrdt_import(s, (ecrdt_slice){delta.data, delta.len}, NULL) == 0 &&
             ecrdt_counter_get(t, "shop", ECRDT_STR("visits"), &visits) == 1 &&
             ecrdt_set_size(t, "shop", ECRDT_STR("cities"), &cities) == 0;
    printf("%s: %lld visits, %llu cities%s%s\n", city, (long long)visits,
           (unsigned long long)cities, ok ? "" : ": ",
           ok ? "" : ecrdt_errmsg());
    ecrdt_abort(t);
    return ecrdt_close(s) < 0 || !ok || visits != 6 || cities != 2;
}

int main(int argc, char **argv) {
    int ab[2], ba[2], status = 1;
    if (argc != 3 || pipe(ab) || pipe(ba)) {
        fprintf(stderr, "usage: two_stores NEW_STORE_A NEW_STORE_B\n");
        return 64;
    }
    pid_t pid = fork(); /* before any store is open */
    close(ab[pid != 0 ? 0 : 1]);
    close(ba[pid != 0 ? 1 : 0]);
    if (pid == 0)
        return node(argv[2], "Lisbon", ab[0], ba[1]);
    int rc = node(argv[1], "Oslo", ba[0], ab[1]);
    return pid < 0 || waitpid(pid, &status, 0) != pid || status || rc;
}
