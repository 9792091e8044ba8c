/* test_os.c: clocks, folders, files, the wake file, fork detection and the
 * filesystems that are refused. */
#include "lib/os.h"
#include "tests/lib/scratch.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

static void clocks(void **state) {
    (void)state;
    uint64_t wall = os_wall_ms(), mono = os_mono_ms();
    assert_in_range(wall, UINT64_C(1600000000000), UINT64_C(9000000000000));
    usleep(20000);
    assert_in_range(os_wall_ms() - wall, 15, 5000);
    assert_in_range(os_mono_ms() - mono, 19, 5000);
}

static void boot_id(void **state) {
    (void)state;
    uint8_t a[16], b[16], want[16], none[16] = {0};
    os_boot_id(a);
    os_boot_id(b);
    assert_memory_equal(a, b, 16);
    assert_memory_not_equal(a, none, 16);
    char *text = file_read("/proc/sys/kernel/random/boot_id", NULL);
    assert_int_equal(hex_decode(want, 16, text), 16);
    assert_memory_equal(a, want, 16);
    free(text);
}

static int generation_differs(void *arg) {
    return *(uint32_t *)arg != os_fork_generation() &&
                   os_fork_generation() == os_fork_generation()
               ? 7
               : 1;
}

static void fork_is_seen(void **state) {
    (void)state;
    uint32_t mine = os_fork_generation();
    assert_int_equal(kit_child(generation_differs, &mine), 7);
    assert_int_equal(os_fork_generation(), mine);
}

static void folders(void **state) {
    (void)state;
    bool made;
    const char *path = path_join(dir, "store");
    mode_t was = umask(077);
    assert_ok(os_make_folder(path, 02770, &made));
    umask(was);
    assert_true(made);
    assert_int_equal(kit_mode(path), 02770);
    assert_int_equal(chmod(path, 0700), 0);
    assert_ok(os_make_folder(path, 02770, &made));
    assert_false(made);
    assert_int_equal(kit_mode(path), 0700); /* not ours to change */
    assert_int_equal(os_folder_empty(path), 1);
    file_write(path_join(path, "f"), "", 0);
    assert_int_equal(os_folder_empty(path), 0);
    assert_ok(os_sync_folder(path));

    assert_code(ECRDT_ENOENT,
                os_make_folder(path_join(dir, "a/b"), 0700, &made));
    kit_says("make that first");
    assert_code(ECRDT_EINVAL,
                os_make_folder(path_join(path, "f"), 0700, &made));
    kit_says("not a folder");
    assert_code(ECRDT_ENOENT,
                os_make_folder(path_join(path, "f/g"), 0700, &made));
    assert_int_equal(symlink("nowhere", path_join(dir, "link")), 0);
    assert_code(ECRDT_ENOENT,
                os_make_folder(path_join(dir, "link"), 0700, &made));
    assert_code(ECRDT_ENOENT, os_folder_empty(path_join(dir, "no")));
    assert_code(ECRDT_ENOENT, os_sync_folder(path_join(dir, "no")));
    assert_int_equal(symlink("store", path_join(dir, "alias")), 0);
    assert_ok(os_make_folder(path_join(dir, "alias"), 0700, &made));
    assert_false(made);
}

static void files(void **state) {
    (void)state;
    int fd;
    const char *path = path_join(dir, "f");
    assert_ok(os_open_file(dir, "f", 0660, false, &fd));
    assert_int_equal(fd, -1);
    mode_t was = umask(077);
    assert_ok(os_open_file(dir, "f", 0660, true, &fd));
    umask(was);
    assert_int_equal(kit_mode(path), 0660);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
    assert_int_equal(chmod(path, 0600), 0);
    assert_ok(os_open_file(dir, "f", 0660, true, &fd));
    assert_int_equal(kit_mode(path), 0600);
    close(fd);
    errno = 0;
    assert_code(ECRDT_ENOENT,
                os_open_file(path_join(dir, "no"), "f", 0660, true, &fd));
    assert_int_equal(errno, ENOENT);
    assert_int_equal(fd, -1);
}

