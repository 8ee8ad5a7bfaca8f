/* SPDX-License-Identifier: BSD-3-Clause */
/* confine.c - what a NI gives up: privileges, limits, files, system calls. */
#include "config.h"
#include "ni/confine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "common/sanitized.h"

#define NO_GROUP 65534 /* the kernel's own for whoever has none; a NI opens no file that a group could matter for */

/* ---- privileges ---- */

#define CAPS _LINUX_CAPABILITY_U32S_3

/* Becoming another user takes all three: the PMM must be able to end the NI afterwards. */
static bool may_become_another(void)
{
	const uint32_t needed = 1u << CAP_SETUID | 1u << CAP_SETGID | 1u << CAP_KILL;
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct caps[CAPS] = {0};

	return !syscall(SYS_capget, &header, caps) && (caps[0].effective & needed) == needed;
}

/* Who has none does not ask to: systemd's units may be without capset. */
static int capabilities_drop(void)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct caps[CAPS] = {0}, none[CAPS] = {0};

	if (!syscall(SYS_capget, &header, caps) && !memcmp(caps, none, sizeof(none)))
		return 0;
	return (int)syscall(SYS_capset, &header, none);
}

static int become(uint32_t uid, struct error *err)
{
	uid_t real, effective, saved;

	if (uid == geteuid())
		return 0;
	if (!may_become_another()) {
		if (geteuid())
			return 0; /* a server that is not root's: its NIs run as it does */
		return error_set(err, -EPERM,
				 "a server of root's must be able to run this process as uid %u: give it the capabilities "
				 "CAP_SETUID, CAP_SETGID and CAP_KILL, or run it as a user of its own", uid);
	}
	if (setgroups(0, NULL) || setresgid(NO_GROUP, NO_GROUP, NO_GROUP) || setresuid(uid, uid, uid))
		return error_set(err, -errno, "cannot become uid %u: %s", uid, strerror(errno));
	/* To the kernel (uid_t)-1 means: as before. */
	if (getresuid(&real, &effective, &saved) || real != uid || effective != uid || saved != uid)
		return error_set(err, -EINVAL, "%u is no user's uid", uid);
	return 0;
}

static bool limit(int resource, rlim_t value)
{
	const struct rlimit limits = {value, value};

	return !setrlimit(resource, &limits);
}

/* What RDMA devices reach is locked, and no capability will help any more: as far as this may be raised. */
static void raise_locked(void)
{
	struct rlimit limits;

	if (!limit(RLIMIT_MEMLOCK, RLIM_INFINITY) && !getrlimit(RLIMIT_MEMLOCK, &limits))
		limit(RLIMIT_MEMLOCK, limits.rlim_max);
}

int confine_privileges(uint32_t uid, uint64_t file_bytes, struct error *err)
{
	pid_t parent = getppid();
	int rc;

	raise_locked();
	limit(RLIMIT_CORE, 0); /* it would hold checkpoints */
	limit(RLIMIT_FSIZE, file_bytes); /* no slot is larger than the pool */
	signal(SIGXFSZ, SIG_IGN);
	rc = become(uid, err);
	if (rc)
		return rc;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || capabilities_drop() || prctl(PR_SET_DUMPABLE, 0))
		return error_set(err, -errno, "cannot give up privileges: %s", strerror(errno));
	/* Forgotten with the uid. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
		_exit(EXIT_FAILURE);
	/* The log's local time: read once, or it would be looked for again, and not be found. */
	setenv("TZ", ":/etc/localtime", 0);
	tzset();
	return 0;
}

/* ---- files ---- */

static atomic_int files_failed; /* errno */
static atomic_bool devices_open;

/* The kernel lets nobody command an RDMA device whose credentials changed since he opened it, and Landlock changes them. */
static bool has_rdma_devices(void)
{
	static const char place[] = "/dev/infiniband/";
	char name[280], target[sizeof(place)];
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir))) {
		snprintf(name, sizeof(name), "/proc/self/fd/%s", entry->d_name);
		found = readlink(name, target, sizeof(target)) >= (ssize_t)strlen(place) &&
			!strncmp(target, place, strlen(place));
	}
	if (dir)
		closedir(dir);
	return found;
}

static int landlock_version(void)
{
	long abi = SANITIZED ? 0 : syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return abi > 0 ? (int)abi : 0; /* not in this kernel, or switched off */
}

