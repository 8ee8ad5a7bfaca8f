/* SPDX-License-Identifier: BSD-3-Clause */
/* confine.c - what a NI cannot do: tried by processes that are confined as it is, and looked at from outside. */
#include "config.h"
#include "ni/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include "client/client.h"
#include "common/clock.h"
#include "pmu_fixture.h"
#include "unit.h"

#define SOMEBODY 12345u
#define OTHER	 23456u
#define FILE_MAX (1u << 20)
#define KILLED	 (-SIGSYS)

static struct error err;

/* What a child that does this ends with: its exit status, or the signal, negative. */
static int outcome(int (*act)(void))
{
	int status;
	pid_t child = fork();

	if (!child)
		_exit(act());
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int other_pid;

/* Of the other process's memory. */
static long peek(void)
{
	char byte;
	struct iovec local = {&byte, 1}, remote = {&byte, 1};

	return process_vm_readv(other_pid, &local, 1, &remote, 1, 0);
}

/* ---- privileges ---- */

static bool status_has(pid_t pid, const char *name, const char *value)
{
	char path[64], line[256];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	ck_assert_ptr_nonnull(file);
	while (!found && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		found = !strncmp(line, name, strlen(name)) && !strcmp(line + strlen(name), value);
	}
	fclose(file);
	return found;
}

static int be_somebody(void)
{
	struct rlimit core, file;
	int signal_number = 0;
	uid_t uids[3];

	if (setgroups(2, (gid_t[]){1, 2}) || confine_privileges(SOMEBODY, FILE_MAX, &err))
		return 1;
	getresuid(&uids[0], &uids[1], &uids[2]);
	if (uids[0] != SOMEBODY || uids[1] != SOMEBODY || uids[2] != SOMEBODY || getgroups(0, NULL) || getegid() == 0)
		return 2;
	if (!setuid(0) || !seteuid(0) || errno != EPERM)
		return 3;
	getrlimit(RLIMIT_CORE, &core);
	getrlimit(RLIMIT_FSIZE, &file);
	if (core.rlim_max || file.rlim_max != FILE_MAX)
		return 4;
	/* It is lost with a change of the uid. */
	prctl(PR_GET_PDEATHSIG, &signal_number);
	if (signal_number != SIGKILL)
		return 5;
	return prctl(PR_GET_DUMPABLE) || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 ? 6 : 0;
}

START_TEST(a_ni_of_roots_server_becomes_its_user_and_not_root_again)
{
	ck_assert_int_eq(outcome(be_somebody), 0);
}
END_TEST

static int be_nobody(void)
{
	return confine_privileges((uint32_t)-1, FILE_MAX, &err) == -EINVAL ? 0 : 1;
}

START_TEST(a_uid_that_means_unchanged_is_refused)
{
	ck_assert_int_eq(outcome(be_nobody), 0);
}
END_TEST

static int without_kill(void)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3] = {0};

	caps[0].effective = caps[0].permitted = 1u << CAP_SETUID | 1u << CAP_SETGID;
	if (syscall(SYS_capset, &header, caps))
		return 1;
	return confine_privileges(SOMEBODY, FILE_MAX, &err) == -EPERM && strstr(err.text, "CAP_KILL") ? 0 : 2;
}

/* Else it could start a process that it cannot end. */
START_TEST(root_that_may_not_kill_starts_nobody_elses)
{
	ck_assert_int_eq(outcome(without_kill), 0);
}
END_TEST

static int stay(void)
{
	if (!geteuid() && setresuid(OTHER, OTHER, OTHER))
		return 1;
	if (confine_privileges(SOMEBODY, FILE_MAX, &err))
		return 2;
	return geteuid() == SOMEBODY || !status_has(getpid(), "CapEff:", "\t0000000000000000") ? 3 : 0;
}

START_TEST(a_ni_of_another_users_server_stays_that_users)
{
	ck_assert_int_eq(outcome(stay), 0);
}
END_TEST

