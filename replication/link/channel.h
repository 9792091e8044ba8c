/* channel.h: an authenticated, encrypted link: bytes of a socket in, messages
 * out, and the other way. The one interface that sessions use.
 *
 *     channel_open(&ch, &conf);
 *     for (;;) {
 *         write channel_out(ch) to the socket;
 *         read the socket; rc = channel_feed(ch, bytes, now_ms);
 *         while (rc >= 0 && (rc = channel_next(ch, &ev)) == 1)
 *             use ev; channel_send(ch, type, body, now_ms);
 *         if (rc < 0) { write channel_out(ch); close the socket; }
 *     }
 *     channel_close(ch);
 *
 * A channel owns no socket, no clock and no randomness. Before it is ready it
 * holds less than 16 KiB, whatever a stranger sends. After an error it is dead
 * for good: every call gives the same code and sentence again; what is left
 * in channel_out() (a refusal that the peer should read) is still to be
 * written.
 *
 * After the handshake (handshake.h) each frame is one Noise message, a record.
 * Its plaintext begins with a byte of what it is:
 *
 *     data       bit 0 FIRST (a type byte follows), bit 1 MORE, then bytes of
 *                the message's body. A record with MORE is a full one
 *                (65,519 bytes of plaintext), one without FIRST carries at
 *                least one byte: so a message has one form on the wire.
 *     0x80 1     ACCEPT: the responder's first record if it takes the peer
 *     0x80 2 r   REFUSE: its first and last record if not; r = why
 *     0x80 3     REKEY: the sender's next record is under its next key
 *
 * The initiator is READY when it has proof of the peer, before the responder
 * has decided on it: it may send at once, and learns of a refusal by an
 * ECRDT_EAUTH from channel_next(). Until channel_accepted() a dialer should
 * not count the link as a success.
 *
 * What the responder puts into conf.hello is read by every stranger that dials
 * it (XX proves the responder first); what the initiator puts there, only by
 * the peer it pinned. */
#ifndef REPLICATION_LINK_CHANNEL_H
#define REPLICATION_LINK_CHANNEL_H
#include "replication/link/handshake.h"

enum {
    CHANNEL_MESSAGE_DEFAULT = 4 << 20, /* bytes of a message's body */
    CHANNEL_MESSAGE_MAX = 256 << 20,   /* the most that can be configured */
    CHANNEL_IDLE_KEEP = 4096,          /* bytes an empty buffer may keep */
    CHANNEL_REKEY_RECORDS = 1 << 16,   /* after so many records, */
    CHANNEL_REKEY_BYTES = 1 << 30,     /* so many sealed bytes or */
    CHANNEL_REKEY_MS = 120 * 1000      /* so long, the next send rekeys */
};

struct channel_conf {
    const struct identity *self; /* borrowed until the channel is closed */
    bool initiator;
    uint8_t expect[CRYPTO_PK]; /* initiator: the peer's one accepted key */
    /* Responder: 1 takes the peer of that key, 0 refuses it, negative fails
     * the channel with that code. */
    int (*allow)(void *ctx, const uint8_t pk[32]);
    void *allow_ctx;
    const char *realm;              /* 1 to LINK_REALM_MAX bytes, copied */
    slice hello;                    /* at most LINK_HELLO_MAX bytes, copied */
    uint8_t ephemeral[CRYPTO_SEED]; /* fresh random bytes for each channel */
    size_t max_message;             /* 0: CHANNEL_MESSAGE_DEFAULT */
};

enum channel_event_kind {
    CHANNEL_READY = 1, /* body: the peer's hello bytes */
    CHANNEL_MESSAGE    /* type and body as they were sent */
};

/* body is borrowed until the next channel_next(), channel_feed() or
 * channel_close() of its channel; channel_send() leaves it alone. */
struct channel_event {
    enum channel_event_kind kind;
    uint8_t type;
    slice body;
    const uint8_t *peer; /* the peer's Ed25519 key */
};

struct channel_stats {
    uint64_t bytes_in, bytes_out; /* of the socket, framing included */
    uint64_t records_in, records_out;
    uint64_t rekeys_in, rekeys_out;
};

struct channel;

/* Opens a channel; the initiator has bytes to write at once. Fails with
 * ECRDT_EINVAL for a conf out of its limits, ECRDT_ENOMEM. crypto_init()
 * comes first. */
int channel_open(struct channel **out, const struct channel_conf *conf);

/* Wipes its keys and frees it; NULL is fine. */
void channel_close(struct channel *ch);

/* Takes bytes from the socket; now_ms is a clock that never goes back. Then
 * call channel_next() until it gives 0, or they pile up. Fails as
 * handshake_feed() does, or ECRDT_ENOMEM. */
int channel_feed(struct channel *ch, slice in, uint64_t now_ms);

/* The next event: 1; 0 if there is none yet. ECRDT_EPEER if a record cannot be
 * opened or breaks the rules, ECRDT_EAUTH if the peer refused us. */
int channel_next(struct channel *ch, struct channel_event *event);

/* Appends one message to channel_out(). ECRDT_ETOOBIG for a body over the
 * limit and ECRDT_EINVAL before READY leave the channel as it was. */
int channel_send(struct channel *ch, uint8_t type, slice body, uint64_t now_ms);

/* The bytes to write. The caller either writes from it and reports it to
 * channel_wrote(), or takes the whole buffer over (copies the struct, zeroes
 * it here) and frees it itself. */
struct buf *channel_out(struct channel *ch);

/* The first n bytes of channel_out() are written. */
void channel_wrote(struct channel *ch, size_t n);

/* The socket has ended: 0 if the peer may end here, ECRDT_EPEER with a
 * sentence if it was in the middle of something. */
int channel_eof(struct channel *ch);

/* Is the handshake done? */
bool channel_ready(const struct channel *ch);

/* Have both sides accepted each other? */
bool channel_accepted(const struct channel *ch);

/* The peer's Ed25519 key, proven; NULL before READY. */
const uint8_t *channel_peer(const struct channel *ch);

/* 64 bytes that are equal on both sides and on no other channel, for binding
 * what is signed above to this link; NULL before READY. */
const uint8_t *channel_handshake_hash(const struct channel *ch);

/* What went over it so far. */
const struct channel_stats *channel_stats(const struct channel *ch);
#endif
