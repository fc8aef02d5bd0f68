package ondisk

import (
	"os"
	"path/filepath"
	"strings"
)

// RemoveUnfinished removes the files beside a path that [os.CreateTemp] made with the pattern "<name>.*.new": processes that were killed
// while they wrote the file anew left them. One whose lock somebody holds stays. What can't be removed stays too, until the next time.
func RemoveUnfinished(path string) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return // it need not be readable
	}
	for _, entry := range entries {
		middle, ours := strings.CutPrefix(entry.Name(), filepath.Base(path)+".")
		middle, fresh := strings.CutSuffix(middle, ".new")
		if !ours || !fresh || middle == "" || strings.Trim(middle, "0123456789") != "" || !entry.Type().IsRegular() {
			continue
		}
		name := filepath.Join(filepath.Dir(path), entry.Name())
		left, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if busy, err := TryLock(left); err == nil && !busy {
			_ = os.Remove(name)
		}
		_ = left.Close() // nothing was written
	}
}
