package integration_test

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// privacy gathers, over the whole run, what must not be seen and where it could be: every claim, code, cookie, token and secret that any
// test used, and everything that any program wrote. TestMain searches the second for the first (I5, E-25).
var privacy collector

type collector struct {
	mu      sync.Mutex
	markers map[string]string // value → kind
	scanner *scanner          // for all of them
	outputs map[string]*written
	files   map[string]bool // those that were read, with size and time
}

// written is everything of one kind that one program wrote in one test.
type written struct {
	kind, name string
	text       strings.Builder
}

// plant remembers a value that no output may hold.
func (c *collector) plant(kind, value string) {
	if len(value) < head {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.markers == nil {
		c.markers, c.scanner = map[string]string{}, newScanner()
	}
	if kind = kindOf(kind); c.markers[value] != kind {
		c.markers[value] = kind
		c.scanner.add(kind, value)
	}
}

// kindOf is the kind of a marker without what differs between sites.
func kindOf(kind string) string {
	if name, ok := strings.CutPrefix(kind, "cookie "); ok {
		switch {
		case strings.Contains(name, "vippsauth-login-"):
			return "attempt cookie"
		case strings.Contains(name, "vippsauth-hint"):
			return "hint cookie"
		case strings.Contains(name, "vippsauth"):
			return "session cookie"
		}
		return "another's cookie"
	}
	return kind
}

// feed takes an output to be searched. Kinds are: what a program wrote, its files, and what browsers and operators get.
func (c *collector) feed(kind, name, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.outputs == nil {
		c.outputs = map[string]*written{}
	}
	key := kind + "\x00" + name
	o := c.outputs[key]
	if o == nil {
		o = &written{kind: kind, name: name}
		c.outputs[key] = o
	}
	o.text.WriteString(text)
	o.text.WriteByte('\n')
}

// process takes what a program wrote: to its output, and into the folders of its test.
func (c *collector) process(p *process, dir string) {
	p.end()
	if !p.tells {
		c.feed("output of "+programOf(p.name), p.t.Name(), p.out.String())
	}
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && browserProfile(path) {
			return fs.SkipDir
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() && info.Size() <= 4<<20 && info.Mode()&0o111 == 0 {
			c.file(p.t.Name(), path, info)
		}
		return nil
	})
}

// browserProfile reports the folder of a Chromium, which holds a person's cookies by its nature.
func browserProfile(path string) bool {
	_, err := os.Lstat(filepath.Join(path, "Local State"))
	return err == nil
}

func (c *collector) file(test, path string, info fs.FileInfo) {
	id := fmt.Sprint(path, info.Size(), info.ModTime())
	c.mu.Lock()
	seen := c.files[id]
	if c.files == nil {
		c.files = map[string]bool{}
	}
	c.files[id] = true
	c.mu.Unlock()
	if seen {
		return
	}
	if text, err := os.ReadFile(path); err == nil {
		kind := "file"
		switch {
		case strings.HasSuffix(path, ".log"):
			kind = "access log"
		case filepath.Base(path) == "cookie.txt":
			kind = "cookie file"
		}
		c.feed(kind, test+" "+filepath.Base(path), string(text))
	}
}

// programOf is the kind of a process: its name, without what a test adds.
func programOf(name string) string {
	for _, known := range []string{"vippsauth demo", "vippsauth serve", "vippsauth", "caddy", "nginx", "haproxy", "apache2"} {
		if strings.Contains(name, known) {
			return known
		}
	}
	return "the applications"
}

// answer takes what a browser got from the site. Of the application's own pages only the headers are ours.
func (c *collector) answer(test string, w *http.Response, body string) {
	path := w.Request.URL.Path
	if strings.HasPrefix(path, "/access-management") || strings.HasPrefix(path, "/vipps-") || strings.HasPrefix(path, "/_vipps/authz/") && w.StatusCode == http.StatusOK {
		return // the provider's, and what is asked in a proxy's place
	}
	for name, values := range w.Header {
		switch name {
		case "Set-Cookie", "Location":
			c.feed("response header "+name, test, strings.Join(values, "\n"))
		default:
			c.feed("response headers", test, name+": "+strings.Join(values, "\n"))
		}
	}
	if own := strings.HasPrefix(path, "/_vipps/"); path != "/_vipps/me" && (own || w.StatusCode != http.StatusOK) {
		c.feed("page", test, body)
	}
}

