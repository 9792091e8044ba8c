/* session.h: one conversation with one peer: bytes in, bytes out; what to
 * tell, what to send, what came in. It owns no socket, clock or store. */
#ifndef REPLICATION_SESSION_H
#define REPLICATION_SESSION_H
#include "crdt/place.h"
#include "lib/err.h"
#include "replication/link/channel.h"
#include "replication/push_cache.h"

enum {
    SESSION_HANDSHAKE_MS = 5000,    /* from the first byte to READY */
    SESSION_KEEPALIVE_MS = 15000,   /* silence of ours before a KEEPALIVE */
    SESSION_DEAD_MS = 45000,        /* silence of the peer that ends it */
    SESSION_LINGER_MS = 1000,       /* time for a BYE to leave */
    SESSION_OUT_MAX = 4 << 20,      /* unsent bytes; more is not made */
    SESSION_INBOX_MAX = 8 << 20,    /* chunks not applied; then no reading */
    SESSION_WINDOW_BYTES = 2 << 20, /* chunks in flight, a single one apart */
    SESSION_FLIGHT_MAX = 64,        /* number of chunks in flight */
    SESSION_HELD_MS = 250,          /* a held bulk may send this often ... */
    SESSION_HELD_ITEMS = 64,        /* ... so many items */
    SESSION_ASKS_MAX = 8,           /* FP, WANT, PLACE that wait; SAME */
    SESSION_PLACE_MS = 1000,        /* after a range was sent for a place */
    SESSION_TALK_MS = 60000,        /* silence that ends a talk */
    SESSION_TALK_WAIT_MS = 2000,    /* for the CLOCK that follows one */
    SESSION_TALKS_MAX = 16,         /* in a row, then complete chunks */
    SESSION_TALK_ITEMS = 2000       /* a smaller bucket goes in chunks */
};

/* The order matters: a session only moves down. */
enum session_state {
    SESSION_HANDSHAKE, /* the channel is not ready */
    SESSION_SYNCING,   /* the peer is telling its clocks */
    SESSION_LIVE,      /* all clocks were heard: chunks flow */
    SESSION_CLOSING,   /* our BYE leaves, nothing else is read */
    SESSION_CLOSED,
    SESSION_STATES
};

/* "handshake" and so on. */
const char *session_state_name(enum session_state state);

/* From how many items on a bucket is compared by fingerprints, and how finely;
 * 0: SESSION_TALK_ITEMS, and what reconcile.h says. */
struct talk_conf {
    uint32_t items;
    uint32_t leaf, fan; /* of struct reconcile: not below 4, not below 16 */
};

struct session_conf {
    struct channel_conf channel; /* hello is filled in by session_open() */
    struct hello hello;          /* ours */
    struct talk_conf talk;
};

/* One chunk that came in and waits to be applied. */
struct session_chunk {
    struct buf body;
    struct chunk_message message; /* borrows body */
    struct mirror *mirror;
    struct clock_state *said; /* the peer's clock as the chunk came */
    size_t bytes;             /* that it adds to the inbox */
    struct session_chunk *next;
};

/* An FP, WANT or PLACE that waits for its answer. */
struct session_ask {
    uint8_t type;
    struct buf body;
    struct mirror *mirror;
    struct session_ask *next;
};

/* Ranges whose clock is to be raised, by a SAME or by our own comparison. */
struct session_raise {
    struct fp m;
    struct buf body; /* that m borrows from */
    struct session_raise *next;
};

/* The question about heads that is under way: one on a link. */
struct session_place {
    struct mirror *m; /* NULL: none */
    uint64_t number;
    struct placed asked;
};

/* A talk about fingerprints: who began it is one side, FPs go to and fro. */
struct session_talk {
    struct mirror *m; /* NULL: none */
    bool more;        /* the peer's next FP goes on with it */
    uint64_t end_ms;  /* given up then, unless it goes on */
};

struct session_stats {
    uint64_t chunks_in, chunks_out;
    uint64_t items_out;
    uint64_t fps_in, fps_out; /* fingerprint messages */
    uint64_t fp_refused;      /* ... that no talk of ours had asked for */
    uint64_t fp_stale; /* SAMEs overtaken by changes here; ranges in doubt */
    /* noted when applied */
    uint64_t items_in, refused_parts, ahead_parts, foreign_parts;
    uint64_t complete_parts;
    uint64_t payload_in, repeated_in; /* bytes, and of what was here before */
};

