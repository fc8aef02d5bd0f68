package integration_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// diagnosis is what `vippsauth doctor --json` prints.
type diagnosis struct {
	Findings []struct{ Level, Check, What, Why, Cure string }
	Requests int
	exit     int
	text     string
}

// doctor runs `vippsauth doctor` against the site, from outside, with more flags.
func (f *front) doctor(flags ...string) diagnosis {
	f.t.Helper()
	return f.doctorAt("/boats?harbour=7", nil, flags...)
}

func (f *front) doctorAt(path string, env []string, flags ...string) diagnosis {
	f.t.Helper()
	p := start(f.t, vippsauthProgram(f.t), command{
		name: "vippsauth doctor", env: env,
		args: append([]string{"doctor", "--json", "--url", f.origin + path}, flags...),
	})
	<-p.done
	d := diagnosis{exit: p.cmd.ProcessState.ExitCode(), text: p.out.String()}
	if err := json.Unmarshal([]byte(d.text), &d); err != nil {
		f.t.Fatalf("doctor says %s: %v", d.text, err)
	}
	if d.Requests >= 60 {
		f.t.Errorf("doctor made %d requests", d.Requests)
	}
	return d
}

// healthy wants nothing but ok and notes.
func (d *diagnosis) healthy(t *testing.T) {
	t.Helper()
	for _, finding := range d.Findings {
		if finding.Level == "problem" || finding.Level == "warning" {
			t.Errorf("doctor finds a %s where there is none: %s: %s", finding.Level, finding.Check, finding.What)
		}
	}
	if d.exit != 0 || len(d.Findings) < 12 {
		t.Errorf("exit code %d: %s", d.exit, d.text)
	}
}

// finds wants a finding of this level by this check, whose line has all of the words, with its cure; nothing else may be a problem
// but what the same breakage brings about.
func (d *diagnosis) finds(t *testing.T, level, check string, words ...string) {
	t.Helper()
	for _, f := range d.Findings {
		line := strings.Join([]string{f.What, f.Why, f.Cure}, " ")
		if f.Level == level && f.Check == check && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			if f.Cure == "" || f.Why == "" {
				t.Errorf("%s: %s has no cure", f.Check, f.What)
			}
			if wantExit := 1; level == "problem" && d.exit != wantExit {
				t.Errorf("exit code %d", d.exit)
			}
			return
		}
	}
	t.Errorf("doctor doesn't find the %s of %s with %q: %s", level, check, words, d.text)
}

// says wants a finding that asks for nothing.
func (d *diagnosis) says(t *testing.T, level, check string, words ...string) {
	t.Helper()
	for _, f := range d.Findings {
		if f.Level == level && f.Check == check && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(f.What, w) }) {
			return
		}
	}
	t.Errorf("doctor doesn't say %s of %s with %q: %s", level, check, words, d.text)
}

func TestDoctorNginx(t *testing.T) {
	t.Parallel()
	need(t, "nginx")
	f := newFront(t)
	f.serve("--trusted-proxies=loopback")
	startNginx(t, f)
	hits := f.app.hits()
	d := f.doctor("--ask-provider")
	d.healthy(t)
	if f.app.hits() != hits {
		t.Error("doctor got through to the app")
	}
}

func TestDoctorCaddyForwardAuth(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.serve("--trusted-proxies=loopback")
	startCaddyForwardAuth(t, f)
	d := f.doctor("--ask-provider")
	d.healthy(t)
}

func TestDoctorCaddyModule(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	startCaddy(t, f, "", moduleSite(f, ""))
	d := f.doctor("--ask-provider")
	d.healthy(t)
}

func TestDoctorSidecar(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.sidecar()
	d := f.doctor("--ask-provider")
	d.healthy(t)
}

func TestDoctorTraefikStandIn(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	authz := freeAddr(t)
	f.serve("--trusted-proxies=loopback", "--authz-listen="+authz)
	startTraefikStandIn(t, f, authz)
	d := f.doctor("--ask-provider")
	d.healthy(t)
}
