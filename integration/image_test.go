package integration_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// The images of the Dockerfile, without a container engine: the same commands build the programs, the same files are
// laid out, and the program starts with that directory as its root, as the user that the image names. What an operator
// mounts read-only is not writable here either.
func TestImages(t *testing.T) {
	t.Parallel()
	b := newBuilder(t)
	t.Run("vippsauth", func(t *testing.T) { imageOfVippsauth(t, b.image("vippsauth")) })
	t.Run("caddy", func(t *testing.T) { imageOfCaddy(t, b.image("caddy")) })
}

func imageOfVippsauth(t *testing.T, im *image) {
	im.isBare(t, "/vippsauth")
	f := newFront(t)
	f.ops = freeAddr(t)
	env := []string{
		"VIPPSAUTH_ENVIRONMENT=emulator", "VIPPSAUTH_EMULATOR_LISTEN=" + freeAddr(t), "VIPPSAUTH_PUBLIC_URL=" + f.origin, "VIPPSAUTH_LISTEN=127.0.0.1:" + f.port(),
		"VIPPSAUTH_OPS_LISTEN=" + f.ops, "VIPPSAUTH_UPSTREAM=http://" + f.app.addr(), "VIPPSAUTH_SCOPES=openid name", "VIPPSAUTH_COOKIE_KEYS=" + cookieKey(t),
	}
	in := im.readOnly(t)
	if out := im.ask(t, in, env, "version"); !strings.Contains(out, "v0.0.0-image") {
		t.Errorf("version says %s", out)
	}
	// What the image says that it exposes is where the program listens unless told otherwise.
	help := im.ask(t, in, nil, "serve", "--help")
	for _, port := range []string{"4190", "4191"} {
		if !slices.Contains(im.exposed, port) || !strings.Contains(help, "(default :"+port+")") {
			t.Errorf("port %s: exposed are %v, and serve --help doesn't say so", port, im.exposed)
		}
	}
	before := im.files(t)
	f.service = im.start(t, in, env)
	f.checkLog(f.service)
	f.service.answers("http://" + f.ops + "/readyz")
	eventually(t, "the health check says that it is ready", func() bool { return im.healthy(t, in, env) == 0 })

	b := f.browser()
	page := b.press(b.open(f.origin+"/x?y=1"), nameAase)
	page = b.press(b.chooseNumber(page), "^(Allow|Tillat)")
	if page.StatusCode != http.StatusOK || f.app.last().URI != "/x?y=1" || f.app.last().Header.Get("X-Vipps-Name") != nameAase {
		t.Errorf("the login ended with %d at %v: %s", page.StatusCode, b.trail, page.words())
	}
	f.service.end()
	if code := f.service.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("told to stop, it exits with %d", code)
	}
	if code := im.healthy(t, in, env); code != 1 {
		t.Errorf("the health check of what is stopped exits with %d", code)
	}
	if after := im.files(t); !slices.Equal(after, before) {
		t.Errorf("files have come or changed:\n%q\nwere\n%q", after, before)
	}
}

