package pages_test

import (
	"crypto/sha256"
	"encoding/base64"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/vippsauth/vippsauth/internal/pages"
)

// site is the files of a package's pages, with one changed.
func site(name, text string) fstest.MapFS {
	files := fstest.MapFS{
		"web/page.html":        {Data: []byte(`<p>{{.}}`)},
		"web/messages_en.json": {Data: []byte(`{"hello": "Hello"}`)},
		"web/messages_nb.json": {Data: []byte(`{"hello": "Hei"}`)},
	}
	files[name] = &fstest.MapFile{Data: []byte(text)}
	if text == "" {
		delete(files, name)
	}
	return files
}

// A package's own style comes behind the common one, and the hash is that of both.
func TestLoad(t *testing.T) {
	t.Parallel()
	common, err := os.ReadFile("style.css")
	if err != nil {
		t.Fatal(err)
	}
	for _, own := range []string{"", ".mine { color: red; }\n"} {
		a, err := pages.Load(site("web/style.css", own))
		if err != nil {
			t.Fatal(err)
		}
		if want := string(common) + own; string(a.Style) != want {
			t.Errorf("the style with %q is %q", own, a.Style)
		}
		if sum := sha256.Sum256([]byte(a.Style)); a.StyleHash != base64.StdEncoding.EncodeToString(sum[:]) {
			t.Error("another hash")
		}
		if len(a.Texts) != 2 || a.Texts["nb"]["hello"] != "Hei" || a.Layout.Lookup("page.html") == nil {
			t.Errorf("%v, %v", a.Texts, a.Layout)
		}
	}
	for name, text := range map[string]string{"web/messages_en.json": "", "web/messages_nb.json": "{", "web/page.html": "{{"} {
		if _, err := pages.Load(site(name, text)); err == nil {
			t.Errorf("%s may be %q", name, text)
		}
	}
}

// What a package adds doesn't paint over what is common.
func TestPagesLookAlike(t *testing.T) {
	t.Parallel()
	colors := regexp.MustCompile(`--[a-z-]+:`)
	common, err := os.ReadFile("style.css")
	if err != nil {
		t.Fatal(err)
	}
	operators, err := os.ReadFile("../../merchant/web/style.css")
	if err != nil {
		t.Fatal(err)
	}
	ours := colors.FindAllString(string(common), -1)
	if len(ours) < 20 {
		t.Fatalf("the common style has the colors %q", ours)
	}
	for _, name := range ours {
		if strings.Contains(string(operators), name) {
			t.Errorf("merchant/web/style.css has its own %s", name)
		}
	}
}
