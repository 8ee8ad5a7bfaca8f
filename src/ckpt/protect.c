/* SPDX-License-Identifier: BSD-3-Clause */
/* protect.c - the public calls about a rank's own segments. */
#include <inttypes.h>
#include <string.h>
#include "ckpt/job.h"
#include "ckpt/protect.h"
#include "ckpt/type.h"

/* What a device keeps of a segment's memory must not outlive the promise that it stays. */
static void forget(struct hf_job *job, const struct client_segment *segment)
{
	if (segment)
		async_forget(job, segment->at, segment->segment.count * segment->segment.element_bytes);
}

int protect_element(struct hf_job *job, const char *name, void *addr, const struct element *element)
{
	struct client_segment entry = {.at = addr, .held = true};
	uint64_t bytes;
	int code = segment_name_check(name, &job->err);

	if (code)
		return code;
	if (__builtin_mul_overflow(element->count, (uint64_t)element->bytes, &bytes) ||
	    bytes > PTRDIFF_MAX)
		return job_fail(job, HF_EINVAL, "segment %s is larger than memory can be", name);
	if (!addr && bytes)
		return job_fail(job, HF_EINVAL, "segment %s has %" PRIu64 " bytes, but its address is NULL",
				name, bytes);
	memcpy(entry.segment.name, name, strlen(name));
	entry.segment.type = element->type;
	entry.segment.element_bytes = element->bytes;
	entry.segment.count = element->count;
	/* What lay there under another name is gone, too. */
	forget(job, segments_find(&job->segments, name));
	forget(job, &entry);
	code = segments_set(&job->segments, &entry, &job->err);
	if (!code)
		job->protected_any = true;
	return code;
}

int hf_protect(hf_job_t job, const char *name, void *addr, size_t count, MPI_Datatype type)
{
	struct element element;
	int code;

	if (!job)
		return message_no_job();
	code = element_of_type(type, &element, &job->err);
	if (code) {
		error_context(&job->err, "segment %.*s", HF_SEGMENT_NAME_MAX, name ? name : "(no name)");
		return code;
	}
	if (__builtin_mul_overflow(element.count, (uint64_t)count, &element.count))
		return job_fail(job, HF_EINVAL, "segment %.*s is larger than memory can be",
				HF_SEGMENT_NAME_MAX, name ? name : "(no name)");
	return protect_element(job, name, addr, &element);
}

_Static_assert((int)HF_HINT_NONE == (int)TRACK_NORMAL && (int)HF_HINT_NIC_WRITTEN == (int)TRACK_NIC_WRITTEN &&
		       (int)HF_HINT_VOLATILE == (int)TRACK_VOLATILE, "hints");

int hf_hint(hf_job_t job, const char *name, int hint)
{
	struct client_segment *segment;
	int code;

	if (!job)
		return message_no_job();
	code = segment_name_check(name, &job->err);
	if (code)
		return code;
	segment = segments_find(&job->segments, name);
	if (!segment)
		return job_fail(job, HF_EINVAL, "there is no protected segment %s", name);
	if (hint < HF_HINT_NONE || hint > HF_HINT_VOLATILE)
		return job_fail(job, HF_EINVAL, "there is no hint %d", hint);
	segment->hint = (uint32_t)hint;
	return HF_OK;
}

int hf_unprotect(hf_job_t job, const char *name)
{
	int code;

	if (!job)
		return message_no_job();
	code = segment_name_check(name, &job->err);
	if (code)
		return code;
	forget(job, segments_find(&job->segments, name));
	return segments_remove(&job->segments, name, &job->err);
}

int hf_stored(hf_job_t job, const char *name, size_t *count, MPI_Datatype *type)
{
	const struct segment *stored;
	MPI_Datatype datatype;
	int code;

	if (!job)
		return message_no_job();
	code = segment_name_check(name, &job->err);
	if (code)
		return code;
	if (!job->complete)
		return job_nothing_left(job);
	if (job->layout.epoch != job->complete) {
		struct layout layout = {.epoch = job->complete};

		async_join(job);
		code = client_layout(job->client, (uint32_t)job->rank, layout.epoch, &layout.list,
				     &layout.count, &job->err);
		if (code)
			return job_client_failed(job, code);
		layout_free(&job->layout);
		job->layout = layout;
	}
	stored = layout_find(&job->layout, name);
	if (!stored)
		return job_fail(job, HF_ESEGMENT,
				"epoch %" PRIu64 " of job %s has no segment %s of rank %d", job->complete,
				job->name.job, name, job->rank);
	datatype = element_datatype(stored->type, stored->element_bytes);
	if (type && datatype == MPI_DATATYPE_NULL)
		return job_fail(job, HF_ESEGMENT,
				"segment %s has elements of type %s of %u bytes, which this MPI lacks", name,
				element_name(stored->type), stored->element_bytes);
	if (count)
		*count = stored->count;
	if (type)
		*type = datatype;
	return HF_OK;
}
