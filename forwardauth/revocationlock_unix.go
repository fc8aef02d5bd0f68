//go:build unix

package forwardauth

import (
	"errors"
	"os"
	"syscall"
)

// tryLock locks a file for this process alone, until it is closed, and reports whether another has done so before. On a file
// system without locks everybody gets one: single records are safe there too, and only a Compact by one process in the
// moment of another's Save could lose it, until the other looks again.
func tryLock(file *os.File) (busy bool, err error) {
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return true, nil
	case errors.Is(err, syscall.ENOTSUP), errors.Is(err, syscall.ENOLCK), errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENOSYS):
		return false, nil
	case errors.Is(err, syscall.EINTR):
		return true, nil
	default:
		return false, err
	}
}

// keepOwner gives a file another's owner, which is root's to do, and its group, and reports whether it has that group.
func keepOwner(file *os.File, other os.FileInfo) bool {
	of, ok := other.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	err := file.Chown(-1, int(of.Gid))
	_ = file.Chown(int(of.Uid), -1) // whoever may not is not root, and keeps it
	return err == nil
}

// syncDir makes a new name in a directory last.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // it was only read
	if err := dir.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
		return err
	}
	return nil
}
