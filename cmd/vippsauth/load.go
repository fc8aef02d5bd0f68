package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

const (
	envPrefix  = "VIPPSAUTH_"
	fileSuffix = "_FILE"
	configEnv  = "VIPPSAUTH_CONFIG" // the path of the configuration file, when --config isn't given

	maxConfigFile = 1 << 20
	maxValueFile  = 64 << 10
)

// sources is everything that a configuration is read from.
type sources struct {
	environ    []string            // as os.Environ has it
	configFile string              // the YAML file; empty: that of VIPPSAUTH_CONFIG, or none
	flags      map[string][]string // setting → the values given with its flag
}

// A candidate is the value of a setting in one source.
type candidate struct {
	source string
	items  []item
}

// An item is one value, or one of a list, and where it stands.
type item struct {
	text, source string
}

// load reads every source, and gathers everything wrong with any of them. Flag beats environment beats file.
// The config holds what could be read, and the default where something could not.
func load(src sources) (*config, *report) {
	rep := newReport()
	table := map[string]*setting{}
	for _, s := range settingsTable() {
		table[s.key] = &s
	}
	environ := environment(src.environ)
	path := src.configFile
	if v, ok := environ[configEnv]; ok && path == "" {
		if path = v; v == "" {
			rep.add(problem{source: configEnv, what: "is empty", mend: "unset it, or name the configuration file"})
			rep.incomplete = true
		}
	}
	values := map[string]candidate{}
	var file fileContent
	if path != "" {
		file = readConfigFile(path, table, rep)
		maps.Copy(values, file.values)
	}
	maps.Copy(values, readEnvironment(environ, table, rep))
	for key, given := range src.flags {
		values[key] = flagValues(table[key], given)
	}
	c := newConfig()
	for _, s := range settingsTable() {
		if v, ok := values[s.key]; ok {
			rep.sources[s.key] = v.source
			apply(c, &s, v, rep)
		}
	}
	c.addSites(file.sites, values, rep)
	c.addPolicies(file.policies, rep)
	return c, rep
}

// apply checks what holds for every value, and sets it.
func apply(c *config, s *setting, v candidate, rep *report) {
	bad := len(rep.problems)
	texts := make([]string, 0, len(v.items))
	for _, it := range v.items {
		texts = append(texts, it.text)
		switch {
		case strings.TrimSpace(it.text) == "" && len(v.items) > 1:
			rep.add(problem{it.source, s.key, "holds an empty item", "take out the comma or the item too many"})
		case strings.TrimSpace(it.text) == "":
			rep.add(problem{it.source, s.key, "is empty", "give it a value, or take it out"})
		case hasControl(it.text):
			rep.add(problem{it.source, s.key, "holds a line break or another control character", "write it on one line"})
		case strings.TrimSpace(it.text) != it.text:
			rep.add(problem{it.source, s.key, "has blanks around it", "take them out"})
		}
	}
	switch {
	case len(rep.problems) > bad:
	case len(texts) == 0:
		rep.add(problem{v.source, s.key, "is empty", "give it a value, or take it out"})
	case s.list == scalar && len(texts) > 1:
		rep.add(problem{v.source, s.key, "is given more than once", "give it one value"})
	default:
		if err := s.set(c, texts); err != nil {
			rep.add(problem{v.source, s.key, err.Error(), ""})
			return
		}
		if s.secret {
			texts = nil
		}
		rep.values[s.key] = texts
	}
}

func flagValues(s *setting, given []string) candidate {
	v := candidate{source: "--" + s.flagName()}
	for _, text := range given {
		v.items = append(v.items, s.itemsOf(text, v.source)...)
	}
	return v
}

// itemsOf splits the text of a flag, a variable or a YAML scalar.
func (s *setting) itemsOf(text, source string) []item {
	var items []item
	for _, t := range s.split(text) {
		items = append(items, item{t, source})
	}
	return items
}

