package session

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

const (
	maxKeysFile = 64 << 10

	keysFileHead = "# Cookie keys of vippsauth, one a line: the first seals, all open.\n" +
		"# To rotate, put a new one first; take the old one out when its cookies are over.\n"
)

// ReadKeysFile reads keys from a file: one a line, the first seals, all open;
// blank lines and what follows a '#' are ignored. Errors name the file and the
// line, never what is in it.
//
// It must be a regular file (links to one are followed) of at most 64 KiB. On
// Unix it is refused when its mode lets everybody read it, or its group or
// everybody write it; its group may read it. Its owner and the directories
// above it are not checked.
func ReadKeysFile(path string) (Keys, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("session: opening the cookie keys: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("session: cookie keys: %w", err)
	}
	if err := checkKeysFile(path, info); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxKeysFile+1))
	if err != nil {
		return nil, fmt.Errorf("session: reading the cookie keys: %w", err)
	}
	if len(data) > maxKeysFile {
		return nil, fmt.Errorf("session: cookie keys: %s is above %d bytes", path, maxKeysFile)
	}
	return parseKeysFile(path, data)
}

func checkKeysFile(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("session: cookie keys: %s is not a regular file", path)
	}
	if runtime.GOOS == "windows" {
		return nil
	}
	mode := info.Mode().Perm()
	var who string
	switch {
	case mode&0o002 != 0:
		who = "everybody can write"
	case mode&0o020 != 0:
		who = "its group can write"
	case mode&0o004 != 0:
		who = "everybody can read"
	default:
		return nil
	}
	return fmt.Errorf("session: cookie keys: %s (mode %04o) is a file that %s: chmod 600 %s (in Kubernetes: defaultMode 0440 on the secret volume)",
		path, mode, who, path)
}

func parseKeysFile(path string, data []byte) (Keys, error) {
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	var texts, labels []string
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		text, _, _ := strings.Cut(line, "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		texts = append(texts, text)
		labels = append(labels, fmt.Sprintf("%s line %d", path, n))
	}
	if len(texts) == 0 {
		return nil, fmt.Errorf("session: cookie keys: %s holds no key: put one in (vippsauth keygen prints one), or remove the file to have it made", path)
	}
	return parseLabelled(texts, labels)
}

// LoadOrCreateKeysFile is ReadKeysFile, but a file that does not exist is made
// first, with one fresh key and mode 0600; created says that it was. The
// directory must exist.
//
// The file appears whole or not at all, and never replaces one: of processes
// that race, one creates it and the others read it, so all agree. (Where the
// file system has no hard links a racing reader may find it empty once, and
// fails.)
func LoadOrCreateKeysFile(path string) (keys Keys, created bool, err error) {
	if path == "" {
		return nil, false, errors.New("session: cookie keys: no file name")
	}
	keys, err = ReadKeysFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return keys, false, err
	}
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, false, fmt.Errorf("session: cookie keys: the directory %s does not exist: create it, writable for this user only", dir)
	}
	created, err = createKeysFile(path, dir)
	if err != nil {
		return nil, false, err
	}
	keys, err = ReadKeysFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("session: cookie keys: %s is a link to a file that does not exist: %w", path, err)
	}
	return keys, created && err == nil, err
}

// createKeysFile writes a fresh key beside path and links it into place, which
// fails when something is there: then the other one's key holds.
func createKeysFile(path, dir string) (bool, error) {
	key, err := NewKey()
	if err != nil {
		return false, err
	}
	content := keysFileHead + key.Encode() + "\n"
	temp, err := os.CreateTemp(dir, ".vippsauth-keys-*")
	if err != nil {
		return false, fmt.Errorf("session: creating the cookie keys: %w", err)
	}
	defer func() { _ = os.Remove(temp.Name()) }() // its other name stays
	if err := writeAndClose(temp, content); err != nil {
		return false, err
	}
	err = os.Link(temp.Name(), path)
	switch {
	case errors.Is(err, fs.ErrExist):
		return false, nil
	case err != nil:
		return createWithoutLinks(path, content)
	}
	syncDir(dir)
	return true, nil
}

// createWithoutLinks serves file systems that have no hard links.
func createWithoutLinks(path, content string) (bool, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("session: creating the cookie keys: %w", err)
	}
	if err := writeAndClose(f, content); err != nil {
		return false, errors.Join(err, os.Remove(path))
	}
	return true, nil
}

func writeAndClose(f *os.File, content string) error {
	_, err := f.WriteString(content)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("session: writing the cookie keys: %w", err)
	}
	return nil
}

// syncDir makes the new name survive a power cut where the system can do it;
// where it cannot, the file is there all the same.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}
