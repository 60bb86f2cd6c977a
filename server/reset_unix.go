//go:build unix

package server

import (
	"os"
	"syscall"
)

// pendingError returns the error that a socket has come to, such as a reset.
func pendingError(fd uintptr) error {
	number, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ERROR)
	if err != nil {
		return os.NewSyscallError("getsockopt", err)
	}
	if number != 0 {
		return os.NewSyscallError("read", syscall.Errno(number))
	}
	return nil
}
