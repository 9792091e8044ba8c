/* peers_record.c: the records of peers and of the node itself as bytes, for
 * whoever reads the store without talking to the relay. */
#include "lib/err.h"
#include "replication/peers.h"

enum { RELAY_FIELDS = 17, RECORD_VERSION = 3 };

static const char *const state_names[PEER_STATES] = {
    "down",    "connecting", "handshake",   "syncing",
    "in sync", "refused",    "unreachable", "waiting"};
static const char *const direction_names[PEER_DIRECTIONS] = {"dial", "accept"};
static const char *const role_names[PEER_ROLES] = {"edge", "core", "auditor"};

const char *peer_state_name(unsigned state) {
    return state < PEER_STATES ? state_names[state] : "?";
}

const char *peer_direction_name(unsigned direction) {
    return direction < PEER_DIRECTIONS ? direction_names[direction] : "?";
}

const char *peer_role_name(unsigned role) {
    return role < PEER_ROLES ? role_names[role] : "?";
}

static void put_text(struct buf *b, const char *text) {
    pack_bin(b, ecrdt_str(text));
}

/* Into out, which has max + 1 bytes. */
static void take_text(struct unpack *u, char *out, size_t max) {
    slice s = unpack_bin(u, max);
    if (s.len)
        memcpy(out, s.data, s.len);
    out[s.len] = 0;
}

/* The numbers of a peer's record in their order on disk. */
#define AT(field) offsetof(struct peer_record, field)
static const size_t numbers[] = {
    AT(since_ms),      AT(seen_ms),        AT(updated_ms),  AT(missing_here),
    AT(missing_there), AT(buckets),        AT(chunks_in),   AT(chunks_out),
    AT(items_in),      AT(items_out),      AT(bytes_in),    AT(bytes_out),
    AT(refused_parts), AT(links),          AT(failures),    AT(audits),
    AT(mismatches),    AT(payload_in),     AT(repeated_in), AT(foreign_parts),
    AT(ahead_parts),   AT(complete_parts), AT(fp_refused)};
enum { NUMBERS = sizeof numbers / sizeof *numbers, PEER_FIELDS = 11 + NUMBERS };

void peers_record_encode(struct buf *out, const struct peer_record *r) {
    pack_array(out, PEER_FIELDS);
    pack_uint(out, RECORD_VERSION);
    put_text(out, r->key);
    put_text(out, r->name);
    put_text(out, r->address);
    put_text(out, r->error);
    put_text(out, r->holds);
    pack_uint(out, r->direction);
    pack_uint(out, r->role);
    pack_uint(out, r->state);
    pack_bool(out, r->configured);
    pack_bin(out, slice_of(r->origin, r->has_origin ? ORIGIN_SIZE : 0));
    for (size_t i = 0; i < NUMBERS; i++) {
        uint64_t v;
        memcpy(&v, (const uint8_t *)r + numbers[i], sizeof v);
        pack_uint(out, v);
    }
}

static int damaged(const char *what) {
    return err_set(ECRDT_ECORRUPT,
                   "the record of %s in the store is damaged or of another "
                   "version: the relay writes it anew when it starts",
                   what);
}

int peers_record_decode(slice value, struct peer_record *r) {
    struct unpack u;
    *r = (struct peer_record){0};
    unpack_init(&u, value);
    unpack_array_exact(&u, PEER_FIELDS);
    if (unpack_uint(&u) != RECORD_VERSION)
        unpack_fail(&u);
    take_text(&u, r->key, PEER_KEY_TEXT - 1);
    take_text(&u, r->name, PEER_NAME_MAX);
    take_text(&u, r->address, PEER_ADDRESS_MAX);
    take_text(&u, r->error, PEER_ERROR_MAX);
    take_text(&u, r->holds, PEER_HOLDS_MAX);
    r->direction = (uint8_t)unpack_uint_max(&u, PEER_DIRECTIONS - 1);
    r->role = (uint8_t)unpack_uint_max(&u, PEER_ROLES - 1);
    r->state = (uint8_t)unpack_uint_max(&u, PEER_STATES - 1);
    r->configured = unpack_bool(&u);
    slice origin = unpack_bin(&u, ORIGIN_SIZE);
    r->has_origin = origin.len == ORIGIN_SIZE;
    if (r->has_origin)
        memcpy(r->origin, origin.data, ORIGIN_SIZE);
    for (size_t i = 0; i < NUMBERS; i++) {
        uint64_t v = unpack_uint(&u);
        memcpy((uint8_t *)r + numbers[i], &v, sizeof v);
    }
    return unpack_end(&u) ? damaged("a peer") : 0;
}

void relay_record_encode(struct buf *out, const struct relay_record *r) {
    pack_array(out, RELAY_FIELDS);
    pack_uint(out, RECORD_VERSION);
    put_text(out, r->key);
    put_text(out, r->name);
    put_text(out, r->realm);
    put_text(out, r->version);
    put_text(out, r->status);
    pack_uint(out, r->role);
    pack_bool(out, r->running);
    pack_uint(out, r->pid);
    pack_uint(out, r->started_ms);
    pack_uint(out, r->updated_ms);
    pack_uint(out, r->links);
    pack_array(out, 3);
    pack_uint(out, r->refused_keys);
    put_text(out, r->refused_key);
    put_text(out, r->refused_address);
    pack_uint(out, r->malformed);
    pack_array(out, 3);
    pack_uint(out, r->bulks);
    pack_uint(out, r->fork_merges);
    pack_uint(out, r->fork_unknown);
    pack_uint(out, r->n_listen);
    pack_array(out, r->n_listen);
    for (uint32_t i = 0; i < r->n_listen; i++)
        put_text(out, r->listen[i]);
}

int relay_record_decode(slice value, struct relay_record *r) {
    struct unpack u;
    *r = (struct relay_record){0};
    unpack_init(&u, value);
    unpack_array_exact(&u, RELAY_FIELDS);
    if (unpack_uint(&u) != RECORD_VERSION)
        unpack_fail(&u);
    take_text(&u, r->key, PEER_KEY_TEXT - 1);
    take_text(&u, r->name, PEER_NAME_MAX);
    take_text(&u, r->realm, PEER_NAME_MAX);
    take_text(&u, r->version, sizeof r->version - 1);
    take_text(&u, r->status, PEER_ERROR_MAX);
    r->role = (uint8_t)unpack_uint_max(&u, PEER_ROLES - 1);
    r->running = unpack_bool(&u);
    r->pid = unpack_uint(&u);
    r->started_ms = unpack_uint(&u);
    r->updated_ms = unpack_uint(&u);
    r->links = unpack_uint(&u);
    unpack_array_exact(&u, 3);
    r->refused_keys = unpack_uint(&u);
    take_text(&u, r->refused_key, PEER_KEY_TEXT - 1);
    take_text(&u, r->refused_address, PEER_ADDRESS_MAX);
    unpack_leave(&u);
    r->malformed = unpack_uint(&u);
    unpack_array_exact(&u, 3);
    r->bulks = unpack_uint(&u);
    r->fork_merges = unpack_uint(&u);
    r->fork_unknown = unpack_uint(&u);
    unpack_leave(&u);
    r->n_listen = (uint32_t)unpack_uint_max(&u, RELAY_LISTEN_MAX);
    unpack_array_exact(&u, r->n_listen);
    for (uint32_t i = 0; i < r->n_listen && !u.err; i++)
        take_text(&u, r->listen[i], PEER_ADDRESS_MAX);
    return unpack_end(&u) ? damaged("the relay") : 0;
}
