! SPDX-License-Identifier: BSD-3-Clause
! holdfast.f90 - the Fortran module beside holdfast.h. Installed as source, for each compiler to compile:
! mpifort -c holdfast.f90.
!
! Each procedure is the C function of the same name (holdfast(3)) with the return code as last argument.
! Give arrays that are protected the TARGET attribute, and let them live until they are unprotected: the
! library reads and writes them later, by address. Communicators are integer handles; with mpi_f08, pass
! comm%mpi_val.
module holdfast
  use, intrinsic :: iso_c_binding
  implicit none
  private

  integer, parameter, public :: &
    HF_OK = 0, HF_EINVAL = -1, HF_ENOMEM = -2, HF_ENOSYS = -3, HF_EMPI = -4, &
    HF_ECONFIG = -5, HF_ESERVER = -6, HF_EAUTH = -7, HF_EPROTO = -8, HF_EBUSY = -9, &
    HF_ENOSPC = -10, HF_EFENCED = -11, HF_ERANKS = -12, HF_EMODE = -13, &
    HF_ENOCKPT = -14, HF_ESEGMENT = -15, HF_EDAMAGED = -16, HF_EPEER = -17, &
    HF_ETIMEDOUT = -18, HF_EIO = -19
  integer, parameter, public :: HF_AUTO = 0, HF_FULL = 1, HF_INCREMENT = 2
  integer, parameter, public :: HF_HINT_NONE = 0, HF_HINT_NIC_WRITTEN = 1, HF_HINT_VOLATILE = 2

  ! A job; that of no job at all when it is new.
  type, public :: hf_job
    private
    type(c_ptr) :: handle = c_null_ptr
  end type

  public :: hf_attach, hf_world, hf_attached, hf_protect, hf_hint, hf_unprotect, hf_stored
  public :: hf_restore, hf_restore_epoch, hf_epochs, hf_due, hf_checkpoint, hf_read
  public :: hf_checkpoint_start, hf_checkpoint_test, hf_checkpoint_wait
  public :: hf_detach, hf_strerror, hf_message

  ! hf_protect(job, name, variable, ierr): a scalar or a contiguous array of any rank, of the kinds
  !     int8 to int64, real32, real64, their complex ones, default logical, or character.
  ! hf_protect(job, name, address, count, mpi_type, ierr): any address, count of kind c_size_t.
  interface hf_protect
    module procedure protect_int8, protect_int16, protect_int32, protect_int64
    module procedure protect_real32, protect_real64, protect_complex32, protect_complex64
    module procedure protect_logical, protect_character, protect_address
  end interface

  ! The numbers of enum element_type.
  integer(c_int), parameter :: ELEMENT_CHAR = 2, ELEMENT_INT8 = 3, ELEMENT_INT16 = 5, &
    ELEMENT_INT32 = 7, ELEMENT_INT64 = 9, ELEMENT_FLOAT = 11, ELEMENT_DOUBLE = 12, &
    ELEMENT_COMPLEX_FLOAT = 14, ELEMENT_COMPLEX_DOUBLE = 15, ELEMENT_LOGICAL = 17

  interface
    integer(c_int) function c_attach(comm, name, job) bind(C, name="hf_attach_f")
      import :: c_int, c_ptr, c_char
      integer(c_int), value :: comm
      character(kind=c_char), intent(in) :: name(*)
      type(c_ptr), intent(out) :: job
    end function
    type(c_ptr) function c_world() bind(C, name="hf_world")
      import :: c_ptr
    end function
    integer(c_int) function c_protect(job, name, addr, count, type) &
        bind(C, name="hf_protect_f")
      import :: c_int, c_ptr, c_char, c_size_t
      type(c_ptr), value :: job, addr
      character(kind=c_char), intent(in) :: name(*)
      integer(c_size_t), value :: count
      integer(c_int), value :: type
    end function
    integer(c_int) function c_protect_element(job, name, addr, count, element, bytes, &
        contiguous) bind(C, name="hf_protect_element_f")
      import :: c_int, c_ptr, c_char, c_size_t
      type(c_ptr), value :: job, addr
      character(kind=c_char), intent(in) :: name(*)
      integer(c_size_t), value :: count, bytes
      integer(c_int), value :: element, contiguous
    end function
    integer(c_int) function c_hint(job, name, hint) bind(C, name="hf_hint")
      import :: c_int, c_ptr, c_char
      type(c_ptr), value :: job
      character(kind=c_char), intent(in) :: name(*)
      integer(c_int), value :: hint
    end function
    integer(c_int) function c_unprotect(job, name) bind(C, name="hf_unprotect")
      import :: c_int, c_ptr, c_char
      type(c_ptr), value :: job
      character(kind=c_char), intent(in) :: name(*)
    end function
    integer(c_int) function c_stored(job, name, count, type) bind(C, name="hf_stored")
      import :: c_int, c_ptr, c_char, c_size_t
      type(c_ptr), value :: job, type
      character(kind=c_char), intent(in) :: name(*)
      integer(c_size_t), intent(inout) :: count
    end function
    integer(c_int) function c_restore(job, epoch) bind(C, name="hf_restore")
      import :: c_int, c_ptr, c_int64_t
      type(c_ptr), value :: job
      integer(c_int64_t), intent(inout) :: epoch
    end function
    integer(c_int) function c_restore_epoch(job, epoch) bind(C, name="hf_restore_epoch")
      import :: c_int, c_ptr, c_int64_t
      type(c_ptr), value :: job
      integer(c_int64_t), value :: epoch
    end function
    integer(c_int) function c_epochs(job, epochs, n) bind(C, name="hf_epochs")
      import :: c_int, c_ptr, c_int64_t, c_size_t
      type(c_ptr), value :: job
      integer(c_int64_t), intent(inout) :: epochs(*)
      integer(c_size_t), intent(inout) :: n
    end function
    integer(c_int) function c_due(job, due) bind(C, name="hf_due")
      import :: c_int, c_ptr
      type(c_ptr), value :: job
      integer(c_int), intent(inout) :: due
    end function
    integer(c_int) function c_checkpoint(job, kind) bind(C, name="hf_checkpoint")
      import :: c_int, c_ptr
      type(c_ptr), value :: job
      integer(c_int), value :: kind
    end function
    integer(c_int) function c_checkpoint_start(job, kind) bind(C, name="hf_checkpoint_start")
      import :: c_int, c_ptr
      type(c_ptr), value :: job
      integer(c_int), value :: kind
    end function
    integer(c_int) function c_checkpoint_test(job, complete) bind(C, name="hf_checkpoint_test")
      import :: c_int, c_ptr
      type(c_ptr), value :: job
      integer(c_int), intent(inout) :: complete
    end function
    integer(c_int) function c_checkpoint_wait(job) bind(C, name="hf_checkpoint_wait")
      import :: c_int, c_ptr
      type(c_ptr), value :: job
    end function
    integer(c_int) function c_read(job, rank, epoch, name, offset, buf, bytes) &
        bind(C, name="hf_read")
      import :: c_int, c_ptr, c_char, c_int64_t, c_size_t
      type(c_ptr), value :: job, buf
      integer(c_int), value :: rank
      integer(c_int64_t), value :: epoch
      character(kind=c_char), intent(in) :: name(*)
      integer(c_size_t), value :: offset, bytes
    end function
    integer(c_int) function c_detach(job, finished) bind(C, name="hf_detach")
      import :: c_int, c_ptr
      type(c_ptr), value :: job
      integer(c_int), value :: finished
    end function
    type(c_ptr) function c_strerror(code) bind(C, name="hf_strerror")
      import :: c_int, c_ptr
      integer(c_int), value :: code
    end function
    type(c_ptr) function c_message(job) bind(C, name="hf_message")
      import :: c_ptr
      type(c_ptr), value :: job
    end function
    integer(c_size_t) function c_strlen(text) bind(C, name="strlen")
      import :: c_ptr, c_size_t
      type(c_ptr), value :: text
    end function
  end interface