// belongs says where a marker has its place: everywhere else it is a finding.
func belongs(output, marker string) bool {
	settings := []string{"client secret", "other client secret", "cookie key", "proxy secret", "phone number"}
	switch output {
	case "response header Set-Cookie": // where cookies are handed out
		return strings.HasSuffix(marker, "cookie")
	case "response header Location": // to the provider
		return marker == "state" || marker == "nonce"
	case "page": // "Continue as Kari N.?"; and the person's own fields, which the page sends again
		return marker == "form" || marker == "given name"
	case "output of vippsauth demo": // who can be logged in as: nobody of that name exists
		return strings.HasSuffix(marker, "name") || marker == "phone number"
	case "file": // the configuration that the test wrote
		return slices.Contains(settings, marker)
	case "cookie file": // what vippsauth doctor is given
		return strings.HasSuffix(marker, "cookie")
	}
	return false
}

// isUserID reports the sub in Caddy's access log, which is where Caddy itself puts {http.auth.user.id}. docs/privacy.md says so.
func isUserID(output, marker, before string) bool {
	return output == "output of caddy" && marker == "sub" && strings.HasSuffix(before, `"user_id":"`)
}

// A finding is a kind of marker in an output. It never holds the value.
type finding struct{ output, where, marker, form string }

// search looks for every marker, and for national identity numbers, in the outputs of a test and its parts; "": of all tests.
func (c *collector) search(test string) map[finding]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := map[finding]int{}
	for _, o := range c.outputs {
		if rest, ok := strings.CutPrefix(o.name, test); c.scanner == nil || !ok || test != "" && rest != "" && rest[0] != ' ' && rest[0] != '/' {
			continue
		}
		text := o.text.String()
		c.scanner.in(text, func(at int, n needle) {
			if !belongs(o.kind, n.kind) && !isUserID(o.kind, n.kind, text[:at]) {
				found[finding{o.kind, o.name, n.kind, n.form}]++
			}
		})
		realNumbers(text, func(int) { found[finding{o.kind, o.name, realNumber, "plain"}]++ })
	}
	return found
}

const realNumber = "what could be a real national identity number"

// check fails a test whose outputs hold what they must not. It is the last that is done for a test.
func (c *collector) check(t testing.TB) {
	for f, n := range c.search(t.Name()) {
		t.Errorf("I5: %s, as %s, stands %d times in the %s of %s", f.marker, f.form, n, f.output, f.where)
	}
}

// report prints what was planted, searched and found, and returns how many findings there are.
func (c *collector) report(w io.Writer) int {
	found := c.search("")
	if len(c.markers) == 0 {
		return 0
	}
	planted, count, bytes, total := map[string]int{}, map[string]int{}, map[string]int{}, 0
	for _, kind := range c.markers {
		planted[kind]++
	}
	for _, o := range c.outputs {
		count[o.kind]++
		bytes[o.kind] += o.text.Len()
		total += o.text.Len()
	}
	var names []string
	for _, f := range writings {
		names = append(names, f.name)
	}
	fmt.Fprintf(w, "privacy scan:\n  markers planted: %d\n", len(c.markers))
	for _, kind := range slices.Sorted(maps.Keys(planted)) {
		fmt.Fprintf(w, "    %-28s %d\n", kind, planted[kind])
	}
	fmt.Fprintf(w, "  searched for in %d forms: %s\n  outputs searched: %d, %.1f MB\n", c.scanner.size, strings.Join(names, ", "), len(c.outputs), float64(total)/1e6)
	for _, kind := range slices.Sorted(maps.Keys(count)) {
		fmt.Fprintf(w, "    %-28s %4d, %.2f MB\n", kind, count[kind], float64(bytes[kind])/1e6)
	}
	fmt.Fprintf(w, "  found: %d\n", len(found))
	for f, n := range found {
		fmt.Fprintf(w, "    FOUND %s, as %s, %d times in the %s of %s\n", f.marker, f.form, n, f.output, f.where)
	}
	return len(found)
}

// scrapes feeds the metrics of a service when its test is over, while it still runs.
func (f *front) scrapes() {
	ops, p := f.ops, f.service
	f.t.Cleanup(func() {
		select {
		case <-p.done:
			return
		default:
		}
		if strings.HasPrefix(ops, "unix/") {
			return
		}
		w, err := http.Get("http://" + ops + "/metrics")
		if err != nil {
			return // it is on its way down
		}
		defer w.Body.Close()
		text, _ := io.ReadAll(w.Body)
		privacy.feed("metrics", f.t.Name(), string(text))
	})
}
