/* SPDX-License-Identifier: BSD-3-Clause */
/* verbs.c - the verbs back end, reliable connections made by rdma_cm: what both halves of it use. */
#include "net/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

int verbs_failed(struct error *err, int code, const char *what)
{
	return error_set(err, code > 0 ? -code : -EIO, "%s: %s", what, strerror(code));
}

int verbs_open_channel(struct rdma_event_channel **out, struct error *err)
{
	struct rdma_event_channel *channel = rdma_create_event_channel();
	int flags;

	if (!channel && (errno == ENODEV || errno == ENOENT))
		return error_set(err, -ENODEV,
				 "this machine has no RDMA connection manager: is there an RDMA device (see 'rdma link'), "
				 "and is the kernel module rdma_ucm loaded? Without one, use the data plane 'ofi'");
	if (!channel)
		return verbs_failed(err, errno, "opening the RDMA connection manager");
	flags = fcntl(channel->fd, F_GETFL);
	if (flags < 0 || fcntl(channel->fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		verbs_failed(err, errno, "opening the RDMA connection manager");
		rdma_destroy_event_channel(channel);
		return err ? err->code : -EIO;
	}
	*out = channel;
	return 0;
}

void verbs_event_keep(struct verbs_event *event, const void *data, size_t bytes)
{
	event->bytes = bytes < sizeof(event->data) ? bytes : sizeof(event->data);
	memcpy(event->data, data, event->bytes);
}

int verbs_take_event(struct rdma_event_channel *channel, struct verbs_event *out)
{
	struct rdma_cm_event *event;

	if (rdma_get_cm_event(channel, &event))
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	*out = (struct verbs_event){
	    .type = event->event,
	    .status = event->status,
	    .id = event->id,
	    .listener = event->listen_id,
	    .context = (uintptr_t)event->id->context,
	    .reads = event->param.conn.responder_resources,
	};
	if (event->param.conn.private_data)
		verbs_event_keep(out, event->param.conn.private_data, event->param.conn.private_data_len);
	rdma_ack_cm_event(event);
	return 1;
}

int verbs_sockaddrs(const struct net_address *address, struct sockaddr_storage sockaddrs[NET_RAILS_MAX],
		    struct error *err)
{
	size_t bytes = address->format == AF_INET    ? sizeof(struct sockaddr_in)
		       : address->format == AF_INET6 ? sizeof(struct sockaddr_in6)
						     : 0;
	unsigned rails = bytes ? (unsigned)(address->bytes / bytes) : 0;

	if (!rails || rails > NET_RAILS_MAX || address->bytes != rails * bytes)
		goto malformed;
	for (unsigned i = 0; i < rails; i++) {
		sockaddrs[i] = (struct sockaddr_storage){0};
		memcpy(&sockaddrs[i], address->raw + i * bytes, bytes);
		if (sockaddrs[i].ss_family != address->format)
			goto malformed;
	}
	return (int)rails;
malformed:
	return error_set(err, -EINVAL, "the server's data address is malformed");
}

socklen_t verbs_sockaddr_bytes(const struct sockaddr *address)
{
	return address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

bool verbs_switched_off(const char *name)
{
	const char *value = getenv(name);

	return value && !strcmp(value, "no");
}

static bool pages_on_demand(struct ibv_context *device)
{
	const uint32_t wanted = IBV_ODP_SUPPORT_READ | IBV_ODP_SUPPORT_WRITE;
	struct ibv_device_attr_ex attr = {0};

	return !verbs_switched_off("HOLDFAST_VERBS_ODP") && !ibv_query_device_ex(device, NULL, &attr) &&
	       attr.odp_caps.general_caps & IBV_ODP_SUPPORT &&
	       (attr.odp_caps.per_transport_caps.rc_odp_caps & wanted) == wanted;
}

static int register_failed(struct ibv_pd *pd, size_t bytes, int code, struct error *err)
{
	const char *device = ibv_get_device_name(pd->context->device);
	struct rlimit limit = {0};

	switch (code) {
	case ENOMEM:
		if (getrlimit(RLIMIT_MEMLOCK, &limit) || limit.rlim_cur == RLIM_INFINITY)
			return error_set(err, -ENOMEM,
					 "registering %zu bytes with the RDMA device %s failed: out of memory, or of the "
					 "device's own resources",
					 bytes, device);
		return error_set(err, -ENOMEM,
				 "registering %zu bytes with the RDMA device %s failed: the limit on locked memory "
				 "(RLIMIT_MEMLOCK) is %llu bytes. Raise it: LimitMEMLOCK=infinity in the systemd unit, "
				 "'memlock' in /etc/security/limits.d, or ulimit -l",
				 bytes, device, (unsigned long long)limit.rlim_cur);
	case EOPNOTSUPP:
		return error_set(err, -EOPNOTSUPP,
				 "the RDMA device %s cannot register files of a DAX file system (fsdax): it lacks demand "
				 "paging (ODP), or that is switched off. Keep the slots on tmpfs, hugetlbfs or a devdax device, or use the data "
				 "plane 'ofi'",
				 device);
	case EFAULT:
		return error_set(err, -EFAULT,
				 "the RDMA device %s cannot register this memory: the kernel pins no pages of files "
				 "on a disk (ext4, xfs). Keep the slots on tmpfs, hugetlbfs or a devdax device, or use "
				 "the data plane 'ofi'",
				 device);
	default:
		return error_set(err, -code, "registering %zu bytes with the RDMA device %s failed: %s", bytes, device,
				 strerror(code));
	}
}

int verbs_register(struct ibv_pd *pd, void *base, size_t bytes, int access, struct ibv_mr **out, bool *on_demand,
		   struct error *err)
{
	struct ibv_mr *mr = ibv_reg_mr(pd, base, bytes, access);
	bool paged = false;
	int code = errno;

	if (!mr && code == EOPNOTSUPP && pages_on_demand(pd->context)) {
		paged = true;
		mr = ibv_reg_mr(pd, base, bytes, access | IBV_ACCESS_ON_DEMAND);
		code = errno;
	}
	if (!mr)
		return register_failed(pd, bytes, code, err);
	if (on_demand)
		*on_demand = paged;
	*out = mr;
	return 0;
}

void verbs_stop(struct ibv_qp *qp)
{
	struct ibv_qp_attr attr = {.qp_state = IBV_QPS_ERR};

	ibv_modify_qp(qp, &attr, IBV_QP_STATE); /* fails where the device is gone, which stops it too */
}

const struct net_ops net_verbs = {
    .abi = NET_ABI,
    .name = "verbs",
    .persist = 1u << PERSIST_READ | VERBS_FLUSH,
    .listen = verbs_listen,
    .target_admit = verbs_target_admit,
    .target_expel = verbs_target_expel,
    .expose = verbs_expose,
    .revoke = verbs_revoke,
    .forget = verbs_forget,
    .try_memory = verbs_try_memory,
    .target_close = verbs_target_close,
    .connect = verbs_connect,
    .limits = verbs_limits,
    .register_local = verbs_register_local,
    .unregister_local = verbs_unregister_local,
    .forget_local = verbs_forget_local,
    .submit = verbs_submit,
    .reap = verbs_reap,
    .persist_range = verbs_persist_range,
    .close = verbs_disconnect,
};