static void wake(void **state) {
    (void)state;
    int fd;
    size_t len;
    assert_ok(os_open_file(dir, "wake", 0660, true, &fd));
    os_wake(fd);
    os_wake(fd);
    os_wake(-1);
    int watch = os_watch_open(path_join(dir, "wake"));
    assert_true(watch >= 0);
    assert_int_equal(os_watch_open(path_join(dir, "none")), -1);
    uint64_t begin = os_mono_ms();
    os_watch_wait(watch, 30);
    os_watch_wait(-1, 30);
    assert_in_range(os_mono_ms() - begin, 58, 5000);
    os_wake(fd);
    os_wake(fd);
    begin = os_mono_ms();
    os_watch_wait(watch, 5000);
    assert_in_range(os_mono_ms() - begin, 0, 2000);
    begin = os_mono_ms();
    os_watch_wait(watch, 30); /* both were taken */
    assert_in_range(os_mono_ms() - begin, 29, 5000);
    close(watch);
    close(fd);
    free(file_read(path_join(dir, "wake"), &len));
    assert_int_equal(len, 1);
}

/* ---- filesystems ----------------------------------------------------------
 */

static void network_filesystems_by_number(void **state) {
    (void)state;
    static const struct {
        uint32_t magic;
        const char *name;
    } table[] = {{0x6969, "NFS"},
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
                 {0xbacbacbc, "VMware shared folders"},
                 {0xef53, NULL},     /* ext4 */
                 {0x01021994, NULL}, /* tmpfs */
                 {0x58465342, NULL}, /* XFS */
                 {0x9123683e, NULL}, /* btrfs */
                 {0x2fc12fc1, NULL}, /* ZFS */
                 {0xf2f52010, NULL}, /* F2FS */
                 {0x794c7630, NULL}, /* overlay */
                 {0x858458f6, NULL}, /* ramfs */
                 {0, NULL}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const char *name = os_network_filesystem(table[i].magic);
        if (table[i].name)
            assert_string_equal(name, table[i].name);
        else
            assert_null(name);
    }
}

static void local_filesystems(void **state) {
    (void)state;
    assert_ok(os_check_filesystem(dir));
    assert_ok(os_check_filesystem("/tmp"));
    assert_code(ECRDT_ENOENT, os_check_filesystem(path_join(dir, "no")));
}

/* A real FUSE mount, as small as one can be: it answers INIT and STATFS, and
 * "not there" to all else. */
static _Noreturn void serve_fuse(int fd) {
    enum { INIT = 26, GETATTR = 3, STATFS = 17 };
    static char in[1 << 17];
    for (;;) {
        struct {
            uint32_t len;
            int32_t error;
            uint64_t unique;
            char body[112];
        } out = {.len = 16};
        ssize_t n = read(fd, in, sizeof in);
        if (n < 40)
            _exit(0);
        uint32_t opcode;
        memcpy(&opcode, in + 4, 4);
        memcpy(&out.unique, in + 8, 8);
        if (opcode == INIT) {
            const uint32_t version[2] = {7, 8};
            memcpy(out.body, version, sizeof version);
            out.len += 24;
        } else if (opcode == STATFS) {
            out.len += 80;
        } else if (opcode == GETATTR) {
            const uint32_t mode = S_IFDIR | 0755, one = 1;
            const uint64_t root = 1;
            memcpy(out.body + 16, &root, 8);
            memcpy(out.body + 16 + 60, &mode, 4);
            memcpy(out.body + 16 + 64, &one, 4);
            out.len += 96;
        } else {
            out.error = -ENOENT;
        }
        if (write(fd, &out, out.len) < 0)
            continue; /* interrupted, or forgotten */
    }
}

static void a_real_fuse_mount(void **state) {
    (void)state;
    char options[128];
    const char *mnt = path_join(dir, "mnt");
    assert_int_equal(mkdir(mnt, 0700), 0);
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    snprintf(options, sizeof options,
             "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
    if (fd < 0 || mount("test", mnt, "fuse", 0, options)) {
        print_message("# no FUSE here\n");
        skip();
    }
    pid_t pid = fork();
    if (pid == 0)
        serve_fuse(fd);
    int rc = os_check_filesystem(mnt);
    umount2(mnt, MNT_DETACH);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(fd);
    assert_int_equal(rc, ECRDT_ENOTSUP);
    kit_says("it is on FUSE");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        with_folder(clocks),
        with_folder(boot_id),
        with_folder(fork_is_seen),
        with_folder(folders),
        with_folder(files),
        with_folder(wake),
        with_folder(network_filesystems_by_number),
        with_folder(local_filesystems),
        with_folder(a_real_fuse_mount),
    };
    return TEST_RUN(tests);
}
