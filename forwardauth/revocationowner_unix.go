//go:build unix

package forwardauth

import (
	"os"
	"syscall"
)

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
