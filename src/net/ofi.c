/* SPDX-License-Identifier: BSD-3-Clause */
/* ofi.c - the libfabric back end, over connected (MSG) endpoints: what both halves of it use. */
#include "net/ofi.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/thread.h"

#define OFI_API_VERSION FI_VERSION(1, 17)
#define OFI_PROVIDER_DEFAULT "tcp"

int ofi_errno(ssize_t code)
{
	return code <= -FI_ERRNO_OFFSET || code >= 0 ? -EIO : (int)code;
}

int ofi_failed(struct error *err, ssize_t code, const char *what)
{
	return error_set(err, ofi_errno(code), "%s: %s", what, fi_strerror((int)-code));
}

/* An address came over the wire: a provider trusts it to be as long as its family says. */
static bool ofi_address_valid(const struct net_address *address)
{
	sa_family_t family;

	if (address->bytes < sizeof(family) || address->bytes > sizeof(address->raw))
		return false;
	memcpy(&family, address->raw, sizeof(family));
	switch (address->format) {
	case FI_SOCKADDR_IN:
		return address->bytes == sizeof(struct sockaddr_in) && family == AF_INET;
	case FI_SOCKADDR_IN6:
		return address->bytes == sizeof(struct sockaddr_in6) && family == AF_INET6;
	default:
		return true;
	}
}

static struct fi_info *ofi_hints(const char *provider, const struct net_address *dest, int mr_mode)
{
	struct fi_info *hints = fi_allocinfo();

	if (!hints)
		return NULL;
	hints->fabric_attr->prov_name = strdup(provider);
	if (!hints->fabric_attr->prov_name)
		goto err_free;
	hints->ep_attr->type = FI_EP_MSG;
	hints->caps = FI_MSG | FI_RMA;
	hints->mode = FI_CONTEXT | FI_CONTEXT2;
	hints->domain_attr->mr_mode = mr_mode;
	hints->domain_attr->threading = FI_THREAD_SAFE;
	hints->domain_attr->control_progress = FI_PROGRESS_MANUAL;
	hints->domain_attr->data_progress = FI_PROGRESS_MANUAL;
	if (dest) {
		hints->addr_format = dest->format;
		hints->dest_addr = malloc(dest->bytes);
		if (!hints->dest_addr)
			goto err_free;
		memcpy(hints->dest_addr, dest->raw, dest->bytes);
		hints->dest_addrlen = dest->bytes;
	}
	return hints;

err_free:
	fi_freeinfo(hints);
	return NULL;
}

int ofi_query(const char *provider, const char *node, const struct net_address *dest,
	      struct fi_info **info, struct error *err)
{
	/* Where the provider manages without, transfers need no registered buffers. */
	static const int mr_modes[] = {0, FI_MR_LOCAL | FI_MR_VIRT_ADDR | FI_MR_ALLOCATED |
					      FI_MR_PROV_KEY | FI_MR_ENDPOINT};
	const char *name = provider && *provider ? provider : OFI_PROVIDER_DEFAULT;
	int rc = -FI_ENODATA;

	if (dest && !ofi_address_valid(dest))
		return error_set(err, -EINVAL, "the server's data address is malformed");
	for (size_t i = 0; i < sizeof(mr_modes) / sizeof(mr_modes[0]); i++) {
		struct fi_info *hints = ofi_hints(name, dest, mr_modes[i]);

		if (!hints)
			return error_nomem(err, "libfabric hints");
		rc = dest ? fi_getinfo(OFI_API_VERSION, NULL, NULL, 0, hints, info)
			  : fi_getinfo(OFI_API_VERSION, node, "0", FI_SOURCE, hints, info);
		fi_freeinfo(hints);
		if (rc != -FI_ENODATA)
			break;
	}
	if (rc == -FI_ENODATA)
		return error_set(
		    err, -ENODEV,
		    "libfabric's provider \"%s\" offers no connected endpoints with RMA %s%s; "
		    "see fi_info -p %s -t FI_EP_MSG",
		    name, dest ? "to the server's data address" : "on ",
		    dest ? "" : (node ? node : "any address"), name);
	if (rc)
		return ofi_failed(err, rc, "fi_getinfo");
	return 0;
}

