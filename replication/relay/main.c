/* main.c: edgecrdtd's command line. */
#include "replication/relay/relay.h"
#include <getopt.h>
#include <stdio.h>

static const char usage[] =
    "usage: edgecrdtd [-c FILE] [--check-config | --version | --help]\n"
    "\n"
    "Replicates one edgecrdt store with its peers, in the foreground.\n"
    "\n"
    "  -c, --config FILE   configuration (default " CONFIG_DEFAULT ")\n"
    "      --check-config  read and check it, change nothing, exit\n"
    "      --version       print the version and exit\n"
    "  -h, --help          print this and exit\n"
    "\n"
    "Signals: HUP reads the configuration again (a bad one changes nothing),\n"
    "TERM and INT drain and stop (twice: stop at once), USR1 logs the state.\n"
    "Exit status: 0 stopped in order, 64 usage, 69 cannot listen or another\n"
    "relay runs on the store, 74 the store fails, 77 permissions,\n"
    "78 configuration.\n";

enum { OPT_CHECK = 256, OPT_VERSION };

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"check-config", no_argument, NULL, OPT_CHECK},
    {"version", no_argument, NULL, OPT_VERSION},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0}};

int main(int argc, char **argv) {
    const char *path = CONFIG_DEFAULT;
    bool check = false;
    for (int c; (c = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
        switch (c) {
        case 'c':
            path = optarg;
            break;
        case OPT_CHECK:
            check = true;
            break;
        case OPT_VERSION:
            printf("edgecrdtd %s\n", ecrdt_version());
            return RELAY_OK;
        case 'h':
            fputs(usage, stdout);
            return RELAY_OK;
        default:
            fputs(usage, stderr);
            return RELAY_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "edgecrdtd: unexpected argument \"%s\"\n%s",
                argv[optind], usage);
        return RELAY_USAGE;
    }
    return check ? relay_check(path) : relay_run(path);
}
