/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sequence.c - a real pmu-server, and many sessions at once that say what they may and what they may not, in an order that
 * a seed decides.
 *
 * Meanwhile honest ranks store and read back, NIs are killed, and the server is, and started again. Now and then all that
 * were wild are gone, and what they had is dropped: then the server has to be as it was without them.
 *
 * The seed decides what is said; what comes first at the server is up to the machine. So a seed that finds something may
 * take a few runs to find it again.
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/clock.h"
#include "honest.h"
#include "rank.h"
#include "speaker.h"

#define SPEAKERS_MAX   64
#define HONEST	       2
#define ROUND	       1000 /* steps between two looks at what is left */
#define QUIET_MS       60000
#define DESCRIPTORS    8 /* that the server may have more of than at first */
#ifdef __SANITIZE_ADDRESS__
#define GROWTH_BYTES (96u << 20) /* with what it keeps of freed memory */
#else
#define GROWTH_BYTES (16u << 20)
#endif

static uint64_t seed = 1, steps = 4000, seconds = 600;
static unsigned speaker_count = 12;
static struct speaker speakers[SPEAKERS_MAX];
static struct honest honest[HONEST];

/* What there is while nobody but the honest is there. */
struct state {
	uint64_t jobs, regions, reserved_bytes, metadata_bytes;
	uint64_t server_bytes;	      /* memory of this server */
	unsigned descriptors, slots; /* the server's; files in the pool */
	bool fresh;		      /* the server's own have to be learnt anew */
};
static struct state at_first;
static unsigned killed; /* NIs of this server */
static char key_file[160];

/* ---- the server ---- */

/* Its log is where the sanitizers of it and of its NIs write. */
static void check_log(void)
{
	char path[160], line[512];
	unsigned told = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/log", pmu.directory);
	file = fopen(path, "re");
	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file) && told < 60) {
		if (told || strstr(line, "Sanitizer") || strstr(line, "runtime error:"))
			told += fprintf(stderr, "# %s", line) > 0;
	}
	fclose(file);
	ck_assert_msg(!told, "the log has what a sanitizer says");
}

static void check_alive(void)
{
	int status;

	if (waitpid(pmu.pid, &status, WNOHANG) != pmu.pid)
		return;
	pmu.pid = 0;
	check_log();
	ck_abort_msg("the server has died by itself: status 0x%x", status);
}

static void server_start(void)
{
	const char *const extra[] = {"--auth", auth_name, auth_key_file ? "--key-file" : NULL, auth_key_file, NULL};

	ck_assert_msg(pmu_start(&pmu, extra, NULL), "the server does not start");
	at_first.fresh = true;
	killed = 0;
}

static void server_stop(bool kill)
{
	check_alive();
	if (kill)
		pmu_kill(&pmu);
	else
		ck_assert_msg(pmu_stop(&pmu), "the server ends with an error");
	check_log();
}