/* All that this kernel knows to refuse is refused, and no exception made. */
void confine_thread(void)
{
	static const unsigned char rights[] = {0, 13, 14, 15, 15, 16}; /* of files, in each version of Landlock */
	const int abi = landlock_version(), last = sizeof(rights) - 1;
	const struct {
		uint64_t fs, net;
	} rules = {.fs = (UINT64_C(1) << rights[abi < last ? abi : last]) - 1, .net = 3 /* bind and connect, of TCP */};
	int fd;

	if (!abi)
		return;
	if (has_rdma_devices()) {
		atomic_store(&devices_open, true);
		return;
	}
	fd = (int)syscall(SYS_landlock_create_ruleset, &rules, abi < 4 ? sizeof(rules.fs) : sizeof(rules), 0);
	if (fd < 0 || syscall(SYS_landlock_restrict_self, fd, 0))
		atomic_store(&files_failed, errno);
	if (fd >= 0)
		close(fd);
}

/* ---- system calls ---- */

/*
 * What a NI in service makes. Whatever is in no list fails with ENOSYS, as in an older kernel, so that a library that
 * tries something new falls back, and the service goes on.
 */
static const int allowed[] = {
	/* the PMM's orders, connections, and their data */
	SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(close), SCMP_SYS(dup), SCMP_SYS(epoll_create), SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2), SCMP_SYS(epoll_wait), SCMP_SYS(eventfd),
	SCMP_SYS(eventfd2), SCMP_SYS(getpeername), SCMP_SYS(getsockname), SCMP_SYS(getsockopt), SCMP_SYS(pipe),
	SCMP_SYS(pipe2), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(pselect6),
	SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(recvfrom), SCMP_SYS(recvmmsg), SCMP_SYS(recvmsg), SCMP_SYS(select),
	SCMP_SYS(sendmmsg), SCMP_SYS(sendmsg), SCMP_SYS(sendto), SCMP_SYS(setsockopt), SCMP_SYS(shutdown), SCMP_SYS(write),
	SCMP_SYS(writev),
	/* slots, by their descriptors; and the list of its own, which is open */
	SCMP_SYS(fallocate), SCMP_SYS(fdatasync), SCMP_SYS(fstat), SCMP_SYS(fstatfs), SCMP_SYS(fsync), SCMP_SYS(ftruncate),
	SCMP_SYS(getdents64), SCMP_SYS(lseek), SCMP_SYS(pread64), SCMP_SYS(pwrite64), SCMP_SYS(sync_file_range),
	/* memory */
	SCMP_SYS(brk), SCMP_SYS(madvise), SCMP_SYS(mincore), SCMP_SYS(mlock), SCMP_SYS(mlock2), SCMP_SYS(mremap),
	SCMP_SYS(msync), SCMP_SYS(munlock), SCMP_SYS(munmap),
	/* threads, time, signals */
	SCMP_SYS(clock_getres), SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep), SCMP_SYS(exit), SCMP_SYS(exit_group),
	SCMP_SYS(futex), SCMP_SYS(get_robust_list), SCMP_SYS(getcpu), SCMP_SYS(getrandom), SCMP_SYS(gettimeofday),
	SCMP_SYS(membarrier), SCMP_SYS(nanosleep), SCMP_SYS(restart_syscall), SCMP_SYS(rseq), SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigpending), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigtimedwait),
	SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_yield), SCMP_SYS(set_robust_list), SCMP_SYS(set_tid_address),
	SCMP_SYS(sigaltstack), SCMP_SYS(time), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_gettime),
	SCMP_SYS(timerfd_settime),
	/* what it is told of itself */
	SCMP_SYS(getegid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(getpriority),
	SCMP_SYS(getrlimit), SCMP_SYS(getrusage), SCMP_SYS(gettid), SCMP_SYS(getuid), SCMP_SYS(sysinfo), SCMP_SYS(times),
	SCMP_SYS(uname),
#ifdef HOLDFAST_TEST_POINTS
	SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), /* to hold at one */
#endif
};

/* What libraries may try in good faith, and go on without. */
static const int refused[] = {
#ifndef HOLDFAST_TEST_POINTS
	SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2),
#endif
	SCMP_SYS(bind), SCMP_SYS(connect), SCMP_SYS(flock), SCMP_SYS(listen), SCMP_SYS(lstat), SCMP_SYS(readlink),
	SCMP_SYS(readlinkat), SCMP_SYS(socket), SCMP_SYS(stat), SCMP_SYS(statfs),
};

