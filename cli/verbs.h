/* verbs.h: the functions behind the verbs, by file; each returns the exit
 * code. c->s is open as the verb's row asks. */
#ifndef CLI_VERBS_H
#define CLI_VERBS_H
#include "cli/cli.h"

/* ---- verbs_data.c: registers and counters ---- */

/* Prints a register's value. */
int verb_get(struct cli *c);
/* Sets a register. */
int verb_set(struct cli *c);
/* Deletes a register. */
int verb_del(struct cli *c);
/* Lists a register's concurrent values. */
int verb_siblings(struct cli *c);
/* Adds to a counter. */
int verb_incr(struct cli *c);
/* Prints a counter. */
int verb_count(struct cli *c);
/* Takes a counter back to 0. */
int verb_reset(struct cli *c);

/* ---- verbs_set.c: OR-sets ---- */

/* Adds elements. */
int verb_sadd(struct cli *c);
/* Removes elements. */
int verb_srem(struct cli *c);
/* Lists elements. */
int verb_smembers(struct cli *c);
/* Tells whether an element is there. */
int verb_sismember(struct cli *c);
/* Prints the number of elements. */
int verb_scard(struct cli *c);
/* Removes all elements. */
int verb_sclear(struct cli *c);

/* ---- verbs_wait.c: receipts ---- */

/* Ends the write transaction t of a verb whose operation gave rc: commits
 * what did something, and takes the receipt of --receipt. Returns rc, or the
 * error of the commit. */
int write_end(struct cli *c, ecrdt_txn *t, int rc);
/* Ends the row of a write: with the receipt in JSON, else on its own line. */
void write_out(struct cli *c);
/* The line alone, of a verb without a row. */
void write_out_line(struct cli *c);
/* Waits until the writes of a receipt are there. */
int verb_wait(struct cli *c);

/* ---- verbs_list.c: many keys ---- */

/* Lists the buckets. */
int verb_buckets(struct cli *c);
/* Lists keys. */
int verb_keys(struct cli *c);
/* Writes every live item. */
int verb_dump(struct cli *c);
/* Prints digests. */
int verb_digest(struct cli *c);

/* ---- verbs_store.c: the store as a whole ---- */

/* Creates a store. */
int verb_init(struct cli *c);
int verb_resize(struct cli *c);
/* Copies the store. */
int verb_backup(struct cli *c);
/* Makes a store of a copy. */
int verb_restore(struct cli *c);
/* Checks every record. */
int verb_verify(struct cli *c);
int verb_forget(struct cli *c);
/* Prints figures, or the limits. */
int verb_stat(struct cli *c);
/* What the program shows when no verb is given. */
int verb_status(struct cli *c);

/* ---- verbs_gc.c: what is done about the past ---- */

/* Drops removal markers. */
int verb_gc(struct cli *c);
/* Shows or changes the store's settings. */
int verb_setting(struct cli *c);
/* Says goodbye for the store. */
int verb_retire(struct cli *c);
/* Moves counter entries of those that said it. */
int verb_fold(struct cli *c);

/* ---- verbs_delta.c: deltas by hand ---- */

/* Writes the summary. */
int verb_summary(struct cli *c);
/* Writes what another store lacks. */
int verb_export(struct cli *c);
/* Applies an export. */
int verb_import(struct cli *c);

/* ---- verbs_subscribe.c: what the store holds ---- */

/* Holds a bucket or some prefixes of it, or lists what is held. */
int verb_subscribe(struct cli *c);
/* Holds nothing of a bucket. */
int verb_unsubscribe(struct cli *c);

/* ---- verbs_net.c: the network ---- */

/* Makes a node key, or prints its public half. */
int verb_key(struct cli *c);
/* One round of replication with named peers. */
int verb_sync(struct cli *c);

/* ---- verbs_peers.c: what the relay wrote down ---- */

/* The table of peers. */
int verb_peers(struct cli *c);
/* Adds what the relay counts: for people what is not 0; an exit code. */
int peers_counts(struct cli *c);
/* Adds the relay's lines to the status. */
int peers_status(struct cli *c);

/* ---- help.c ---- */

/* Prints the page of a verb. */
int verb_help(struct cli *c);

/* verify --against. */
int verify_with_peer(struct cli *c);
#endif