static unsigned entries(const char *path)
{
	DIR *directory = opendir(path);
	unsigned count = 0;

	ck_assert_msg(directory, "%s: %s", path, strerror(errno));
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static struct control login(void)
{
	struct client_options options = options_of_server();
	struct control control;

	ck_assert_msg(!control_connect(&options, deadline_in_ms(20000), &control, &err), "%s", err.text);
	return control;
}

/* One of its NIs, by chance. */
static void kill_ni(void)
{
	struct wire_stat_reply reply = {0};
	struct control control = login();
	pid_t found = 0;
	unsigned nis = 0;

	ck_assert(!control_call(&control, WIRE_STAT, wire_nothing_fields, NULL, wire_stat_reply_fields, &reply,
				deadline_in_ms(20000), &err));
	for (uint32_t i = 0; i < reply.count; i++) {
		if (!strncmp(reply.stats[i].key, "ni.", 3) && !random_below(++nis))
			found = atoi(reply.stats[i].value);
	}
	free(reply.stats);
	control_close(&control);
	if (found > 0 && !kill(found, SIGKILL))
		killed++;
}

/* ---- when all is quiet ---- */

static void wait_for(struct control *control, const char *key, uint64_t wanted)
{
	uint64_t number;

	for (uint64_t deadline = deadline_in_ms(QUIET_MS);; deadline_sleep_ms(deadline, 20)) {
		number = stat_number(control, key);
		if (number == wanted)
			return;
		ck_assert_msg(deadline_left_ms(deadline), "%s stays %llu, and should be %llu", key,
			      (unsigned long long)number, (unsigned long long)wanted);
	}
}

static void drop_others(struct control *control)
{
	struct wire_target all = {.uid = WIRE_UID_SELF};
	struct wire_list_reply list = {0};

	ck_assert(!control_call(control, WIRE_LIST, wire_target_fields, &all, wire_list_reply_fields, &list,
				deadline_in_ms(20000), &err));
	for (uint32_t i = 0; i < list.count; i++) {
		struct wire_target job = {.uid = list.jobs[i].uid};

		if (job.uid == geteuid() && !strncmp(list.jobs[i].name, SPEAKER_HONEST, strlen(SPEAKER_HONEST)))
			continue;
		snprintf(job.job, sizeof(job.job), "%s", list.jobs[i].name);
		ck_assert_msg(list.jobs[i].regions, "job '%s' has no regions, and is there still", job.job);
		ck_assert_msg(!control_call(control, WIRE_DROP, wire_target_fields, &job, wire_nothing_fields, NULL,
					    deadline_in_ms(20000), &err), "job '%s': %s", job.job, err.text);
	}
	wire_list_reply_free(&list);
}

static struct state state_now(struct control *control)
{
	char slots[160], descriptors[64];

	snprintf(slots, sizeof(slots), "%s/pool/slots", pmu.directory);
	snprintf(descriptors, sizeof(descriptors), "/proc/%d/fd", (int)pmu.pid);
	return (struct state){
		.jobs = stat_number(control, "pool.jobs"),
		.regions = stat_number(control, "pool.regions"),
		.reserved_bytes = stat_number(control, "pool.reserved_bytes"),
		.metadata_bytes = stat_number(control, "pool.metadata_used_bytes"),
		.server_bytes = pmu_anonymous_bytes(pmu.pid),
		.descriptors = entries(descriptors),
		.slots = entries(slots),
	};
}

/* Nobody but the honest, who pause: nothing of the others is left. */
static void check_quiet(void)
{
	struct control control;
	struct state now;

	for (unsigned i = 0; i < speaker_count; i++)
		speaker_leave(&speakers[i]);
	control = login();
	wait_for(&control, "server.sessions", 1 + HONEST);
	wait_for(&control, "server.grants", 0);
	drop_others(&control);
	now = state_now(&control);
	ck_assert_uint_eq(stat_number(&control, "count.ni_deaths"), killed);
	control_close(&control);
	ck_assert_uint_eq(now.jobs, at_first.jobs);
	ck_assert_uint_eq(now.regions, at_first.regions);
	ck_assert_uint_eq(now.reserved_bytes, at_first.reserved_bytes);
	ck_assert_uint_eq(now.slots, at_first.slots);
	if (at_first.fresh) {
		at_first.fresh = false;
		at_first.server_bytes = now.server_bytes;
		at_first.descriptors = now.descriptors;
	}
	ck_assert_uint_le(now.descriptors, at_first.descriptors + DESCRIPTORS);
	ck_assert_uint_le(now.server_bytes, at_first.server_bytes + GROWTH_BYTES);
	check_log();
	fprintf(stderr, "# quiet: epochs %llu and %llu; server has %llu KiB, %u descriptors, metadata %llu KiB\n",
		(unsigned long long)honest[0].epoch, (unsigned long long)honest[1].epoch,
		(unsigned long long)now.server_bytes >> 10, now.descriptors, (unsigned long long)now.metadata_bytes >> 10);
}

/* ---- and when it is not ---- */

static void restart(bool kill)
{
	server_stop(kill);
	server_start();
}

/* One that has nothing to wait for, mostly. */
static struct speaker *next_speaker(void)
{
	struct speaker *s = &speakers[random_below(speaker_count)];

	for (unsigned i = 0; i < speaker_count && speaker_waits(s) && random_below(30); i++)
		s = &speakers[random_below(speaker_count)];
	return s;
}

/* Waits a little where all wait: for one to be answered. */
static void listen_all(void)
{
	struct pollfd fds[SPEAKERS_MAX];

	for (unsigned i = 0; i < speaker_count; i++) {
		fds[i] = (struct pollfd){speakers[i].fd, POLLIN, 0};
		if (!speaker_waits(&speakers[i]))
			return;
	}
	poll(fds, speaker_count, 10);
}

static void step(void)
{
	speaker_act(next_speaker());
	listen_all();
	for (unsigned i = 0; i < speaker_count; i++)
		speaker_pump(&speakers[i]);
	check_alive();
	if (!random_below(1000))
		kill_ni();
	if (!random_below(3000))
		restart(random_below(3));
}

static void tell(uint64_t done)
{
	fprintf(stderr, "# seed %llu: %llu steps, %llu frames, %llu granted, %llu refused, %llu transfers, %llu sessions ended by "
		"the server\n# granted:", (unsigned long long)seed, (unsigned long long)done,
		(unsigned long long)speaker_counts.frames, (unsigned long long)speaker_counts.granted,
		(unsigned long long)speaker_counts.refused, (unsigned long long)speaker_counts.transfers,
		(unsigned long long)speaker_counts.ended);
	for (unsigned type = 1; type < WIRE_TYPE_END; type++)
		fprintf(stderr, " %s %llu", wire_type_name(type), (unsigned long long)speaker_counts.granted_by[type]);
	fprintf(stderr, "\n");
}

static void key_make(void)
{
	FILE *file;

	snprintf(key_file, sizeof(key_file), "%s/key", pmu.directory);
	umask(077);
	file = fopen(key_file, "we");
	ck_assert_ptr_nonnull(file);
	for (unsigned i = 0; i < AUTH_KEY_BYTES_MIN; i++)
		fputc((int)random_below(256), file);
	fclose(file);
	auth_key_file = key_file;
	ck_assert_msg(!auth_key_read(key_file, &speaker_key, &err), "%s", err.text);
}

static void begin(const struct auth_ops *auth)
{
	struct control control;

	fprintf(stderr, "# seed %llu, authentication %s\n", (unsigned long long)seed, auth->name);
	random_seed(seed);
	pmu_make(&pmu);
	speaker_auth = auth;
	auth_name = auth->name;
	if (auth->needs_key)
		key_make();
	server_start();
	honest_start(&honest[0], 0, REGION_OVERWRITE);
	honest_start(&honest[1], 1, REGION_APPEND);
	control = login();
	at_first = state_now(&control);
	at_first.fresh = true;
	control_close(&control);
	for (unsigned i = 0; i < speaker_count; i++)
		speakers[i].fd = -1;
}

static void teardown(void)
{
	pmu_remove(&pmu);
}

/* With and without seals on frames, half of the steps each. */
static const struct auth_ops *const methods[] = {&auth_none, &auth_psk};
#define METHODS (sizeof(methods) / sizeof(methods[0]))

START_TEST(what_was_stored_outlives_whatever_is_said)
{
	uint64_t end = deadline_in_ms(seconds * 1000 / METHODS), done = 0;

	begin(methods[_i]);
	while (done < steps / METHODS && deadline_left_ms(end)) {
		for (unsigned i = 0; i < HONEST; i++)
			honest_go(&honest[i]);
		for (unsigned round = 0; round < ROUND && done < steps / METHODS && deadline_left_ms(end); round++, done++)
			step();
		for (unsigned i = 0; i < HONEST; i++)
			honest_pause(&honest[i]);
		check_quiet();
	}
	tell(done);
	restart(false);
	for (unsigned i = 0; i < HONEST; i++)
		honest_end(&honest[i]);
	server_stop(false);
}
END_TEST

/* ---- the program ---- */

static uint64_t number(const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 10);

	if (!*text || *end) {
		fprintf(stderr, "sequence: '%s' is no number\n", text);
		exit(2);
	}
	return value;
}

