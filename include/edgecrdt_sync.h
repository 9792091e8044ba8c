/* edgecrdt_sync.h: replication inside the process, for a function that must
 * push before it is frozen. The library libedgecrdt-sync holds all of
 * libedgecrdt as well: link one or the other, never both. */
#ifndef EDGECRDT_SYNC_H
#define EDGECRDT_SYNC_H
#include "edgecrdt.h"
#ifdef __cplusplus
extern "C" {
#endif

/* Whom to talk to. Every field that is 0 or NULL means "default". */
typedef struct ecrdt_sync_conf {
    size_t size;          /* sizeof(ecrdt_sync_conf)                       */
    const char *key_file; /* the node key ("edgecrdt key gen"); required   */
    const char *realm;    /* both sides must share it, 1 to 64 bytes; NULL =
                             "default"                                     */
    const char *const *peers; /* "ed25519:KEY@host:port"; at least one     */
    size_t npeers;
    const char *name; /* shown by peers, at most 64 bytes; NULL = the host's */
} ecrdt_sync_conf;
#define ECRDT_SYNC_CONF_INIT                                                   \
    { sizeof(ecrdt_sync_conf), NULL, NULL, NULL, 0, NULL }

/* What one ecrdt_sync_once() did. */
typedef struct ecrdt_sync_report {
    size_t size;            /* sizeof(ecrdt_sync_report), set by the caller */
    uint32_t peers_reached; /* handshakes that succeeded                   */
    uint32_t peers_synced;  /* hold all we have, and we all they have      */
    uint64_t items_applied; /* items that changed this store               */
    uint64_t items_sent;
    uint64_t bytes_received; /* on the wire                                */
    uint64_t bytes_sent;
} ecrdt_sync_report;

/* Connects to all peers at once, pushes what they lack, pulls what we lack,
 * and returns when every one is in sync, when every one has refused us, or
 * after timeout_ms (milliseconds).
 * "Pushed" means: applied and durable at the peer. report may be NULL.
 * Runs in the caller's thread and starts no other; the store may be in use
 * by others meanwhile, but the calling thread must hold no write transaction.
 * 1 = all peers synced; 0 = the deadline passed before some were (errmsg
 * names them); < 0: EINVAL, EAUTH, EPEER, EIO, EFULL, ENOMEM if no peer
 * could be synced and the first failed for that reason. */
ECRDT_API int ecrdt_sync_once(ecrdt_store *s, const ecrdt_sync_conf *conf,
                              int timeout_ms, ecrdt_sync_report *report);

#ifdef __cplusplus
}
#endif
#endif
