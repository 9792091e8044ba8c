/* help.c: the list of verbs, the pages of "help VERB", the exit codes. */
#include "cli/verbs.h"

static const char intro[] =
    "edgecrdt: look at and change a libedgecrdt store, with or without a "
    "relay\n"
    "\n"
    "usage: edgecrdt [-s DIR] [--json] [VERB [OPTION...] [OPERAND...]]\n"
    "\n"
    "  -s, --store DIR   the store's folder (else $EDGECRDT_STORE)\n"
    "  --json            one JSON object per line; bytes that are not UTF-8\n"
    "                    are given as {\"hex\": \"...\"}\n"
    "  -h, --help        this text, or the page of the verb before it\n"
    "  --version         the library's version\n"
    "\n"
    "Without a verb: a short status of the store.\n";

static const char outro[] =
    "\n"
    "A BUCKET is 1-64 bytes, a KEY 1-1024, an ELEMENT up to 64 KiB, a VALUE\n"
    "up to 1 MiB; --hex takes and prints keys, values and elements as hex\n"
    "digits, and a last operand \"-\" reads a value or element from standard\n"
    "input as it is. Operands that a verb needs are taken literally, whatever\n"
    "they begin with; options may also come after them. --receipt prints what\n"
    "'edgecrdt wait' waits for.\n"
    "\n"
    "'edgecrdt help VERB' explains a verb, 'edgecrdt help exit' the exit\n"
    "codes.\n";

static const char exit_codes[] =
    "exit codes:\n"
    "   0  done; yes; all of it\n"
    "   1  no: the key, element or bucket's content is absent (nothing is\n"
    "      printed, as grep does); more remains (export, gc); not in sync\n"
    "      (peers, sync); not there in time (wait); not equal (verify\n"
    "      --against); parts left out (import); something is yet to be\n"
    "      forgotten (subscribe, unsubscribe)\n"
    "  64  the call is wrong: option, operand, limit of a name\n"
    "  65  data: over a size limit, out of int64, damaged, not an export\n"
    "  66  no such store or file\n"
    "  70  something unexpected in this program\n"
    "  71  out of memory\n"
    "  73  a file or folder cannot be created, or exists\n"
    "  74  input/output error; store or disk full\n"
    "  75  busy or deadline passed: trying again can help\n"
    "  76  the peer broke the protocol, or a format version does not fit\n"
    "  77  no permission: store read-only, or a key was refused\n";

const struct verb *verb_find(const char *name) {
    for (const struct verb *v = verbs; v->name; v++)
        if (v->run && !strcmp(v->name, name))
            return v;
    return NULL;
}

static void print_list(void) {
    fputs(intro, stdout);
    for (const struct verb *v = verbs; v->name; v++) {
        if (*v->usage == '#') /* a heading comes before this verb */
            printf("\n%s\n", v->usage + 1);
        else
            printf("  %-11s %s\n", v->name, v->summary);
    }
    fputs(outro, stdout);
}

/* Prints words, folded before column 80 and indented after a fold. */
static void print_folded(const char *text, int column) {
    const int indent = 11;
    while (*text) {
        int n = (int)strcspn(text, " ");
        if (column + 1 + n > 79)
            column = printf("\n%*s%.*s", indent, "", n, text) - 1;
        else
            column += printf(" %.*s", n, text);
        text += n;
        text += strspn(text, " ");
    }
}

static void print_page(const struct verb *v) {
    printf("edgecrdt %s: %s\n\n", v->name, v->summary);
    int column = printf("usage: edgecrdt%s %s",
                        v->use == USE_NONE ? "" : " -s DIR", v->name);
    print_folded(v->usage, column);
    printf("\n\n%s", v->help);
}

int help_print(const char *name) {
    const struct verb *v = name ? verb_find(name) : NULL;
    if (!name)
        print_list();
    else if (!strcmp(name, "exit"))
        fputs(exit_codes, stdout);
    else if (v)
        print_page(v);
    else
        return out_error(EXIT_USAGE,
                         "there is no page on \"%s\"; 'edgecrdt help' lists "
                         "the verbs",
                         name);
    return 0;
}

int verb_help(struct cli *c) {
    return help_print(c->n ? c->word[0] : NULL);
}
