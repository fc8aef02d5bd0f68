package vipps_test

import (
	"errors"
	"io"
	"log"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/vippsauth/vippsauth/vipps"
)

func isState(err error) bool { return errors.Is(err, vipps.ErrState) }

func isUnavailable(err error) bool { return errors.Is(err, vipps.ErrUnavailable) }

func readTestdata(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }

// errorCallback makes a callback one with an error in place of the code.
func errorCallback(code string) func(url.Values) {
	return func(q url.Values) {
		q.Del("code")
		q.Set("error", code)
		q.Set("error_description", "Something went wrong")
	}
}

func readSource(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
