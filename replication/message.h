/* message.h: what two nodes say to each other once their channel is open:
 * hello, clocks, chunk, fingerprints, keepalive and bye, as strict and bounded
 * msgpack. */
#ifndef REPLICATION_MESSAGE_H
#define REPLICATION_MESSAGE_H
#include "crdt/chunk.h"
#include "crdt/subscription.h"

enum {
    MESSAGE_VERSION = 1,
    MESSAGE_NAME_MAX = 64,      /* bytes of a node's name */
    MESSAGE_SENTENCE_MAX = 240, /* bytes of the sentence of a BYE */
    MESSAGE_HELLO_MAX = 1024,
    MESSAGE_CLOCK_MAX = 4 << 20,
    MESSAGE_CHUNK_MAX = CHUNK_MAX_BYTES + MESSAGE_CLOCK_MAX + 1024,
    MESSAGE_FP_MAX = 2 << 20,
    MESSAGE_PLACE_MAX = 16 << 10,
    MESSAGE_SUBSCRIBE_MAX = SUBSCRIPTION_BYTES + 64,
    MESSAGE_MAX = MESSAGE_CHUNK_MAX
};

/* The type byte of a message on the channel. */
enum message_type {
    MESSAGE_CLOCK = 1,   /* one bucket's clock; the ack of chunks too */
    MESSAGE_CLOCKS_DONE, /* every bucket was told once; no body */
    MESSAGE_CHUNK,
    MESSAGE_KEEPALIVE, /* no body */
    MESSAGE_BYE,
    MESSAGE_FP,   /* fingerprints of ranges: compare them (fingerprint.h) */
    MESSAGE_SAME, /* the ranges of an FP that are equal */
    MESSAGE_WANT, /* ends an answer: ranges whose items are asked for */
    MESSAGE_SUBSCRIBE = 9,   /* what the sender holds */
    MESSAGE_CLOCK_DIFF = 10, /* what changed in it since the last word */
    MESSAGE_CLOCK_FP,        /* where do two large ones differ? */
    MESSAGE_PLACE,           /* do these heads lie on your chains, there? */
    MESSAGE_PLACED,          /* the ranges on which they do not */
    MESSAGE_TYPES
};

/* "clock" and so on; "?" for an unknown type. */
const char *message_name(unsigned type);

/* The most bytes a body of this type may have; 0 for an unknown type. */
size_t message_limit(unsigned type);

/* The encrypted payload of the channel's handshake: who speaks, and the
 * proof that the store's origin and the node's key belong together. */
struct hello {
    char name[MESSAGE_NAME_MAX + 1];
    uint8_t role; /* enum peer_role */
    uint8_t origin_pk[32];
    uint8_t by_node[64];   /* node key over the origin's public key */
    uint8_t by_origin[64]; /* origin key over the node's public key */
};

/* Fills h for the node (pk, sk) that replicates s: both signatures are made
 * here. 0 or a negative code of the store. */
int hello_make(struct hello *h, ecrdt_store *s, const char *name, uint8_t role,
               const uint8_t node_pk[32], const uint8_t node_sk[64]);

/* Appends h to out. */
void hello_encode(struct buf *out, const struct hello *h);

/* 0; ECRDT_EPEER (malformed), ECRDT_EVERSION or ECRDT_EAUTH (a signature
 * does not fit node_pk) with a sentence. */
int hello_decode(slice body, const uint8_t node_pk[32], struct hello *h);

/* The origin id that belongs to an origin's public key (PROTOCOL D2). */
void hello_origin(const struct hello *h, uint8_t origin[ORIGIN_SIZE]);

/* Flags of a CLOCK. */
enum {
    CLOCK_RESET = 1, /* a part built on what is missing here: forget what you
                        believe of me, this clock is all I have */
    CLOCK_WAIT = 2,  /* another peer's bulk fills this bucket: hold yours */
    CLOCK_LAZY = 4,  /* others bring this bucket: tell me, do not push */
    CLOCK_AGAIN = 8, /* the sum is not that of your clock here: tell it whole */
    CLOCK_FLAGS = 15
};

/* What the sender holds of one bucket, and how many of the receiver's chunks
 * it has consumed so far on this link. Zero-initialise, clock_free(). */
