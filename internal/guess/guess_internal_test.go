package guess

import (
	"strings"
	"testing"
)

func TestClosest(t *testing.T) {
	t.Parallel()
	known := []string{"client_id", "listen", "client_ix", "ops_listen"}
	for name, want := range map[string]string{
		"clientid": "client_id", "client_ic": "client_id", "client_ids": "client_id", "lisen": "listen", "opslisten": "ops_listen", "zzzzzz": "", "": "",
		strings.Repeat("listen", 20): "",
	} {
		if got := Closest(name, known); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestEdits(t *testing.T) {
	t.Parallel()
	if n := edits("kitten", "sitting"); n != 3 {
		t.Errorf("kitten to sitting: %d", n)
	}
}
