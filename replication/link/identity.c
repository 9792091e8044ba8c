/* identity.c: key files, key text, peer addresses. */
#include "replication/link/identity.h"
#include "lib/assert.h"
#include "lib/err.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static const char SECRET_PREFIX[] = "ed25519-secret:";
static const char PUBLIC_PREFIX[] = "ed25519:";
static const char DH_DOMAIN[] = "ecrdt-noise-static-1";

enum {
    KEY_CHARS = 43, /* 32 bytes as base64url */
    SECRET_LINE = sizeof SECRET_PREFIX - 1 + KEY_CHARS + 1
};

static slice literal(const char *s) {
    return slice_of(s, strlen(s));
}

void identity_init(struct identity *id, const uint8_t seed[32]) {
    crypto_sign_key_from_seed(id->pk, id->sk, seed);
    const slice parts[2] = {literal(DH_DOMAIN), slice_of(seed, CRYPTO_SEED)};
    crypto_blake2b_parts(id->dh_sk, CRYPTO_SEED, parts, 2);
    crypto_dh_public(id->dh_pk, id->dh_sk);
}

void identity_free(struct identity *id) {
    if (id)
        crypto_wipe(id, sizeof *id);
}

/* ---- key files ---- */

/* Makes the name durable: a file whose folder is not synced may be gone after
 * a power loss, and with it the node's identity. */
static int sync_folder_of(const char *path) {
    char folder[4096];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (n >= sizeof folder)
        return err_errno(ENAMETOOLONG, "could not sync the folder of", path);
    memcpy(folder, path, n);
    folder[n] = 0;
    const char *name = n ? folder : slash ? "/" : ".";
    int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(errno, "could not open the folder", name);
    int rc = ECRDT_OK;
    if (fsync(fd) != 0)
        rc = err_errno(errno, "could not sync the folder", name);
    close(fd);
    return rc;
}

/* Writes all of line to fd, exactly of mode 0600, and syncs it. */
static int write_line(int fd, const char *path, const char *line, size_t len) {
    if (fchmod(fd, 0600) != 0)
        return err_errno(errno, "could not set the mode of the key file", path);
    while (len) {
        ssize_t n = write(fd, line, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(errno, "could not write the key file", path);
        line += n;
        len -= (size_t)n;
    }
    if (fsync(fd) != 0)
        return err_errno(errno, "could not sync the key file", path);
    return ECRDT_OK;
}

static int open_new(const char *path) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    if (errno == EEXIST)
        return err_set(ECRDT_EINVAL,
                       "could not create the key file %s: it exists, and a key "
                       "is never overwritten; choose another name or move the "
                       "old one away",
                       path);
    return err_errno(errno, "could not create the key file", path);
}

int identity_create(const char *path, const uint8_t seed[32]) {
    char line[SECRET_LINE + 1];
    memcpy(line, SECRET_PREFIX, sizeof SECRET_PREFIX - 1);
    crypto_base64(line + sizeof SECRET_PREFIX - 1, seed, CRYPTO_SEED);
    line[SECRET_LINE - 1] = '\n';
    int fd = open_new(path), rc = fd;
    if (fd >= 0) {
        rc = write_line(fd, path, line, SECRET_LINE);
        close(fd);
        if (rc == 0)
            rc = sync_folder_of(path);
        if (rc < 0)
            unlink(path);
    }
    crypto_wipe(line, sizeof line);
    return rc;
}

static int check_mode(int fd, const char *path) {
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_errno(errno, "could not look at the key file", path);
    if (!S_ISREG(st.st_mode))
        return err_set(ECRDT_EINVAL,
                       "could not read the key file %s: it is not a file",
                       path);
    if (st.st_mode & 077)
        return err_set(ECRDT_EINVAL,
                       "refused the key file %s: its mode %03o lets group or "
                       "others at the secret; run: chmod 600 %s",
                       path, (unsigned)(st.st_mode & 0777), path);
    return ECRDT_OK;
}

