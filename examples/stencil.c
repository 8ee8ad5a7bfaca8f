/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stencil.c - heat spreading over a plate, kept safe by Holdfast: the result is bitwise the same
 * for any number of ranks, and whatever fails on the way.
 *
 * What a program of your own needs is attach(), protect(), resume() and checkpoint(). The plate
 * itself, in plate.c, is MPI like any other.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <holdfast.h>
#include "plate.h"

struct options {
	long nx, ny, steps;
	long every; /* steps from checkpoint to checkpoint; 0: when Holdfast says that one is due */
	long delay_ms;
	const char *input, *output;
	int async; /* compute while a checkpoint is shipped */
	int help;
};

static int rank; /* in MPI_COMM_WORLD */

static int report(hf_job_t job, const char *what, int code)
{
	if (code != HF_EPEER) /* then the rank that had the trouble tells */
		fprintf(stderr, "stencil: rank %d: %s: %s\n", rank, what, hf_message(job));
	return code;
}

/* To the plug-in's job, else to one on the server that the environment names, else to none. */
static int attach(hf_job_t *job)
{
	int rc;

	*job = hf_world();
	if (*job)
		return 0;
	if (!getenv("HOLDFAST_SERVER")) {
		if (rank == 0)
			fputs("stencil: running unprotected: the Holdfast plug-in is off, and "
			      "HOLDFAST_SERVER is not set\n", stderr);
		return 0;
	}
	rc = hf_attach(MPI_COMM_WORLD, NULL, job);
	return rc ? report(NULL, "cannot attach", rc) : 0;
}

/* Names what is to be kept and says where it is: plate->now is another array after each step. */
static void protect(hf_job_t job, struct plate *plate)
{
	int rc = hf_protect(job, "step", &plate->step, 1, MPI_UINT64_T);

	if (!rc)
		rc = hf_protect(job, "shape", plate->shape, 2, MPI_UINT64_T);
	if (!rc)
		rc = hf_protect(job, "grid", plate->now, plate->cells, MPI_DOUBLE);
	if (rc) { /* not collective: the other ranks do not know, and must not wait for us */
		report(job, "cannot protect", rc);
		MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
	}
}

/* Fetches the plate as an earlier run left it; leaves it as it is where there was none. */
static int resume(hf_job_t job, struct plate *plate, const struct options *options)
{
	uint64_t epoch;
	int rc;

	protect(job, plate);
	rc = hf_restore(job, &epoch);
	if (rc == HF_ENOCKPT)
		return 0;
	if (rc)
		return report(job, "cannot restore", rc);

	if (plate->shape[0] != (uint64_t)options->nx || plate->shape[1] != (uint64_t)options->ny ||
	    plate->step > (uint64_t)options->steps) {
		if (rank == 0)
			fprintf(stderr,
				"stencil: the stored plate is %" PRIu64 " x %" PRIu64 ", at step %" PRIu64
				": run it so, with more steps, or name another job\n",
				plate->shape[0], plate->shape[1], plate->step);
		return HF_EINVAL;
	}
	if (rank == 0)
		fprintf(stderr, "stencil: resumed from epoch %" PRIu64 " at step %" PRIu64 "\n",
			epoch, plate->step);
	return 0;
}

/* As hf_checkpoint(), but the plate is shipped while the next steps are computed: the last one is waited for here. */
static int checkpoint_async(hf_job_t job, struct plate *plate)
{
	int rc = hf_checkpoint_wait(job);

	if (rc == HF_EFENCED)
		return rc;
	if (rc)
		report(job, "warning: the last checkpoint failed", rc);
	protect(job, plate);
	return hf_checkpoint_start(job, HF_AUTO);
}

/* Takes a checkpoint where it is time for one. The job goes on without it, unless it is fenced. */
static void checkpoint(hf_job_t job, struct plate *plate, const struct options *options)
{
	int due = 0, rc = 0;

	if (options->every)
		due = plate->step % (uint64_t)options->every == 0;
	else
		rc = hf_due(job, &due);
	if (!rc && due && options->async) {
		rc = checkpoint_async(job, plate);
	} else if (!rc && due) {
		protect(job, plate);
		rc = hf_checkpoint(job, HF_AUTO);
	}
	if (rc == HF_EFENCED) { /* maybe on this rank alone, so far */
		report(job, "another run has taken over, stopping", rc);
		MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
	}
	if (rc)
		report(job, "warning: going on without this checkpoint", rc);
}

static int compute(hf_job_t job, struct plate *plate, const struct options *options)
{
	struct timespec delay = {options->delay_ms / 1000, options->delay_ms % 1000 * 1000000};
	int rc = job ? resume(job, plate, options) : 0;

	while (!rc && plate->step < (uint64_t)options->steps) {
		plate_step(plate);
		if (options->delay_ms)
			nanosleep(&delay, NULL);
		if (job && plate->step < (uint64_t)options->steps)
			checkpoint(job, plate, options);
	}
	return rc;
}

/* The picture's size becomes the plate's. Rank 0 reads it, and all have it, or all fail. */
static int read_picture(struct options *options, struct picture *picture)
{
	const char *wrong = rank == 0 ? pgm_read(options->input, picture) : NULL;
	uint32_t size[3] = {picture->width, picture->height, picture->white};

	if (wrong)
		fprintf(stderr, "stencil: cannot read %s: %s\n", options->input, wrong);
	MPI_Bcast(size, 3, MPI_UINT32_T, 0, MPI_COMM_WORLD);
	if (!size[0])
		return -1;
	if (rank != 0)
		picture->pixels = malloc((size_t)size[0] * size[1] * sizeof(*picture->pixels));
	if (!picture->pixels) {
		fprintf(stderr, "stencil: rank %d: no memory for the picture\n", rank);
		MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
	}
	MPI_Bcast(picture->pixels, (int)(size[0] * size[1]), MPI_UINT16_T, 0, MPI_COMM_WORLD);
	picture->white = size[2];
	options->nx = size[0];
	options->ny = size[1];
	return 0;
}

