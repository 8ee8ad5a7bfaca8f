/* SPDX-License-Identifier: BSD-3-Clause */
/* embedded.c - finding and starting the pmu-server of this node and user. */
#include "client/embedded.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <unistd.h>
#include "client/spawn.h"
#include "common/checksum.h"
#include "common/clock.h"
#include "common/size.h"

#define START_MS      60000u
#define RETRY_MS      20u
#define SIZE_MAX_AUTO (64ull << 30)
#define SIZE_MIN_AUTO (1ull << 20) /* what pmu-server takes at least */
#define INSTALLED     SBINDIR "/pmu-server"
#define OR_NAME_ONE   "or name a server (HOLDFAST_SERVER=HOST[:PORT])"

_Static_assert(EMBEDDED_SOCKET_BYTES == sizeof(((struct sockaddr_un *)0)->sun_path), "a socket's path");
_Static_assert(EMBEDDED_SOCKET_BYTES + sizeof("unix:") <= ADDRESS_TEXT_BYTES, "a socket's address");

/* ---- places ---- */

/* What is beside the pool: "POOL.start" and "POOL.address". */
struct beside {
	char path[EMBEDDED_PATH_BYTES + 16];
};

static struct beside beside_pool(const struct embedded *embedded, const char *suffix)
{
	struct beside beside;

	snprintf(beside.path, sizeof(beside.path), "%s.%s", embedded->pool, suffix);
	return beside;
}

static const char *absolute_from_environment(const char *name)
{
	const char *value = getenv(name);

	return value && *value == '/' ? value : NULL;
}

/* Homes may be shared between nodes, pools not. */
static int pool_by_default(char *pool, size_t capacity, struct error *err)
{
	const char *state = absolute_from_environment("XDG_STATE_HOME");
	const char *home = absolute_from_environment("HOME");
	char host[65] = "";
	size_t n;

	if (!state && !home)
		return error_set(err, -EINVAL,
				 "no server is named, and there is no place for a pool of this node's own: HOME is "
				 "not set; set the variable pool to a directory, " OR_NAME_ONE);
	gethostname(host, sizeof(host) - 1);
	n = (size_t)(state ? snprintf(pool, capacity, "%s/holdfast/%s/pool", state, host)
			   : snprintf(pool, capacity, "%s/.local/state/holdfast/%s/pool", home, host));
	if (n < capacity)
		return 0;
	return error_set(err, -EINVAL,
			 "the path of this node's own pool, below %s, has more than %zu bytes: set the variable "
			 "pool to a shorter one, " OR_NAME_ONE,
			 state ? state : home, capacity - 1);
}

static int pool_given(const char *given, char *pool, size_t capacity, struct error *err)
{
	size_t bytes = strlen(given);

	if (*given != '/' || bytes >= capacity)
		return error_set(err, -EINVAL,
				 "the variable pool cannot be \"%.64s%s\": it is an absolute path of at most %zu bytes",
				 given, bytes > 64 ? "..." : "", capacity - 1);
	while (bytes > 1 && given[bytes - 1] == '/')
		bytes--;
	memcpy(pool, given, bytes);
	pool[bytes] = '\0';
	return 0;
}

/* Two pools never share a socket, whatever HOME and the like were when it was made. */
static int socket_place(struct embedded *embedded, struct error *err)
{
	const char *runtime = absolute_from_environment("XDG_RUNTIME_DIR");
	char own[64];

	snprintf(own, sizeof(own), "/tmp/holdfast-%u", (unsigned)geteuid());
	if ((size_t)snprintf(embedded->socket, sizeof(embedded->socket), "%s/holdfast-pmu-%016" PRIx64 ".sock",
			     runtime ? runtime : own, checksum(embedded->pool, strlen(embedded->pool))) <
	    sizeof(embedded->socket))
		return 0;
	return error_set(err, -EINVAL,
			 "XDG_RUNTIME_DIR (%s) is too long for a socket in it, whose path has at most %d bytes: unset "
			 "it, " OR_NAME_ONE,
			 runtime, EMBEDDED_SOCKET_BYTES - 1);
}

