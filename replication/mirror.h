/* mirror.h: what one link knows of the peer's clock in each bucket: what was
 * heard, what is on its way, what may be sent next. */
#ifndef REPLICATION_MIRROR_H
#define REPLICATION_MIRROR_H
#include "crdt/place.h"
#include "crdt/spans.h"
#include "replication/clock_fp.h"
#include "replication/message.h"

enum {
    MIRRORS_MAX = ECRDT_MAX_BUCKETS,
    MIRRORS_MAX_BYTES = 32 << 20, /* of clocks that one peer told us */
    MIRROR_HOLD_MS = 10,          /* the most that others' events wait */
    MIRROR_TELL_MS = 10,          /* between two words without a chunk ... */
    MIRROR_TELL_LAZY_MS = 50,     /* ... to a peer that is not to push */
    MIRROR_PUSH_MS = 8,           /* between two chunks, but in bulk */
    MIRROR_SUM_MS = 60000,        /* between two sums of our clock */
    MIRROR_BACKOFF_MS = 100,      /* after a chunk that changed nothing ... */
    MIRROR_BACKOFF_MAX_MS = 30000 /* ... doubling up to this */
};

struct session;

/* A bucket as one snapshot of our own store holds it. */
struct view {
    char bucket[ECRDT_MAX_BUCKET_NAME + 1];
    struct clock_state *state;
    uint64_t version;             /* grows with each change of the clock */
    const struct session *filler; /* whose bulk fills it; NULL: nobody's */
    uint64_t grafted_ms;          /* when a pruned link was last taken back */
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
    struct view *view;         /* ours; NULL while we lack the bucket */
    struct clock_state *said;  /* what the peer knows of ours; NULL: nothing */
    struct clock_state *heard; /* the peer's clock, as it said it last */
    struct clock_state *mark;  /* heard a while ago; see mirror_late() */
    struct ranges peer;        /* heard, raised by the chunks in flight */
    struct clock_fp *fp;       /* the clocks are being compared; else NULL */
    struct buf fp_first;       /* the peer's first word of that, not answered */
    struct talk talk;
    struct spans ours;   /* the ids that we hold ... */
    struct spans theirs; /* ... and the peer */
    struct chunk_tail tail;
    size_t heard_bytes;     /* memory of heard, for MIRRORS_MAX_BYTES */
    size_t spans_bytes;     /* ... and of theirs                      */
    uint32_t in_flight;     /* chunks sent and not acked */
    uint64_t told;          /* version of view last told to the peer ... */
    uint64_t told_ms;       /* ... and when */
    uint64_t summed_ms;     /* when a sum was sent last */
    uint64_t judged;        /* version of view that due_ms was made for */
    uint64_t due_ms;        /* what the peer lacks goes then */
    uint64_t keep_until_ms; /* not pruned earlier: it was grafted */
    uint64_t pushed_ms;     /* when the last chunk was built */
    uint64_t seen;          /* version of view last compared with peer */
    uint64_t not_before_ms; /* no chunk earlier than this */
    unsigned fruitless;     /* chunks in a row that changed nothing there */
    struct said placed;     /* what the peer said of heads of ours */
    uint64_t place_at_ms;   /* it is not asked earlier */
    bool unchecked;         /* heard, and not yet looked at for clones */
    bool look;              /* the peer may lack something */
    bool bulk;              /* the last chunk left something behind */
    bool stale;             /* heard is older than theirs: a CLOCK follows */
    bool wait;              /* the peer asked us to hold our bulk */
    bool ack_due;           /* the peer's chunks were consumed: tell */
    bool reset_due;         /* ... and did not fit: say so */
    bool hold;              /* we ask the peer to hold its bulk */
    bool lazy;              /* the peer asked us to tell, not to push */
    bool turned;            /* lazy is not what it was */
    bool again;             /* what we heard is not what it holds: ask */
    bool known;             /* the peer told its clock, by itself or by fp */
    bool below;             /* it had to send complete parts: was logged */
    bool pruned;            /* we ask the peer for that */
    uint8_t told_flags;     /* that the last word had, but for RESET */
};

/* Sorted by bucket; the mirrors themselves do not move. Zero-initialise,
 * mirrors_free(). */
struct mirrors {
    struct mirror **m;
    size_t n, cap;
    size_t bytes; /* sum of heard_bytes and spans_bytes */
};

/* The bucket's mirror, NULL if there is none. */
struct mirror *mirrors_find(const struct mirrors *ms, const char *bucket);

/* The bucket's mirror, made if need be. 0; ECRDT_EPEER with a sentence past
 * MIRRORS_MAX; ECRDT_ENOMEM. */
int mirrors_get(struct mirrors *ms, const char *bucket, struct mirror **m);

/* Frees all mirrors; ms is empty again. */
void mirrors_free(struct mirrors *ms);

/* Takes over what the peer told in c (its state is moved out); acked is
 * the number of this bucket's chunks that c acknowledges. 0; ECRDT_EPEER
 * past MIRRORS_MAX_BYTES; ECRDT_ENOMEM. */
int mirror_hear(struct mirrors *ms, struct mirror *m, struct clock *c,
                uint32_t acked, uint64_t now_ms);

/* What both sides hold of the bucket is said anew; NULL: everything. 0;
 * ECRDT_EPEER past MIRRORS_MAX_BYTES; ECRDT_ENOMEM. */
int mirror_hold(struct mirrors *ms, struct mirror *m,
                const struct subscription *ours,
                const struct subscription *theirs);

/* May the peer lack something, so that a chunk should be built for it, once
 * due_ms and not_before_ms have come? */
bool mirror_ready(const struct mirror *m);

/* Looks at what the peer lacks: our own events (of origin me) are due at
 * once, others' after hold_ms, in which the peer may get them elsewhere. */
void mirror_judge(struct mirror *m, const uint8_t me[ORIGIN_SIZE],
                  uint64_t now_ms, unsigned hold_ms);

/* Notes the result of a chunk_build() against peer at view's version. */
void mirror_built(struct mirror *m, bool wrote, bool cut, uint64_t now_ms);

/* The flags of our next word. */
uint8_t mirror_flags(const struct mirror *m);

/* Should the peer be told our clock? And when, without a chunk: an absolute
 * time. */
bool mirror_tell_due(const struct mirror *m);
uint64_t mirror_tell_at(const struct mirror *m);

/* Should the next word have a sum? */
bool mirror_sum_due(const struct mirror *m, uint64_t now_ms);

/* Notes that the peer was told view's clock, or that there is none. 0 or
 * ECRDT_ENOMEM. */
int mirror_told(struct mirror *m, uint64_t now_ms);

/* Do we still lack something that the peer told before the last call? For a
 * link that was pruned: then its events do not come another way. */
bool mirror_late(struct mirror *m);

/* Has the peer told that it has (origin, seq), an event on item id? What it
 * tells is durable there. */
bool mirror_covers(const struct mirror *m, slice id,
                   const uint8_t origin[ORIGIN_SIZE], uint64_t seq);

/* Events that we lack, and that the peer lacks, of what each holds. */
uint64_t mirror_missing_here(const struct mirror *m);
uint64_t mirror_missing_there(const struct mirror *m);

/* Nothing is missing on either side, on its way or untold. */
bool mirror_in_sync(const struct mirror *m);
#endif
