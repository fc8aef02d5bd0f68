// Package ondisk is what the files that outlive a process need of the system: a lock, and a name that lasts.
package ondisk

import "os"

// IsAt reports whether an open file is the one at a path: another may have been put there.
func IsAt(file *os.File, path string) bool {
	own, err := file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(own, there)
}
