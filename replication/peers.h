/* peers.h: what a node knows of each peer: state, lag, back-off and counters,
 * and the records of them that the store keeps for "edgecrdt peers". */
#ifndef REPLICATION_PEERS_H
#define REPLICATION_PEERS_H
#include "crdt/replica.h"

enum {
    PEER_KEY_TEXT = 52,     /* "ed25519:" + 43 base64url characters + NUL */
    PEER_NAME_MAX = 64,     /* bytes of a node's or peer's name */
    PEER_ADDRESS_MAX = 280, /* bytes of "host:port" */
    PEER_ERROR_MAX = 320,   /* bytes of the last error sentence */
    PEER_HOLDS_MAX = 480,   /* bytes of what a peer holds, in words */
    PEERS_MAX = 4096,       /* peers in one table */
    RELAY_LISTEN_MAX = 16,  /* listening addresses of a node */
    PEERS_BACKOFF_MIN_MS = 500,
    PEERS_BACKOFF_MAX_MS = 30000,
    PEERS_STABLE_MS = 5000,      /* a link this old resets the back-off */
    PEERS_WRITE_EVERY_MS = 2000, /* least time between two writes */
    PEERS_STALE_MS = 30000       /* a relay this silent does not run */
};

/* The record of the node itself lies under this name, one of each peer under
 * its key text ("ed25519:..."). */
#define PEERS_SELF "self"

enum peer_state {
    PEER_DOWN,        /* no link; the next attempt waits for its back-off */
    PEER_CONNECTING,  /* TCP connection is being made */
    PEER_HANDSHAKE,   /* authenticating */
    PEER_SYNCING,     /* clocks are being exchanged, or events are missing */
    PEER_IN_SYNC,     /* each side holds all that the other has */
    PEER_REFUSED,     /* one side refused the other; error tells why */
    PEER_UNREACHABLE, /* the address cannot be reached; error tells why */
    PEER_WAITING,     /* accept-only peer that has not connected yet */
    PEER_STATES
};

enum peer_direction { PEER_DIAL, PEER_ACCEPT, PEER_DIRECTIONS };
/* An auditor only compares: its links stand beside those that replicate. */
enum peer_role { PEER_EDGE, PEER_CORE, PEER_AUDITOR, PEER_ROLES };

/* "in sync" and so on; "?" for a number out of range. */
const char *peer_state_name(unsigned state);
/* "dial" or "accept". */
const char *peer_direction_name(unsigned direction);
/* "edge", "core" or "auditor". */
const char *peer_role_name(unsigned role);

/* What the store tells of one peer; the relay writes it, the CLI reads it. */
struct peer_record {
    char key[PEER_KEY_TEXT];
    char name[PEER_NAME_MAX + 1]; /* configured, else the peer's own */
    char address[PEER_ADDRESS_MAX + 1];
    char error[PEER_ERROR_MAX + 1]; /* last error sentence, "" if none */
    char holds[PEER_HOLDS_MAX + 1]; /* what it subscribes to, in words */
    uint8_t direction, role, state; /* the enums above */
    bool configured;                /* listed in the configuration */
    bool has_origin;
    uint8_t origin[ORIGIN_SIZE]; /* of the peer's store */
    uint64_t since_ms;           /* wall time of the last state change */
    uint64_t seen_ms;            /* wall time of the last message, 0 never */
    uint64_t updated_ms;         /* wall time of this record */
    uint64_t missing_here;       /* events the peer has and we lack */
    uint64_t missing_there;      /* events we have and the peer lacks */
    uint64_t buckets;            /* that the link speaks of */
    uint64_t chunks_in, chunks_out;
    uint64_t items_in, items_out;
    uint64_t bytes_in, bytes_out; /* on the wire */
    uint64_t refused_parts;       /* of chunks, by our store */
    uint64_t ahead_parts;         /* ... that build on what was missing here */
    uint64_t complete_parts;      /* ... whole ranges: we were below a floor */
    uint64_t fp_refused;          /* fingerprint messages nobody asked for */
    uint64_t payload_in;          /* bytes of events, of all chunks ... */
    uint64_t repeated_in;         /* ... that were here already */
    uint64_t foreign_parts;       /* ... and outside of what we hold */
    uint64_t links;               /* handshakes that succeeded */
    uint64_t failures;            /* links and attempts that failed */
    uint64_t audits;              /* comparisons with it that were finished */
    uint64_t mismatches;          /* ... that found a difference */
};

