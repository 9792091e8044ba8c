/* report_page.h: the report as one HTML file that needs nothing else. */
#ifndef FUZZ_SIM_REPORT_PAGE_H
#define FUZZ_SIM_REPORT_PAGE_H
#include "fuzz/sim/report_read.h"
#include <stdio.h>

/* Writes the page; false if the stream failed. */
bool report_write(const struct report *r, FILE *out);
#endif
