/* access_counter.c: a real edge function: takes web-server log lines on
 * standard input as its requests and counts each in one transaction. */
#include "edgecrdt.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct request {
    char *line;
    size_t cap;
    ecrdt_slice client, path, status, agent; /* all borrow from line */
};

/* Takes the next word off *p, cut at blanks as awk does it. */
static ecrdt_slice word(const char **p) {
    *p += strspn(*p, " \t");
    ecrdt_slice w = {*p, strcspn(*p, " \t\n")};
    *p += w.len;
    return w;
}

/* The n-th string between quotes; \" inside does not end it. A NULL one if
 * there are fewer. */
static ecrdt_slice quoted(const char *p, int n) {
    ecrdt_slice q = {NULL, 0};
    while (n-- > 0 && (p = strchr(p, '"'))) {
        q.data = ++p;
        while (*p && *p != '"' && *p != '\n')
            p += *p == '\\' && p[1] ? 2 : 1;
        q.len = (size_t)(p - (const char *)q.data);
        p += *p == '"';
    }
    return p ? q : (ecrdt_slice){NULL, 0};
}

/* Fills r from its line in combined log format; 0 if it is malformed or does
 * not fit the store's limits. Nothing is ever cut short to fit. */
static int parse(struct request *r) {
    const char *p = r->line;
    ecrdt_slice w[10];
    for (int i = 1; i <= 9; i++) /* as awk's $1 to $9 */
        w[i] = word(&p);
    r->client = w[1];
    r->path = w[7];
    r->status = w[9];
    r->agent = quoted(r->line, 3);
    return r->status.len == 3 && strspn(r->status.data, "0123456789") == 3 &&
           r->client.len <= ECRDT_MAX_KEY && r->path.len <= ECRDT_MAX_KEY &&
           r->agent.len <= ECRDT_MAX_VALUE;
}

/* Counts one request: its four changes happen together or not at all. */
static int count(ecrdt_txn *t, const struct request *r) {
    ecrdt_op ops[] = {
        {ECRDT_OP_COUNTER_ADD, "hits", r->path, {NULL, 0}, 1},
        {ECRDT_OP_COUNTER_ADD, "status", r->status, {NULL, 0}, 1},
        {ECRDT_OP_SET_ADD, "visitors", r->path, r->client, 0},
        {ECRDT_OP_REG_SET, "agents", r->client, r->agent, 0},
    };
    return ecrdt_apply(t, ops, r->agent.data ? 4 : 3);
}

/* Reads up to max good requests, before any lock is held: waiting for input
 * must not keep other functions from writing. */
static size_t gather(struct request *r, size_t max, size_t *malformed) {
    size_t n = 0;
    while (n < max && getline(&r[n].line, &r[n].cap, stdin) > 0) {
        if (parse(&r[n]))
            n++;
        else
            ++*malformed;
    }
    return n;
}

/* Commits n requests in one transaction. */
static int serve(ecrdt_store *s, const struct request *r, size_t n) {
    ecrdt_txn *t = ecrdt_write(s);
    int rc = 0;
    for (size_t i = 0; i < n && rc >= 0; i++)
        rc = count(t, &r[i]);
    if (rc >= 0)
        return ecrdt_commit(t);
    ecrdt_abort(t);
    return rc;
}

int main(int argc, char **argv) {
    size_t batch = 1, n, served = 0, malformed = 0;
    int c, rc = 0, bad = 0;
    while ((c = getopt(argc, argv, "b:")) != -1)
        if (c != 'b' || (batch = strtoul(optarg, NULL, 10)) - 1 >= 100000)
            bad = 1;
    if (bad || argc != optind + 1) {
        fprintf(stderr, "usage: access_counter [-b REQUESTS_PER_TXN] STORE\n");
        return 64;
    }
    ecrdt_options opts = ECRDT_OPTIONS_INIT;
    opts.lock_timeout_ms = 30000; /* many functions share the store */
    ecrdt_store *s = ecrdt_open(argv[optind], &opts);
    struct request *r = calloc(batch, sizeof *r);
    while (s && r && rc >= 0 && (n = gather(r, batch, &malformed)) > 0)
        if ((rc = serve(s, r, n)) >= 0)
            served += n;
    if (!s || !r || rc < 0)
        fprintf(stderr, "access_counter: %s\n",
                s && !r ? "out of memory" : ecrdt_errmsg());
    fprintf(stderr, "access_counter: %zu requests counted, %zu malformed\n",
            served, malformed);
    for (size_t i = 0; r && i < batch; i++)
        free(r[i].line);
    free(r);
    return ecrdt_close(s) < 0 || !r || rc < 0;
}
