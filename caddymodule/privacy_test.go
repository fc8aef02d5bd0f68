package caddymodule_test

import (
	"fmt"
	"strings"
	"testing"
)

// Attack: Caddy's debug log is left on, and has every person who passes; or people are asked for what nothing needs. Both are said when
// the configuration is loaded, and neither is said without need.
func TestSec_E002_E021_WarnedAtProvision(t *testing.T) {
	site := fmt.Sprintf("http://localhost:%d", freePort(t))
	const debugOn, inVain = "with the debug log on", "people are asked for a scope, and nothing needs it"
	load := func(level, settings string) string {
		s := newServer(t)
		s.head = strings.Replace(s.head, "level INFO", "level "+level, 1)
		s.load("", site+" {\n\tvipps_auth {\n\t\tissuer http://127.0.0.1:1/\n\t\tclient_id c\n\t\tclient_secret s\n\t\tallow anyone\n\t\t"+settings+"\n\t}\n\trespond ok\n}\n")
		return s.logs()
	}
	log := load("DEBUG", "scopes openid name nin")
	for _, want := range []string{debugOn, inVain, `"scope":"nin"`} {
		if !strings.Contains(log, want) {
			t.Errorf("the log has no %s", want)
		}
	}
	if strings.Contains(log, `"scope":"name"`) {
		t.Error("name has a header of its own")
	}
	log = load("INFO", "scopes openid name nin\n\t\theaders default X-Vipps-Nin=nin")
	for _, without := range []string{debugOn, inVain} {
		if strings.Contains(log, without) {
			t.Errorf("the log says %s", without)
		}
	}
}
