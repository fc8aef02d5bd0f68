package merchant

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/vippsauth/vippsauth/internal/ondisk"
)

const (
	journalMode = 0o600
	maxJournal  = 256 << 20 // bytes that are read
)

// journalFile is the file of a journal, which this process alone uses until it is closed.
type journalFile struct {
	path string
	file *os.File
}

// openJournal opens the file, and makes it where there is none. Nil says that another process has it.
func openJournal(path string) (*journalFile, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, journalMode)
	if err != nil {
		return nil, err
	}
	f := &journalFile{path: path, file: file}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no regular file")
	}
	busy := false
	if err == nil {
		busy, err = ondisk.TryLock(file)
	}
	if err != nil || busy || !ondisk.IsAt(file, path) {
		_ = file.Close() // nothing was written
		return nil, err
	}
	ondisk.RemoveUnfinished(path)
	return f, nil
}

func (f *journalFile) close() { _ = f.file.Close() } // what was written is on the disk already; closing unlocks

// content is what a journal holds.
type content struct {
	logins []line // that are under way, in no order
	counts map[digest]int64
	secret string // of the counts, sealed
}

// read gives what the file holds.
func (f *journalFile) read(now time.Time) (*content, error) {
	if _, err := f.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	live := map[idKey]line{}
	all := &content{counts: map[digest]int64{}}
	br := bufio.NewReaderSize(io.LimitReader(f.file, maxJournal), 64<<10)
	long := false
	for {
		text, err := br.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			long = true // no line of ours
			continue
		case err != nil && !errors.Is(err, io.EOF):
			return nil, err
		}
		if t, over, ok := parseLine(text); !ok && !long {
			all.take(text, now)
		} else if ok && !long {
			if over || t.until <= now.Unix() {
				delete(live, t.key)
			} else if _, known := live[t.key]; known || len(live) < 2*maxLogins {
				live[t.key] = t
			}
		}
		long = false
		if err != nil {
			break
		}
	}
	for _, t := range live {
		all.logins = append(all.logins, t)
	}
	return all, nil
}

// append adds text, and waits until it is on the disk.
func (f *journalFile) append(text []byte) error {
	if _, err := f.file.Write(text); err != nil {
		return err
	}
	return f.file.Sync()
}

// replace puts a new file in the place of the old one, which stays until the new one is on the disk. It is locked before
// anybody can find it.
func (f *journalFile) replace(text []byte) error {
	path, err := filepath.EvalSymlinks(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		path, err = f.path, nil
	}
	if err != nil {
		return err
	}
	fresh, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.new") // mode 0600
	if err != nil {
		return err
	}
	name := fresh.Name()
	if _, err = ondisk.TryLock(fresh); err == nil {
		_, err = fresh.Write(text)
	}
	if err == nil {
		err = fresh.Sync()
	}
	if err == nil {
		err = os.Rename(name, path)
	}
	if err != nil {
		_ = fresh.Close()   // the error before it says more
		_ = os.Remove(name) // and here
		return err
	}
	_ = f.file.Close() // it is nobody's any more
	f.file = fresh
	return ondisk.SyncDir(filepath.Dir(path))
}
