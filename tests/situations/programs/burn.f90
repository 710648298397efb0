! Fortran's module procedures: __shop_MOD_leaf and so on.
module shop
  use iso_fortran_env, only: int64
  implicit none
contains
  function leaf(start) result(x)
    integer(int64), intent(in) :: start
    integer(int64) :: x, i
    x = start
    do i = 1, 20000000_int64
      x = ieor(x, i) * 1103515245_int64 + 1
    end do
  end function

  function middle(x) result(y)
    integer(int64), intent(in) :: x
    integer(int64) :: y
    y = leaf(x) + 1
  end function

  function outer(x) result(y)
    integer(int64), intent(in) :: x
    integer(int64) :: y
    y = middle(x) + 2
  end function
end module

program burn
  use shop
  implicit none
  integer(int64) :: sum, start, now, rate
  sum = 1
  print '(a)', 'READY'
  flush(6)
  call system_clock(start, rate)
  do
    sum = outer(sum)
    call system_clock(now)
    if (now - start > 60 * rate) exit
  end do
  print *, sum
end program
