package outbox

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/vippsauth/vippsauth/internal/ondisk"
	"github.com/vippsauth/vippsauth/session"
)

const (
	suffix     = ".event"
	unfinished = ".new"

	// unfinishedFor is longer than any process is busy with one.
	unfinishedFor = 24 * time.Hour

	pieceLength = 12 << 10 // of an event, sealed in one line
	fileVersion = 1
)

var errUnusable = errors.New("it can't be opened with these cookie_keys, or is damaged")

// save writes an event into a file of its own and returns the file's name. The file is whole and on the disk, its name too, or
// it is not there.
func (o *Outbox) save(body []byte) (string, error) {
	name := o.newName()
	text, err := o.seal(name, body)
	if err != nil {
		return "", err
	}
	file, err := os.OpenFile(o.path(name+unfinished), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	_, err = file.Write(text)
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(file.Name(), o.path(name))
	}
	if err != nil {
		_ = os.Remove(file.Name()) // the error before it says more
		return "", err
	}
	if err := ondisk.SyncDir(o.cfg.Dir); err != nil {
		_ = os.Remove(o.path(name)) // the caller is told that it is not kept
		return "", err
	}
	return name, nil
}

// tryOut finds out whether events can be kept, before the first one would be lost.
func (o *Outbox) tryOut() error {
	file, err := os.CreateTemp(o.cfg.Dir, "*"+suffix+unfinished)
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}

// seal writes an event as sealed lines. Each says of which file it is, and which of how many, so that none can be put elsewhere.
func (o *Outbox) seal(name string, body []byte) ([]byte, error) {
	pieces := (len(body) + pieceLength - 1) / pieceLength
	var out bytes.Buffer
	for i := range pieces {
		b := session.AppendVersion(nil, fileVersion)
		b = session.AppendText(b, name)
		b = session.AppendInt(b, int64(i))
		b = session.AppendInt(b, int64(pieces))
		b = session.AppendText(b, string(body[i*pieceLength:min((i+1)*pieceLength, len(body))]))
		sealed, err := o.box.Seal(b)
		if err != nil {
			return nil, err
		}
		out.WriteString(sealed + "\n")
	}
	return out.Bytes(), nil
}

// load returns an event, errUnusable for one that is not ours, and fs.ErrNotExist for one that another process has delivered.
func (o *Outbox) load(name string) ([]byte, error) {
	text, err := os.ReadFile(o.path(name))
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	var body []byte
	for i, line := range lines {
		payload, err := o.box.Open(line)
		if err != nil {
			return nil, errUnusable
		}
		r := session.NewReader(payload)
		version, of, at, pieces := r.Version(), r.Text(), r.Int(), r.Int()
		piece := r.Text()
		if r.Done() != nil || version != fileVersion || of != name || at != int64(i) || pieces != int64(len(lines)) {
			return nil, errUnusable
		}
		body = append(body, piece...)
	}
	return body, nil
}

// look takes up what is on the disk: from before the start, and of other processes. What a process left unfinished goes.
func (o *Outbox) look() error {
	o.mu.Lock()
	before := slices.Collect(maps.Keys(o.wait)) // what is put meanwhile may not be among the entries
	o.mu.Unlock()
	entries, err := os.ReadDir(o.cfg.Dir)
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	there := make(map[string]bool, len(entries))
	for _, e := range entries {
		name := e.Name()
		switch {
		case !e.Type().IsRegular():
		case strings.HasSuffix(name, suffix):
			there[name] = true
			o.enter(name)
		case strings.HasSuffix(name, suffix+unfinished):
			if info, err := e.Info(); err == nil && o.cfg.Now().Sub(info.ModTime()) > unfinishedFor {
				_ = os.Remove(o.path(name)) // or at the next look
			}
		}
	}
	for _, name := range before {
		if !there[name] {
			o.dropLocked(name)
		}
	}
	return nil
}
