/* os.c: clocks, folders, the wake file and fork detection. */
#include "lib/os.h"
#include "lib/err.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
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
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (!f)
        return;
    int c;
    for (unsigned n = 0; n < 32 && (c = fgetc(f)) != EOF;) {
        int d = hex_digit(c);
        if (d < 0)
            continue;
        out[n / 2] = (uint8_t)(out[n / 2] << 4 | d);
        n++;
    }
    fclose(f);
}

static atomic_uint generation;

static void count_fork(void) {
    atomic_fetch_add(&generation, 1);
}

static void watch_forks(void) {
    pthread_atfork(NULL, NULL, count_fork);
}

uint32_t os_fork_generation(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    return atomic_load_explicit(&generation, memory_order_relaxed);
}

int os_make_folder(const char *path, uint32_t mode, bool *made) {
    *made = false;
    struct stat st;
    if (!stat(path, &st)) {
        if (S_ISDIR(st.st_mode))
            return ECRDT_OK;
        return err_set(ECRDT_EINVAL,
                       "cannot use %s as a store: it is not a folder", path);
    }
    if (errno != ENOENT)
        return err_errno(errno, "cannot look at", path);
    if (mkdir(path, 0700) && errno != EEXIST)
        return err_errno(errno, "cannot make the folder", path);
    /* mkdir() obeys the umask and may drop setgid: set the mode outright. */
    if (chmod(path, mode))
        return err_errno(errno, "cannot set the mode of", path);
    *made = true;
    return ECRDT_OK;
}

struct fs_type {
    uint32_t magic;
    const char *name;
};

int os_check_filesystem(const char *path) {
    static const struct fs_type refused[] = {
        {0x6969, "NFS"},        {0xff534d42, "CIFS"}, {0xfe534d42, "SMB2"},
        {0x517b, "SMB"},        {0x65735546, "FUSE"}, {0x01021997, "9p"},
        {0x00c36400, "Ceph"},   {0x5346414f, "AFS"},  {0x73757245, "Coda"},
        {0x0bd00bd0, "Lustre"}, {0x7461636f, "OCFS2"}};
    struct statfs fs;
    if (statfs(path, &fs))
        return err_errno(errno, "cannot look at the filesystem of", path);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if ((uint32_t)fs.f_type == refused[i].magic)
            return err_set(ECRDT_ENOTSUP,
                           "cannot keep a store in %s: it is on %s, whose "
                           "locks and memory maps are not safe between "
                           "machines; use a local disk or tmpfs",
                           path, refused[i].name);
    return ECRDT_OK;
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

int os_sync_folder(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(errno, "cannot open the folder", path);
    int rc = fsync(fd) ? err_errno(errno, "cannot sync the folder", path) : 0;
    close(fd);
    return rc;
}

int os_open_file(const char *path, const char *name, uint32_t mode,
                 bool create, int *fd) {
    char file[4096];
    snprintf(file, sizeof file, "%s/%s", path, name);
    *fd = open(file, O_RDWR | O_CLOEXEC);
    if (*fd >= 0)
        return ECRDT_OK;
    if (errno == ENOENT && !create)
        return ECRDT_OK;
    if (errno == ENOENT)
        *fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0)
        return err_errno(errno, "cannot open", file);
    struct stat st; /* ours by the umask: set the mode outright */
    if (!fstat(*fd, &st) && st.st_uid == geteuid() &&
        (st.st_mode & 0777) != mode)
        (void)!fchmod(*fd, mode);
    return ECRDT_OK;
}

void os_wake(int fd) {
    /* A failure costs the watchers at most their next look at the txn id. */
    if (fd >= 0)
        (void)!pwrite(fd, "!", 1, 0);
}

void os_cond_init(pthread_mutex_t *m, pthread_cond_t *c) {
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(m, NULL);
    pthread_cond_init(c, &attr);
    pthread_condattr_destroy(&attr);
}

bool os_cond_wait_zero(pthread_mutex_t *m, pthread_cond_t *c,
                       const uint32_t *n, uint32_t timeout_ms) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += timeout_ms / 1000;
    at.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    while (*n)
        if (pthread_cond_timedwait(c, m, &at) == ETIMEDOUT)
            return *n == 0;
    return true;
}
