/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rights.c - who may what, of a real pmu-server: owners, groups, administrators, quotas. On loopback without authentication
 * the server takes our word for uid and gid: each user here is this process under another effective uid.
 */
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "client/client.h"
#include "client/control.h"
#include "common/clock.h"
#include "common/share.h"
#include "pmu_fixture.h"
#include "unit.h"

#define MIB (1u << 20)

enum { OWNER = 2001, MEMBER = 2002, STRANGER = 2003, GROUP = 3001, NO_GROUP = 3002 };

static struct pmu pmu;
static struct error err;
static uint8_t *data;
static char conf[160], unix_socket[160];

static void conf_write(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void conf_write(const char *fmt, ...)
{
	FILE *file;
	va_list ap;

	ck_assert(!seteuid(0));
	file = fopen(conf, "we");
	va_start(ap, fmt);
	ck_assert(file && vfprintf(file, fmt, ap) >= 0 && !fclose(file));
	va_end(ap);
}

static void setup(void)
{
	pmu_make(&pmu);
	snprintf(conf, sizeof(conf), "%s/conf", pmu.directory);
	snprintf(unix_socket, sizeof(unix_socket), "unix:%s/socket", pmu.directory);
	/* So that the server's user, who may all, is nobody of the test. */
	ck_assert(!chmod(pmu.directory, 0755));
	conf_write("# none\n");
	ck_assert(pmu_start(&pmu, (const char *[]){"--config", conf, "--listen", unix_socket, NULL}, NULL));
	data = malloc(16 * MIB);
}

static void teardown(void)
{
	ck_assert(!seteuid(0) && !setegid(0));
	pmu_remove(&pmu);
	free(data);
}

/* SIGHUP, and wait until it is read. */
static void reload(void)
{
	unsigned before = pmu_log_lines(&pmu, "configuration read again");

	kill(pmu.pid, SIGHUP);
	for (unsigned i = 0; i < 1000 && pmu_log_lines(&pmu, "configuration read again") == before; i++)
		usleep(10000);
	ck_assert_uint_gt(pmu_log_lines(&pmu, "configuration read again"), before);
}

/* From here on we are that user. */
static void be(unsigned uid, unsigned gid)
{
	ck_assert(!seteuid(0) && !setegid(gid) && !seteuid(uid));
}

/* ---- requests ---- */

static struct client_options options_of_server(void)
{
	return (struct client_options){.server = pmu.address, .auth = "none", .timeout_ms = 10000, .reconnect_ms = 10000};
}

static int connect_to(const char *server, struct control *control)
{
	struct client_options options = {.server = server, .auth = "none"};

	return control_connect(&options, deadline_in_ms(10000), control, &err);
}

static int call(enum wire_type type, wire_fields_fn *fields, void *message, wire_fields_fn *reply_fields, void *reply)
{
	struct control control;
	int rc = connect_to(pmu.address, &control);

	if (rc)
		return rc;
	rc = control_call(&control, type, fields, message, reply_fields, reply, deadline_in_ms(10000), &err);
	control_close(&control);
	return rc;
}

static struct wire_target target_of(uint32_t owner)
{
	return (struct wire_target){.job = "job", .uid = owner};
}

static int show(uint32_t owner, struct wire_job *job)
{
	struct wire_target target = target_of(owner);
	struct wire_show_reply reply = {0};
	int rc = call(WIRE_SHOW, wire_target_fields, &target, wire_show_reply_fields, &reply);

	if (job)
		*job = reply.job;
	wire_show_reply_free(&reply);
	return rc;
}

static int verify(uint32_t owner, uint64_t epoch)
{
	struct wire_target target = target_of(owner);
	struct wire_verify_reply reply = {0};
	int rc;

	target.epoch = epoch;
	rc = call(WIRE_VERIFY, wire_target_fields, &target, wire_verify_reply_fields, &reply);
	return rc ? rc : reply.blocks && !reply.bad_blocks ? 0 : -EIO;
}

/* How many jobs the user sees. */
static unsigned listed(void)
{
	struct wire_target target = {.uid = WIRE_UID_SELF};
	struct wire_list_reply reply = {0};
	unsigned count;

	ck_assert_msg(!call(WIRE_LIST, wire_target_fields, &target, wire_list_reply_fields, &reply), "%s", err.text);
	count = reply.count;
	wire_list_reply_free(&reply);
	return count;
}

static int ask(uint32_t owner)
{
	struct wire_ask message = {target_of(owner), WIRE_ASK_CHECKPOINT};
	struct wire_ask_reply reply;

	return call(WIRE_ASK, wire_ask_fields, &message, wire_ask_reply_fields, &reply);
}

static int asked(uint32_t owner)
{
	struct wire_asked message = {.target = target_of(owner)};
	struct wire_asked_reply reply;

	return call(WIRE_ASKED, wire_asked_fields, &message, wire_asked_reply_fields, &reply);
}

static int fence(uint32_t owner)
{
	struct wire_target target = target_of(owner);

	return call(WIRE_FENCE, wire_target_fields, &target, wire_nothing_fields, NULL);
}

static int drop(uint32_t owner)
{
	struct wire_target target = target_of(owner);

	target.rank = WIRE_RANK_ALL;
	return call(WIRE_DROP, wire_target_fields, &target, wire_nothing_fields, NULL);
}

static int share(uint32_t owner, uint32_t group, enum job_share how)
{
	struct wire_share message = {target_of(owner), group, how};

	return call(WIRE_SHARE, wire_share_fields, &message, wire_nothing_fields, NULL);
}

/* ---- jobs ---- */

static int try_open(const char *owner, const char *job, uint32_t rank, uint32_t ranks, struct client **client)
{
	struct client_options options = options_of_server();
	struct client_identity identity = {.job = job, .rank = rank, .ranks = ranks, .launch = {1}, .owner = owner};

	identity.mode = REGION_OVERWRITE;
	return client_open(&options, &identity, client, &err);
}

static struct client *open_ok(const char *owner, const char *job, uint32_t rank, uint32_t ranks)
{
	struct client *client = NULL;
	int rc = try_open(owner, job, rank, ranks, &client);

	ck_assert_msg(!rc, "%d %s", rc, err.text);
	return client;
}

static int put(struct client *client, uint64_t epoch, uint64_t keep, size_t bytes)
{
	struct client_segment s = {.segment = {.name = "data", .type = ELEMENT_BYTE, .element_bytes = 1, .count = bytes}, .at = data};

	memset(data, (int)epoch, bytes);
	return client_put(client, epoch, keep, NULL, &s, 1, &err);
}

static void get_ok(struct client *client, uint64_t epoch, size_t bytes)
{
	struct client_segment s = {.segment = {.name = "data", .type = ELEMENT_BYTE, .element_bytes = 1, .count = bytes}, .at = data};

	memset(data, 0, bytes);
	ck_assert_msg(!client_get(client, 0, epoch, &s, 1, &err), "%s", err.text);
	ck_assert(data[0] == epoch && !memcmp(data, data + 1, bytes - 1));
}

/* A job of the owner with one epoch, at rest. */
static void job_make(void)
{
	struct client *client;

	be(OWNER, NO_GROUP);
	client = open_ok(NULL, "job", 0, 1);
	ck_assert_msg(!put(client, 1, 0, MIB), "%s", err.text);
	client_close(client, false, &err);
}

/* To these it is as if it were not there. */
static void sees_nothing(void)
{
	struct client *client;
	char text[sizeof(err.text)];

	ck_assert_uint_eq(listed(), 0);
	ck_assert_int_eq(show(OWNER, NULL), -ENOENT);
	ck_assert_int_eq(verify(OWNER, 1), -ENOENT);
	ck_assert_int_eq(ask(OWNER), -ENOENT);
	ck_assert_int_eq(asked(OWNER), -ENOENT);
	ck_assert_int_eq(fence(OWNER), -ENOENT);
	ck_assert_int_eq(drop(OWNER), -ENOENT);
	ck_assert_int_eq(share(OWNER, GROUP, JOB_SHARE_RUN), -ENOENT);
	ck_assert_int_eq(try_open("2001", "job", 0, 1, &client), -EACCES);
	strcpy(text, err.text);
	ck_assert_int_eq(try_open("2001", "jib", 0, 1, &client), -EACCES);
	memcpy(strstr(err.text, "'jib'"), "'job'", 5);
	ck_assert_str_eq(err.text, text);
}

START_TEST(a_job_is_its_owners)
{
	job_make();
	ck_assert_uint_eq(listed(), 1);
	ck_assert_int_eq(verify(WIRE_UID_SELF, 1), 0);
	be(STRANGER, GROUP);
	sees_nothing();
	be(OWNER, NO_GROUP);
	ck_assert_int_eq(drop(WIRE_UID_SELF), 0);
}
END_TEST

/* The server counts its connections. */
static uint64_t connection_number(enum wire_type type)
{
	struct wire_open open = {.job = "own", .ranks = 1, .uid = WIRE_UID_SELF, .mode = REGION_OVERWRITE, .flags = WIRE_OPEN_FORCE};
	struct wire_open_reply reply = {0};
	uint64_t number;

	ck_assert_msg(!call(type, wire_open_fields, &open, wire_open_reply_fields, &reply), "%s", err.text);
	number = reply.session;
	wire_open_reply_free(&reply);
	return number;
}

/* Nor waits for what will not change. */
START_TEST(who_is_refused_does_not_ask_again)
{
	struct client *client;
	uint64_t before;

	job_make();
	be(STRANGER, NO_GROUP);
	before = connection_number(WIRE_CREATE);
	ck_assert_int_eq(try_open("2001", "job", 0, 1, &client), -EACCES);
	ck_assert_uint_eq(connection_number(WIRE_OPEN), before + 2);
}
END_TEST

START_TEST(what_is_shared_to_be_read_is_read_and_no_more)
{
	struct client *client;
	struct wire_job job;

	job_make();
	ck_assert_int_eq(share(WIRE_UID_SELF, GROUP, JOB_SHARE_READ), 0);
	be(STRANGER, NO_GROUP);
	sees_nothing();
	be(MEMBER, GROUP);
	ck_assert_uint_eq(listed(), 1);
	ck_assert_int_eq(show(OWNER, &job), 0);
	ck_assert(job.share == JOB_SHARE_READ && job.group == GROUP && job.uid == OWNER);
	ck_assert_int_eq(show(WIRE_UID_SELF, NULL), -ENOENT);
	ck_assert_int_eq(verify(OWNER, 1), 0);
	ck_assert_int_eq(ask(OWNER), -EACCES);
	ck_assert_int_eq(asked(OWNER), -EACCES);
	ck_assert_int_eq(fence(OWNER), -EACCES);
	ck_assert_int_eq(drop(OWNER), -EACCES);
	ck_assert_int_eq(share(OWNER, GROUP, JOB_SHARE_RUN), -EACCES);
	ck_assert_int_eq(try_open("2001", "job", 0, 1, &client), -EACCES);
}
END_TEST

/* The data plane is the owner's, whoever runs the job: nobody else's process gets its bytes. */
static void only_ni_is_the_owners(void)
{
	struct wire_stat_reply reply = {0};
	bool owners = false;

	ck_assert(!call(WIRE_STAT, wire_nothing_fields, NULL, wire_stat_reply_fields, &reply));
	for (uint32_t i = 0; i < reply.count; i++) {
		owners |= !strcmp(reply.stats[i].key, "ni.2001.pid");
		ck_assert_str_ne(reply.stats[i].key, "ni.2002.pid");
	}
	ck_assert(owners);
	free(reply.stats);
}

START_TEST(what_is_shared_to_be_run_is_run)
{
	struct client *client;
	struct wire_job job;

	job_make();
	ck_assert_int_eq(share(WIRE_UID_SELF, GROUP, JOB_SHARE_RUN), 0);
	pmu_kill(&pmu);
	ck_assert(!seteuid(0));
	ck_assert(pmu_start(&pmu, NULL, NULL));
	be(MEMBER, GROUP);
	client = open_ok("2001", "job", 0, 1);
	get_ok(client, 1, MIB);
	ck_assert_msg(!put(client, 2, 1, MIB), "%s", err.text);
	ck_assert_int_eq(ask(OWNER), 0);
	ck_assert_int_eq(asked(OWNER), 0);
	only_ni_is_the_owners();
	client_close(client, false, &err);
	ck_assert_int_eq(fence(OWNER), 0);
	ck_assert_int_eq(drop(OWNER), -EACCES);
	ck_assert_int_eq(share(OWNER, GROUP, JOB_SHARE_READ), -EACCES);
	be(OWNER, NO_GROUP);
	client = open_ok(NULL, "job", 0, 1);
	get_ok(client, 2, MIB);
	client_close(client, false, &err);
	ck_assert(!show(WIRE_UID_SELF, &job) && job.complete_epoch == 2);
	be(MEMBER, GROUP);
	ck_assert_int_eq(try_open("no-such-user", "job", 0, 1, &client), -EINVAL);
}
END_TEST

START_TEST(who_is_let_out_again_is_cut_off)
{
	struct client_wish wish;
	struct client *client;

	job_make();
	ck_assert_int_eq(share(WIRE_UID_SELF, GROUP, JOB_SHARE_RUN), 0);
	be(MEMBER, GROUP);
	client = open_ok("2001", "job", 0, 1);
	be(OWNER, NO_GROUP);
	ck_assert_int_eq(share(WIRE_UID_SELF, 0, JOB_SHARE_NONE), 0);
	be(MEMBER, GROUP);
	ck_assert_int_eq(put(client, 2, 1, MIB), -EACCES);
	ck_assert_int_eq(client_asked(client, 0, 0, &wish, &err), -EACCES);
	client_close(client, false, &err);
	sees_nothing();
	be(OWNER, NO_GROUP);
	client = open_ok(NULL, "job", 0, 1);
	get_ok(client, 1, MIB);
	client_close(client, false, &err);
	ck_assert_int_eq(share(WIRE_UID_SELF, GROUP, 3), -EINVAL);
	ck_assert_int_eq(share(WIRE_UID_SELF, UINT32_MAX, JOB_SHARE_READ), -EINVAL);
}
END_TEST

START_TEST(who_may_still_run_it_or_is_elsewhere_is_not_cut_off)
{
	struct client *owner, *member, *other;

	be(OWNER, NO_GROUP);
	owner = open_ok(NULL, "job", 0, 2);
	ck_assert_int_eq(share(WIRE_UID_SELF, GROUP, JOB_SHARE_RUN), 0);
	be(MEMBER, GROUP);
	member = open_ok("2001", "job", 1, 2);
	other = open_ok(NULL, "other", 0, 1);
	be(OWNER, NO_GROUP);
	ck_assert_int_eq(share(WIRE_UID_SELF, 0, JOB_SHARE_NONE), 0);
	/* A client would come again, and none would notice. */
	be(0, 0);
	ck_assert_uint_eq(pmu_log_lines(&pmu, "its job is not shared with its group any more"), 1);
	be(OWNER, NO_GROUP);
	ck_assert_msg(!put(owner, 1, 0, MIB), "%s", err.text);
	be(MEMBER, GROUP);
	ck_assert_int_eq(put(member, 1, 0, MIB), -EACCES);
	ck_assert_msg(!put(other, 1, 0, MIB), "%s", err.text);
	client_close(member, false, &err);
	client_close(other, false, &err);
	client_close(owner, false, &err);
}
END_TEST

/* As that user, with that other group: what does SHOW over the UNIX socket give? */
static int show_by_socket(unsigned uid, gid_t other)
{
	struct wire_target target = target_of(OWNER);
	struct wire_show_reply reply = {0};
	struct control control;
	int status, rc;
	pid_t child = fork();

	if (child) {
		ck_assert(waitpid(child, &status, 0) == child && WIFEXITED(status));
		return -WEXITSTATUS(status);
	}
	if (setgroups(1, &other) || setgid(NO_GROUP) || setuid(uid))
		_exit(255);
	rc = connect_to(unix_socket, &control);
	if (!rc)
		rc = control_call(&control, WIRE_SHOW, wire_target_fields, &target, wire_show_reply_fields, &reply,
				  deadline_in_ms(10000), &err);
	wire_show_reply_free(&reply);
	control_close(&control);
	_exit(-rc);
}

START_TEST(on_this_node_the_kernel_tells_the_groups)
{
	job_make();
	ck_assert_int_eq(share(WIRE_UID_SELF, GROUP, JOB_SHARE_READ), 0);
	ck_assert(!seteuid(0) && !setegid(0));
	ck_assert_int_eq(show_by_socket(MEMBER, GROUP), 0);
	ck_assert_int_eq(show_by_socket(MEMBER, GROUP + 10), -ENOENT);
}
END_TEST

static void key_write(const char *path, char byte)
{
	FILE *file = fopen(path, "we");

	for (unsigned i = 0; i < 32; i++)
		putc(byte, file);
	ck_assert(!fclose(file) && !chmod(path, 0600));
}

/* SHOW of the owner's job by the member, with this key. */
static int show_with(const char *key_file)
{
	struct client_options options = {.server = pmu.address, .auth = "psk", .key_file = key_file};
	struct wire_target target = target_of(OWNER);
	struct wire_show_reply reply = {0};
	struct control control;
	int rc = control_connect(&options, deadline_in_ms(10000), &control, &err);

	ck_assert_msg(!rc, "%s", err.text);
	rc = control_call(&control, WIRE_SHOW, wire_target_fields, &target, wire_show_reply_fields, &reply,
			  deadline_in_ms(10000), &err);
	wire_show_reply_free(&reply);
	control_close(&control);
	return rc;
}

START_TEST(a_key_of_ones_own_proves_no_group)
{
	char common[160], keys[160], own[176];

	job_make();
	ck_assert_int_eq(share(WIRE_UID_SELF, GROUP, JOB_SHARE_READ), 0);
	be(0, 0);
	pmu_stop(&pmu);
	snprintf(common, sizeof(common), "%s/key", pmu.directory);
	snprintf(keys, sizeof(keys), "%s/keys", pmu.directory);
	snprintf(own, sizeof(own), "%s/%u", keys, MEMBER);
	ck_assert(!mkdir(keys, 0700));
	key_write(common, 'c');
	ck_assert(pmu_start(&pmu, (const char *[]){"--auth", "psk", "--key-file", common, "--user-keys", keys, NULL}, NULL));
	/* A key file is its owner's. */
	ck_assert(!chown(common, MEMBER, GROUP));
	be(MEMBER, GROUP);
	ck_assert_int_eq(show_with(common), 0);
	be(0, 0);
	key_write(own, 'o');
	ck_assert(!chmod(keys, 0711));
	ck_assert(!rename(own, common) && !chown(common, MEMBER, GROUP));
	key_write(own, 'o');
	be(MEMBER, GROUP);
	ck_assert_int_eq(show_with(common), -ENOENT);
}
END_TEST

/* ---- administrators ---- */

START_TEST(administrators_are_those_of_the_configuration)
{
	job_make();
	be(STRANGER, NO_GROUP);
	sees_nothing();
	conf_write("admins = 4711, %u\n", STRANGER);
	be(0, 0);
	reload();
	be(STRANGER, NO_GROUP);
	ck_assert_uint_eq(listed(), 1);
	ck_assert_int_eq(show(OWNER, NULL), 0);
	ck_assert_int_eq(verify(OWNER, 1), 0);
	be(MEMBER, NO_GROUP);
	sees_nothing();
	conf_write("# none\n");
	be(0, 0);
	reload();
	be(STRANGER, NO_GROUP);
	sees_nothing();
	conf_write("admins = %u\n", STRANGER);
	be(0, 0);
	reload();
	be(STRANGER, NO_GROUP);
	ck_assert_int_eq(drop(OWNER), 0);
	ck_assert_uint_eq(listed(), 0);
}
END_TEST

START_TEST(an_unknown_user_is_an_error)
{
	be(0, 0);
	pmu_stop(&pmu);
	ck_assert(!pmu_start(&pmu, (const char *[]){"--admins", "root,no-such-user", NULL}, NULL));
	ck_assert_uint_eq(pmu_log_lines(&pmu, "admins: there is no user 'no-such-user'"), 1);
	conf_write("[user no-such-user]\nquota-bytes = 1M\n");
	ck_assert(!pmu_start(&pmu, (const char *[]){"--config", conf, NULL}, NULL));
	ck_assert_uint_eq(pmu_log_lines(&pmu, "[user no-such-user]: there is no such user"), 1);
	conf_write("[user 2001]\nlease = 5\n");
	ck_assert(!pmu_start(&pmu, (const char *[]){"--config", conf, NULL}, NULL));
	ck_assert_uint_eq(pmu_log_lines(&pmu, "'lease' is none of quota-bytes"), 1);
	conf_write("[user 2001]\nquota-bytes = 1M\n[user root]\nquota-sessions = 3\n");
	ck_assert(pmu_start(&pmu, (const char *[]){"--config", conf, NULL}, NULL));
}
END_TEST

/* ---- quotas ---- */

START_TEST(who_has_his_bytes_gets_no_more_and_others_do)
{
	struct client *client, *neighbour;

	conf_write("quota-bytes = 8M\n[user %u]\nquota-bytes = 20M\n", MEMBER);
	reload();
	be(OWNER, NO_GROUP);
	client = open_ok(NULL, "job", 0, 1);
	ck_assert_msg(!put(client, 1, 0, MIB), "%s", err.text);
	ck_assert_int_eq(put(client, 2, 1, 6 * MIB), -EDQUOT);
	ck_assert_msg(strstr(err.text, "user 2001 may have 8 MiB") && strstr(err.text, "quota-bytes"), "%s", err.text);
	get_ok(client, 1, MIB);
	be(MEMBER, NO_GROUP);
	neighbour = open_ok(NULL, "job", 0, 1);
	ck_assert_msg(!put(neighbour, 1, 0, 6 * MIB), "%s", err.text);
	client_close(neighbour, false, &err);
	be(OWNER, NO_GROUP);
	/* What it has itself does not count against what it is to have. */
	ck_assert_msg(!put(client, 2, 1, 7 * MIB / 2), "%s", err.text);
	/* What he has stays, whatever he may have; it grows no more. */
	conf_write("quota-bytes = 1M\n");
	be(0, 0);
	reload();
	be(OWNER, NO_GROUP);
	ck_assert_msg(!put(client, 3, 2, 2 * MIB), "%s", err.text);
	ck_assert_int_eq(put(client, 4, 3, 4 * MIB), -EDQUOT);
	get_ok(client, 3, 2 * MIB);
	client_close(client, true, &err);
	/* What was given up counts no more. */
	client = open_ok(NULL, "job", 0, 1);
	ck_assert_msg(!put(client, 1, 0, MIB / 4), "%s", err.text);
	client_close(client, false, &err);
}
END_TEST

START_TEST(who_has_his_regions_gets_no_more)
{
	struct client *first, *second, *third = NULL, *other;

	conf_write("quota-regions = 2\n");
	reload();
	be(OWNER, NO_GROUP);
	first = open_ok(NULL, "job", 0, 3);
	second = open_ok(NULL, "job", 1, 3);
	ck_assert_int_eq(try_open(NULL, "job", 2, 3, &third), -EDQUOT);
	ck_assert_msg(strstr(err.text, "quota-regions"), "%s", err.text);
	be(MEMBER, NO_GROUP);
	other = open_ok(NULL, "job", 0, 3);
	client_close(other, false, &err);
	be(OWNER, NO_GROUP);
	client_close(second, true, &err);
	third = open_ok(NULL, "job", 2, 3);
	client_close(third, false, &err);
	client_close(first, false, &err);
}
END_TEST

START_TEST(who_has_his_sessions_gets_no_more)
{
	struct control one, two, more;
	struct client *client;

	conf_write("quota-sessions = 2\nadmins = %u\n", STRANGER);
	reload();
	be(OWNER, NO_GROUP);
	ck_assert_int_eq(connect_to(pmu.address, &one), 0);
	ck_assert_int_eq(connect_to(pmu.address, &two), 0);
	ck_assert_int_eq(connect_to(pmu.address, &more), -EUSERS);
	ck_assert_msg(strstr(err.text, "quota-sessions"), "%s", err.text);
	be(MEMBER, NO_GROUP);
	client = open_ok(NULL, "job", 0, 1);
	client_close(client, false, &err);
	be(STRANGER, NO_GROUP);
	for (unsigned i = 0; i < 3; i++) {
		/* Administrators always get in. */
		ck_assert_int_eq(connect_to(pmu.address, &more), 0);
	}
	control_close(&one);
	be(OWNER, NO_GROUP);
	for (unsigned i = 0; i < 500 && connect_to(pmu.address, &one); i++)
		usleep(10000);
	ck_assert_int_ge(one.fd, 0);
}
END_TEST

START_TEST(users_are_shown_to_whom_they_concern)
{
	struct wire_target target = {.uid = WIRE_UID_SELF};
	struct wire_users_reply reply = {0};
	struct client *client;

	conf_write("quota-bytes = 32M\n[user %u]\nquota-regions = 7\n", OWNER);
	reload();
	job_make();
	be(MEMBER, NO_GROUP);
	client = open_ok(NULL, "other", 0, 1);
	ck_assert(!call(WIRE_USERS, wire_target_fields, &target, wire_users_reply_fields, &reply));
	ck_assert_uint_eq(reply.count, 1);
	ck_assert(reply.users[0].uid == MEMBER && reply.users[0].jobs == 1 && reply.users[0].sessions == 2 &&
		  reply.users[0].quota_bytes == 32 * MIB && !reply.users[0].quota_regions);
	wire_users_reply_free(&reply);
	be(0, 0);
	ck_assert(!call(WIRE_USERS, wire_target_fields, &target, wire_users_reply_fields, &reply));
	ck_assert_uint_eq(reply.count, 3); /* and root, who asks */
	ck_assert(reply.users[1].uid == OWNER && reply.users[1].jobs == 1 && reply.users[1].regions == 1 &&
		  reply.users[1].reserved_bytes >= 2 * MIB && !reply.users[1].sessions && reply.users[1].quota_regions == 7);
	wire_users_reply_free(&reply);
	target.uid = MEMBER;
	ck_assert(!call(WIRE_USERS, wire_target_fields, &target, wire_users_reply_fields, &reply));
	ck_assert_uint_eq(reply.count, 1);
	wire_users_reply_free(&reply);
	client_close(client, false, &err);
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("rights");
	TCase *tc = tcase_create("rights");

	setenv("top_builddir", ".", 0);
	tcase_set_timeout(tc, 60);
	if (geteuid()) {
		puts("# nothing is tried: to be several users takes root");
		return suite;
	}
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_job_is_its_owners);
	tcase_add_test(tc, who_is_refused_does_not_ask_again);
	tcase_add_test(tc, what_is_shared_to_be_read_is_read_and_no_more);
	tcase_add_test(tc, what_is_shared_to_be_run_is_run);
	tcase_add_test(tc, who_is_let_out_again_is_cut_off);
	tcase_add_test(tc, who_may_still_run_it_or_is_elsewhere_is_not_cut_off);
	tcase_add_test(tc, on_this_node_the_kernel_tells_the_groups);
	tcase_add_test(tc, a_key_of_ones_own_proves_no_group);
	tcase_add_test(tc, administrators_are_those_of_the_configuration);
	tcase_add_test(tc, an_unknown_user_is_an_error);
	tcase_add_test(tc, who_has_his_bytes_gets_no_more_and_others_do);
	tcase_add_test(tc, who_has_his_regions_gets_no_more);
	tcase_add_test(tc, who_has_his_sessions_gets_no_more);
	tcase_add_test(tc, users_are_shown_to_whom_they_concern);
	suite_add_tcase(suite, tc);
	return suite;
}
