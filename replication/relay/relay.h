/* relay.h: the daemon's life: start, reload, drain, stop. */
#ifndef REPLICATION_RELAY_RELAY_H
#define REPLICATION_RELAY_RELAY_H
#include "replication/relay/config.h"

/* sysexits(3) numbers. */
enum {
    RELAY_OK = 0,
    RELAY_USAGE = 64,
    RELAY_UNAVAILABLE = 69, /* cannot listen, or another relay runs */
    RELAY_IO = 74,          /* the store fails */
    RELAY_NOPERM = 77,      /* key file or store is not ours to use */
    RELAY_CONFIG = 78
};

/* Runs a relay by the configuration at path until it is told to stop;
 * returns the exit status, errors are on standard error. */
int relay_run(const char *path);

/* Reads the configuration and what it names without changing anything;
 * returns the exit status, the result is printed. */
int relay_check(const char *path);
#endif
