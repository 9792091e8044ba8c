/* session_place.h: what a narrowing asks the keeper at the other end of a link,
 * and what a keeper is asked (crdt/place.h). */
#ifndef REPLICATION_SESSION_PLACE_H
#define REPLICATION_SESSION_PLACE_H
#include "replication/session.h"

/* ---- session_place.c: what a narrowing asks a keeper (crdt/place.h) -------
 */

/* Handlers of the two messages. */
int session_on_place(struct session *s, slice body, uint64_t now_ms);
int session_on_placed(struct session *s, slice body, uint64_t now_ms);

/* Asks the peer about heads of m's bucket (ask is emptied then), unless a
 * question is under way or it is too early. 0 or a negative code. */
int session_ask_place(struct session *s, struct mirror *m, struct placed *ask,
                      struct buf *scratch, uint64_t now_ms);

/* Ends the question that is under way. */
void session_place_drop(struct session *s);
#endif
