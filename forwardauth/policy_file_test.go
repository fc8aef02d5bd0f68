package forwardauth

import (
	"strings"
	"testing"
)

// Whoever forgets the @ in front of a file has a list of one sub that nobody has, and vippsauth check called the settings good.
func TestAFileWithoutItsAtSignIsNoSub(t *testing.T) {
	t.Parallel()
	for entry, want := range map[string]string{
		"members.txt": "with an @ in front", "./Staff.CSV": "with an @ in front", "/etc/vippsauth/operators.list": "with an @ in front",
		testSub: "", "emulator-members.txt-1": "", "auth0|6f1c.x": "",
	} {
		_, problems := parseAllow([]string{entry}, "", nil)
		switch {
		case want == "" && len(problems) > 0:
			t.Errorf("%s: %v", entry, problems)
		case want != "" && (len(problems) != 1 || !strings.Contains(problems[0].Error(), want)):
			t.Errorf("%s: %v, want %q", entry, problems, want)
		}
	}
}
