package integration_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Each example has a README, and what it mounts is there.
func TestExamplesAreWhole(t *testing.T) {
	t.Parallel()
	folders, err := os.ReadDir("../examples")
	if err != nil || len(folders) < 5 {
		t.Fatalf("%d examples: %v", len(folders), err)
	}
	for _, folder := range folders {
		readme := example(t, filepath.Join(folder.Name(), "README.md"))
		if lines := strings.Count(readme, "\n"); lines < 8 || lines > 32 {
			t.Errorf("examples/%s/README.md has %d lines: it is for somebody with ten minutes", folder.Name(), lines)
		}
		for _, link := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(readme, -1) {
			if _, err := os.Stat(filepath.Join("../examples", folder.Name(), link[1])); err != nil {
				t.Errorf("examples/%s/README.md leads nowhere: %v", folder.Name(), err)
			}
		}
	}
}

// composeFile is what the examples use of Compose.
type composeFile struct {
	Services map[string]struct {
		Image       string            `yaml:"image"`
		Build       map[string]string `yaml:"build"`
		Command     []string          `yaml:"command"`
		Ports       []string          `yaml:"ports"`
		Volumes     []string          `yaml:"volumes"`
		NetworkMode string            `yaml:"network_mode"`
		Environment map[string]string `yaml:"environment"`
	} `yaml:"services"`
}

var composeVariable = regexp.MustCompile(`\$\{([A-Z_]+):\?[^}]+\}`)

// There is no container engine to run these in: the files are read as one would, and vippsauth judges the settings.
func TestExamplesCompose(t *testing.T) {
	t.Parallel()
	values := map[string]string{"VIPPSAUTH_CLIENT_ID": "id", "VIPPSAUTH_CLIENT_SECRET": "a secret", "VIPPSAUTH_COOKIE_KEYS": cookieKey(t)}
	for _, folder := range []string{"nginx", "traefik", "sidecar"} {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			var file composeFile
			dec := yaml.NewDecoder(strings.NewReader(example(t, folder+"/compose.yaml")))
			dec.KnownFields(true)
			if err := dec.Decode(&file); err != nil {
				t.Fatal(err)
			}
			for name, s := range file.Services {
				for _, volume := range s.Volumes {
					from, _, _ := strings.Cut(volume, ":")
					if _, err := os.Stat(filepath.Join("../examples", folder, from)); err != nil {
						t.Errorf("%s mounts what isn't there: %v", name, err)
					}
				}
				for _, port := range s.Ports {
					if !strings.HasPrefix(port, "127.0.0.1:") {
						t.Errorf("%s publishes %s to everybody", name, port)
					}
				}
			}
			service := file.Services["vippsauth"]
			if service.Build["target"] != "vippsauth" || !slices.Equal(service.Command, []string{"serve"}) || len(file.Services["application"].Ports) > 0 {
				t.Errorf("%+v", file)
			}
			var env []string
			for name, value := range service.Environment {
				env = append(env, name+"="+composeVariable.ReplaceAllStringFunc(value, func(v string) string { return values[composeVariable.FindStringSubmatch(v)[1]] }))
			}
			check := start(t, vippsauthProgram(t), command{name: "vippsauth check", args: []string{"check"}, env: env})
			<-check.done
			if code := check.cmd.ProcessState.ExitCode(); code != 0 {
				t.Errorf("vippsauth check says %d: %s", code, check.out.String())
			}
		})
	}
}