func imageOfCaddy(t *testing.T, im *image) {
	im.isBare(t, "/caddy")
	f := newFront(t)
	config := fmt.Sprintf(`{
	admin %s
	default_bind 127.0.0.1
}
%s {
	log
	vipps_auth {
		environment emulator
		emulator_listen %s
		scopes openid name
	}
	reverse_proxy %s
}
`, freeAddr(t), f.origin, freeAddr(t), f.app.addr())
	mounted := filepath.Join(im.root, im.cmd[slices.Index(im.cmd, "--config")+1]) // what an operator mounts
	if err := os.MkdirAll(filepath.Dir(mounted), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(mounted, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, port := range []string{"80", "443", "443/udp"} {
		if !slices.Contains(im.exposed, port) {
			t.Errorf("%s is not exposed", port)
		}
	}
	in := im.readOnly(t)
	before := im.files(t)
	run := func() *process {
		p := im.start(t, in, nil)
		f.checkLog(p)
		p.answers(f.origin + "/_vipps/authz/")
		return p
	}
	p := run()
	b := f.browser()
	page := b.press(b.open(f.origin+"/x?y=1"), nameAase)
	page = b.press(b.chooseNumber(page), "^(Allow|Tillat)")
	if page.StatusCode != http.StatusOK || f.app.last().URI != "/x?y=1" || f.app.last().Header.Get("X-Vipps-Name") != nameAase {
		t.Errorf("the login ended with %d at %v: %s", page.StatusCode, b.trail, page.words())
	}
	p.end()
	if after := im.files(t); !slices.Equal(after, before) {
		t.Errorf("files have come or changed beside the volumes %v:\n%q\nwere\n%q", im.volumes, after, before)
	}
	for _, made := range []string{"data/caddy/vippsauth/cookie_keys.txt", "config/caddy/autosave.json"} {
		if _, err := os.Stat(filepath.Join(im.root, made)); err != nil {
			t.Errorf("not kept in a volume: %v", err)
		}
	}
	p = run()
	if a := b.open(f.origin + "/"); a.StatusCode != http.StatusOK || len(b.trail) != 1 {
		t.Errorf("the session in a new container with the same volumes: %d at %v", a.StatusCode, b.trail)
	}
	p.end()
}

// isBare: nobody's user, one program, and the authorities to check others' certificates with.
func (im *image) isBare(t *testing.T, program string) {
	t.Helper()
	if im.uid < 1000 || im.gid < 1000 {
		t.Errorf("it runs as %d:%d", im.uid, im.gid)
	}
	if !slices.Equal(im.entrypoint, []string{program}) {
		t.Errorf("the entry point is %v", im.entrypoint)
	}
	var programs []string
	for _, file := range im.files(t) {
		if mode, name, _ := strings.Cut(file, " "); mode[0] == '-' && strings.Contains(mode, "x") {
			programs = append(programs, strings.Fields(name)[0])
		}
	}
	if !slices.Equal(programs, []string{program}) {
		t.Errorf("programs in it: %v", programs)
	}
	for _, name := range []string{"SSL_CERT_FILE", "ZONEINFO"} {
		i := slices.IndexFunc(im.env, func(v string) bool { return strings.HasPrefix(v, name+"=") })
		if i < 0 {
			t.Fatalf("no %s in %v", name, im.env)
		}
		path := strings.TrimPrefix(im.env[i], name+"=")
		data, err := os.ReadFile(filepath.Join(im.root, path))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if name == "SSL_CERT_FILE" && !x509.NewCertPool().AppendCertsFromPEM(data) {
			t.Errorf("%s holds no certificates", path)
		}
		if info, err := os.Stat(filepath.Join(im.root, path)); err == nil && info.Mode().Perm()&0o004 == 0 {
			t.Errorf("%s is for root alone", path)
		}
	}
}

// readOnly takes away every right to write but to the volumes, and gives what starts a program in the image as its user:
// root does that directly, and others in a name space of their own, where the system lets them.
func (im *image) readOnly(t *testing.T) *syscall.SysProcAttr {
	t.Helper()
	err := filepath.WalkDir(im.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || slices.Contains(im.volumes, strings.TrimPrefix(path, im.root)) {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if os.Getuid() == 0 {
			if err := os.Chown(path, 0, 0); err != nil {
				return err
			}
		}
		return os.Chmod(path, info.Mode().Perm()&^0o222)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // so that it can be removed
		_ = filepath.WalkDir(im.root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				_ = os.Chmod(path, 0o700)
			}
			return nil
		})
	})
	if os.Getuid() == 0 {
		return &syscall.SysProcAttr{Chroot: im.root, Credential: &syscall.Credential{Uid: uint32(im.uid), Gid: uint32(im.gid)}}
	}
	in := &syscall.SysProcAttr{
		Chroot: im.root, Cloneflags: syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: im.uid, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: im.gid, HostID: os.Getgid(), Size: 1}},
		Credential:  &syscall.Credential{Uid: uint32(im.uid), Gid: uint32(im.gid), NoSetGroups: true},
	}
	if _, err := im.command(in, nil, "version").CombinedOutput(); errors.Is(err, fs.ErrPermission) {
		t.Skipf("starting a program in another root directory needs root, or user name spaces: %v", err)
	}
	return in
}

// command is the entry point with arguments, or another program of the image when the first argument is a path.
func (im *image) command(in *syscall.SysProcAttr, env []string, args ...string) *exec.Cmd {
	if !strings.HasPrefix(args[0], "/") {
		args = append(slices.Clone(im.entrypoint), args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = "/", im.environment(env), in
	return cmd
}

// environment is what a container engine gives a program: the image's, a few of its own, and the operator's.
func (im *image) environment(env []string) []string {
	return slices.Concat([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=image", "HOME=/"}, im.env, env)
}

func (im *image) start(t *testing.T, in *syscall.SysProcAttr, env []string) *process {
	t.Helper()
	args := append(slices.Clone(im.entrypoint[1:]), im.cmd...)
	return start(t, im.entrypoint[0], command{name: "the image's program", args: args, env: im.environment(env), dir: "/", in: in})
}

// ask runs the entry point with other arguments to its end, which has to be a good one.
func (im *image) ask(t *testing.T, in *syscall.SysProcAttr, env []string, args ...string) string {
	t.Helper()
	out, err := im.command(in, env, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

// healthy gives the exit code of the image's own health check.
func (im *image) healthy(t *testing.T, in *syscall.SysProcAttr, env []string) int {
	t.Helper()
	if len(im.health) == 0 {
		t.Fatal("the image has no health check")
	}
	cmd := im.command(in, env, im.health...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatalf("%v: %v\n%s", im.health, err, out)
	}
	return cmd.ProcessState.ExitCode()
}

// files lists what is in the image beside its volumes: mode, name and size of each.
func (im *image) files(t *testing.T) (list []string) {
	t.Helper()
	err := filepath.WalkDir(im.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, im.root)
		info, err := d.Info()
		if err != nil {
			return err
		}
		if d.IsDir() {
			list = append(list, fmt.Sprintf("%s %s", info.Mode(), name))
			if slices.Contains(im.volumes, name) {
				return fs.SkipDir
			}
			return nil
		}
		list = append(list, fmt.Sprintf("%s %s %d", info.Mode(), name, info.Size()))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}
