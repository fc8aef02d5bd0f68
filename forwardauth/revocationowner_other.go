//go:build !unix

package forwardauth

import "os"

// keepOwner has nothing to do here.
func keepOwner(*os.File, os.FileInfo) bool { return true }
