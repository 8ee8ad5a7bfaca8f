/* SPDX-License-Identifier: BSD-3-Clause */
/* rights.h - who may what: administrators, groups that share jobs, and quotas. */
#ifndef HOLDFAST_RIGHTS_H
#define HOLDFAST_RIGHTS_H

#include <stdbool.h>
#include "common/share.h"
#include "pmm/user.h"
#include "pmu/conf.h"

struct job;
struct session;

/* Administrators: root, the user that the server runs as, and those of the configuration. */
bool rights_admin(const struct session *session);

/* May the session do that with the job? Its owner may; administrators, what `admins` is for; its group, as it shares. */
bool rights_share(const struct session *session, const struct job *job, enum job_share share);

/* -EUSERS, where the user has as many sessions as he may. Administrators may always. */
int rights_session(const struct session *session, struct error *err);

/* user_limits_fn; `arg` is the server. */
user_limits_fn rights_limits;

/* Puts the administrators and quotas of a configuration that was read again in force. */
void rights_take(struct conf *conf, struct conf *fresh);

/* As enum job_share: what no group may. */
#define RIGHTS_OWNER ((enum job_share)(JOB_SHARE_RUN + 1))

/* In struct session: a group that nobody has. */
#define RIGHTS_NO_GROUP UINT32_MAX

#endif