/* What nothing does in a NI but code that is not ours: there is no use in going on. */
static const int deadly[] = {
	/* other programs and processes */
	SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(kcmp), SCMP_SYS(pidfd_getfd),
	SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(ptrace),
	/* changes to files */
	SCMP_SYS(chmod), SCMP_SYS(chown), SCMP_SYS(creat), SCMP_SYS(fchmod), SCMP_SYS(fchmodat), SCMP_SYS(fchown),
	SCMP_SYS(fchownat), SCMP_SYS(lchown), SCMP_SYS(link), SCMP_SYS(linkat), SCMP_SYS(mkdir), SCMP_SYS(mkdirat),
	SCMP_SYS(mknod), SCMP_SYS(mknodat), SCMP_SYS(open_by_handle_at), SCMP_SYS(rename), SCMP_SYS(renameat),
	SCMP_SYS(renameat2), SCMP_SYS(rmdir), SCMP_SYS(symlink), SCMP_SYS(symlinkat), SCMP_SYS(truncate), SCMP_SYS(unlink),
	SCMP_SYS(unlinkat),
	/* other users, other places */
	SCMP_SYS(capset), SCMP_SYS(chroot), SCMP_SYS(fsmount), SCMP_SYS(fsopen), SCMP_SYS(mount), SCMP_SYS(move_mount),
	SCMP_SYS(open_tree), SCMP_SYS(pivot_root), SCMP_SYS(setfsgid), SCMP_SYS(setfsuid), SCMP_SYS(setgid),
	SCMP_SYS(setgroups), SCMP_SYS(setns), SCMP_SYS(setregid), SCMP_SYS(setresgid), SCMP_SYS(setresuid),
	SCMP_SYS(setreuid), SCMP_SYS(setuid), SCMP_SYS(umount2), SCMP_SYS(unshare),
	/* the kernel */
	SCMP_SYS(add_key), SCMP_SYS(bpf), SCMP_SYS(delete_module), SCMP_SYS(finit_module), SCMP_SYS(init_module),
	SCMP_SYS(kexec_load), SCMP_SYS(keyctl), SCMP_SYS(perf_event_open), SCMP_SYS(reboot), SCMP_SYS(request_key),
};

#define ALLOW  SCMP_ACT_ALLOW
#define REFUSE SCMP_ACT_ERRNO(EACCES)
#define KILL   SCMP_ACT_KILL_PROCESS

static int rules_add(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t count)
{
	int rc = 0;

	for (size_t i = 0; i < count && !rc; i++)
		rc = seccomp_rule_add(filter, action, calls[i], 0);
	return rc;
}

