//go:build unix

package main

import (
	"io/fs"
	"syscall"
)

// mayCreateIn returns why this user cannot create a file in a directory, nil when it seems possible. It creates nothing.
func mayCreateIn(dir string) error {
	const writeAndSearch = 0x2 | 0x1
	if err := syscall.Access(dir, writeAndSearch); err != nil {
		return &fs.PathError{Op: "access", Path: dir, Err: err}
	}
	return nil
}
