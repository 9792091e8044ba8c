/* os.c: clocks, folders, the wake file and fork detection. */
#include "lib/os.h"
#include "lib/err.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

static uint64_t clock_ms(clockid_t id) {
    struct timespec ts;
    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

uint64_t os_wall_ms(void) {
    return clock_ms(CLOCK_REALTIME);
}

uint64_t os_mono_ms(void) {
    return clock_ms(CLOCK_MONOTONIC);
}

static int hex_digit(int c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void os_boot_id(uint8_t out[16]) {
    memset(out, 0, 16);
    char text[64];
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t len = read(fd, text, sizeof text);
    close(fd);
    unsigned n = 0;
    for (ssize_t i = 0; i < len && n < 32; i++) {
        int d = hex_digit(text[i]);
        if (d < 0)
            continue;
        out[n / 2] = (uint8_t)(out[n / 2] << 4 | d);
        n++;
    }
}

atomic_uint os_forks;

static void count_fork(void) {
    atomic_fetch_add(&os_forks, 1);
}

static void watch_forks(void) {
    pthread_atfork(NULL, NULL, count_fork);
}

uint32_t os_fork_generation(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    return os_fork_generation_now();
}

static int not_a_folder(const char *path) {
    return err_set(ECRDT_EINVAL, "cannot use %s as a store: it is not a folder",
                   path);
}

static int no_folder(int errnum, const char *path) {
    if (errnum != ENOENT && errnum != ENOTDIR)
        return err_errno(errnum, "cannot make the folder", path);
    return err_set(ECRDT_ENOENT,
                   "cannot make the folder %s: the folder above it does not "
                   "exist; make that first",
                   path);
}

void os_parent(const char *path, char *out, size_t size) {
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    while (n > 0 && path[n - 1] != '/')
        n--;
    while (n > 1 && path[n - 1] == '/')
        n--;
    snprintf(out, size, "%.*s", n ? (int)n : 1, n ? path : ".");
}

int os_make_folder(const char *path, uint32_t mode, bool *made) {
    *made = false;
    struct stat st;
    if (!mkdir(path, 0700)) {
        /* mkdir() obeys the umask and may drop setgid: set it outright. */
        if (chmod(path, mode))
            return err_errno(errno, "cannot set the mode of", path);
        *made = true;
        return ECRDT_OK;
    }
    int errnum = errno; /* EROFS or EACCES for one that exists, too */
    if (stat(path, &st))
        return no_folder(errnum == EEXIST ? errno : errnum, path);
    return S_ISDIR(st.st_mode) ? ECRDT_OK : not_a_folder(path);
}

struct fs_type {
    uint32_t magic;
    const char *name;
};

const char *os_network_filesystem(uint32_t magic) {
    static const struct fs_type refused[] = {
        {0x6969, "NFS"},
        {0xff534d42, "CIFS"},
        {0xfe534d42, "SMB2"},
        {0x517b, "SMB"},
        {0x65735546, "FUSE"},
        {0x01021997, "9p"},
        {0x00c36400, "Ceph"},
        {0x5346414f, "AFS"},
        {0x6b414653, "AFS"},
        {0x73757245, "Coda"},
        {0x0bd00bd0, "Lustre"},
        {0x7461636f, "OCFS2"},
        {0x01161970, "GFS2"},
        {0x47504653, "GPFS"},
        {0x19830326, "BeeGFS"},
        {0xaad7aaea, "PanFS"},
        {0x20030528, "OrangeFS"},
        {0x564c, "NCP"},
        {0x786f4256, "VirtualBox shared folders"},
        {0xbacbacbc, "VMware shared folders"}};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (magic == refused[i].magic)
            return refused[i].name;
    return NULL;
}

int os_check_filesystem(const char *path) {
    struct statfs fs;
    int rc;
    do
        rc = statfs(path, &fs);
    while (rc && errno == EINTR);
    if (rc && errno == ENOENT)
        return err_set(ECRDT_ENOENT,
                       "the folder %s does not exist; make that first", path);
    if (rc)
        return err_errno(errno, "cannot look at the filesystem of", path);
    const char *name = os_network_filesystem((uint32_t)fs.f_type);
    if (!name)
        return ECRDT_OK;
    return err_set(ECRDT_ENOTSUP,
                   "cannot keep a store in %s: it is on %s, whose locks and "
                   "memory maps are not safe between machines; use a local "
                   "disk or tmpfs",
                   path, name);
}

int os_folder_empty(const char *path) {
    DIR *d = opendir(path);
    if (!d)
        return err_errno(errno, "cannot read the folder", path);
    int entries = 0;
    for (struct dirent *e; (e = readdir(d));)
        entries += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
    closedir(d);
    return entries == 0;
}

int os_claim_folder(const char *path, int *fd) {
    *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0)
        return err_errno(errno, "cannot open the folder", path);
    if (!flock(*fd, LOCK_EX | LOCK_NB) || errno != EWOULDBLOCK)
        return ECRDT_OK; /* not every filesystem can */
    close(*fd);
    return err_set(ECRDT_EBUSY,
                   "the folder %s is being written by another call or "
                   "process: let it end, or name another folder",
                   path);
}

int os_sync_folder(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(errno, "cannot open the folder", path);
    int rc = fsync(fd) ? err_errno(errno, "cannot sync the folder", path) : 0;
    close(fd);
    return rc;
}

/* Makes the file, or opens what another process makes meanwhile. */
static int make_file(const char *file, uint32_t mode) {
    int fd = open(file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EEXIST ? open(file, O_RDWR | O_CLOEXEC) : fd;
    if (fchmod(fd, mode)) { /* outright: the umask does not count */
        int errnum = errno;
        close(fd);
        errno = errnum;
        return -1;
    }
    return fd;
}

int os_open_file(const char *path, const char *name, uint32_t mode, bool create,
                 int *fd) {
    char file[4096];
    snprintf(file, sizeof file, "%s/%s", path, name);
    *fd = open(file, O_RDWR | O_CLOEXEC);
    if (*fd < 0 && errno == ENOENT) {
        if (!create)
            return ECRDT_OK;
        *fd = make_file(file, mode);
    }
    if (*fd >= 0)
        return ECRDT_OK;
    int errnum = errno, rc = err_errno(errnum, "cannot open", file);
    errno = errnum;
    return rc;
}

void os_wake(int fd) {
    /* A failure costs the watchers at most their next look at the txn id. */
    if (fd >= 0)
        (void)!pwrite(fd, "!", 1, 0);
}

int os_watch_open(const char *path) {
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd >= 0 && inotify_add_watch(fd, path, IN_MODIFY) < 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

void os_watch_wait(int fd, uint32_t timeout_ms) {
    char events[1024];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int most = timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms;
    if (poll(&p, 1, most) > 0)
        while (read(fd, events, sizeof events) > 0)
            continue;
}
