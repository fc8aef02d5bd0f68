package integration_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// An image is what the Dockerfile makes of one target, laid out in a directory as no container engine is needed for it.
type image struct {
	root                    string
	env                     []string
	uid, gid                int
	entrypoint, cmd, health []string
	volumes, exposed        []string
}

type instruction struct{ name, args string }

// dockerfile reads the stages of the Dockerfile, each with what it begins from as its first instruction.
func dockerfile(t *testing.T) map[string][]instruction {
	t.Helper()
	data, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	stages, stage := map[string][]instruction{}, ""
	for _, line := range strings.Split(strings.ReplaceAll(string(data), "\\\n", " "), "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		name, args, _ := strings.Cut(line, " ")
		if args = strings.TrimSpace(args); name == "FROM" {
			words := strings.Fields(args)
			if len(words) != 3 || words[1] != "AS" {
				t.Fatalf("the Dockerfile's %q has no name", line)
			}
			stage, args = words[2], words[0]
		}
		stages[stage] = append(stages[stage], instruction{name, args})
	}
	return stages
}

// builder does what the instructions say: programs are built with the commands of the Dockerfile, from a copy of what
// .dockerignore leaves of the repository.
type builder struct {
	t        *testing.T
	stages   map[string][]instruction
	src, out string // what /src and /out are
	done     map[string]bool
	version  string
}

func newBuilder(t *testing.T) *builder {
	t.Helper()
	b := &builder{t: t, stages: dockerfile(t), src: t.TempDir(), out: t.TempDir(), done: map[string]bool{}, version: "v0.0.0-image"}
	b.context()
	return b
}

// context copies the repository without what .dockerignore names.
func (b *builder) context() {
	b.t.Helper()
	data, err := os.ReadFile("../.dockerignore")
	if err != nil {
		b.t.Fatal(err)
	}
	ignored := func(path string) bool {
		for _, pattern := range strings.Fields(string(data)) {
			anywhere, deep := strings.CutPrefix(pattern, "**/")
			if !deep {
				anywhere = pattern
			}
			name := path
			if deep {
				name = filepath.Base(path)
			}
			if match, _ := filepath.Match(anywhere, name); match {
				return true
			}
		}
		return false
	}
	err = filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		rel := strings.TrimPrefix(path, "../")
		switch {
		case err != nil || path == "..":
			return err
		case ignored(rel) && d.IsDir():
			return filepath.SkipDir
		case ignored(rel):
			return nil
		case d.IsDir():
			return os.MkdirAll(filepath.Join(b.src, rel), 0o755)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(b.src, rel), text, 0o600)
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// image lays out a target, which begins from scratch.
func (b *builder) image(target string) *image {
	b.t.Helper()
	steps := b.stages[target]
	if len(steps) == 0 {
		b.t.Fatalf("the Dockerfile has no target %s", target)
	}
	im := &image{root: filepath.Join(b.t.TempDir(), "root")}
	if from := steps[0].args; from != "scratch" {
		im = b.image(from)
	} else if err := os.Mkdir(im.root, 0o755); err != nil {
		b.t.Fatal(err)
	}
	for _, step := range steps[1:] {
		switch step.name {
		case "COPY":
			b.copy(im, step.args)
		case "ENV":
			im.env = append(im.env, strings.Fields(step.args)...)
		case "USER":
			im.uid, im.gid = b.owner(step.args)
		case "EXPOSE":
			im.exposed = strings.Fields(step.args)
		case "VOLUME":
			im.volumes = b.list(step.args)
		case "ENTRYPOINT":
			im.entrypoint = b.list(step.args)
		case "CMD":
			im.cmd = b.list(step.args)
		case "HEALTHCHECK":
			_, command, found := strings.Cut(step.args, " CMD ")
			if !found {
				b.t.Fatalf("HEALTHCHECK %s", step.args)
			}
			im.health = b.list(command)
		default:
			b.t.Fatalf("%s of %s is nothing that this test knows", step.name, target)
		}
	}
	return im
}

// list reads the JSON form: there is no shell in an empty image to read the other.
func (b *builder) list(text string) (words []string) {
	b.t.Helper()
	if err := json.Unmarshal([]byte(text), &words); err != nil || len(words) == 0 {
		b.t.Fatalf("%s: %v", text, err)
	}
	return words
}

func (b *builder) owner(text string) (uid, gid int) {
	b.t.Helper()
	user, group, _ := strings.Cut(text, ":")
	uid, err := strconv.Atoi(user)
	if err != nil {
		b.t.Fatalf("%s: an empty image has no names of users", text)
	}
	if gid, err = strconv.Atoi(group); err != nil {
		b.t.Fatalf("%s: no group", text)
	}
	return uid, gid
}

var copyArgs = regexp.MustCompile(`^--from=(\S+) (?:--chown=(\S+) )?(\S+) (\S+)$`)

// copy puts a file or directory of another stage into the image.
func (b *builder) copy(im *image, args string) {
	b.t.Helper()
	m := copyArgs.FindStringSubmatch(args)
	if m == nil {
		b.t.Fatalf("COPY %s is nothing that this test knows", args)
	}
	b.run(m[1])
	from, to := m[3], filepath.Join(im.root, m[4])
	switch path, ours := strings.CutPrefix(from, "/out/"); {
	case ours:
		from = filepath.Join(b.out, path)
	case strings.HasPrefix(from, "/usr/local/go/"): // where the builder's image has Go
		root, err := exec.Command("go", "env", "GOROOT").Output()
		if err != nil {
			b.t.Fatal(err)
		}
		from = filepath.Join(strings.TrimSpace(string(root)), strings.TrimPrefix(from, "/usr/local/go/"))
	case from == "/etc/ssl/certs/ca-certificates.crt": // Debian's, there and here
	default:
		b.t.Fatalf("COPY %s: not of this build", args)
	}
	info, err := os.Stat(from)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if info.IsDir() {
		err = os.Mkdir(to, 0o755)
	} else {
		var data []byte
		if data, err = os.ReadFile(from); err == nil {
			err = os.WriteFile(to, data, 0o600)
		}
	}
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.Chmod(to, info.Mode()); err != nil {
		b.t.Fatal(err)
	}
	if m[2] != "" && os.Getuid() == 0 {
		uid, gid := b.owner(m[2])
		if err := os.Chown(to, uid, gid); err != nil {
			b.t.Fatal(err)
		}
	}
}

// run does the RUN instructions of a stage that is no image, with /src and /out elsewhere. The modules are here, and so
// is the cache of builds.
func (b *builder) run(stage string) {
	b.t.Helper()
	if b.done[stage] || b.stages[stage] == nil {
		return
	}
	b.done[stage] = true
	b.run(b.stages[stage][0].args)
	for _, step := range b.stages[stage][1:] {
		if step.name != "RUN" {
			continue
		}
		script := regexp.MustCompile(`--mount=\S+ *`).ReplaceAllString(step.args, "")
		if script = strings.TrimSpace(script); script == "go mod download" {
			continue
		}
		cmd := exec.Command("sh", "-euc", strings.ReplaceAll(script, "/out/", b.out+"/"))
		cmd.Dir, cmd.Env = b.src, append(os.Environ(), "GOFLAGS=", "VERSION="+b.version)
		if out, err := cmd.CombinedOutput(); err != nil {
			b.t.Fatalf("RUN %s: %v\n%s", script, err, out)
		}
	}
}
