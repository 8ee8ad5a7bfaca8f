! SPDX-License-Identifier: BSD-3-Clause
! minimal.f90 - the shortest useful program: counts to ten, a second each, and goes on where it was.
program minimal
  use, intrinsic :: iso_c_binding, only: c_int64_t
  use, intrinsic :: iso_fortran_env, only: output_unit
  use mpi_f08
  use holdfast
  implicit none
  type(hf_job) :: job
  integer, target :: count = 0
  integer :: rank, ierr
  integer(c_int64_t) :: epoch = 0

  call MPI_Init()
  call MPI_Comm_rank(MPI_COMM_WORLD, rank)

  job = hf_world() ! from the plug-in; without it we attach ourselves
  if (.not. hf_attached(job)) then
    call hf_attach(MPI_COMM_WORLD%mpi_val, 'minimal', job, ierr)
    if (ierr /= HF_OK) call give_up('attach: ' // hf_message())
  end if
  call hf_protect(job, 'count', count, ierr)
  if (ierr /= HF_OK) call give_up('protect: ' // hf_message(job))
  call hf_restore(job, epoch, ierr)
  if (ierr /= HF_OK .and. ierr /= HF_ENOCKPT) call give_up('restore: ' // hf_message(job))

  do while (count < 10)
    call sleep(1)
    count = count + 1
    if (rank == 0) then
      print '(a, i0)', 'minimal: ', count
      flush (output_unit)
    end if
    call hf_checkpoint(job, HF_AUTO, ierr)
    if (ierr /= HF_OK) call give_up('checkpoint: ' // hf_message(job))
  end do
  call hf_detach(job, .true., ierr) ! done: its checkpoints may go
  if (ierr /= HF_OK) print '(2a)', 'minimal: detach: ', hf_strerror(ierr)
  call MPI_Finalize()

contains

  subroutine give_up(why)
    character(len=*), intent(in) :: why

    print '(2a)', 'minimal: ', why
    call MPI_Abort(MPI_COMM_WORLD, 1)
  end subroutine
end program
