/* churn_driver.c: writes that leave nothing behind but their traces: adds to
 * one counter, elements that come and go; and a reader that is reopened every
 * second. STORE INCREMENTS ELEMENTS; prints what it did. */
#include "edgecrdt.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PER_TXN = 100 };
static const char bucket[] = "churn";

static void must(int ok, const char *what) {
    if (ok)
        return;
    fprintf(stderr, "%s: %s\n", what, ecrdt_errmsg());
    exit(1);
}

static double seconds(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Keeps a snapshot for a second, then takes another. */
static void read_for_ever(const char *path) {
    ecrdt_store *s = ecrdt_open(path, NULL);
    must(s != NULL, "open");
    for (;;) {
        int64_t v;
        ecrdt_txn *t = ecrdt_read(s);
        must(t != NULL, "read");
        must(ecrdt_counter_get(t, bucket, ECRDT_STR("hits"), &v) >= 0, "get");
        sleep(1);
        ecrdt_abort(t);
    }
}

static void count_up(ecrdt_store *s, long n) {
    while (n > 0) {
        ecrdt_txn *t = ecrdt_write(s);
        must(t != NULL, "write");
        for (int i = 0; i < PER_TXN && n > 0; i++, n--)
            must(ecrdt_counter_add(t, bucket, ECRDT_STR("hits"), 1, NULL) == 0,
                 "add");
        must(ecrdt_commit(t) == 0, "commit");
    }
}

static ecrdt_slice element(char text[32], long i) {
    snprintf(text, 32, "element-%012ld", i);
    return ecrdt_str(text);
}

/* Each transaction adds some, and removes those of the one before. */
static void come_and_go(ecrdt_store *s, long n) {
    enum { HALF = PER_TXN / 2 };
    char text[32];
    for (long from = 0; from < n + HALF; from += HALF) {
        ecrdt_txn *t = ecrdt_write(s);
        must(t != NULL, "write");
        for (long i = from; i < from + HALF && i < n; i++)
            must(ecrdt_set_add(t, bucket, ECRDT_STR("set"), element(text, i)) ==
                     1,
                 "add");
        for (long i = from - HALF; i < from && i < n; i++)
            if (i >= 0)
                must(ecrdt_set_remove(t, bucket, ECRDT_STR("set"),
                                      element(text, i)) == 1,
                     "remove");
        must(ecrdt_commit(t) == 0, "commit");
    }
}

int main(int argc, char **argv) {
    if (argc != 4)
        return 2;
    pid_t reader = fork();
    if (reader == 0)
        read_for_ever(argv[1]);
    ecrdt_store *s = ecrdt_open(argv[1], NULL);
    must(s != NULL, "open");
    double began = seconds();
    count_up(s, atol(argv[2]));
    double between = seconds();
    come_and_go(s, atol(argv[3]));
    printf("increments=%s in %.1f s, elements=%s in %.1f s\n", argv[2],
           between - began, argv[3], seconds() - between);
    kill(reader, SIGKILL);
    waitpid(reader, NULL, 0);
    return ecrdt_close(s) == 0 ? 0 : 1;
}