static pthread_t preparing;

static void *prepare(void *arg)
{
	struct fi_info *info = NULL;
	struct error unused;

	(void)arg;
	if (!ofi_query(NULL, "127.0.0.1", NULL, &info, &unused))
		fi_freeinfo(info);
	return NULL;
}

static void prepare_join(void)
{
	pthread_join(preparing, NULL);
}

/* libfabric must not be unloaded below the thread (this file may be part of a plug-in that is); and a child that is forked must
 * not have libfabric's locks as the thread, which it does not have, happened to hold them. */
static void prepare_end(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	if (!pthread_equal(pthread_self(), preparing))
		pthread_once(&once, prepare_join);
}

static void prepare_end_at_exit(void *unused)
{
	(void)unused;
	prepare_end();
}

/* atexit(), which ThreadSanitizer does not know to belong to a library that may go before. Source: Itanium C++ ABI, 3.3.6.3. */
int __cxa_atexit(void (*function)(void *), void *arg, void *library);
extern void *__dso_handle __attribute__((visibility("hidden")));

static void prepare_begin(void)
{
	if (!thread_begin(&preparing, prepare, NULL)) {
		__cxa_atexit(prepare_end_at_exit, NULL, __dso_handle);
		pthread_atfork(prepare_end, NULL, NULL);
	}
}

void net_prepare(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, prepare_begin);
}

int ofi_open_cq(struct fid_domain *domain, size_t size, struct fid_cq **cq, int *fd)
{
	struct fi_cq_attr attr = {
	    .size = size, .format = FI_CQ_FORMAT_CONTEXT, .wait_obj = FI_WAIT_FD};
	int rc = fi_cq_open(domain, &attr, cq, NULL);

	if (rc) {
		*cq = NULL;
		return rc;
	}
	rc = fi_control(&(*cq)->fid, FI_GETWAIT, fd);
	if (rc)
		ofi_close(*cq);
	return rc;
}

int ofi_open_eq(struct fid_fabric *fabric, struct fid_eq **eq, int *fd)
{
	struct fi_eq_attr attr = {.wait_obj = FI_WAIT_FD};
	int rc = fi_eq_open(fabric, &attr, eq, NULL);

	if (rc) {
		*eq = NULL;
		return rc;
	}
	rc = fi_control(&(*eq)->fid, FI_GETWAIT, fd);
	if (rc)
		ofi_close(*eq);
	return rc;
}

uint64_t ofi_random_key(const struct fi_info *info)
{
	size_t bytes = info->domain_attr->mr_key_size;
	uint64_t key;

	randombytes_buf(&key, sizeof(key));
	return bytes < sizeof(key) ? key & ((UINT64_C(1) << 8 * bytes) - 1) : key;
}

int ofi_register(struct fid_domain *domain, const struct fi_info *info, struct fid_ep *ep,
		 void *base, size_t bytes, uint64_t access, uint64_t key, struct fid_mr **mr)
{
	int rc = fi_mr_reg(domain, base, bytes, access, 0, key, 0, mr, NULL);

	if (rc || !(info->domain_attr->mr_mode & FI_MR_ENDPOINT))
		return rc;
	rc = fi_mr_bind(*mr, &ep->fid, 0);
	if (!rc)
		rc = fi_mr_enable(*mr);
	if (rc)
		ofi_close(*mr);
	return rc;
}

const struct net_ops net_ofi = {
    .abi = NET_ABI,
    .name = "ofi",
    .opens_devices = true,
    .listen = ofi_listen,
    .target_admit = ofi_target_admit,
    .target_expel = ofi_target_expel,
    .expose = ofi_expose,
    .revoke = ofi_revoke,
    .forget = ofi_forget,
    .target_close = ofi_target_close,
    .connect = ofi_connect,
    .limits = ofi_limits,
    .register_local = ofi_register_local,
    .unregister_local = ofi_unregister_local,
    .forget_local = ofi_forget_local,
    .submit = ofi_submit,
    .reap = ofi_reap,
    .close = ofi_disconnect,
};
