/* config.h: the relay's configuration file: read, checked, as one struct. */
#ifndef REPLICATION_RELAY_CONFIG_H
#define REPLICATION_RELAY_CONFIG_H
#include "crdt/subscription.h"
#include "replication/node.h"

#define CONFIG_DEFAULT "/etc/edgecrdt/edgecrdtd.conf"

enum {
    CONFIG_PATH_MAX = 4095,
    CONFIG_DRAIN_DEFAULT_S = 30,
    CONFIG_DRAIN_MAX_S = 3600,
    CONFIG_AUDIT_MAX_S = 86400,
    CONFIG_GC_MAX = 1000000000 /* seconds, or ms */
};

struct config {
    char store[CONFIG_PATH_MAX + 1];
    char key_file[CONFIG_PATH_MAX + 1];
    char realm[LINK_REALM_MAX + 1];
    char name[PEER_NAME_MAX + 1];
    uint8_t role; /* enum peer_role */
    struct node_address listen[RELAY_LISTEN_MAX];
    size_t n_listen;
    struct node_peer *peers;
    size_t n_peers;
    struct subscription holds;
    bool has_holds; /* else the store keeps its own subscription */
    uint32_t max_links;
    uint64_t drain_timeout_ms, audit_ms;
    int64_t gc_retention_ms; /* -1: as the store has it */
    struct collect_conf gc;
    int log_level; /* enum ecrdt_level */
};

/* Reads and checks the file; config_free() in any case. 0; ECRDT_ENOENT if
 * it cannot be read; ECRDT_EINVAL with "file:line: what is wrong". */
int config_load(struct config *c, const char *path);
void config_free(struct config *c);

/* Reads "host:port", "[v6]:port", ":port" or "*:port" of a listener. */
int config_listen_parse(struct node_address *out, const char *text);

/* The first setting that differs but cannot change while the relay runs;
 * NULL if none does. */
const char *config_needs_restart(const struct config *old,
                                 const struct config *new);
#endif
