/* session_reconcile.h: talks about fingerprints (PROTOCOL 6) as one session
 * sees them: when one is due, what comes in, how it ends. */
#ifndef REPLICATION_SESSION_RECONCILE_H
#define REPLICATION_SESSION_RECONCILE_H
#include "replication/session.h"

/* Handlers of the three messages, see session.c. */
int session_on_fp(struct session *s, slice body, uint64_t now_ms);
int session_on_same(struct session *s, slice body, uint64_t now_ms);
int session_on_want(struct session *s, slice body, uint64_t now_ms);

/* Decodes the body of such a message into the zeroed m, which borrows from it
 * and is to be freed in any case, and finds its bucket. 0 or a negative code.
 */
int session_take_fp(struct session *s, uint8_t type, slice body, struct fp *m,
                    struct mirror **mirror);

/* Queues what is to be answered. 0 or a negative code. */
int session_ask_add(struct session *s, struct mirror *m, uint8_t type,
                    slice body);

/* Would the next chunk for m be a complete one of a large bucket? Then a talk
 * is due and nothing is to be pushed: 1; 0; or a code of the store. */
int session_talk_due(struct session *s, ecrdt_txn *t, struct mirror *m);

/* Are clocks of m not to be told now? */
bool session_talk_quiet(const struct session *s, const struct mirror *m);

/* The mirror with which a talk of ours should begin now; NULL: none. */
struct mirror *session_talk_next(struct session *s);

/* A talk of ours begins; it ends, or goes on. */
void session_talk_begin(struct session *s, struct mirror *m, uint64_t now_ms);
void session_talk_end(struct session *s, struct mirror *m, uint64_t now_ms);
void session_talk_touch(struct session *s, struct mirror *m, uint64_t now_ms);

/* Gives talks up that the peer left unanswered. */
void session_talks_tick(struct session *s, uint64_t now_ms);

/* Queues ranges to be raised; m and body are moved. */
int session_raise_add(struct session *s, struct fp *m, struct buf *body);

/* Removes the first of each queue. */
void session_raise_pop(struct session *s);
void session_ask_pop(struct session *s);

/* Sends m as a message of this type, with as many of its parts as fit: m is
 * left with those. */
int session_say_fp(struct session *s, uint8_t type, struct fp *m,
                   struct buf *scratch, uint64_t now_ms);

/* The key of fingerprints on this link. */
void session_fp_key(const struct session *s, uint8_t key[32]);

/* Frees both queues. */
void session_talks_drop(struct session *s);
#endif