/* Read its fields, change it by the functions below. */
struct session {
    enum session_state state;
    struct channel *channel;
    uint8_t peer_key[CRYPTO_PK]; /* from SYNCING on */
    struct hello peer;           /* from SYNCING on */
    bool initiator;
    bool told_all;     /* our CLOCKS_DONE was sent */
    bool turned;       /* so is some mirror */
    bool waits;        /* ... once the peer has said more */
    int error;         /* why it ended: 0 = in order */
    uint8_t bye;       /* code of the BYE sent or received, 0 = none */
    bool bye_received; /* ... and it was the peer's */
    char sentence[ERR_SENTENCE];
    const struct subscription *our_holds; /* NULL = not known yet */
    struct subscription their_holds;
    uint64_t our_version;             /* of our_holds, as last told; see push */
    uint64_t subs_sent, subs_seen;    /* told by us, and heard by the peer */
    uint64_t subs_heard, subs_echoed; /* told by the peer, and said so */
    struct mirrors mirrors;
    struct session_chunk *inbox, **inbox_end;
    const struct clock_state *inbox_said; /* of its last chunk */
    size_t inbox_bytes;
    struct {
        struct mirror *mirror;
        size_t bytes;
    } flight[SESSION_FLIGHT_MAX]; /* a ring: sent % SESSION_FLIGHT_MAX */
    uint64_t sent, acked;         /* chunks, ever */
    size_t flight_bytes;
    uint64_t consumed; /* the peer's chunks, ever */
    struct session_ask *asks;
    struct session_raise *raises;
    size_t n_asks, n_raises;
    struct session_talk ours, theirs;
    struct talk_conf talk_conf;
    struct session_place place;
    bool talk_due;       /* of a mirror, perhaps */
    struct audit *audit; /* its owner's; NULL: none */
    bool audit_only;     /* one of the two is an auditor: no chunks */
    size_t views_seen;   /* how many views have a mirror */
    size_t cursor;       /* the bucket that pushes next */
    unsigned holds;      /* drawn so far */
    uint64_t opened_ms, heard_ms, spoke_ms, closing_ms, held_ms;
    uint64_t apply_at_ms; /* its inbox is not applied earlier */
    struct session_stats stats;
    void *owner; /* free for the owner's use */
};

/* Begins a session over a new channel. 0 or a negative code. The caller
 * frees it with session_free(). */
int session_open(const struct session_conf *conf, uint64_t now_ms,
                 struct session **s);
void session_free(struct session *s);

/* Takes bytes from the peer. Failures end up in s->state and s->error. */
void session_feed(struct session *s, slice bytes, uint64_t now_ms);

/* Bytes that wait to be sent; the caller takes them out of it. */
struct buf *session_out(struct session *s);

/* May more be read from the peer now? When it turns true again, go on with
 * session_resume(). */
bool session_wants_read(const struct session *s);
void session_resume(struct session *s, uint64_t now_ms);

/* What a push round works with: a snapshot that was begun and then made
 * durable (PROTOCOL D1), and the clocks it holds. */
struct push {
    ecrdt_txn *txn;
    struct view **views; /* sorted by bucket, they do not move */
    size_t n;
    struct buf scratch, word;
    struct push_cache cache;
    struct subscription holds; /* what the snapshot says that we hold */
    uint64_t holds_version;    /* grows with each change of it, from 1 */
    uint64_t now_ms;
    uint8_t me[ORIGIN_SIZE]; /* this store's incarnation */
};

/* Tells changed clocks and builds at most one chunk. 1 = a chunk was sent,
 * call again; 0 = nothing more for now; < 0 the store failed. */
int session_push(struct session *s, struct push *p);

/* Sends a chunk with a word before it, or none; it counts as in flight. The
 * message is made in scratch. 0 or a negative code. */
int session_send_chunk(struct session *s, struct mirror *m, slice word,
                       slice chunk, bool more, struct buf *scratch,
                       uint64_t now_ms);

/* Is there room for one more chunk in flight? */
bool session_window_open(const struct session *s);

/* When session_push() will have something to do: an absolute time, 0 = now,
 * UINT64_MAX = not until something changes. */
uint64_t session_push_at(const struct session *s, size_t n_views);

/* ---- session_clocks.c: between it, session.c and session_push.c ---------- */

/* Sends one message. 0 or a negative code. */
int session_say(struct session *s, uint8_t type, slice body, uint64_t now_ms);

/* The body of a CLOCK_DIFF into p->word, or of a CLOCK if it is the first
 * word: its type, or a negative code. The peer then counts as told. */
int session_word(struct session *s, struct push *p, struct mirror *m);

/* Sends that. 0 or a negative code. */
int session_tell(struct session *s, struct push *p, struct mirror *m);

/* Tells every clock for the first time; 1 once all were told. */
int session_tell_all(struct session *s, struct push *p);

/* A CLOCK_FP came: 0 or a negative code. A whole CLOCK came for m. */
int session_hear_fp(struct session *s, slice body, uint64_t now_ms);
void session_heard_whole(struct session *s, struct mirror *m);

/* ---- */

/* Has the peer heard what we hold, as it was last told? What it said before it
 * did counts for nothing when we let go of something. */
bool session_knows_holds(const struct session *s);

/* The mirror, made if need be, knows what both sides hold. 0 or as
 * mirrors_get() and mirror_hold(). */
int session_mirror(struct session *s, const char *bucket, struct mirror **m);

/* The first chunk of the inbox was consumed by a committed transaction with
 * this outcome: removes and acks it. */
void session_consumed(struct session *s, const struct chunk_report *r);

/* The link knows all buckets of ours, and nothing is missing, untold, unsent
 * or unapplied on either side. */
bool session_in_sync(const struct session *s, size_t n_views);

/* All that we have was acknowledged by the peer. */
bool session_pushed(const struct session *s, size_t n_views);

/* Says BYE and closes once it left; repeats change nothing. */
void session_bye(struct session *s, enum bye_code code, uint64_t now_ms,
                 const char *sentence);

/* The transport was lost or could not be made. */
void session_lost(struct session *s, int error, const char *sentence);

/* Deadlines: handshake, keepalive, silence, lingering. */
void session_tick(struct session *s, uint64_t now_ms);

/* When session_tick() wants to be called next, in absolute time. */
uint64_t session_deadline(const struct session *s);
#endif