/* Rank 0 writes picture and checksum. */
static int show(const struct plate *plate, const struct options *options)
{
	uint64_t checksum = plate_checksum(plate);
	uint8_t *pixels = options->output ? plate_picture(plate) : NULL;
	const char *wrong = NULL;
	int rc = 0;

	if (pixels)
		wrong = pgm_write(options->output, (uint32_t)plate->shape[0],
				  (uint32_t)plate->shape[1], pixels);
	free(pixels);
	if (wrong) {
		fprintf(stderr, "stencil: cannot write %s: %s\n", options->output, wrong);
		rc = -1;
	} else if (rank == 0) {
		printf("stencil: steps=%ld checksum=%016" PRIx64 "\n", options->steps, checksum);
		rc = fflush(stdout) ? -1 : 0;
	}
	MPI_Bcast(&rc, 1, MPI_INT, 0, MPI_COMM_WORLD);
	return rc;
}

static int run(struct options *options)
{
	struct picture picture = {0};
	struct plate plate;
	const char *wrong;
	hf_job_t job = NULL;
	int rc, gone;

	if (options->input && read_picture(options, &picture))
		return -1;
	wrong = plate_create(&plate, options->nx, options->ny);
	if (wrong) {
		if (rank == 0)
			fprintf(stderr, "stencil: %ld x %ld cells: %s\n", options->nx, options->ny,
				wrong);
		free(picture.pixels);
		return -1;
	}
	plate_heat(&plate, options->input ? &picture : NULL);
	free(picture.pixels);

	rc = attach(&job);
	if (!rc)
		rc = compute(job, &plate, options);
	if (!rc)
		rc = show(&plate, options);
	/* The result is out: only now may the checkpoints go. After a failure they stay. */
	gone = hf_detach(job, rc == 0);
	if (!rc && gone)
		fprintf(stderr, "stencil: rank %d: warning: %s\n", rank, hf_strerror(gone));
	plate_free(&plate);
	return rc;
}

static const struct option long_options[] = {
	{"nx", required_argument, NULL, 'x'},	    {"ny", required_argument, NULL, 'y'},
	{"steps", required_argument, NULL, 's'},    {"every", required_argument, NULL, 'e'},
	{"input", required_argument, NULL, 'i'},    {"output", required_argument, NULL, 'o'},
	{"delay-ms", required_argument, NULL, 'd'}, {"async", no_argument, NULL, 'a'},
	{"help", no_argument, NULL, 'h'},	    {NULL, 0, NULL, 0},
};

static const char usage[] =
	"usage: stencil [--nx N] [--ny N] [--steps N] [--every K] [--input F.pgm] [--output F.pgm]\n"
	"               [--async] [--delay-ms M]\n"
	"  --nx, --ny   columns and rows of the plate (512); or the size of the --input picture\n"
	"  --input      start from this picture, PGM: white is hot\n"
	"  --output     write the plate as a picture at the end\n"
	"  --steps      how far to compute (1000)\n"
	"  --every      checkpoint after every K steps; default: when Holdfast says that one is due\n"
	"  --async      go on computing while a checkpoint is shipped\n"
	"  --delay-ms   sleep after each step, to have time for an accident\n";

/* All ranks find the same fault; one tells. */
static int refuse(const char *option, const char *why)
{
	if (rank == 0)
		fprintf(stderr, "stencil: %s: %s; see stencil --help\n", option, why);
	return -1;
}

static int number(const char *option, long min, long max, long *value)
{
	char *end, why[64];
	long parsed;

	errno = 0;
	parsed = strtol(optarg, &end, 10);
	if (errno || end == optarg || *end || parsed < min || parsed > max) {
		snprintf(why, sizeof(why), "a number from %ld to %ld is needed", min, max);
		return refuse(option, why);
	}
	*value = parsed;
	return 0;
}

static int parse(int argc, char **argv, struct options *o)
{
	int option, sized = 0, rc = 0;

	opterr = rank == 0;
	while (!rc && (option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (option) {
		case 'x': rc = number("--nx", 1, PGM_SIDE_MAX, &o->nx); sized = 1; break;
		case 'y': rc = number("--ny", 1, PGM_SIDE_MAX, &o->ny); sized = 1; break;
		case 's': rc = number("--steps", 0, 1000000000, &o->steps); break;
		case 'e': rc = number("--every", 1, 1000000000, &o->every); break;
		case 'd': rc = number("--delay-ms", 0, 3600000, &o->delay_ms); break;
		case 'i': o->input = optarg; break;
		case 'o': o->output = optarg; break;
		case 'a': o->async = 1; break;
		case 'h': o->help = 1; break;
		default: rc = -1; break; /* getopt has said it */
		}
	}
	if (rc)
		return rc;
	if (optind < argc)
		return refuse(argv[optind], "nothing but options is understood");
	if (sized && o->input)
		return refuse("--input", "it sets the plate's size: leave --nx and --ny out");
	if (o->output && o->nx * o->ny > (long)PGM_PIXELS_MAX)
		return refuse("--output", "the plate is too large for a picture");
	return 0;
}

int main(int argc, char **argv)
{
	struct options options = {.nx = 512, .ny = 512, .steps = 1000};
	int rc;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	rc = parse(argc, argv, &options);
	if (!rc && options.help && rank == 0)
		fputs(usage, stdout);
	if (!rc && !options.help)
		rc = run(&options);
	MPI_Finalize();
	return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}
