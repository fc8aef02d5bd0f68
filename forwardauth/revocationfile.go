package forwardauth

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/vippsauth/vippsauth/internal/ondisk"
)

const (
	revocationFileMode = 0o600
	tailLength         = 128                  // of a line, and what is random in it
	lockPause          = 5 * time.Millisecond // between two looks at a lock that another process holds
)

// RevocationFile keeps revocations in a file, as a [RevocationStore]. Processes of one machine, and replicas that share a
// volume, may share it: records are appended whole, under a lock where the system has one, and a line that is none is
// passed over.
type RevocationFile struct {
	path string

	seen   fs.FileInfo // of the last Load; nil: there was none
	offset int64       // what has been read, up to the end of its last whole line
	tail   []byte      // what stands before offset; another text there is another file, written over in its place
	broke  bool        // the last Load broke off: there is more to read, though the file is the same
	known  bool        // there was a file once
}

// NewRevocationFile names the file. It does no I/O: the file is made by Compact, or by the first Save.
func NewRevocationFile(path string) *RevocationFile { return &RevocationFile{path: path} }

// Place names the file.
func (f *RevocationFile) Place() (name, mend string) {
	return f.path, "let the user that runs vippsauth write to this file and to its directory, and see that the disk is not full; or name another file in revocations_file (none: logouts end with the process)"
}

// Load reads what was added. Where another file has taken the place of the one that was read, or it has become shorter, all
// of it is read.
func (f *RevocationFile) Load(ctx context.Context, line func([]byte)) (all bool, err error) {
	info, err := os.Stat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		all = f.known // so that it is made again
		f.seen, f.offset, f.known = nil, 0, false
		return all, nil
	case err != nil:
		return false, err
	case !info.Mode().IsRegular():
		return false, nil // a device, which keeps nothing
	}
	if f.seen != nil && !f.broke && os.SameFile(f.seen, info) && info.Size() == f.seen.Size() && info.ModTime().Equal(f.seen.ModTime()) {
		return false, nil
	}
	file, err := os.Open(f.path)
	if err != nil {
		return false, err
	}
	defer func() { _ = file.Close() }() // it was only read
	if info, err = file.Stat(); err != nil {
		return false, err
	}
	if f.seen == nil || !os.SameFile(f.seen, info) || info.Size() < f.offset || !bytes.Equal(f.tailOf(file), f.tail) {
		f.offset, all = 0, true
	}
	if _, err := file.Seek(f.offset, io.SeekStart); err != nil {
		return false, err
	}
	n, err := readLines(ctx, file, line)
	f.offset += n
	f.tail = f.tailOf(file)
	f.seen, f.known, f.broke = info, true, err != nil
	return all, err
}

// tailOf is the end of what was read, as it stands in a file.
func (f *RevocationFile) tailOf(file *os.File) []byte {
	tail := make([]byte, min(f.offset, tailLength))
	n, _ := file.ReadAt(tail, f.offset-int64(len(tail))) // less is another text
	return tail[:n]
}

// readLines calls line for each whole line, and returns where the last of them ends. One that is too long is no record.
func readLines(ctx context.Context, r io.Reader, line func([]byte)) (read int64, err error) {
	br := bufio.NewReaderSize(r, 64<<10)
	long := int64(0) // of a line that doesn't fit
	for {
		text, err := br.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			long += int64(len(text))
			continue
		case errors.Is(err, io.EOF):
			return read, nil // what is torn may yet be completed
		case err != nil:
			return read, err
		}
		read += long + int64(len(text))
		if long == 0 {
			line(text)
		}
		long = 0
		if ctx.Err() != nil {
			return read, ctx.Err()
		}
	}
}

// Save appends lines and waits until they are on the disk.
func (f *RevocationFile) Save(ctx context.Context, lines []byte) error {
	file, unlock, err := f.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	// A line end comes first: the last line may have been torn.
	if _, err := file.Write(append([]byte("\n"), lines...)); err != nil {
		return err
	}
	f.known = true
	return file.Sync()
}

// lock opens the file, and makes it when there is none, to be the only one that writes until unlock. It is sure that the file
// is still the one at the path. On a file system without locks single records are safe too: only a Compact by one process in the
// moment of another's Save could lose one, until the other looks again.
func (f *RevocationFile) lock(ctx context.Context) (file *os.File, unlock func(), err error) {
	for {
		file, err = f.open()
		if err != nil {
			return nil, nil, err
		}
		busy, err := ondisk.TryLock(file)
		if err == nil && !busy && ondisk.IsAt(file, f.path) {
			return file, func() { _ = file.Close() }, nil // what was written is on the disk already; closing unlocks
		}
		_ = file.Close() // nothing was written
		if err != nil {
			return nil, nil, fmt.Errorf("locking %s: %w", f.path, err)
		}
		select {
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("locking %s, which another process holds: %w", f.path, ctx.Err())
		case <-time.After(lockPause):
		}
	}
}

// open opens the file for appending. A fresh one is on the disk, by its name too, before anything is written to it.
func (f *RevocationFile) open() (*os.File, error) {
	file, err := os.OpenFile(f.path, os.O_RDWR|os.O_APPEND, 0)
	if !errors.Is(err, fs.ErrNotExist) {
		return file, err
	}
	file, err = os.OpenFile(f.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, revocationFileMode)
	if err != nil {
		return nil, err
	}
	if _, err = file.WriteString(revocationsHeader); err == nil {
		err = ondisk.SyncDir(filepath.Dir(f.path))
	}
	if err != nil {
		_ = file.Close() // the error before it says more
		return nil, err
	}
	return file, nil
}

// Compact makes the file when there is none, and writes it anew, without what is over, where that makes it shorter. The old
// one stays until the new one is on the disk.
func (f *RevocationFile) Compact(ctx context.Context, now time.Time) error {
	file, unlock, err := f.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	var kept bytes.Buffer
	lines, whole := 0, true
	n, err := readLines(ctx, io.NewSectionReader(file, 0, info.Size()), func(line []byte) {
		_, kind := parseRecord(line)
		if kind == lineRecord || kind == lineForeign {
			lines++
			kept.Write(line)
		}
		whole = whole && kind != lineGarbage
	})
	if err != nil {
		return err
	}
	merged := MergeRevocations(kept.Bytes(), nil, now)
	if whole && n == info.Size() && bytes.Count(merged, []byte("\n"))-bytes.Count([]byte(revocationsHeader), []byte("\n")) >= lines {
		return nil // nothing to drop
	}
	return f.replace(merged, info)
}

// replace puts a new file in the place of the old one, whose lock the caller holds.
func (f *RevocationFile) replace(text []byte, old fs.FileInfo) error {
	path, err := filepath.EvalSymlinks(f.path)
	if err != nil {
		return err
	}
	ondisk.RemoveUnfinished(path)                                                 // whoever was writing one had the lock, and is gone
	fresh, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.new") // mode 0600
	if err != nil {
		return err
	}
	_, err = fresh.Write(text)
	if err == nil {
		mode := old.Mode().Perm()
		if !keepOwner(fresh, old) {
			mode &^= 0o070 // it would be another group's
		}
		err = fresh.Chmod(mode)
	}
	if err == nil {
		err = fresh.Sync()
	}
	if closeErr := fresh.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(fresh.Name(), path)
	}
	if err != nil {
		_ = os.Remove(fresh.Name()) // the error before it says more
		return err
	}
	return ondisk.SyncDir(filepath.Dir(path))
}
