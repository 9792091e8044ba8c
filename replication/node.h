/* node.h: a running node: one store, its peers and links on one loop; what
 * the relay daemon and ecrdt_sync_once() both are. */
#ifndef REPLICATION_NODE_H
#define REPLICATION_NODE_H
#include "replication/acks.h"
#include "replication/collect.h"
#include "replication/gossip.h"
#include "replication/limiter.h"
#include "replication/loop.h"
#include "replication/node_audit.h"
#include "replication/peers.h"

enum {
    NODE_CONNECT_MS = 10000,    /* for name look-up and TCP */
    NODE_HALF_OPEN_MAX = 64,    /* accepted links in the handshake */
    NODE_LINKS_MAX = 1024,      /* links, unless configured */
    NODE_WRITE_MAX = 1 << 20,   /* bytes given to the socket at a time */
    NODE_CHECK_MS = 1000,       /* a commit without a wake is found so */
    NODE_STATUS_MS = 100,       /* states of peers are looked at so often */
    NODE_REFUSED_KEEP_MS = 1000 /* between two logs of refused strangers */
};

struct node_address {
    char host[PEER_ADDRESS_MAX + 1];
    uint16_t port;
};

struct node_peer {
    uint8_t key[32];
    char name[PEER_NAME_MAX + 1];
    struct node_address address; /* host "": it dials us */
};

struct node_conf {
    ecrdt_store *store;
    const struct identity *self; /* outlives the node */
    const char *realm, *name;
    uint8_t role;           /* enum peer_role */
    uint32_t max_links;     /* 0 = NODE_LINKS_MAX */
    uint64_t audit_ms;      /* between two audits, about; 0 = none */
    struct talk_conf talk;  /* of each session */
    bool record;            /* keep the records of peers in the store */
    struct collect_conf gc; /* only with record: it tells who is a core */
    /* Called after each step of work; may call node_stop(). */
    void (*worked)(void *ctx);
    void *ctx;
};

struct node_listener {
    struct node_address address;
    char bound[LOOP_ADDRESS_MAX + 1];
    struct loop_listener *listener;
};

struct link;

struct node {
    struct node_conf conf;
    char name[PEER_NAME_MAX + 1], realm[PEER_NAME_MAX + 1];
    struct loop *loop;
    struct gossip gossip;
    struct node_audit audit;
    struct peers peers;
    struct acks acks;
    struct limiter limiter;
    struct collect collect;
    struct node_listener listeners[RELAY_LISTEN_MAX];
    size_t n_listeners;
    struct link **links;
    size_t n_links, links_cap, half_open;
    struct loop_handle *work;
    struct loop_handle *watch;
    uint64_t checked_ms, status_ms;
    bool draining, stopping;
};

/* A node on loop; nothing is dialed or accepted yet. 0 or a negative code.
 * Freed by node_free(). */
int node_open(const struct node_conf *conf, struct loop *loop, struct node **n);

/* Makes the listeners those of the list: new ones are opened before old ones
 * close; on an error nothing changes. */
int node_listen(struct node *n, const struct node_address *list, size_t count);

/* The same in two steps: opens what is new of the list into next; then, with no
 * other call in between, makes next the listeners or closes again what was
 * opened. */
int node_listen_begin(struct node *n, const struct node_address *list,
                      size_t count, struct node_listener *next);
void node_listen_end(struct node *n, const struct node_listener *next,
                     size_t count, bool take);

/* Makes the configured peers those of the list; links of others are closed. */
int node_set_peers(struct node *n, const struct node_peer *list, size_t count);

/* Takes over other numbers for dropping tombs. */
void node_set_gc(struct node *n, const struct collect_conf *conf);

/* Accepts and dials no more; existing links go on. */
void node_drain(struct node *n);

/* Has every connected peer acknowledged all that the store holds? */
bool node_drained(const struct node *n);

/* How many configured peers are not connected. */
size_t node_away(const struct node *n);

/* Are all configured peers connected and in sync, by the newest commit? */
bool node_in_sync(const struct node *n);

/* Says BYE to all; node_idle() once the links are gone. */
void node_stop(struct node *n, const char *why);
bool node_idle(const struct node *n);

/* Makes the next step of work happen at once. */
void node_kick(struct node *n);

/* Looks at every peer: its state, lag and counters in n->peers. */
void node_status(struct node *n);

/* Closes what is open and frees n; run the loop once more afterwards. */
void node_free(struct node *n);

/* ---- between node.c and links.c ------------------------------------------ */

/* One connection and its session. */
struct link {
    struct node *n;
    struct loop_conn *conn;
    struct session *s; /* NULL while connecting */
    struct peer *peer; /* dialed, or known after the handshake */
    bool dialed, reading, ready, accepted;
    bool over; /* the connection has ended */
    uint64_t opened_ms;
    uint64_t subs_seen; /* of the peer's subscriptions, in its record */
    struct link_count {
        uint64_t bytes_in, bytes_out, chunks_in, chunks_out;
        uint64_t items_in, items_out, refused_parts, foreign_parts;
        uint64_t payload_in, repeated_in;
        uint64_t ahead_parts, complete_parts, fp_refused;
    } counted; /* what the peer's record has of this link already */
    char address[LOOP_ADDRESS_MAX + 1];
};

/* Dials a peer. */
void link_dial(struct node *n, struct peer *p, uint64_t now_ms);

/* The listeners' loop_accept. */
void link_accept(void *node, struct loop_conn *c, const char *address);

/* Follows the session's state, moves its bytes to the socket and ends the
 * link when it is over: false, and l is freed. */
bool link_step(struct link *l, uint64_t now_ms);

/* Ends a link in order; it goes away in a later step. */
void link_stop(struct link *l, enum bye_code code, const char *why,
               uint64_t now_ms);

/* Adds what the link has counted since the last time to its peer's record. */
void link_count(struct link *l);
#endif