int embedded_locate(const struct options *options, struct embedded *embedded, struct error *err)
{
	struct embedded located = {
		.size_bytes = options->pool_size,
		.idle_ms = options->pool_idle_ms,
		.default_place = !options->pool,
	};
	size_t capacity = EMBEDDED_PATH_BYTES - 16; /* pmu-server's limit */
	int rc = options->pool ? pool_given(options->pool, located.pool, capacity, err)
			       : pool_by_default(located.pool, capacity, err);

	if (!rc)
		rc = socket_place(&located, err);
	if (!rc)
		*embedded = located;
	return rc;
}

/* ---- finding ---- */

/* Who can write the socket's directory can be the server: -EINVAL; -ENOENT: there is none. */
static int socket_directory_check(const char *socket, struct error *err)
{
	char directory[EMBEDDED_SOCKET_BYTES];
	struct stat st;

	snprintf(directory, sizeof(directory), "%.*s", (int)(strrchr(socket, '/') - socket), socket);
	if (lstat(directory, &st))
		return error_set(err, errno == ENOENT ? -ENOENT : -EINVAL,
				 "the directory %s, for the socket of this node's own pmu-server: %s; set "
				 "XDG_RUNTIME_DIR to a directory of your own, " OR_NAME_ONE,
				 directory, strerror(errno));
	if (S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 077))
		return 0;
	return error_set(err, -EINVAL,
			 "%s is %s uid %u with mode %03o, and is no place for the socket of this node's own "
			 "pmu-server: it must be a directory of uid %u with mode 700; set XDG_RUNTIME_DIR to such a "
			 "one, " OR_NAME_ONE,
			 directory, S_ISDIR(st.st_mode) ? "a directory of" : "no directory, of",
			 (unsigned)st.st_uid, (unsigned)st.st_mode & 0777u, (unsigned)geteuid());
}

/* Does somebody listen there? 1, 0, -errno. */
static int socket_answers(const char *path, struct error *err)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd, code = 0, rc;

	rc = socket_directory_check(path, err);
	if (rc)
		return rc == -ENOENT ? 0 : rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_set(err, -errno, "socket: %s", strerror(errno));
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	if (connect(fd, (const struct sockaddr *)&un, sizeof(un)))
		code = errno;
	close(fd);
	if (!code || code == EAGAIN) /* its queue is full */
		return 1;
	if (code == ENOENT || code == ECONNREFUSED)
		return 0;
	return error_set(err, -EINVAL, "the socket %s of this node's own pmu-server: %s; remove it, " OR_NAME_ONE,
			 path, strerror(code));
}

/* Where a server said that it listens: it may have been started with another XDG_RUNTIME_DIR. */
static bool socket_recorded(const struct embedded *embedded, char *path, size_t capacity)
{
	struct beside record = beside_pool(embedded, "address");
	char line[ADDRESS_TEXT_BYTES + 2] = "";
	FILE *file = fopen(record.path, "re");
	size_t bytes;

	if (!file)
		return false;
	if (!fgets(line, sizeof(line), file))
		*line = '\0';
	fclose(file);
	bytes = strcspn(line, "\n");
	line[bytes] = '\0';
	if (strncmp(line, "unix:/", 6) || bytes - 5 >= capacity)
		return false;
	strcpy(path, line + 5);
	return true;
}

/* 1: found, and `address` is set; 0; -errno. */
static int look(struct embedded *embedded, struct error *err)
{
	char other[EMBEDDED_SOCKET_BYTES];
	const char *found = embedded->socket;
	int rc = socket_answers(found, err);

	if (!rc && socket_recorded(embedded, other, sizeof(other)) && strcmp(other, found)) {
		found = other;
		rc = socket_answers(found, NULL) > 0;
	}
	if (rc > 0)
		snprintf(embedded->address, sizeof(embedded->address), "unix:%s", found);
	return rc;
}