static void options(int argc, char **argv)
{
	static const struct option known[] = {
		{"seed", required_argument, NULL, 's'},
		{"steps", required_argument, NULL, 'n'},
		{"seconds", required_argument, NULL, 't'},
		{"speakers", required_argument, NULL, 'p'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) >= 0) {
		if (c == 's')
			seed = number(optarg);
		else if (c == 'n')
			steps = number(optarg);
		else if (c == 't')
			seconds = number(optarg);
		else if (c == 'p')
			speaker_count = (unsigned)number(optarg);
		else
			exit(2);
	}
	if (!speaker_count || speaker_count > SPEAKERS_MAX || optind < argc) {
		fprintf(stderr, "usage: sequence [--seed N] [--steps N] [--seconds N] [--speakers N]\n");
		exit(2);
	}
}

int main(int argc, char **argv)
{
	Suite *suite = suite_create("sequence");
	TCase *tcase = tcase_create("sequence");
	SRunner *runner;
	int failed;

	options(argc, argv);
	setenv("top_builddir", ".", 0);
	tcase_set_timeout(tcase, (double)seconds + 300);
	tcase_add_checked_fixture(tcase, NULL, teardown);
	tcase_add_loop_test(tcase, what_was_stored_outlives_whatever_is_said, 0, METHODS);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