static int stay_root(void)
{
	/* Who changes his uid is not dumpable anyway; here nobody does. */
	if (prctl(PR_GET_DUMPABLE) != 1 || confine_privileges(0, FILE_MAX, &err))
		return 1;
	return !prctl(PR_GET_DUMPABLE) && !geteuid() && status_has(getpid(), "CapPrm:", "\t0000000000000000") &&
			       status_has(getpid(), "CapEff:", "\t0000000000000000") ? 0 : 2;
}

START_TEST(roots_own_ni_has_no_capabilities)
{
	ck_assert_int_eq(outcome(stay_root), 0);
}
END_TEST

/* Memory that RDMA devices reach: as much as the hard limit, which root may raise, if his capabilities are whole. */
static int lock_more(void)
{
	struct rlimit limits = {4096, 8192};

	if (setrlimit(RLIMIT_MEMLOCK, &limits) || confine_privileges(geteuid(), FILE_MAX, &err) ||
	    getrlimit(RLIMIT_MEMLOCK, &limits))
		return 1;
	return limits.rlim_cur == limits.rlim_max && limits.rlim_max >= 8192 ? 0 : 2;
}

static int lock_more_as_nobody(void)
{
	return setresuid(OTHER, OTHER, OTHER) ? 3 : lock_more();
}

START_TEST(memory_may_be_locked_as_far_as_the_limit_can_be_raised)
{
	ck_assert_int_eq(outcome(lock_more), 0);
	if (!geteuid())
		ck_assert_int_eq(outcome(lock_more_as_nobody), 0);
}
END_TEST

static int grow(void)
{
	int fd = memfd_create("slot", MFD_CLOEXEC);

	if (confine_privileges(geteuid(), FILE_MAX, &err) || ftruncate(fd, FILE_MAX))
		return 1;
	return ftruncate(fd, FILE_MAX + 1) && errno == EFBIG && posix_fallocate(fd, 0, 2 * FILE_MAX) == EFBIG ? 0 : 2;
}

START_TEST(no_slot_grows_beyond_the_pool)
{
	ck_assert_int_eq(outcome(grow), 0);
}
END_TEST

#if !SANITIZED
/* ---- files and system calls ---- */

static char text[128];
static int data_file;

/* As a NI is when it serves. */
static void confine(bool filter)
{
	if (confine_privileges(geteuid(), FILE_MAX, &err))
		_exit(100);
	confine_thread();
	if (confine_process(filter, true, text, sizeof(text), &err))
		_exit(101);
}

static int result(long rc)
{
	return rc < 0 ? errno : 0;
}

static void *nothing(void *unused)
{
	return unused;
}

