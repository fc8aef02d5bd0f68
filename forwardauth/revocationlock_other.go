//go:build !unix

package forwardauth

import "os"

// tryLock always succeeds: here a file of revocations is for one process.
func tryLock(*os.File) (busy bool, err error) { return false, nil }

// syncDir has nothing to do here.
func syncDir(string) error { return nil }
