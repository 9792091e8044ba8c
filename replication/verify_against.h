/* verify_against.h: compares a store with that of a running node, bucket by
 * bucket, and changes neither; what "edgecrdt verify --against" does. */
#ifndef REPLICATION_VERIFY_AGAINST_H
#define REPLICATION_VERIFY_AGAINST_H
#include "replication/audit.h"

struct verify_against {
    const char *key_file, *realm, *name; /* as ecrdt_sync_conf */
    const char *peer;                    /* "ed25519:KEY@host:port" */
    int timeout_ms;
    void (*found)(void *ctx, const struct difference *d);
    void *ctx;
    /* results */
    uint64_t buckets, ranges;
    uint32_t findings;
    uint64_t bytes; /* on the wire, both ways */
};

/* Runs in the caller's thread. 1 = all that both hold is equal; 0 = found was
 * called for the first keys that differ, AUDIT_FINDINGS of a bucket at most;
 * negative: ECRDT_ETIMEOUT if the two were not at equal clocks before the
 * deadline (the sentence names the bucket), else as ecrdt_sync_once(). */
int verify_against(ecrdt_store *s, struct verify_against *v);
#endif