static void *memory(int protection)
{
	return mmap(NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static long run(void)
{
	return execl("/bin/true", "true", (char *)NULL);
}

static long run_at(void)
{
	static char *const arguments[] = {"true", NULL};

	return syscall(SYS_execveat, AT_FDCWD, "/bin/true", arguments, arguments, 0);
}

static long lock_byte(void)
{
	struct flock whole = {.l_type = F_UNLCK};

	return fcntl(data_file, F_OFD_SETLK, &whole);
}

static long raise_limit(void)
{
	struct rlimit files = {1, 1};

	return setrlimit(RLIMIT_NOFILE, &files);
}

static long connect_somewhere(void)
{
	struct sockaddr local = {.sa_family = AF_UNIX};

	return connect(data_file, &local, sizeof(local));
}

#define TRY(name, action) \
	static long try_##name(void) { return (action); }

TRY(open, open("/etc/passwd", O_RDONLY | O_CLOEXEC))
TRY(open_here, openat(AT_FDCWD, ".", O_PATH | O_CLOEXEC))
TRY(stat, stat("/etc/passwd", &(struct stat){0}))
TRY(write, open("/dev/null", O_WRONLY | O_CLOEXEC))
TRY(update, open("/dev/null", O_RDWR | O_CLOEXEC))
TRY(create, open("/nonexistent/file", O_RDONLY | O_CREAT | O_CLOEXEC, 0600))
TRY(unlink, unlink("/nonexistent"))
TRY(rename, rename("/nonexistent", "/nowhere"))
TRY(truncate, truncate("/nonexistent", 0))
TRY(fork, fork())
TRY(ptrace, ptrace(PTRACE_TRACEME, 0, NULL, NULL))
TRY(setuid, setuid(getuid()))
TRY(mount, mount("none", "/nonexistent", "tmpfs", 0, NULL))
TRY(unshare, unshare(CLONE_NEWUSER))
TRY(bpf, syscall(SYS_bpf, 0, NULL, 0))
TRY(keys, syscall(SYS_keyctl, 0, 0, 0, 0, 0))
TRY(internet, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))
TRY(raw, socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, 1))
TRY(packet, socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0))
TRY(netlink, socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0))
TRY(local, socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0))
TRY(pair, socketpair(AF_NETLINK, SOCK_RAW, 0, (int[2]){0}))
TRY(kill, kill(other_pid, 0))
TRY(renice, setpriority(PRIO_PROCESS, (id_t)other_pid, 10))
TRY(dumpable, prctl(PR_SET_DUMPABLE, 1))
TRY(code, memory(PROT_READ | PROT_EXEC) == MAP_FAILED ? -1 : 0)
TRY(made_code, mprotect(memory(PROT_READ), 4096, PROT_READ | PROT_EXEC))
TRY(unlock, flock(data_file, LOCK_UN))
TRY(terminal, ioctl(0, 0x5412 /* TIOCSTI */, "x"))
TRY(ring, syscall(SYS_io_uring_setup, 1, NULL))
TRY(unknown, syscall(1 << 20))
#ifdef __x86_64__
TRY(x32, syscall(0x40000000 + SYS_getpid))
#endif

static const struct attempt {
	const char *what;
	long (*act)(void);
	int expected; /* errno, or KILLED */
} attempts[] = {
	{"reads a file", try_open, EACCES},
	{"opens a directory", try_open_here, EACCES},
	{"asks for a file", try_stat, EACCES},
	{"opens a file to write", try_write, KILLED},
	{"opens a file to write and read", try_update, KILLED},
	{"makes a file", try_create, KILLED},
	{"removes a file", try_unlink, KILLED},
	{"renames a file", try_rename, KILLED},
	{"cuts a file", try_truncate, KILLED},
	{"runs a program", run, KILLED},
	{"runs a program by execveat", run_at, KILLED},
	{"begins a process", try_fork, KILLED},
	{"is traced", try_ptrace, KILLED},
	{"reads another process's memory", peek, KILLED},
	{"changes its uid", try_setuid, KILLED},
	{"mounts", try_mount, KILLED},
	{"makes a namespace", try_unshare, KILLED},
	{"loads code into the kernel", try_bpf, KILLED},
	{"uses the kernel's keys", try_keys, KILLED},
	{"opens an internet socket", try_internet, EACCES},
	{"opens a raw socket", try_raw, EACCES},
	{"opens a packet socket", try_packet, EACCES},
	{"opens a netlink socket", try_netlink, EACCES},
	{"opens a UNIX socket", try_local, EACCES},
	{"opens a pair of other sockets", try_pair, ENOSYS},
	{"connects", connect_somewhere, EACCES},
	{"signals another process", try_kill, ENOSYS},
	{"slows another process down", try_renice, ENOSYS},
	{"opens itself to others", try_dumpable, ENOSYS},
	{"maps code", try_code, EACCES},
	{"makes code of data", try_made_code, EACCES},
	{"gives up the pool's lock", try_unlock, EACCES},
	{"locks a part of a file", lock_byte, ENOSYS},
	{"types into the terminal", try_terminal, ENOSYS},
	{"changes a limit", raise_limit, ENOSYS},
	{"makes an io_uring", try_ring, ENOSYS},
	{"makes a system call of the future", try_unknown, ENOSYS},
#ifdef __x86_64__
	{"makes one of another architecture", try_x32, KILLED},
#endif
};
static const struct attempt *attempt;