int embedded_find(struct embedded *embedded, struct error *err)
{
	int rc = look(embedded, err);

	if (rc)
		return rc < 0 ? rc : 0;
	return error_set(err, -ENXIO,
			 "no server is named, and no pmu-server of your own runs on this node (its pool is %s; the "
			 "next job without a server starts it)",
			 embedded->pool);
}

/* ---- starting ---- */

/* Makes the directories above the pool. */
static int parents_make(const struct embedded *embedded, struct error *err)
{
	char path[EMBEDDED_PATH_BYTES];

	for (size_t i = 1; embedded->pool[i]; i++) {
		if (embedded->pool[i] != '/')
			continue;
		snprintf(path, sizeof(path), "%.*s", (int)i, embedded->pool);
		if (mkdir(path, 0700) && errno != EEXIST && access(path, F_OK))
			return error_set(err, -EINVAL,
					 "cannot make the directory %s, for this node's own pool: %s; set the variable "
					 "pool to another place, " OR_NAME_ONE,
					 path, strerror(errno));
	}
	return 0;
}

static int socket_directory_make(const struct embedded *embedded, struct error *err)
{
	char path[EMBEDDED_SOCKET_BYTES];

	snprintf(path, sizeof(path), "%.*s", (int)(strrchr(embedded->socket, '/') - embedded->socket),
		 embedded->socket);
	mkdir(path, 0700); /* where it cannot be made, the check tells why it is of no use */
	return socket_directory_check(embedded->socket, err) ? -EINVAL : 0;
}

