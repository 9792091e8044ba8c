/* sync_once.c: a function that writes and makes sure the write has reached
 * its peers before it is frozen. */
#include "edgecrdt_sync.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Exit status: 0 = every peer has it, 1 = not all by the deadline (it stays
 * in the store and goes with the next sync), 2 = an error. */
int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: sync_once STORE KEY_FILE "
                        "ed25519:KEY@HOST:PORT...\n");
        return 64;
    }
    char now[32];
    int len = snprintf(now, sizeof now, "%lld", (long long)time(NULL));
    ecrdt_store *s = ecrdt_open(argv[1], NULL);
    ecrdt_txn *t = ecrdt_write(s);
    ecrdt_reg_set(t, "functions", ecrdt_str("last_run"),
                  (ecrdt_slice){now, (size_t)len});
    ecrdt_counter_add(t, "functions", ecrdt_str("runs"), 1, NULL);
    int rc = ecrdt_commit(t); /* durable here, whatever happens below */

    if (rc == 0) {
        ecrdt_sync_conf conf = ECRDT_SYNC_CONF_INIT;
        ecrdt_sync_report done = {.size = sizeof done};
        conf.key_file = argv[2];
        conf.peers = (const char *const *)&argv[3];
        conf.npeers = (size_t)argc - 3;
        rc = ecrdt_sync_once(s, &conf, 5000, &done);
        printf("%u of %zu peers in sync, %llu items sent, %llu received\n",
               done.peers_synced, conf.npeers,
               (unsigned long long)done.items_sent,
               (unsigned long long)done.items_applied);
        rc = rc < 0 ? rc : !rc;
    }
    if (rc)
        fprintf(stderr, "sync_once: %s\n", ecrdt_errmsg());
    ecrdt_close(s);
    return rc < 0 ? 2 : rc;
}
