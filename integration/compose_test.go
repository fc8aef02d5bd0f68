package integration_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// composeFile is what the examples use of Compose. Unknown keys of it are errors.
type composeFile struct {
	Services map[string]composeService `yaml:"services"`
	Volumes  map[string]any            `yaml:"volumes"`
}

type composeService struct {
	Image       string            `yaml:"image"`
	Build       map[string]string `yaml:"build"`
	Entrypoint  []string          `yaml:"entrypoint"`
	Command     []string          `yaml:"command"`
	Ports       []string          `yaml:"ports"`
	Volumes     []string          `yaml:"volumes"`
	NetworkMode string            `yaml:"network_mode"`
	Environment map[string]string `yaml:"environment"`
	Labels      map[string]string `yaml:"labels"`
}

func readCompose(t *testing.T, folder string) composeFile {
	t.Helper()
	var file composeFile
	dec := yaml.NewDecoder(strings.NewReader(example(t, folder+"/compose.yaml")))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil {
		t.Fatal(err)
	}
	return file
}

// composeFolders are the examples that have a compose.yaml.
func composeFolders(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../examples/*/compose.yaml")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d compose.yaml: %v", len(files), err)
	}
	var folders []string
	for _, file := range files {
		folders = append(folders, filepath.Base(filepath.Dir(file)))
	}
	return folders
}

// There is no container engine to run these in: the files are read as one would.
func TestExamplesCompose(t *testing.T) {
	t.Parallel()
	for _, folder := range composeFolders(t) {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			file := readCompose(t, folder)
			published := 0
			for name, s := range file.Services {
				checkMounts(t, folder, name, &s, file.Volumes)
				for _, port := range s.Ports {
					published++
					checkPort(t, file, name, port)
				}
				if target := strings.TrimPrefix(s.NetworkMode, "service:"); s.NetworkMode != "" && (target == s.NetworkMode || file.Services[target].NetworkMode != "") {
					t.Errorf("%s has network_mode %s", name, s.NetworkMode)
				}
				if s.Image != "" && !regexp.MustCompile(`:.*\d`).MatchString(s.Image) {
					t.Errorf("%s has an image without a version: %s", name, s.Image)
				}
			}
			if published < 2 || len(file.Services["application"].Ports) > 0 {
				t.Errorf("the site and the emulator are published, and nothing else: %d", published)
			}
		})
	}
}

// checkMounts sees to it that what a service mounts is there, and that it can't write to files of this repository.
func checkMounts(t *testing.T, folder, name string, s *composeService, volumes map[string]any) {
	t.Helper()
	for _, volume := range s.Volumes {
		from, to, _ := strings.Cut(volume, ":")
		if _, named := volumes[from]; named {
			continue
		}
		if !strings.HasSuffix(to, ":ro") {
			t.Errorf("%s may write to %s", name, from)
		}
		if strings.HasPrefix(from, "/var/run/") {
			continue
		}
		if _, err := os.Stat(filepath.Join("../examples", folder, from)); err != nil {
			t.Errorf("%s mounts what isn't there: %v", name, err)
		}
	}
}

var (
	portMapping = regexp.MustCompile(`^127\.0\.0\.1:(\d+):(\d+)$`)
	relayed     = regexp.MustCompile(`TCP-LISTEN:(\d+),fork,reuseaddr TCP:127\.0\.0\.1:(\d+)`)
)

// checkPort sees to it that a port is published on loopback only, and that it has the same number outside as within: the
// addresses of the site and of the emulator stand in links. A port that a relay listens on counts as the relay's target.
func checkPort(t *testing.T, file composeFile, name, port string) {
	t.Helper()
	m := portMapping.FindStringSubmatch(port)
	if m == nil {
		t.Errorf("%s publishes %s: not on 127.0.0.1 alone", name, port)
		return
	}
	within := m[2]
	for _, s := range file.Services {
		if s.NetworkMode != "service:"+name {
			continue
		}
		for _, r := range relayed.FindAllStringSubmatch(strings.Join(s.Entrypoint, " "), -1) {
			if r[1] == within {
				within = r[2]
			}
		}
	}
	if within != m[1] {
		t.Errorf("%s publishes %s, which leads to port %s", name, port, within)
	}
}

// composed starts what a compose.yaml has besides the proxy, the programs themselves with their environment and
// commands: only addresses and places of files are this test's.
func composed(t *testing.T, folder string) (f *front, authz string) {
	t.Helper()
	php := need(t, "php")
	file := readCompose(t, folder)
	f = newFront(t)
	f.addr, f.ops, f.fcgi, authz = freeAddr(t), freeAddr(t), freeAddr(t), freeAddr(t)
	f.app = &app{t: t, srv: &httptest.Server{URL: "http://" + freeAddr(t)}}
	if folder == "sidecar" {
		f.addr = "127.0.0.1:" + f.port()
	}
	places := strings.NewReplacer("127.0.0.1:8080", f.app.addr(), "0.0.0.0:8080", f.app.addr(), "application:8080", f.app.addr(), "/app/", filepath.Join(absolute(t, "../examples/app"))+"/",
		"http://localhost:8000", f.origin, "http://localhost:4190", f.origin, "127.0.0.1:4190", f.addr, ":4190", f.addr, "127.0.0.1:4193", authz, ":4193", authz, "127.0.0.1:4195", f.fcgi, "private", "loopback")
	put := func(texts []string) []string {
		var out []string
		for _, text := range texts {
			out = append(out, places.Replace(text))
		}
		return out
	}
	run := put(file.Services["application"].Command)
	if len(run) == 0 || run[0] != "php" {
		t.Fatalf("the application runs %q", run)
	}
	start(t, php, command{name: "the application", args: run[1:]}).answers(f.app.srv.URL)

	service := file.Services["vippsauth"]
	if service.Build["target"] != "vippsauth" || !slices.Equal(service.Command, []string{"serve"}) || service.Environment["VIPPSAUTH_ENVIRONMENT"] != envEmulator {
		t.Errorf("vippsauth is %+v", service)
	}
	env := []string{"VIPPSAUTH_OPS_LISTEN=" + f.ops, "VIPPSAUTH_EMULATOR_LISTEN=" + freeAddr(t)}
	if service.Environment["VIPPSAUTH_LISTEN"] == "" { // the image's own is every address
		env = append(env, "VIPPSAUTH_LISTEN="+f.addr)
	}
	for name, value := range service.Environment {
		env = append(env, name+"="+places.Replace(value))
	}
	f.service = start(t, vippsauthProgram(t), command{name: "vippsauth serve", args: service.Command, env: env})
	f.checkLog(f.service)
	f.service.answers("http://" + f.ops + "/readyz")
	return f, authz
}

const envEmulator = "emulator"

func absolute(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

// `docker compose up` shows a login with nothing registered: the proxy's file, the service and the application of each
// example, as they stand, with the emulator in place of Vipps.
func TestExamplesComposeLogin(t *testing.T) {
	t.Parallel()
	fronts := map[string]func(t *testing.T, f *front, authz string){
		"nginx":              func(t *testing.T, f *front, _ string) { startNginx(t, f) },
		"caddy-forward-auth": func(t *testing.T, f *front, _ string) { startCaddyForwardAuth(t, f) },
		"apache":             func(t *testing.T, f *front, _ string) { startApache(t, f, "") },
		"envoy":              func(t *testing.T, f *front, _ string) { startEnvoyStandIn(t, f, "envoy/envoy-http.yaml") },
		"haproxy":            func(t *testing.T, f *front, _ string) { startHAProxy(t, f) },
		"traefik":            startTraefikLabels,
		"sidecar":            func(*testing.T, *front, string) {},
	}
	for _, folder := range composeFolders(t) {
		if folder == "caddy" {
			continue // TestCaddyExample: everything is in the Caddyfile
		}
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			front := fronts[folder]
			if front == nil {
				t.Fatal("say here how its proxy is started")
			}
			f, authz := composed(t, folder)
			front(t, f, authz)
			b := f.browser()
			page := b.press(b.open(f.origin+"/x?y=1"), nameAase)
			page = b.press(b.chooseNumber(page), "^(Allow|Tillat)")
			if page.StatusCode != http.StatusOK || page.Request.URL.String() != f.origin+"/x?y=1" || !strings.Contains(page.text, "Hello, "+nameAase) {
				t.Errorf("%d at %v: %s", page.StatusCode, b.trail, page.words())
			}
			if a := b.send(http.MethodGet, f.origin+"/_vipps/authz/forward-auth", navigation(), nil); a.StatusCode != http.StatusNotFound {
				t.Errorf("/_vipps/authz/ is open: %d", a.StatusCode)
			}
		})
	}
}