static int lock_open(const struct embedded *embedded, int *lock, struct error *err)
{
	struct beside file = beside_pool(embedded, "start");
	int fd = open(file.path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return error_set(err, -EINVAL,
				 "cannot open %s, to start this node's own pmu-server: %s; make its directory, and "
				 "writable, set the variable pool to another place, " OR_NAME_ONE,
				 file.path, strerror(errno));
	*lock = fd;
	return 0;
}

/* 0: it is ours to start a server; 1: somebody else has; -errno. */
static int lock_take(struct embedded *embedded, int lock, uint64_t deadline, struct error *err)
{
	int rc;

	while (flock(lock, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return error_set(err, -EINVAL,
					 "cannot lock %s.start: %s; set the variable pool to another file system, "
					 OR_NAME_ONE, embedded->pool, strerror(errno));
		rc = look(embedded, err);
		if (rc)
			return rc;
		if (!deadline_left_ms(deadline))
			return error_set(err, -ETIMEDOUT,
					 "another process is starting a pmu-server for pool %s (it holds %s.start), and "
					 "is not done after %u s", embedded->pool, embedded->pool, START_MS / 1000);
		deadline_sleep_ms(deadline, RETRY_MS);
	}
	return look(embedded, err);
}

/* What the slots of the pool occupy. */
static uint64_t pool_occupies(const struct embedded *embedded)
{
	struct beside slots = {.path = ""};
	struct dirent *entry;
	uint64_t bytes = 0;
	struct stat st;
	DIR *dir;

	snprintf(slots.path, sizeof(slots.path), "%s/slots", embedded->pool);
	dir = opendir(slots.path);
	if (!dir)
		return 0;
	while ((entry = readdir(dir))) {
		if (!fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) && S_ISREG(st.st_mode))
			bytes += (uint64_t)st.st_blocks * 512;
	}
	closedir(dir);
	return bytes;
}

/* Half of what the file system has for the pool, and never less than the pool has already. */
static int size_choose(const struct embedded *embedded, uint64_t *size, struct error *err)
{
	uint64_t occupied = pool_occupies(embedded), bytes;
	char above[EMBEDDED_PATH_BYTES], *end;
	struct statvfs st;

	snprintf(above, sizeof(above), "%s", embedded->pool);
	end = strrchr(above, '/');
	if (end)
		end[1] = '\0';
	if (statvfs(embedded->pool, &st) && statvfs(above, &st))
		return error_set(err, -EINVAL, "cannot tell the free space of %s: %s; set the variable pool_size",
				 above, strerror(errno));
	bytes = ((uint64_t)st.f_bavail * st.f_frsize + occupied) / 2;
	if (bytes > SIZE_MAX_AUTO)
		bytes = SIZE_MAX_AUTO;
	if (bytes < occupied)
		bytes = occupied;
	*size = bytes < SIZE_MIN_AUTO ? SIZE_MIN_AUTO : bytes;
	return 0;
}

static const char *program(void)
{
	const char *named = getenv("HOLDFAST_PMU_SERVER");

	if (named && *named)
		return named;
	return access(INSTALLED, X_OK) ? "pmu-server" : INSTALLED;
}

/* The sentence of its last error, or else its last line. */
static const char *last_words(char *said)
{
	static const char mark[] = "pmu-server error: ";
	char *words = NULL, *next;

	for (next = strstr(said, mark); next; next = strstr(words, mark))
		words = next + strlen(mark);
	if (words) {
		words[strcspn(words, "\n")] = '\0';
		return words;
	}
	for (size_t n = strlen(said); n && said[n - 1] == '\n'; n--)
		said[n - 1] = '\0';
	words = strrchr(said, '\n');
	words = words ? words + 1 : said;
	return *words ? words : "it ended without a word";
}

static int start(struct embedded *embedded, uint64_t deadline, struct error *err)
{
	struct beside ready = beside_pool(embedded, "address");
	char listen[EMBEDDED_SOCKET_BYTES + 8], size[24], idle[24], said[1024];
	uint64_t bytes = embedded->size_bytes;
	char *const argv[] = {
		(char *)(uintptr_t)program(), "--pool", embedded->pool, "--size", size, "--listen", listen,
		"--fabric-listen", "127.0.0.1", "--auth", "none", "--ready-file", ready.path, "--idle-exit",
		idle, NULL,
	};
	int rc = bytes ? 0 : size_choose(embedded, &bytes, err);

	if (rc)
		return rc;
	snprintf(listen, sizeof(listen), "unix:%s", embedded->socket);
	snprintf(size, sizeof(size), "%" PRIu64, bytes);
	snprintf(idle, sizeof(idle), "%" PRIu64, (embedded->idle_ms + 999) / 1000);
	rc = spawn_background(argv, deadline, said, sizeof(said), err);
	if (rc == -ETIMEDOUT || rc == -ENOMEM)
		return error_context(err, "this node's own pmu-server, on pool %s", embedded->pool);
	if (rc)
		return error_context(err, "no server is named, and one of this node's own cannot be started; install "
					  "pmu-server, set HOLDFAST_PMU_SERVER to its path, " OR_NAME_ONE),
		       -EINVAL;
	rc = look(embedded, err);
	if (rc < 0)
		return rc;
	if (!rc)
		return error_set(err, -ENXIO,
				 "no server is named, and a pmu-server of this node's own does not start (%s, on pool "
				 "%s): %s; see to that, set the variables pool or pool_size, " OR_NAME_ONE,
				 argv[0], embedded->pool, last_words(said));
	embedded->started = true;
	return 0;
}

int embedded_find_or_start(struct embedded *embedded, struct error *err)
{
	uint64_t deadline = deadline_in_ms(START_MS);
	int lock = -1, rc;

	rc = look(embedded, err);
	if (rc)
		return rc < 0 ? rc : 0;
	rc = embedded->default_place ? parents_make(embedded, err) : 0;
	if (!rc)
		rc = socket_directory_make(embedded, err);
	if (!rc)
		rc = lock_open(embedded, &lock, err);
	if (rc)
		return rc;
	rc = lock_take(embedded, lock, deadline, err);
	if (!rc)
		rc = start(embedded, deadline, err);
	close(lock);
	return rc < 0 ? rc : 0;
}
