/* node_audit.h: a node compares a random range with a random peer now and
 * then, at equal clocks: a difference is a fault of one of the two. */
#ifndef REPLICATION_NODE_AUDIT_H
#define REPLICATION_NODE_AUDIT_H
#include "replication/audit.h"

struct node;

enum {
    NODE_AUDIT_ITEMS = 10000, /* of a range */
    NODE_AUDIT_DEFAULT_S = 60
};

struct node_audit {
    struct audit a;
    struct session *s; /* with whom; NULL: none runs */
    uint64_t next_ms;  /* 0: the first interval has not begun */
};

/* Begins or ends an audit when its time has come; when to call again. */
uint64_t node_audit_step(struct node *n, uint64_t now_ms);

/* Session gone is about to be freed; NULL: all are. */
void node_audit_leave(struct node *n, const struct session *gone);

/* A key for logs: type and key of an id, unprintable bytes as '?'. */
void node_audit_key(char *out, size_t size, slice id);
#endif