/* Reads up to size bytes: how many, or a negative code. */
static ssize_t read_some(int fd, const char *path, char *out, size_t size) {
    size_t len = 0;
    while (len < size) {
        ssize_t n = read(fd, out + len, size - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(errno, "could not read the key file", path);
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

static bool parse_line(uint8_t seed[32], slice line) {
    const size_t prefix = sizeof SECRET_PREFIX - 1;
    const char *p = line.data;
    return line.len == SECRET_LINE && p[SECRET_LINE - 1] == '\n' &&
           slice_starts(line, literal(SECRET_PREFIX)) &&
           crypto_unbase64(seed, CRYPTO_SEED, p + prefix, KEY_CHARS);
}

static int load_from(int fd, struct identity *id, const char *path) {
    int rc = check_mode(fd, path);
    if (rc < 0)
        return rc;
    uint8_t seed[CRYPTO_SEED];
    char line[SECRET_LINE + 1]; /* one more, to see that there is no more */
    ssize_t n = read_some(fd, path, line, sizeof line);
    if (n < 0)
        rc = (int)n;
    else if (parse_line(seed, slice_of(line, (size_t)n)))
        identity_init(id, seed);
    else
        rc = err_set(ECRDT_EINVAL,
                     "could not read the key file %s: it is not one line of "
                     "\"%s\" and %d characters of base64url",
                     path, SECRET_PREFIX, KEY_CHARS);
    crypto_wipe(seed, sizeof seed);
    crypto_wipe(line, sizeof line);
    return rc;
}

int identity_load(struct identity *id, const char *path) {
    /* O_NONBLOCK: a fifo of that name must not hang us */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT
                   ? err_set(ECRDT_ENOENT,
                             "there is no key file %s: make one with "
                             "'edgecrdt key gen --out %s'",
                             path, path)
                   : err_errno(errno, "could not open the key file", path);
    int rc = load_from(fd, id, path);
    close(fd);
    return rc;
}

/* ---- key text ---- */

const char *identity_text(char out[IDENTITY_TEXT], const uint8_t pk[32]) {
    memcpy(out, PUBLIC_PREFIX, sizeof PUBLIC_PREFIX - 1);
    crypto_base64(out + sizeof PUBLIC_PREFIX - 1, pk, CRYPTO_PK);
    return out;
}

/* A secret pasted where a public key belongs must not end up in a log. */
static int refuse_secret(slice text) {
    if (!slice_starts(text, literal(SECRET_PREFIX)))
        return ECRDT_OK;
    return err_set(ECRDT_EINVAL,
                   "refused a secret key where a public key belongs: write "
                   "the \"%s\" form, and replace this secret if others "
                   "could see it",
                   PUBLIC_PREFIX);
}

int identity_parse(uint8_t pk[32], slice text) {
    const size_t prefix = sizeof PUBLIC_PREFIX - 1;
    if (text.len == prefix + KEY_CHARS &&
        slice_starts(text, literal(PUBLIC_PREFIX)) &&
        crypto_unbase64(pk, CRYPTO_PK, (const char *)text.data + prefix,
                        KEY_CHARS))
        return ECRDT_OK;
    int rc = refuse_secret(text);
    if (rc < 0)
        return rc;
    int shown = text.len < 80 ? (int)text.len : 80;
    return err_set(ECRDT_EINVAL,
                   "could not read the key \"%.*s\": a public key is \"%s\" "
                   "and %d characters of base64url",
                   shown, text.len ? (const char *)text.data : "",
                   PUBLIC_PREFIX, KEY_CHARS);
}

/* ---- peer addresses ---- */

static int bad_address(const char *text, const char *why) {
    return err_set(ECRDT_EINVAL,
                   "could not read the peer address \"%.400s\": %s; write "
                   "ed25519:KEY@host:port, or @[address]:port for IPv6",
                   text, why);
}

/* Digits only, no leading zero, 1 to 65535; 0 if not. */
static uint16_t parse_port(slice s) {
    const char *p = s.data;
    uint32_t port = 0;
    if (s.len == 0 || s.len > 5 || p[0] == '0')
        return 0;
    for (size_t i = 0; i < s.len; i++) {
        if (p[i] < '0' || p[i] > '9')
            return 0;
        port = port * 10 + (uint32_t)(p[i] - '0');
    }
    return port <= UINT16_MAX ? (uint16_t)port : 0;
}

static bool name_ok(const char *host) {
    for (const char *p = host; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr(".-_", *p))
            return false;
    return *host && *host != '-' && *host != '.';
}

/* An IPv6 number, with a zone ("%eth0") or without. */
static bool v6_ok(const char *host) {
    char number[INET6_ADDRSTRLEN];
    struct in6_addr parsed;
    size_t n = strcspn(host, "%");
    if (n >= sizeof number)
        return false;
    memcpy(number, host, n);
    number[n] = 0;
    return inet_pton(AF_INET6, number, &parsed) == 1 &&
           (!host[n] || name_ok(host + n + 1));
}

/* Cuts "host[:port]" in place; *rest is what follows the host. */
static const char *split_host(struct peer_address *out, const char *text,
                              const char **rest) {
    bool v6 = *text == '[';
    const char *from = text + v6;
    size_t n = strcspn(from, v6 ? "]" : ":");
    if (v6 && !from[n])
        return "the bracket is not closed";
    if (n > PEER_HOST_MAX)
        return "the host is longer than 253 bytes";
    memcpy(out->host, from, n);
    out->host[n] = 0;
    *rest = from + n + v6;
    if (!v6 && strchr(*rest, ':') != strrchr(*rest, ':'))
        return "an IPv6 address needs brackets";
    if (v6 ? !v6_ok(out->host) : !name_ok(out->host))
        return v6 ? "no IPv6 address is in the brackets"
                  : "the host is not a name or a number";
    return NULL;
}

int peer_address_parse(struct peer_address *out, const char *text) {
    const char *at = strchr(text, '@'), *rest = NULL;
    *out = (struct peer_address){.port = PEER_PORT_DEFAULT};
    int rc = refuse_secret(literal(text));
    if (rc < 0)
        return rc;
    if (!at)
        return bad_address(text, "there is no @ between key and host");
    rc = identity_parse(out->pk, slice_of(text, (size_t)(at - text)));
    if (rc < 0)
        return rc;
    const char *why = split_host(out, at + 1, &rest);
    if (why)
        return bad_address(text, why);
    if (!*rest)
        return ECRDT_OK;
    if (*rest == ':')
        out->port = parse_port(literal(rest + 1));
    if (*rest != ':' || !out->port)
        return bad_address(text, "the port is not a number of 1 to 65535");
    return ECRDT_OK;
}