static int attempt_confined(void)
{
	confine(true);
	return result(attempt->act());
}

START_TEST(a_confined_process_cannot)
{
	int got;

	attempt = &attempts[_i];
	other_pid = getpid();
	data_file = memfd_create("data", MFD_CLOEXEC);
	got = outcome(attempt_confined);
	ck_assert_msg(got == attempt->expected, "a confined process that %s ends with %d, not %d", attempt->what, got,
		      attempt->expected);
	close(data_file);
}
END_TEST

static sem_t ready, go;

static void *thread_opens(void *unused)
{
	sem_post(&ready);
	sem_wait(&go);
	return open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES ? unused : NULL;
}

static int other_thread(void)
{
	pthread_t thread;
	void *well = NULL;
	char token;

	sem_init(&ready, 0, 0);
	sem_init(&go, 0, 0);
	if (pthread_create(&thread, NULL, thread_opens, &token))
		return 1;
	sem_wait(&ready);
	confine(true);
	sem_post(&go);
	pthread_join(thread, &well);
	return well ? 0 : 2;
}

START_TEST(threads_that_were_there_before_are_confined_as_well)
{
	ck_assert_int_eq(outcome(other_thread), 0);
}
END_TEST

/* Without them a NI cannot work, nor a test stop it. */
static int work_goes_on(void)
{
	int fd = memfd_create("slot", MFD_CLOEXEC), event, pair[2];
	pthread_t thread;
	char *mapped;
	FILE *null = fopen("/dev/null", "we");

	confine(true);
	if (posix_fallocate(fd, 0, 8192) || fsync(fd) || ftruncate(fd, 4096))
		return 1;
	mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mapped == MAP_FAILED || msync(mapped, 4096, MS_SYNC) || munmap(mapped, 4096))
		return 2;
	event = eventfd(0, EFD_CLOEXEC);
	if (event < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return 3;
	if (pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL))
		return 4;
	if (!null || fputs("a line of the log\n", null) < 0 || fflush(null))
		return 5;
	raise(SIGKILL);
	return 6;
}

START_TEST(a_confined_process_can_do_its_work)
{
	ck_assert_int_eq(outcome(work_goes_on), -SIGKILL);
}
END_TEST

static int files_refused(void)
{
	confine(false);
	if (strstr(text, "no Landlock"))
		return 77;
	if (open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0 || errno != EACCES || open(".", O_RDONLY | O_CLOEXEC) >= 0)
		return 1;
	if (open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) >= 0 || errno != EACCES)
		return 2;
	execl("/bin/true", "true", (char *)NULL);
	return errno == EACCES ? 0 : 3;
}

START_TEST(files_are_refused_without_the_filter_too)
{
	int got = outcome(files_refused);

	if (got == 77)
		fprintf(stderr, "# skipped: this kernel has no Landlock\n");
	else
		ck_assert_int_eq(got, 0);
}
END_TEST
#endif

/* ---- the NIs of a server ---- */

static struct pmu pmu;

static void setup(void)
{
	pmu_make(&pmu);
}

static void teardown(void)
{
	pmu_remove(&pmu);
}

/* On loopback without authentication the server takes our word. A job with a set, and its NI. */
static struct client *user_put(uint32_t uid, uint64_t epoch, pid_t *ni)
{
	struct client_options options = {.server = pmu.address, .net = "ofi", .auth = "none", .reconnect_ms = 5000};
	struct client_identity identity = {.job = "job", .ranks = 1, .mode = REGION_OVERWRITE};
	struct client_segment s = {.segment = {"data", ELEMENT_BYTE, 1, 100}};
	static uint8_t data[100];
	struct client *client;
	char children[128];
	FILE *file;
	int rc;

