/* mirror.h: what one link knows of the peer's clock in each bucket: what was
 * heard, what is on its way, what may be sent next. */
#ifndef REPLICATION_MIRROR_H
#define REPLICATION_MIRROR_H
#include "replication/message.h"

enum {
    MIRRORS_MAX = ECRDT_MAX_BUCKETS,
    MIRRORS_MAX_BYTES = 32 << 20, /* of clocks that one peer told us */
    MIRROR_BACKOFF_MS = 100,      /* after a chunk that changed nothing ... */
    MIRROR_BACKOFF_MAX_MS = 30000 /* ... doubling up to this */
};

/* A bucket as one snapshot of our own store holds it. */
struct view {
    char bucket[ECRDT_MAX_BUCKET_NAME + 1];
    struct ranges ranges;
    struct vv floor;
    uint64_t version; /* grows with each change of the clock */
};

/* What a mirror knows of talks about its fingerprints. */
struct talk {
    bool due;       /* the peer is below our floor: begin one, push nothing */
    bool on;        /* one is under way: our clocks are not told meanwhile */
    bool settling;  /* ... nor until what it brought is here */
    uint64_t at_ms; /* no push earlier, unless a CLOCK comes */
    unsigned tries; /* talks in a row after which the peer was below it */
};

struct mirror {
    char bucket[ECRDT_MAX_BUCKET_NAME + 1];
    const struct view *view; /* ours; NULL while we lack the bucket */
    struct ranges heard;     /* the peer's last CLOCK */
    struct ranges peer;      /* heard, raised by the chunks in flight */
    struct vv floor;         /* of the peer's last CLOCK */
    struct talk talk;
    struct chunk_tail tail;
    size_t heard_bytes;     /* memory of heard, for MIRRORS_MAX_BYTES */
    uint32_t in_flight;     /* chunks sent and not acked */
    uint64_t told;          /* version of view last told to the peer */
    uint64_t seen;          /* version of view last compared with peer */
    uint64_t not_before_ms; /* no chunk earlier than this */
    unsigned fruitless;     /* chunks in a row that changed nothing there */
    bool look;              /* the peer may lack something */
    bool bulk;              /* the last chunk left something behind */
    bool wait;              /* the peer asked us to hold our bulk */
    bool ack_due;           /* the peer's chunks were consumed: tell */
    bool reset_due;         /* ... and did not fit: say so */
    bool hold;              /* we ask the peer to hold its bulk */
};

/* Sorted by bucket; the mirrors themselves do not move. Zero-initialise,
 * mirrors_free(). */
struct mirrors {
    struct mirror **m;
    size_t n, cap;
    size_t bytes; /* sum of heard_bytes */
};

/* The bucket's mirror, NULL if there is none. */
struct mirror *mirrors_find(const struct mirrors *ms, const char *bucket);

/* The bucket's mirror, made if need be. 0; ECRDT_EPEER with a sentence past
 * MIRRORS_MAX; ECRDT_ENOMEM. */
int mirrors_get(struct mirrors *ms, const char *bucket, struct mirror **m);

/* Frees all mirrors; ms is empty again. */
void mirrors_free(struct mirrors *ms);

/* Takes over what the peer told in c (its ranges are moved out); acked is
 * the number of this bucket's chunks that c acknowledges. 0; ECRDT_EPEER
 * past MIRRORS_MAX_BYTES; ECRDT_ENOMEM. */
int mirror_hear(struct mirrors *ms, struct mirror *m, struct clock *c,
                uint32_t acked, uint64_t now_ms);

/* May the peer lack something, so that a chunk should be built for it, once
 * not_before_ms has come? */
bool mirror_ready(const struct mirror *m);

/* Notes the result of a chunk_build() against peer at view's version. */
void mirror_built(struct mirror *m, bool wrote, bool cut);

/* Should the peer be told our clock now? */
bool mirror_tell_due(const struct mirror *m);

/* Has the peer told that it has (origin, seq), an event on item id? What it
 * tells is durable there. */
bool mirror_covers(const struct mirror *m, slice id,
                   const uint8_t origin[ORIGIN_SIZE], uint64_t seq);

/* Events that we lack, and that the peer lacks. */
uint64_t mirror_missing_here(const struct mirror *m);
uint64_t mirror_missing_there(const struct mirror *m);

/* Nothing is missing on either side, on its way or untold. */
bool mirror_in_sync(const struct mirror *m);
#endif
