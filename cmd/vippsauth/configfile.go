package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// readConfigFile finds the settings in a YAML file: one mapping of keys to scalars or lists of scalars.
func readConfigFile(path string, table map[string]*setting, rep *report) fileContent {
	b, err := readFile(path, maxConfigFile)
	if err != nil {
		rep.add(problem{source: path, what: "cannot read the configuration file: " + reasonOf(err), mend: "name a readable file with --config"})
		rep.incomplete = true
		return fileContent{}
	}
	f := &configFile{path: path, table: table, rep: rep}
	root, ok := f.parse(b)
	if !ok {
		rep.incomplete = true
		return fileContent{}
	}
	return f.settings(root)
}

// fileContent is what a configuration file says.
type fileContent struct {
	values          map[string]candidate
	sites, policies []section
}

// A configFile is one YAML file being read.
type configFile struct {
	path  string
	table map[string]*setting
	rep   *report
}

func (f *configFile) at(line int) string { return f.path + ":" + strconv.Itoa(line) }

func (f *configFile) add(line int, key, what, mend string) {
	f.rep.add(problem{f.at(line), key, what, mend})
}

// yamlLine finds the line in the parser's message. The rest of the message may quote the file, so it isn't shown.
var yamlLine = regexp.MustCompile(`line (\d+)`)

// parse returns the mapping that the file holds.
func (f *configFile) parse(b []byte) (*yaml.Node, bool) {
	var doc, second yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(b))
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return &yaml.Node{Kind: yaml.MappingNode}, true
	}
	if err == nil {
		if err = dec.Decode(&second); errors.Is(err, io.EOF) {
			err = nil
		} else if err == nil {
			f.add(second.Line, "", "a second document begins here", "keep one document in the file")
			return nil, false
		}
	}
	if err != nil {
		f.rep.add(problem{source: f.at(faultyLine(b, err)), what: "is not valid YAML, here or on a line near by", mend: `write "key: value" lines, and put values with special characters in quotes`})
		return nil, false
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" { // comments only
		return &yaml.Node{Kind: yaml.MappingNode}, true
	}
	if root.Kind != yaml.MappingNode {
		f.add(root.Line, "", "is not a list of settings", `write "key: value" lines`)
		return nil, false
	}
	return root, true
}

// yamlAlias matches a value that begins with an asterisk.
var yamlAlias = regexp.MustCompile(`[:-][ \t]+\*`)

// faultyLine is where the parser's error is. It tells no line of faults in the first, of bytes that are no text, nor of
// names that nothing has.
func faultyLine(b []byte, err error) int {
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		if line, err := strconv.Atoi(m[1]); err == nil {
			return line
		}
	}
	noText := func(r rune) bool {
		return r == utf8.RuneError || r < ' ' && !strings.ContainsRune("\t\n\r", r) || r == 0x7f
	}
	at := bytes.IndexFunc(b, noText)
	if alias := yamlAlias.FindIndex(b); at < 0 && alias != nil && strings.Contains(err.Error(), "anchor") {
		at = alias[0]
	}
	return bytes.Count(b[:max(at, 0)], []byte("\n")) + 1
}

// settings reads the pairs of the mapping.
func (f *configFile) settings(root *yaml.Node) fileContent {
	values := map[string]candidate{}
	content := fileContent{values: values}
	lines := map[string]int{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		k, v := root.Content[i], root.Content[i+1]
		s, key, fromFile := f.named(k.Value)
		first, seen := lines[key]
		switch {
		case k.Kind != yaml.ScalarNode:
			f.add(k.Line, "", "is not the name of a setting", `write "key: value"`)
		case seen:
			f.add(k.Line, key, "is given twice, here and on line "+strconv.Itoa(first), "keep one of them")
		case key == sitesKey:
			lines[key] = k.Line
			f.rep.sources[key] = f.at(k.Line)
			content.sites = f.sections(key, v, siteKeys())
		case key == policiesKey:
			lines[key] = k.Line
			f.rep.sources[key] = f.at(k.Line)
			content.policies = f.sections(key, v, policyKeys())
		case s == nil:
			f.add(k.Line, shown(key), "unknown setting", didYouMean(key, slices.Collect(maps.Keys(f.table))))
		default:
			lines[key] = k.Line
			f.rep.sources[key] = f.at(k.Line)
			if c, ok := f.value(s, k, v, fromFile, f.rep); ok {
				values[key] = c
			}
		}
	}
	return content
}

// named finds the setting of a key of the file, and its own key. A secret's key that ends in _file names a file that holds
// it.
func (f *configFile) named(key string) (s *setting, own string, fromFile bool) {
	secret, fromFile := strings.CutSuffix(key, strings.ToLower(fileSuffix))
	if s := f.table[secret]; fromFile && f.table[key] == nil && s != nil && s.secret {
		return s, secret, true
	}
	return f.table[key], key, false
}

// value reads the value of a setting, which may stand in a file of its own.
func (f *configFile) value(s *setting, k, v *yaml.Node, fromFile bool, rep *report) (candidate, bool) {
	if fromFile {
		path, ok := f.scalar(s, v)
		if !ok {
			return candidate{}, false
		}
		return readValueFile(f.at(k.Line), path, s, rep)
	}
	items, ok := f.items(s, v)
	return candidate{f.at(k.Line), items}, ok
}

// items reads a scalar or a list of scalars.
func (f *configFile) items(s *setting, v *yaml.Node) ([]item, bool) {
	switch {
	case v.Kind == yaml.SequenceNode && s.list == scalar:
		f.add(v.Line, s.key, "is a list", "give it one value")
		return nil, false
	case v.Kind == yaml.SequenceNode:
		var items []item
		for _, n := range v.Content {
			t, ok := f.scalar(s, n)
			if !ok {
				return nil, false
			}
			items = append(items, item{t, f.at(n.Line)})
		}
		return items, true
	default:
		t, ok := f.scalar(s, v)
		if !ok {
			return nil, false
		}
		return s.itemsOf(t, f.at(v.Line)), true
	}
}

// yamlTags are the tags that plain values get by themselves.
var yamlTags = []string{"!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp"}

// scalar returns the text of a value as it stands in the file: 047 stays 047, and off stays off.
func (f *configFile) scalar(s *setting, n *yaml.Node) (string, bool) {
	special := n.Kind == yaml.AliasNode || n.Anchor != "" || n.Style&yaml.TaggedStyle != 0
	switch {
	case special || n.Kind == yaml.ScalarNode && !slices.Contains(yamlTags, n.Tag):
		f.add(n.Line, s.key, "begins with &, * or !, which mean something else in YAML", "put it in quotes")
		return "", false
	case n.Kind != yaml.ScalarNode && s.list != scalar:
		f.add(n.Line, s.key, "is not a value or a list of values", fmt.Sprintf(`write "%s: value" or a list of "- value" lines`, s.key))
		return "", false
	case n.Kind != yaml.ScalarNode:
		f.add(n.Line, s.key, "is not a value", fmt.Sprintf(`write "%s: value"`, s.key))
		return "", false
	case n.Tag == "!!null":
		return "", true // "key:" and "key: null" are empty
	default:
		return strings.TrimSuffix(n.Value, "\n"), true
	}
}

// shown is an unknown key as it may be printed: short, and of the letters that keys are made of.
func shown(key string) string {
	const limit = 40
	odd := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-.", r))
	}
	if key == "" || len(key) > limit || strings.ContainsFunc(key, odd) {
		return ""
	}
	return key
}
