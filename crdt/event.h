/* event.h: what events of all types have in common beside their records: their
 * order, and who made them when. */
#ifndef CRDT_EVENT_H
#define CRDT_EVENT_H
#include "crdt/store.h"

/* > 0 if sibling a is read before b, by (hlc, origin id, seq): 0 only for one
 * dot; *err < 0 on an unknown origin. */
int event_compare(ecrdt_txn *t, const struct event *a, const struct event *b,
                  int *err);

/* Fills the stamp of an event. 0 or < 0. */
int event_stamp(ecrdt_txn *t, const struct event *e, ecrdt_stamp *out);
#endif
