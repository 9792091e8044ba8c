/* verbs.c: the table of verbs: operands, options, functions and help pages. */
#include "cli/verbs.h"

/* A heading of the list; verb_find() never meets its name. */
#define HEADING(text)                                                          \
    { " ", "", "", USE_NONE, NULL, "#" text, "", "" }

const struct verb verbs[] = {
    HEADING("Registers"),
    {"get", "wd", "xr", USE_READ, verb_get, "[--hex|--raw] BUCKET KEY",
     "print a register's value",
     "Prints the value and a newline; --raw prints the bytes and nothing\n"
     "else, --hex prints hex digits. On a terminal what is not printable\n"
     "is shown as \\xHH. After concurrent writes the value with the\n"
     "greatest (time, origin) is read; 'siblings' lists them all. Exits 1\n"
     "if the key has no value.\n"
     "\n"
     "JSON: bucket, key, value, by (origin of the writer), at, wall_ms,\n"
     "logical.\n"},
    {"set", "wdd", "xq", USE_WRITE, verb_set,
     "[--hex] [--receipt] BUCKET KEY VALUE|-", "set a register",
     "VALUE \"-\" reads the value from standard input, all bytes as they are\n"
     "(a final newline too: use printf, not echo). The write replaces\n"
     "every value seen here; one made elsewhere at the same time stays as\n"
     "a sibling.\n"},
    {"del", "wd", "xq", USE_WRITE, verb_del, "[--hex] [--receipt] BUCKET KEY",
     "delete a register",
     "Deletes what is seen now. A value set elsewhere at the same time\n"
     "survives. Exits 1 if there was none.\n"},
    {"siblings", "wd", "x", USE_READ, verb_siblings, "[--hex] BUCKET KEY",
     "list a register's concurrent values",
     "One line per value: value, writer, time; the first is what 'get'\n"
     "reads. One line means no conflict. Setting the key settles a\n"
     "conflict.\n"},
    HEADING("Counters"),
    {"incr", "wd|w", "xq", USE_WRITE, verb_incr,
     "[--hex] [--receipt] BUCKET KEY [N]", "add N (default 1) to a counter",
     "N may be negative. Prints the counter as seen here after it. A\n"
     "result outside of int64 is refused (exit 65) and changes nothing.\n"},
    {"count", "wd", "x", USE_READ, verb_count, "[--hex] BUCKET KEY",
     "print a counter", "Exits 1 if there is no such counter.\n"},
    {"reset", "wd", "xq", USE_WRITE, verb_reset,
     "[--hex] [--receipt] BUCKET KEY", "take a counter back to 0",
     "Takes back the increments seen here; those made elsewhere at the\n"
     "same time, and later ones, count. Exits 1 if there is no such\n"
     "counter.\n"},
    HEADING("Sets"),
    {"sadd", "wdd+", "xq", USE_WRITE, verb_sadd,
     "[--hex] [--receipt] BUCKET KEY ELEMENT...|-", "add elements to a set",
     "All in one transaction; prints how many were new. \"-\" as the last\n"
     "one reads one element from standard input. An add wins against a\n"
     "remove made elsewhere at the same time.\n"},
    {"srem", "wdd+", "xq", USE_WRITE, verb_srem,
     "[--hex] [--receipt] BUCKET KEY ELEMENT...|-",
     "remove elements from a set",
     "All in one transaction; prints how many were there, exits 1 if none.\n"},
    {"smembers", "wd|d", "xr", USE_READ, verb_smembers,
     "[--hex|--raw] BUCKET KEY [PREFIX]", "list the elements of a set",
     "In bytewise order, one per line, those that begin with PREFIX. What\n"
     "is not printable is shown as \\xHH, a backslash as \\x5c; --raw\n"
     "prints the bytes as they are. Exits 1 if there are none.\n"},
    {"sismember", "wdd", "x", USE_READ, verb_sismember,
     "[--hex] BUCKET KEY ELEMENT|-", "is ELEMENT in the set?",
     "Exits 0 if it is, 1 if not, and prints nothing. JSON: bucket, key,\n"
     "element, member.\n"},
    {"scard", "wd", "x", USE_READ, verb_scard, "[--hex] BUCKET KEY",
     "print the number of elements", "Exits 1 if there are none.\n"},
    {"sclear", "wd", "xq", USE_WRITE, verb_sclear,
     "[--hex] [--receipt] BUCKET KEY", "remove all elements",
     "Removes the elements seen here and prints how many they were; exits\n"
     "1 if there were none. Adds made elsewhere at the same time survive.\n"},
    HEADING("Many keys"),
    {"buckets", "", "", USE_READ, verb_buckets, "", "list the buckets",
     "One name per line, in bytewise order.\n"},
    {"keys", "w|d", "xrlt", USE_READ, verb_keys,
     "[--long] [--type TYPE] [--hex|--raw] BUCKET [PREFIX]", "list keys",
     "In bytewise order, one per line, those that begin with PREFIX; a key\n"
     "with two types has two lines. TYPE is register, set or counter, and\n"
     "may be given again. --long puts the type and a number before the\n"
     "key: a counter's value, the size of a set, the bytes of a register's\n"
     "value. Exits 1 if there are none.\n"
     "\n"
     "JSON: bucket, type, value or size or bytes, key.\n"},
    {"dump", "", "xpo", USE_READ, verb_dump, "[--hex | --msgpack [--out FILE]]",
     "write every live item",
     "Tab-separated lines: bucket, type, key, value or element or number,\n"
     "writer, time. A register with a conflict has a line for each value,\n"
     "the one that is read first. Each bucket is one snapshot.\n"
     "\n"
     "--msgpack writes one msgpack map per key, from one snapshot of the\n"
     "store: bucket, type, key and values, elements or value. JSON:\n"
     "bucket, type, key, and value (by, at, wall_ms, logical, read) or\n"
     "element.\n"},
    {"digest", "|wd", "x", USE_READ, verb_digest, "[--hex] [BUCKET [PREFIX]]",
     "print the digests of buckets",
     "Bucket and digest, one line each. Equal digests on two nodes mean\n"
     "equal content. An absent or empty bucket has zeros. With a PREFIX the\n"
     "keys that begin with it are read and summed up: so a node that holds\n"
     "a part compares with one that holds everything. JSON: bucket, digest,\n"
     "settled (no large catch-up is under way).\n"},
    HEADING("The store"),
    {"init", "", "FREm", USE_NEW, verb_init,
     "[--full|--relaxed|--ephemeral] [--max-bytes N]", "create a store",
     "The durability cannot be changed later:\n"
     "  --full       what is committed survives a crash of the machine\n"
     "               (default)\n"
     "  --relaxed    a crash of the machine may lose the last commits, never\n"
     "               the store\n"
     "  --ephemeral  nothing is flushed; after a reboot the store is empty\n"
     "--max-bytes limits the file and reserves address space, not disk (K,\n"
     "M, G, T; default 64G).\n"},
    {"resize", "", "m", USE_NEW, verb_resize, "--max-bytes N",
     "raise the limit of the file",
     "Takes effect at once in every process that uses the store, a relay that\n"
     "reports a full store too. The limit cannot be lowered: export to a new\n"
     "store ('init --max-bytes').\n"},
    {"status", "", "", USE_READ, verb_status, "", "a short status",
     "The store, what it holds, its relay, how many peers are in sync. The\n"
     "same as no verb at all.\n"},
    {"stat", "", "L", USE_READ, verb_stat, "[--limits]",
     "figures of the store, or the limits",
     "--limits prints the limits that the library was built with, and\n"
     "needs no store. A reader that stands on an old snapshot keeps space\n"
     "from being used again: it is named with its pid. What the relay of the\n"
     "store has counted since it started stands at the end (all of it with\n"
     "--json, as relay_...; see help peers).\n"},
    {"gc", "", "DB", USE_WRITE, verb_gc, "[--retention TIME] [--budget TIME]",
     "drop old removal markers",
     "Those that have lain here for --retention (such as 30d, 12h, 90s;\n"
     "default: the store's setting) or longer, in short transactions that\n"
     "give way to other writers, for at most --budget. A replica that was\n"
     "away for longer still gets everything right; it only costs more bytes.\n"
     "The relay does it by itself, and waits for the cores it knows; by\n"
     "hand, time alone decides. Exits 1 if the budget ended it.\n"},
    {"setting", "|ww", "", USE_WRITE, verb_setting, "[NAME [VALUE]]",
     "show or change the store's settings",
     "  gc-retention  how long removal markers stay (30d)\n"
     "  log-cap       bytes of each bucket's dots log (4M)\n"
     "They hold for every process that has the store open.\n"},
    {"retire", "", "", USE_WRITE, verb_retire, "", "say goodbye for this store",
     "What the store counted stays, and under its present identity it never\n"
     "counts again: the heir may fold its counter entries away. It takes a\n"
     "new identity. Sync once more before the store is removed, or nobody\n"
     "hears the goodbye.\n"},
    {"fold", "", "ca", USE_WRITE, verb_fold, "[--claim] [--all]",
     "take over the counters of retired stores",
     "Moves counter entries of stores that said goodbye into this store's\n"
     "own; no counter changes its value. The entries are emptied now, and\n"
     "removed by the first fold that comes gc-retention (30d unless set, see\n"
     "'edgecrdt help setting') later: so run it now and then. Until they are\n"
     "removed, a copy of a retired store that turns up is counted right; of\n"
     "one that turns up later, what was folded counts twice. Prints how many\n"
     "entries it changed, and how many of these it removed.\n"
     "\n"
     "--all also empties entries of stores that did not say goodbye and may\n"
     "go on counting; these stay until their store says goodbye.\n"
     "\n"
     "One store of all, the heir, may fold: --claim makes this one the heir.\n"
     "Two heirs would count double. The right ends with the store's identity:\n"
     "after a restore, claim it again only when everything that the old heir\n"
     "folded has arrived.\n"
     "\n"
     "JSON: entries, removed.\n"},
    {"verify", "", "AkTen", USE_CHECK, verb_verify,
     "[--against ed25519:KEY@HOST[:PORT] [--key FILE] [--timeout S] "
     "[--realm R] [--name N]]",
     "check every record, or compare with a running node",
     "Reads the pages of the data file, then recomputes checksums, digests,\n"
     "sizes, totals and clocks. One line per finding and exit 65, or\n"
     "\"sound\". A damaged store is best replaced: move it away, 'restore' a\n"
     "backup or 'init' a new one, and let it catch up.\n"
     "\n"
     "--against compares with another node's store over the network, range\n"
     "by range at equal clocks, and changes neither: exit 0 if all is\n"
     "equal, 1 and the first keys that differ, with the events that only\n"
     "one side has. A node that is written to is tried again until\n"
     "--timeout seconds (default 30; exit 75). The relay may run meanwhile\n"
     "and use the same --key (else $EDGECRDT_KEY).\n"
     "\n"
     "JSON: bucket, type, key, element, here, there; at the end equal,\n"
     "buckets, ranges, findings, bytes.\n"},
    {"backup", "w", "", USE_READ, verb_backup, "NEW_FOLDER",
     "copy the store while it is in use",
     "The copy is a consistent snapshot without free space. It has no\n"
     "identity: restored, it is a replica of its own, which never repeats\n"
     "the numbers of this one.\n"},
    {"restore", "w", "", USE_NEW, verb_restore, "BACKUP",
     "make a store of a backup",
     "Copies the folder BACKUP, made by 'backup', to the folder of -s,\n"
     "which must not exist, and verifies it. The new store catches up with\n"
     "its peers when its relay starts.\n"},
    {"forget", "w|d", "x", USE_WRITE, verb_forget, "[--hex] BUCKET [PREFIX]",
     "take keys out, to pull them again from peers",
     "Takes what begins with PREFIX (all of the bucket without it) out of\n"
     "this store as if it had never been here, and takes a new incarnation;\n"
     "the relay pulls it again from its peers. It deletes nothing at them.\n"
     "What no peer has is lost: 'peers' must show nothing missing there.\n"
     "Prints the number of items.\n"},
    HEADING("Deltas by hand"),
    {"summary", "", "o", USE_READ, verb_summary, "[--out FILE]",
     "write what this store knows",
     "Some hundred bytes for 'export --summary' at another store.\n"},
    {"export", "", "Umo", USE_READ, verb_export,
     "[--summary FILE | --since FILE] [--max-bytes N] [--out FILE]",
     "write what another store lacks",
     "FILE is a summary: of the store that shall import, or an older one\n"
     "of this store (\"-\" reads standard input). Without it everything is\n"
     "written. At most about --max-bytes (default 32M) at once: if more\n"
     "remains it says so and exits 1. Lost, repeated and reordered exports\n"
     "do no harm.\n"
     "\n"
     "  edgecrdt -s B summary | edgecrdt -s A export --summary - |\n"
     "      edgecrdt -s B import\n"},
    {"import", "|w", "", USE_WRITE, verb_import, "[FILE]", "apply an export",
     "From FILE or standard input, in one transaction. Exits 1 if parts\n"
     "were left out: \"ahead\" builds on something missing here (make a new\n"
     "summary and export again), \"refused\" does not fit this store. What\n"
     "lies outside of what the store holds is ignored, \"not held here\" "
     "counts\n"
     "the parts.\n"},
    HEADING("A part of the data"),
    {"subscribe", "|wd+", "xO", USE_WRITE, verb_subscribe,
     "[--hex] [BUCKET [PREFIX...] | --others]",
     "hold a bucket, or some prefixes of it",
     "From now on this store holds of BUCKET the keys that begin with one of\n"
     "the prefixes, all of them if none is given, and nothing else of it;\n"
     "--others: all of the buckets that no call named. What is new comes from\n"
     "the peers. What is no longer held is forgotten as soon as a connected\n"
     "core that holds it has shown that it has all of it; until then it\n"
     "stays, and 'peers' says for whom it waits (exit 1). Writes outside go "
     "to\n"
     "the peers as ever; the same call again forgets them.\n"
     "\n"
     "Without a bucket it lists what is held; JSON: bucket, holds, prefixes,\n"
     "leaving. A relay whose configuration has 'subscribe' sections sets it\n"
     "from there when it starts.\n"},
    {"unsubscribe", "|w", "O", USE_WRITE, verb_unsubscribe, "BUCKET | --others",
     "hold nothing of a bucket",
     "--others: of the buckets that no call named. As 'subscribe'.\n"},
    HEADING("The network"),
    {"peers", "", "", USE_READ, verb_peers, "", "who is in sync",
     "What the relay (edgecrdtd) of this store last wrote down: name, key,\n"
     "role, who dials, state, events missing here and there (not known\n"
     "without a link), when last seen, and why not. Exits 0 if the relay\n"
     "runs and all peers are in sync, else 1.\n"
     "\n"
     "What the relay has counted since it started is shown too, as by stat:\n"
     "unknown keys refused, links closed for what came over them, large\n"
     "catch-ups, branches of one identity that were merged, heads that could\n"
     "not be placed; parts of chunks that were refused, too early, not held\n"
     "here, or whole ranges; audits, and those that found a difference. JSON\n"
     "has each peer's share, and the relay's own as relay_...\n"},
    {"sync", "w+", "kTen", USE_WRITE, verb_sync,
     "[--key FILE] [--timeout S] [--realm R] [--name N] "
     "ed25519:KEY@HOST[:PORT]...",
     "one round of replication, without a relay",
     "Connects to the peers, pushes and pulls, and ends when all are in\n"
     "sync (exit 0) or after --timeout seconds (default 30; exit 1, or, if\n"
     "no peer could be synced, why the first was not: 74, 76 or 77). --key\n"
     "is this node's key file (else $EDGECRDT_KEY). What counts as sent is\n"
     "durable at the peer.\n"},
    {"wait", "w", "HCPT", USE_WRITE, verb_wait,
     "[--here | --core | --peers K] [--timeout S] RECEIPT",
     "wait until a write is there",
     "RECEIPT is what a verb that writes printed for --receipt, at whichever\n"
     "node. Waits until that write is visible in this store (--here, the\n"
     "default), durable at a peer that is a core (--core) or durable at K\n"
     "peers of this node: exit 0. Exit 1 after --timeout seconds (default\n"
     "30), and a sentence says what is missing. Peers are asked through the\n"
     "relay of this store. JSON: fulfilled.\n"},
    {"key", "w|w", "o", USE_NONE, verb_key, "gen [--out FILE] | pub [FILE]",
     "make a node key, or print its public half",
     "gen writes a new secret to --out FILE (mode 0600, must not exist;\n"
     "prints the public key) or to a pipe or file, never to a terminal.\n"
     "pub reads a secret from FILE or standard input and prints the public\n"
     "key, which peers put into their configuration.\n"
     "\n"
     "  edgecrdt key gen > node.key\n"
     "  edgecrdt key pub < node.key\n"},
    {"help", "|w", "", USE_NONE, verb_help, "[VERB|exit]",
     "this list, the page of a verb, the exit codes", ""},
    {NULL, "", "", USE_NONE, NULL, "", "", ""},
};