	s.at = data;
	if (uid != geteuid())
		ck_assert(!seteuid(uid));
	rc = client_open(&options, &identity, &client, &err);
	ck_assert(geteuid() == getuid() || !seteuid(getuid()));
	ck_assert_msg(!rc, "%s", err.text);
	ck_assert_msg(!client_put(client, epoch, epoch - 1, NULL, &s, 1, &err), "%s", err.text);
	/* The newest child is the last one. */
	snprintf(children, sizeof(children), "/proc/%d/task/%d/children", (int)pmu.pid, (int)pmu.pid);
	file = fopen(children, "re");
	while (fscanf(file, "%d", ni) == 1)
		continue;
	fclose(file);
	return client;
}

START_TEST(a_ni_is_seen_to_be_confined)
{
	static const char *const off[] = {"--ni-seccomp", "no", NULL};
	struct client *client;
	char path[64];
	struct stat st;
	pid_t ni = 0;

	ck_assert(pmu_start(&pmu, _i ? off : NULL, NULL));
	client = user_put(geteuid(), 1, &ni);
	ck_assert(status_has(ni, "NoNewPrivs:", "\t1"));
	ck_assert(status_has(ni, "CapPrm:", "\t0000000000000000"));
	ck_assert(status_has(ni, "CapEff:", "\t0000000000000000"));
#if !SANITIZED
	ck_assert(status_has(ni, "Seccomp:", _i ? "\t0" : "\t2"));
	ck_assert_uint_gt(pmu_log_lines(&pmu, _i ? ", no seccomp" : ", seccomp"), 0);
#endif
	/* Nobody but root looks into it. */
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)ni);
	ck_assert(!stat(path, &st));
	ck_assert_uint_eq(st.st_uid, 0);
	client_close(client, true, &err);
}
END_TEST

static bool is_among(const char *name, char names[][64], unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (!strncmp(names[i], name, strlen(name)))
			return true;
	}
	return false;
}

/* Slot files that it has mapped, to `names`; the number of them. It has descriptors of no others. */
static unsigned slots_of(pid_t ni, char names[][64], unsigned max)
{
	char path[64], line[512], *at;
	unsigned count = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)ni);
	file = fopen(path, "re");
	while (fgets(line, sizeof(line), file)) {
		at = strstr(line, "/pool/slots/");
		if (!at)
			continue;
		ck_assert_uint_lt(count, max);
		snprintf(names[count++], 64, "%.60s", at + strlen("/pool/slots/"));
	}
	fclose(file);
	for (int fd = 0; fd < 256; fd++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)ni, fd);
		n = readlink(path, line, sizeof(line) - 1);
		line[n > 0 ? n : 0] = '\0';
		at = strstr(line, "/pool/slots/");
		if (at) /* for clients on this node; of what is mapped */
			ck_assert_msg(is_among(at + strlen("/pool/slots/"), names, count), "%s", line);
		else
			ck_assert_msg(!strstr(line, "/pool/") || strstr(line, "/pool/lock"), "%s", line);
	}
	return count;
}

static int look_into(void)
{
	char path[64], link[64];
	int status;

	if (setresuid(OTHER, OTHER, OTHER))
		return 1;
	snprintf(path, sizeof(path), "/proc/%d/mem", other_pid);
	if (open(path, O_RDONLY | O_CLOEXEC) >= 0)
		return 2;
	snprintf(path, sizeof(path), "/proc/%d/fd/3", other_pid);
	if (readlink(path, link, sizeof(link)) >= 0)
		return 3;
	if (ptrace(PTRACE_SEIZE, other_pid, NULL, NULL)) {
		errno = 0;
		return peek() < 0 && errno == EPERM ? 0 : 4;
	}
	waitpid(other_pid, &status, WNOHANG);
	return 5;
}