/* What the store tells of the node that replicates it. */
struct relay_record {
    char key[PEER_KEY_TEXT];
    char name[PEER_NAME_MAX + 1];
    char realm[PEER_NAME_MAX + 1];
    char version[32];
    char status[PEER_ERROR_MAX + 1]; /* one sentence: "running", "draining",
                                        "disk full: ...", "stopped" */
    uint8_t role;
    bool running; /* false: it stopped in order */
    uint64_t pid;
    uint64_t started_ms, updated_ms; /* wall time */
    uint64_t links;                  /* open now */
    uint64_t refused_keys;           /* handshakes by unknown keys */
    char refused_key[PEER_KEY_TEXT]; /* the last such key, "" if none */
    char refused_address[PEER_ADDRESS_MAX + 1];
    uint64_t malformed; /* links closed for what they sent */
    uint64_t bulks;     /* catch-ups too large for one chunk that began */
    uint64_t fork_merges, fork_unknown; /* of its handle: see ecrdt_stats */
    uint32_t n_listen;
    char listen[RELAY_LISTEN_MAX][PEER_ADDRESS_MAX + 1];
};

/* Appends the record to out; out->err tells of a failure. */
void peers_record_encode(struct buf *out, const struct peer_record *r);

/* Strict: 0, or ECRDT_ECORRUPT with a sentence. */
int peers_record_decode(slice value, struct peer_record *r);

/* The same two for the record under PEERS_SELF. */
void relay_record_encode(struct buf *out, const struct relay_record *r);
int relay_record_decode(slice value, struct relay_record *r);

/* One peer of the running node. */
struct peer {
    uint8_t key[32];
    char host[PEER_ADDRESS_MAX + 1]; /* "" = accept-only */
    uint16_t port;
    struct peer_record r;
    uint64_t attempt_at_ms; /* the next dial, unless there is a link */
    uint64_t up_ms;         /* since when the link is good, 0 = it is not */
    unsigned failed;        /* attempts in a row */
    int error;              /* code of the last failure */
    bool dirty;             /* r differs from what the store has */
    bool gone;              /* left the configuration: to be deleted */
    void *link;             /* the good link, the owner's; NULL = none */
    void *dial;             /* a link being made, the owner's */
};

/* Zero-initialise, peers_free(). The peers do not move. */
struct peers {
    struct peer **p;
    size_t n, cap;
    struct relay_record self;
    bool self_dirty;
    bool purged;         /* records of earlier runs were looked through */
    uint64_t written_ms; /* when the store was last brought up to date */
};

/* The peer with this key, NULL if there is none. */
struct peer *peers_find(const struct peers *ps, const uint8_t key[32]);

/* Adds or changes a configured peer; host "" (port ignored) means that it
 * dials us. name may be "". 0; ECRDT_EINVAL past PEERS_MAX; ECRDT_ENOMEM. */
int peers_put(struct peers *ps, const uint8_t key[32], const char *name,
              const char *host, uint16_t port, struct peer **p);

/* Forgets a peer without a link; its record is deleted by peers_write(). */
void peers_drop(struct peers *ps, struct peer *p);

/* Frees all peers; ps is empty again. */
void peers_free(struct peers *ps);

/* Notes a state and, unless it is NULL, a new last error. */
void peer_state_set(struct peer *p, enum peer_state state, const char *error,
                    uint64_t wall_ms);

/* An attempt or link failed: the next one waits for half to all of a
 * back-off that doubles each time; random picks. A link that was good for
 * PEERS_STABLE_MS begins anew. */
void peer_failed(struct peer *p, uint64_t now_ms, uint32_t random);

/* The link is good as of now_ms. */
void peer_up(struct peer *p, uint64_t now_ms);

/* Brings the records in the store up to date, at most once in
 * PEERS_WRITE_EVERY_MS unless forced, and only if the writer lock is free at
 * once. 1 = written, 0 = nothing to do or not now; negative codes are the
 * store's. */
int peers_write(struct peers *ps, ecrdt_store *s, bool force, uint64_t now_ms,
                uint64_t wall_ms);
#endif
