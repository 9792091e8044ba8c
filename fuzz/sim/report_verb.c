/* report_verb.c: the verb `report`. */
#include "fuzz/sim/report_page.h"
#include "fuzz/sim/sim.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static int usage(void) {
    fputs("usage: edgecrdt-sim report JOURNAL [-o FILE.html]\n"
          "Draws what replay wrote with --journal as one page "
          "(report.html) that needs no network.\n",
          stderr);
    return SIM_USAGE;
}

static int write_page(const struct report *r, const char *path) {
    FILE *f = fopen(path, "we");
    bool ok = f && report_write(r, f);
    ok = f && fclose(f) == 0 && ok;
    if (ok) {
        printf("%s\n", path);
        return SIM_PASS;
    }
    fprintf(stderr, "edgecrdt-sim: cannot write %s: %s\n", path,
            strerror(errno));
    return SIM_INCONCLUSIVE;
}

int sim_report(int argc, char **argv) {
    const char *journal = NULL, *out = "report.html";
    for (int i = 0; i < argc; i++)
        if (!strcmp(argv[i], "-o") && i + 1 < argc)
            out = argv[++i];
        else if (argv[i][0] == '-' || journal)
            return usage();
        else
            journal = argv[i];
    if (!journal)
        return usage();
    struct report r = {0};
    int rc = report_read(&r, journal) ? write_page(&r, out) : SIM_USAGE;
    report_free(&r);
    return rc;
}