// environment returns the variables that begin with our prefix. The last of one name counts, as in os.Getenv of most systems.
func environment(environ []string) map[string]string {
	m := map[string]string{}
	for _, kv := range environ {
		if name, v, ok := strings.Cut(kv, "="); ok && strings.HasPrefix(name, envPrefix) {
			m[name] = v
		}
	}
	return m
}

// serviceLink matches what Kubernetes and container links put into the environment for a service whose name begins with
// "vippsauth": VIPPSAUTH_SERVICE_HOST, VIPPSAUTH_PORT_4190_TCP_ADDR and the like. They are nobody's mistake.
var serviceLink = regexp.MustCompile(`^VIPPSAUTH_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?)?)$`)

// readEnvironment finds the settings among the variables.
func readEnvironment(environ map[string]string, table map[string]*setting, rep *report) map[string]candidate {
	values := map[string]candidate{}
	known := []string{configEnv}
	for _, s := range table {
		known = append(known, s.envName(), s.envName()+fileSuffix)
	}
	for _, name := range slices.Sorted(maps.Keys(environ)) {
		s, fromFile := settingOf(name, table)
		switch {
		case name == configEnv, name == doctorCookieEnv, name == phoneEnv, s == nil && serviceLink.MatchString(name):
		case s == nil:
			rep.add(problem{source: name, what: "unknown variable", mend: didYouMean(name, known)})
		case fromFile:
			if _, both := environ[s.envName()]; both {
				rep.add(problem{name, s.key, "is given twice, here and in " + s.envName(), "keep one of them"})
			} else if v, ok := readValueFile(name, environ[name], s, rep); ok {
				values[s.key] = v
			}
		default:
			values[s.key] = candidate{name, s.itemsOf(environ[name], name)}
		}
	}
	return values
}

// settingOf finds the setting that a variable is for, and whether it names a file that holds the value.
// VIPPSAUTH_COOKIE_KEYS_FILE is the setting cookie_keys_file, which is that and more.
func settingOf(name string, table map[string]*setting) (s *setting, fromFile bool) {
	key := strings.ToLower(strings.TrimPrefix(name, envPrefix))
	if name != envPrefix+strings.ToUpper(key) {
		return nil, false
	}
	if s, ok := table[key]; ok {
		return s, false
	}
	return table[strings.TrimSuffix(key, strings.ToLower(fileSuffix))], true
}

// readValueFile reads the value of a setting from a file, and drops its final newline. In a list a line is as good as a
// comma, and one that begins with # is nothing, as in the files of people: what was taken out like that must not count.
func readValueFile(name, path string, s *setting, rep *report) (candidate, bool) {
	// The path isn't shown: whoever mixes the two variables up has written the secret here.
	rep.sources[s.key] = name
	if path == "" {
		rep.add(problem{name, s.key, "is empty", "name the file that holds the value, or take it out"})
		return candidate{}, false
	}
	b, err := readFile(path, maxValueFile)
	if err != nil {
		mend := "name a readable file that holds the value alone"
		if maker := fileMaker(s.key); maker != "" && errors.Is(err, fs.ErrNotExist) {
			mend += "; " + maker + " makes one"
		}
		rep.add(problem{name, s.key, "cannot read the file that it names: " + reasonOf(err), mend})
		return candidate{}, false
	}
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	if s.list == commas {
		lines := bytes.Split(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")), []byte("\n"))
		lines = slices.DeleteFunc(lines, func(line []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(line), []byte("#")) })
		b = bytes.Join(lines, []byte(","))
	}
	return candidate{name, s.itemsOf(string(b), name)}, true
}

// fileMaker is the command that makes the file of a secret that nobody else has, or "".
func fileMaker(key string) string {
	switch key {
	case "webhook_secrets":
		return "vippsauth webhooks register --secret-file"
	case "consent_secret":
		return "vippsauth keygen --events"
	case "consent_revoked_secret":
		return "openssl rand -hex 32"
	}
	return ""
}

// readFile reads a file of at most limit bytes.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("it is larger than %d KiB", limit>>10)
	}
	return b, err
}

// reasonOf returns why a file could not be read, without its path.
func reasonOf(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err.Error()
	}
	return err.Error()
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd })
}
