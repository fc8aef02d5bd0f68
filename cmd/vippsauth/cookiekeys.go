package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/vippsauth/vippsauth/session"
)

// keys returns the keys that seal cookies, and creates the file of cookie_keys_file when it is missing.
func (c *config) keys() (keys session.Keys, created bool, err error) {
	switch {
	case c.cookieKeysFile != "":
		keys, created, err = session.LoadOrCreateKeysFile(c.cookieKeysFile)
		return keys, created, asSettings("cookie_keys_file", err)
	case len(c.cookieKeys) > 0:
		keys, err = session.ParseKeys(c.cookieKeys)
		return keys, false, asSettings("cookie_keys", err)
	default: // the emulator only: validate wants one of the two otherwise
		keys, err = freshKeys()
		return keys, false, err
	}
}

func freshKeys() (session.Keys, error) {
	key, err := session.NewKey()
	if err != nil {
		return nil, err
	}
	return session.Keys{key}, nil
}

// checkKeys returns the cookie keys, or one to go on checking with.
func (c *config) checkKeys(rep *report) session.Keys {
	standIn, err := freshKeys()
	if err != nil {
		rep.addErrors(err)
	}
	inline, file := rep.isSet("cookie_keys"), rep.isSet("cookie_keys_file")
	switch {
	case inline && file:
		rep.add(problem{rep.source("cookie_keys"), "cookie_keys", "is set beside cookie_keys_file (" + rep.source("cookie_keys_file") + ")", "keep one of them"})
	case rep.has("cookie_keys") || rep.has("cookie_keys_file"):
	case inline:
		keys, err := session.ParseKeys(c.cookieKeys)
		if err == nil {
			return keys
		}
		addKeyProblems(rep, "cookie_keys", err)
	case file:
		keys, err := checkKeysFile(c.cookieKeysFile, mayCreateIn)
		if err == nil && keys != nil {
			return keys
		}
		addKeyProblems(rep, "cookie_keys_file", err)
	case c.environment == envEmulator:
		rep.warn(problem{notSet, "cookie_keys", "a fresh key is made at each start, which ends all sessions", howToSet("cookie_keys_file")})
	default:
		rep.add(problem{notSet, "cookie_keys", "neither cookie_keys nor cookie_keys_file is set", "name a file that is created when missing with cookie_keys_file, or make a key with: vippsauth keygen"})
	}
	return standIn
}

// checkKeysFile reads the file of cookie_keys_file. Keys and error are both nil when it is missing and serve can create it, as
// far as canCreate tells.
func checkKeysFile(path string, canCreate func(dir string) error) (session.Keys, error) {
	if _, err := session.ParseKey(path); err == nil { // not shown: it is a secret in the wrong place
		return nil, errors.New("holds a cookie key, not the path of a file: a key belongs in cookie_keys")
	}
	keys, err := session.ReadKeysFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return keys, err
	}
	if _, err := os.Lstat(path); err == nil {
		return nil, errors.New("is a link to a file that does not exist: make that file, or take the link away")
	}
	dir := filepath.Dir(path)
	switch info, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("the directory %s does not exist: %w", dir, fs.ErrNotExist)
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, fmt.Errorf("%s is not a directory: %w", dir, syscall.ENOTDIR)
	}
	return nil, canCreate(dir)
}

// addKeyProblems adds what is wrong with keys: a problem for each of them.
func addKeyProblems(rep *report, setting string, err error) {
	for _, e := range flatten(err) {
		rep.add(problem{rep.source(setting), setting, keyProblem(e), keysFileMend(e)})
	}
}

// asSettings says of each error which setting it is about, and how to mend it.
func asSettings(setting string, err error) error {
	var errs []error
	for _, e := range flatten(err) {
		errs = append(errs, problemError{problem{"", setting, keyProblem(e), keysFileMend(e)}, e})
	}
	return errors.Join(errs...)
}

// keyProblem is what is wrong with the keys, without the name of the package that says so.
func keyProblem(err error) string {
	what := strings.TrimPrefix(oneLine(err.Error()), "session: ")
	what = strings.TrimPrefix(what, "cookie keys: ")
	return strings.TrimSuffix(what, ": "+fs.ErrNotExist.Error())
}

// keysFileMend is what to do about a key file that the system won't let us have; empty when the error says it itself.
func keysFileMend(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "let the user that runs vippsauth read the file and, to create it, write to its directory"
	case errors.Is(err, syscall.EROFS):
		return "name a file in a directory that can be written to"
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return "create the directory, writable for the user that runs vippsauth only, or name a file in another one"
	default:
		return ""
	}
}
