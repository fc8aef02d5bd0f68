package integration_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// commandsIn is an indented block of a document, the one that holds a text, with other addresses.
func commandsIn(t *testing.T, name, holds string, edits ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range regexp.MustCompile(`(?m)(?:^    .*\n)+`).FindAllString(string(text), -1) {
		if strings.Contains(block, holds) {
			return strings.NewReplacer(edits...).Replace(block)
		}
	}
	t.Fatalf("%s has no block with %q", name, holds)
	return ""
}

// The commands with curl that docs/merchant-logins.md shows, as they stand there.
func TestMerchantExampleWithCurl(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	need(t, "jq")
	f := newFront(t)
	dir := t.TempDir()
	sample, entry := exampleCaller(t, dir, "till.token", "merchant/vippsauth.yaml", "till-1")
	emulator := exampleService(t, f, dir, "merchant/vippsauth.yaml", sample, entry)
	tell(t, emulator, "merchant-interval", `{"duration":"1s"}`)
	shell := func(script string) string {
		p := start(t, need(t, "sh"), command{name: "sh", tells: true, args: []string{"-euc", script}, dir: dir})
		<-p.done
		if code := p.cmd.ProcessState.ExitCode(); code != 0 {
			t.Fatalf("exit code %d: %s", code, p.out.String())
		}
		return p.out.String()
	}
	addresses := []string{"http://localhost:4190", f.origin, "http://127.0.0.1:4192", emulator}
	holds := func(out string, parts ...string) {
		t.Helper()
		for _, part := range parts {
			before, after, ok := strings.Cut(out, part)
			if !ok {
				t.Fatalf("no %s after %s in %s", part, before, out)
			}
			out = after
		}
	}

	tell(t, emulator, "merchant-auto", `{"phone":"4790000001","after":"0s"}`)
	block := commandsIn(t, "merchant-logins.md", "/events", addresses...)
	holds(shell(block), `"state":"pending"`, `"code":"`, `"state":"approved"`, nameAase, "event: state", `"state":"delivered"`, `{"exists":true}`)

	setup := "    api=" + f.origin + "/_vipps/merchant\n"
	begin, _, _ := strings.Cut(commandsIn(t, "merchant-logins.md", "return_to", addresses...), "\n")
	holds(shell(setup+begin), `"state":"pending"`, `"flow":"browser"`)

	tell(t, emulator, "merchant-auto", `{"after":"-1s"}`)
	tell(t, emulator, "merchant-auto", `{"phone":"4790000001","after":"-1s"}`)
	_, again, _ := strings.Cut(block, "till.header)\n")
	again, _, _ = strings.Cut(again, "    curl -sS -H @till.header -N")
	first, wait, _ := strings.Cut(again, `    curl -sS -H @till.header "`)
	holds(shell(setup+first+commandsIn(t, "merchant-logins.md", "merchant-deny", addresses...)+`    curl -sS -H @till.header "`+wait), `"state":"pending"`, `"ok":true`, `"state":"declined"`)
}