struct clock {
    uint64_t acked;
    uint8_t flags;
    char bucket[ECRDT_MAX_BUCKET_NAME + 1];
    struct clock_state *state; /* one holder */
    bool differs;              /* from the sum that the sender has of it */
};

/* Appends the body of a CLOCK to out. */
void message_clock_encode(struct buf *out, uint64_t acked, uint8_t flags,
                          const char *bucket, const struct ranges *ranges,
                          const struct vv *floor);

/* Into the zeroed c, which the caller frees in any case. 0, ECRDT_EPEER with
 * a sentence, or ECRDT_ENOMEM. */
int message_clock_decode(slice body, struct clock *c);
void clock_free(struct clock *c);

/* Appends the body of a CLOCK_DIFF to out: from is what the link said last;
 * sum: with that of to. */
void message_diff_encode(struct buf *out, uint64_t acked, uint8_t flags,
                         const char *bucket, const struct clock_state *from,
                         const struct clock_state *to, bool sum);

/* In two steps, for from depends on the bucket: the first fills c but for its
 * state. Both as message_clock_decode(). */
int message_diff_begin(slice body, struct unpack *u, struct clock *c);
int message_diff_end(struct unpack *u, struct clock_state *from,
                     struct clock *c);

/* Appends what stands before the parts of a CLOCK_FP. */
void message_fp_header(struct buf *out, const char *bucket);

/* Into bucket; then u stands at the parts. 0, or ECRDT_EPEER with a
 * sentence. */
int message_fp_begin(slice body, struct unpack *u,
                     char bucket[ECRDT_MAX_BUCKET_NAME + 1]);

/* A chunk on its way: the bytes of chunk_build() with the bucket's name and
 * whether the sender has more for this bucket at once (a bulk session). */
struct chunk_message {
    char bucket[ECRDT_MAX_BUCKET_NAME + 1];
    bool more;
    slice word;  /* the body of a CLOCK_DIFF that comes first, or nothing */
    slice chunk; /* both borrowed from the body */
};

/* Appends the body of a CHUNK; word may be empty. */
void message_chunk_encode(struct buf *out, const char *bucket, bool more,
                          slice word, slice chunk);

/* 0, or ECRDT_EPEER with a sentence. */
int message_chunk_decode(slice body, struct chunk_message *m);

/* What the sender holds, and whether it has heard what the receiver holds.
 * Zero-initialise, subscription_free() its holds. */
struct subscribe {
    uint64_t number; /* how many of these it has told on this link       */
    uint64_t seen;   /* ... and how many of the receiver's it has heard  */
    bool told;       /* this is a further one; else it only says seen    */
    struct subscription holds;
};

/* Appends the body; holds NULL: it only says seen. */
void message_subscribe_encode(struct buf *out, uint64_t number, uint64_t seen,
                              const struct subscription *holds);

/* Into the zeroed m, which the caller frees in any case. 0, ECRDT_EPEER with
 * a sentence, or ECRDT_ENOMEM. */
int message_subscribe_decode(slice body, struct subscribe *m);

/* Why a link ends. */
enum bye_code {
    BYE_STOP = 1,  /* the node stops or its configuration dropped the peer */
    BYE_PROTOCOL,  /* malformed or unexpected message */
    BYE_LIMIT,     /* over a documented cap */
    BYE_DUPLICATE, /* another link between the same two nodes is kept */
    BYE_SILENT,    /* nothing was heard for too long */
    BYE_STORE,     /* the sender's store failed */
    BYE_CODES
};

struct bye {
    uint8_t code; /* enum bye_code */
    char sentence[MESSAGE_SENTENCE_MAX + 1];
};

/* Appends the body; a longer sentence is cut. */
void message_bye_encode(struct buf *out, uint8_t code, const char *sentence);

/* Unprintable bytes become '?'. 0, or ECRDT_EPEER with a sentence. */
int message_bye_decode(slice body, struct bye *b);

/* Copies at most max bytes of text into out (NUL-terminated), unprintable
 * ones as '?': what strangers wrote is safe to log and show then. */
void message_text(char *out, size_t max, slice text);
#endif