START_TEST(each_user_has_a_ni_of_his_own_with_his_slots_alone)
{
	struct client *one, *two;
	char ours[8][64], theirs[8][64], uids[64];
	unsigned n, m;
	pid_t ni[2] = {0};

	ck_assert(pmu_start(&pmu, NULL, NULL));
	one = user_put(SOMEBODY, 1, &ni[0]);
	two = user_put(OTHER, 1, &ni[1]);
	ck_assert_int_ne(ni[0], ni[1]);
	for (int i = 0; i < 2; i++) {
		uint32_t uid = i ? OTHER : SOMEBODY;

		snprintf(uids, sizeof(uids), "\t%u\t%u\t%u\t%u", uid, uid, uid, uid);
		ck_assert(status_has(ni[i], "Uid:", uids));
		ck_assert(!status_has(ni[i], "Gid:", "\t0\t0\t0\t0"));
		ck_assert(status_has(ni[i], "Groups:", "\t ") || status_has(ni[i], "Groups:", "\t"));
	}
	n = slots_of(ni[0], ours, 8);
	m = slots_of(ni[1], theirs, 8);
	ck_assert_uint_gt(n, 0);
	ck_assert_uint_gt(m, 0);
	for (unsigned i = 0; i < n; i++) {
		for (unsigned k = 0; k < m; k++)
			ck_assert_str_ne(ours[i], theirs[k]);
	}
	/* Nor does his own user look into it. */
	other_pid = ni[1];
	ck_assert_int_eq(outcome(look_into), 0);
	client_close(one, true, &err);
	client_close(two, true, &err);
}
END_TEST

START_TEST(a_ni_that_is_caught_is_told_and_replaced)
{
	struct client *client;
	pid_t ni = 0, next = 0;

	ck_assert(pmu_start(&pmu, NULL, NULL));
	client = user_put(geteuid(), 1, &ni);
	ck_assert(!kill(ni, SIGSYS));
	for (uint64_t deadline = deadline_in_ms(20000); !pmu_log_lines(&pmu, "system call that no NI makes");)
		ck_assert(deadline_left_ms(deadline) > 0 && !usleep(10000));
	client_close(client, false, &err);
	client = user_put(geteuid(), 2, &next);
	ck_assert_int_ne(ni, next);
	client_close(client, true, &err);
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("confine");
	TCase *server = tcase_create("server");

	setenv("top_builddir", ".", 0);
#define ADD(name) unit_add(suite, #name, name, 30)
	if (!geteuid()) {
		ADD(a_ni_of_roots_server_becomes_its_user_and_not_root_again);
		ADD(a_uid_that_means_unchanged_is_refused);
		ADD(roots_own_ni_has_no_capabilities);
		ADD(root_that_may_not_kill_starts_nobody_elses);
	} else {
		fprintf(stderr, "# not root: what takes a change of the uid is skipped\n");
	}
	ADD(a_ni_of_another_users_server_stays_that_users);
	ADD(no_slot_grows_beyond_the_pool);
	ADD(memory_may_be_locked_as_far_as_the_limit_can_be_raised);
#if !SANITIZED
	unit_add_loop(suite, "a_confined_process_cannot", a_confined_process_cannot, 30,
		      sizeof(attempts) / sizeof(attempts[0]));
	ADD(threads_that_were_there_before_are_confined_as_well);
	ADD(a_confined_process_can_do_its_work);
	ADD(files_are_refused_without_the_filter_too);
#else
	fprintf(stderr, "# a build with sanitizers keeps files and system calls: what takes a filter is skipped\n");
#endif
	tcase_set_timeout(server, 60);
	tcase_add_checked_fixture(server, setup, teardown);
	tcase_add_loop_test(server, a_ni_is_seen_to_be_confined, 0, 2);
	if (!geteuid()) /* they change it */
		tcase_add_test(server, each_user_has_a_ni_of_his_own_with_his_slots_alone);
	tcase_add_test(server, a_ni_that_is_caught_is_told_and_replaced);
	suite_add_tcase(suite, server);
	return suite;
}