/* Those whose arguments decide: of each call, arguments by (value & mask) == wanted. */
static int rules_add_by_argument(scmp_filter_ctx filter)
{
	const unsigned writing = O_ACCMODE | O_CREAT, all = ~0u;
	const struct {
		uint32_t action;
		int call;
		unsigned argument, mask, wanted;
	} rules[] = {
		/* threads, which merges and large ranges on DAX have; clone3 hides its arguments, and has a fall-back */
		{ALLOW, SCMP_SYS(clone), 0, CLONE_THREAD, CLONE_THREAD},
		{KILL, SCMP_SYS(clone), 0, CLONE_THREAD, 0},
		/* no new code */
		{ALLOW, SCMP_SYS(mmap), 2, PROT_EXEC, 0},
		{REFUSE, SCMP_SYS(mmap), 2, PROT_EXEC, PROT_EXEC},
		{ALLOW, SCMP_SYS(mprotect), 2, PROT_EXEC, 0},
		{REFUSE, SCMP_SYS(mprotect), 2, PROT_EXEC, PROT_EXEC},
		/* libraries look for files, and do without */
		{REFUSE, SCMP_SYS(open), 1, writing, 0},
		{KILL, SCMP_SYS(open), 1, O_ACCMODE, O_WRONLY},
		{KILL, SCMP_SYS(open), 1, O_ACCMODE, O_RDWR},
		{KILL, SCMP_SYS(open), 1, O_CREAT, O_CREAT},
		{REFUSE, SCMP_SYS(openat), 2, writing, 0},
		{KILL, SCMP_SYS(openat), 2, O_ACCMODE, O_WRONLY},
		{KILL, SCMP_SYS(openat), 2, O_ACCMODE, O_RDWR},
		{KILL, SCMP_SYS(openat), 2, O_CREAT, O_CREAT},
		/* fstat, of some C libraries */
		{ALLOW, SCMP_SYS(newfstatat), 3, AT_EMPTY_PATH, AT_EMPTY_PATH},
		{REFUSE, SCMP_SYS(newfstatat), 3, AT_EMPTY_PATH, 0},
		{ALLOW, SCMP_SYS(statx), 2, AT_EMPTY_PATH, AT_EMPTY_PATH},
		{REFUSE, SCMP_SYS(statx), 2, AT_EMPTY_PATH, 0},
		/* no locks: the pool's could be given up, for the PMM as well */
		{ALLOW, SCMP_SYS(fcntl), 1, all, F_DUPFD},
		{ALLOW, SCMP_SYS(fcntl), 1, all, F_DUPFD_CLOEXEC},
		{ALLOW, SCMP_SYS(fcntl), 1, all, F_GETFD},
		{ALLOW, SCMP_SYS(fcntl), 1, all, F_SETFD},
		{ALLOW, SCMP_SYS(fcntl), 1, all, F_GETFL},
		{ALLOW, SCMP_SYS(fcntl), 1, all, F_SETFL},
		/* RDMA devices, and what concerns sockets */
		{ALLOW, SCMP_SYS(ioctl), 1, 0xff00, 0x1b00},
		{ALLOW, SCMP_SYS(ioctl), 1, all, FIONBIO},
		{ALLOW, SCMP_SYS(ioctl), 1, all, FIONREAD},
		{ALLOW, SCMP_SYS(socketpair), 0, all, AF_UNIX},
		/* itself, and no other process of the user's */
		{ALLOW, SCMP_SYS(kill), 0, all, (unsigned)getpid()},
		{ALLOW, SCMP_SYS(tgkill), 0, all, (unsigned)getpid()},
		{ALLOW, SCMP_SYS(setpriority), 1, all, 0},
		{ALLOW, SCMP_SYS(prctl), 0, all, PR_SET_NAME},
	};
	int rc = 0;

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]) && !rc; i++)
		rc = seccomp_rule_add(filter, rules[i].action, rules[i].call, 1,
				      SCMP_CMP(rules[i].argument, SCMP_CMP_MASKED_EQ, rules[i].mask, rules[i].wanted));
	if (!rc) /* to read a limit, and not to set it */
		rc = seccomp_rule_add(filter, ALLOW, SCMP_SYS(prlimit64), 2, SCMP_CMP(0, SCMP_CMP_MASKED_EQ, all, 0),
				      SCMP_CMP(2, SCMP_CMP_MASKED_EQ, UINT64_MAX, 0));
	return rc;
}

static int filter_install(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	int rc;

	if (!filter)
		return -ENOMEM;
	rc = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, KILL);
	if (!rc)
		rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	/* What is refused is in the kernel's audit log. */
	if (!rc)
		rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
	if (!rc)
		rc = rules_add(filter, ALLOW, allowed, sizeof(allowed) / sizeof(allowed[0]));
	if (!rc)
		rc = rules_add(filter, REFUSE, refused, sizeof(refused) / sizeof(refused[0]));
	if (!rc)
		rc = rules_add(filter, KILL, deadly, sizeof(deadly) / sizeof(deadly[0]));
	if (!rc)
		rc = rules_add_by_argument(filter);
	if (!rc)
		rc = seccomp_load(filter);
	seccomp_release(filter);
	return rc;
}

int confine_process(bool filter, bool reopens, char *text, size_t capacity, struct error *err)
{
	const int abi = landlock_version(), failed = atomic_load(&files_failed);
	char files[32] = "no Landlock";
	int rc;

	if (failed)
		return error_set(err, -failed, "cannot give up files (Landlock): %s", strerror(failed));
	filter = filter && !SANITIZED && !(reopens && atomic_load(&devices_open));
	rc = filter ? filter_install() : 0;
	if (rc)
		return error_set(err, rc,
				 "cannot give up system calls (seccomp): %s; where this kernel has no seccomp filters, "
				 "--ni-seccomp=no does without", strerror(-rc));
	if (atomic_load(&devices_open))
		snprintf(files, sizeof(files), "no Landlock (RDMA)");
	else if (abi)
		snprintf(files, sizeof(files), "Landlock %d", abi);
	snprintf(text, capacity, "uid %u, no capabilities, %s, %s%s", (unsigned)geteuid(), files,
		 filter ? "seccomp" : "no seccomp", SANITIZED ? " (a build with sanitizers)" : "");
	return 0;
}
