//go:build !unix

package forwardauth

import "os"

// tryLock always succeeds: here a file of revocations is for one process.
func tryLock(*os.File) (busy bool, err error) { return false, nil }

// keepOwner has nothing to do here.
func keepOwner(*os.File, os.FileInfo) bool { return true }

// syncDir has nothing to do here.
func syncDir(string) error { return nil }
