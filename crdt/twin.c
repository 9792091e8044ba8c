/* twin.c: what a store does when it, or a peer, sees that another one goes on
 * with its identity, or that it was rolled back (PROTOCOL D3 to D5). */
#include "crdt/chain.h"
#include "crdt/held.h"
#include "crdt/replica.h"
#include "lib/log.h"

int twin_renew(ecrdt_txn *t) {
    int rc = origin_renew(t);
    return rc < 0 ? rc : subscription_doubt(t);
}

int twin_check(ecrdt_txn *t, struct bucket *bk, const struct vv *heard) {
    int rc = chain_is_cloned(t, bk, heard);
    if (rc != 1)
        return rc;
    log_line(ECRDT_LOG_WARN,
             "msg=\"a peer has events of this store that the store itself has "
             "not made: it was rolled back, or a copy of it is in use; new "
             "incarnation\" store=\"%s\" bucket=\"%s\"",
             log_text(t->s->path).s, log_text(bk->name).s);
    rc = twin_renew(t);
    return rc < 0 ? rc : 1;
}

static int
each_heard(ecrdt_txn *t, const char *bucket, const struct ranges *heard,
           int (*fn)(ecrdt_txn *, struct bucket *, const struct vv *)) {
    struct bucket *bk;
    int rc = txn_bucket(t, bucket, false, &bk);
    if (rc == 1)
        rc = txn_head(t, bk) < 0 ? db_err(t->db) : 1;
    for (size_t i = 0, go = rc == 1; go && i < heard->n; i++) {
        rc = fn(t, bk, &heard->r[i].clk);
        if (rc != 0)
            return rc;
    }
    return rc < 0 ? rc : 0;
}

int replica_is_cloned(ecrdt_txn *t, const char *bucket,
                      const struct ranges *heard) {
    return each_heard(t, bucket, heard, chain_is_cloned);
}

int replica_renew(ecrdt_txn *t, const char *bucket,
                  const struct ranges *heard) {
    return each_heard(t, bucket, heard, twin_check);
}