contains

  ! A blank name takes the configured one.
  subroutine hf_attach(comm, name, job, ierr)
    integer, intent(in) :: comm
    character(len=*), intent(in) :: name
    type(hf_job), intent(out) :: job
    integer, intent(out) :: ierr
    type(c_ptr) :: handle

    ierr = c_attach(comm, c_text(name), handle)
    if (ierr == HF_OK) job%handle = handle
  end subroutine

  type(hf_job) function hf_world() result(job)
    job%handle = c_world()
  end function

  ! Whether this is a job: hf_world() gives one only where the plug-in is on.
  logical function hf_attached(job)
    type(hf_job), intent(in) :: job

    hf_attached = c_associated(job%handle)
  end function

  subroutine hf_hint(job, name, hint, ierr)
    type(hf_job), intent(in) :: job
    character(len=*), intent(in) :: name
    integer, intent(in) :: hint
    integer, intent(out) :: ierr

    ierr = c_hint(job%handle, c_text(name), int(hint, c_int))
  end subroutine

  subroutine hf_unprotect(job, name, ierr)
    type(hf_job), intent(in) :: job
    character(len=*), intent(in) :: name
    integer, intent(out) :: ierr

    ierr = c_unprotect(job%handle, c_text(name))
  end subroutine

  ! `count` is left alone where there is nothing stored.
  subroutine hf_stored(job, name, count, ierr)
    type(hf_job), intent(in) :: job
    character(len=*), intent(in) :: name
    integer(c_size_t), intent(inout) :: count
    integer, intent(out) :: ierr

    ierr = c_stored(job%handle, c_text(name), count, c_null_ptr)
  end subroutine

  ! `epoch` is left alone on failure.
  subroutine hf_restore(job, epoch, ierr)
    type(hf_job), intent(in) :: job
    integer(c_int64_t), intent(inout) :: epoch
    integer, intent(out) :: ierr

    ierr = c_restore(job%handle, epoch)
  end subroutine

  subroutine hf_restore_epoch(job, epoch, ierr)
    type(hf_job), intent(in) :: job
    integer(c_int64_t), intent(in) :: epoch
    integer, intent(out) :: ierr

    ierr = c_restore_epoch(job%handle, epoch)
  end subroutine

  ! `n` tells how many complete epochs there are; the newest that fit are stored, oldest first.
  subroutine hf_epochs(job, epochs, n, ierr)
    type(hf_job), intent(in) :: job
    integer(c_int64_t), intent(inout), contiguous :: epochs(:)
    integer(c_size_t), intent(out) :: n
    integer, intent(out) :: ierr

    n = size(epochs, kind=c_size_t)
    ierr = c_epochs(job%handle, epochs, n)
    if (ierr /= HF_OK) n = 0
  end subroutine

  subroutine hf_due(job, due, ierr)
    type(hf_job), intent(in) :: job
    logical, intent(out) :: due
    integer, intent(out) :: ierr
    integer(c_int) :: flag

    flag = 0
    ierr = c_due(job%handle, flag)
    due = flag /= 0
  end subroutine

  subroutine hf_checkpoint(job, kind, ierr)
    type(hf_job), intent(in) :: job
    integer, intent(in) :: kind
    integer, intent(out) :: ierr

    ierr = c_checkpoint(job%handle, int(kind, c_int))
  end subroutine

  ! What is protected must be variables with the target or the volatile attribute: they are read behind the compiler's back
  ! until the checkpoint has ended.
  subroutine hf_checkpoint_start(job, kind, ierr)
    type(hf_job), intent(in) :: job
    integer, intent(in) :: kind
    integer, intent(out) :: ierr

    ierr = c_checkpoint_start(job%handle, int(kind, c_int))
  end subroutine

  subroutine hf_checkpoint_test(job, complete, ierr)
    type(hf_job), intent(in) :: job
    logical, intent(out) :: complete
    integer, intent(out) :: ierr
    integer(c_int) :: flag

    flag = 0
    ierr = c_checkpoint_test(job%handle, flag)
    complete = flag /= 0
  end subroutine

  subroutine hf_checkpoint_wait(job, ierr)
    type(hf_job), intent(in) :: job
    integer, intent(out) :: ierr

    ierr = c_checkpoint_wait(job%handle)
  end subroutine

  ! `buffer` is an address, as c_loc() gives it; offset and bytes are in bytes.
  subroutine hf_read(job, rank, epoch, name, offset, buffer, bytes, ierr)
    type(hf_job), intent(in) :: job
    integer, intent(in) :: rank
    integer(c_int64_t), intent(in) :: epoch
    character(len=*), intent(in) :: name
    integer(c_size_t), intent(in) :: offset, bytes
    type(c_ptr), intent(in) :: buffer
    integer, intent(out) :: ierr

    ierr = c_read(job%handle, int(rank, c_int), epoch, c_text(name), offset, buffer, bytes)
  end subroutine

  subroutine hf_detach(job, finished, ierr)
    type(hf_job), intent(inout) :: job
    logical, intent(in) :: finished
    integer, intent(out) :: ierr

    ierr = c_detach(job%handle, merge(1_c_int, 0_c_int, finished))
    job%handle = c_null_ptr
  end subroutine

  function hf_strerror(code) result(text)
    integer, intent(in) :: code
    character(len=:), allocatable :: text

    text = f_text(c_strerror(int(code, c_int)))
  end function

  ! Without a job: of the last hf_attach that failed.
  function hf_message(job) result(text)
    type(hf_job), intent(in), optional :: job
    character(len=:), allocatable :: text

    if (present(job)) then
      text = f_text(c_message(job%handle))
    else
      text = f_text(c_message(c_null_ptr))
    end if
  end function

  subroutine protect_int8(job, name, a, ierr)
    type(hf_job), intent(in) :: job
    character(len=*), intent(in) :: name
    integer(c_int8_t), intent(in), target :: a(..)
    integer, intent(out) :: ierr

    ierr = c_protect_element(job%handle, c_text(name), c_loc(a), size(a, kind=c_size_t), &
      ELEMENT_INT8, 1_c_size_t, flag(is_contiguous(a)))
  end subroutine

  subroutine protect_int16(job, name, a, ierr)
    type(hf_job), intent(in) :: job
    character(len=*), intent(in) :: name
    integer(c_int16_t), intent(in), target :: a(..)
    integer, intent(out) :: ierr

    ierr = c_protect_element(job%handle, c_text(name), c_loc(a), size(a, kind=c_size_t), &
      ELEMENT_INT16, 2_c_size_t, flag(is_contiguous(a)))
  end subroutine

  subroutine protect_int32(job, name, a, ierr)
    type(hf_job), intent(in) :: job
    character(len=*), intent(in) :: name
    integer(c_int32_t), intent(in), target :: a(..)
    integer, intent(out) :: ierr

    ierr = c_protect_element(job%handle, c_text(name), c_loc(a), size(a, kind=c_size_t), &
      ELEMENT_INT32, 4_c_size_t, flag(is_contiguous(a)))
  end subroutine

  subroutine protect_int64(job, name, a, ierr)
    type(hf_job), intent(in) :: job
    character(len=*), intent(in) :: name
    integer(c_int64_t), intent(in), target :: a(..)
    integer, intent(out) :: ierr

    ierr = c_protect_element(job%handle, c_text(name), c_loc(a), size(a, kind=c_size_t), &
      ELEMENT_INT64, 8_c_size_t, flag(is_contiguous(a)))
  end subroutine

  subroutine protect_real32(job, name, a, ierr)
    type(hf_job), intent(in) :: job
    character(len=*), intent(in) :: name
    real(c_float), intent(in), target :: a(..)
    integer, intent(out) :: ierr

    ierr = c_protect_element(job%handle, c_text(name), c_loc(a), size(a, kind=c_size_t), &
      ELEMENT_FLOAT, 4_c_size_t, flag(is_contiguous(a)))
  end subroutine

  subroutine protect_real64(job, name, a, ierr)
    type(hf_job), intent(in) :: job
    character(len=*), intent(in) :: name
    real(c_double), intent(in), target :: a(..)
    integer, intent(out) :: ierr

    ierr = c_protect_element(job%handle, c_text(name), c_loc(a), size(a, kind=c_size_t), &
      ELEMENT_DOUBLE, 8_c_size_t, flag(is_contiguous(a)))
  end subroutine

  subroutine protect_complex32(job, name, a, ierr)
    type(hf_job), intent(in) :: job
    character(len=*), intent(in) :: name
    complex(c_float_complex), intent(in), target :: a(..)
    integer, intent(out) :: ierr

    ierr = c_protect_element(job%handle, c_text(name), c_loc(a), size(a, kind=c_size_t), &
      ELEMENT_COMPLEX_FLOAT, 8_c_size_t, flag(is_contiguous(a)))
  end subroutine

  subroutine protect_complex64(job, name, a, ierr)
    type(hf_job), intent(in) :: job
    character(len=*), intent(in) :: name
    complex(c_double_complex), intent(in), target :: a(..)
    integer, intent(out) :: ierr

    ierr = c_protect_element(job%handle, c_text(name), c_loc(a), size(a, kind=c_size_t), &
      ELEMENT_COMPLEX_DOUBLE, 16_c_size_t, flag(is_contiguous(a)))
  end subroutine

  subroutine protect_logical(job, name, a, ierr)
    type(hf_job), intent(in) :: job
    character(len=*), intent(in) :: name
    logical, intent(in), target :: a(..)
    integer, intent(out) :: ierr

    ierr = c_protect_element(job%handle, c_text(name), c_loc(a), size(a, kind=c_size_t), &
      ELEMENT_LOGICAL, int(storage_size(.true.) / 8, c_size_t), &
      flag(is_contiguous(a)))
  end subroutine

  subroutine protect_character(job, name, a, ierr)
    type(hf_job), intent(in) :: job
    character(len=*), intent(in) :: name
    character(len=*, kind=c_char), intent(in), target :: a(..)
    integer, intent(out) :: ierr

    ierr = c_protect_element(job%handle, c_text(name), c_loc(a), &
      size(a, kind=c_size_t) * len(a, kind=c_size_t), &
      ELEMENT_CHAR, 1_c_size_t, flag(is_contiguous(a)))
  end subroutine

  subroutine protect_address(job, name, address, count, mpi_type, ierr)
    type(hf_job), intent(in) :: job
    character(len=*), intent(in) :: name
    type(c_ptr), intent(in) :: address
    integer(c_size_t), intent(in) :: count
    integer, intent(in) :: mpi_type
    integer, intent(out) :: ierr

    ierr = c_protect(job%handle, c_text(name), address, count, mpi_type)
  end subroutine

  pure integer(c_int) function flag(condition)
    logical, intent(in) :: condition

    flag = merge(1_c_int, 0_c_int, condition)
  end function

  ! Without trailing blanks, with a terminating zero.
  pure function c_text(text) result(c)
    character(len=*), intent(in) :: text
    character(kind=c_char) :: c(len_trim(text) + 1)
    integer :: i

    do i = 1, len_trim(text)
      c(i) = text(i:i)
    end do
    c(len_trim(text) + 1) = c_null_char
  end function

  function f_text(text) result(f)
    type(c_ptr), intent(in) :: text
    character(len=:), allocatable :: f
    character(kind=c_char), pointer :: bytes(:)
    integer :: i

    call c_f_pointer(text, bytes, [c_strlen(text)])
    allocate (character(len=size(bytes)) :: f)
    do i = 1, size(bytes)
      f(i:i) = bytes(i)
    end do
  end function
end module
