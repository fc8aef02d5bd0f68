package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
)

// mutant is a file with one check dropped.
type mutant struct {
	file, function string
	what           string // what is dropped
	nth            int    // of those with the same text in the function
	line           int
	number         int // among all that are tested
	from, to       int // the bytes of the file that are put between before and after
	before, after  string
	result         result
	by             string // the test that noticed
}

// key names a mutant independently of line numbers.
func (m *mutant) key() string {
	what := m.what
	if m.nth > 1 {
		what += " #" + strconv.Itoa(m.nth)
	}
	return m.file + "\t" + m.function + "\t" + what
}

// finder collects the mutants of one file.
type finder struct {
	name     string
	src      string
	fset     *token.FileSet
	function string
	found    []*mutant
}

// mutantsOf returns the text of a file and its mutants.
func mutantsOf(path, name string) (string, []*mutant, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return "", nil, err
	}
	f := &finder{name: name, src: string(src), fset: token.NewFileSet()}
	file, err := parser.ParseFile(f.fset, path, src, parser.SkipObjectResolution)
	if err != nil {
		return "", nil, err
	}
	for _, d := range file.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
			f.function = fn.Name.Name
			ast.Inspect(fn.Body, f.look)
		}
	}
	return f.src, f.found, nil
}

// look finds what can be dropped at one node.
func (f *finder) look(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.IfStmt:
		f.wrap(n.Cond, "!dropped(%d) && (", ")", "if "+f.of(n.Cond))
		if !leaves(n.Body) {
			f.wrap(n.Cond, "dropped(%d) || (", ")", "unless "+f.of(n.Cond))
		}
	case *ast.BinaryExpr:
		f.operands(n)
	case *ast.SwitchStmt:
		if n.Tag == nil {
			for _, c := range n.Body.List {
				for _, e := range c.(*ast.CaseClause).List { //nolint:forcetypeassert // a switch holds nothing else
					f.wrap(e, "!dropped(%d) && (", ")", "case "+f.of(e))
				}
			}
		}
	case *ast.ExprStmt:
		if _, ok := n.X.(*ast.CallExpr); ok && !tells(f.of(n)) {
			f.wrap(n, "if !dropped(%d) { ", " }", "call "+f.of(n))
		}
	}
	return true
}

// operands drops each side of && and ||.
func (f *finder) operands(n *ast.BinaryExpr) {
	if n.Op != token.LAND && n.Op != token.LOR {
		return
	}
	neutral := map[token.Token]string{token.LAND: "(dropped(%d) || (", token.LOR: "(!dropped(%d) && ("}[n.Op]
	for _, e := range []ast.Expr{n.X, n.Y} {
		if b, ok := e.(*ast.BinaryExpr); ok && b.Op == n.Op {
			continue // its own operands come one by one
		}
		f.wrap(e, neutral, "))", n.Op.String()+" "+f.of(e))
	}
}

// leaves reports whether a block ends by going elsewhere: then its if is a guard.
func leaves(b *ast.BlockStmt) bool {
	if len(b.List) == 0 {
		return false
	}
	switch b.List[len(b.List)-1].(type) {
	case *ast.ReturnStmt, *ast.BranchStmt:
		return true
	}
	return false
}

// tells reports whether a call does no more than count or log.
func tells(call string) bool {
	return strings.Contains(call, ".log.") || strings.Contains(call, "metrics.") || strings.Contains(call, "panic(")
}

func (f *finder) of(n ast.Node) string {
	return f.src[f.fset.Position(n.Pos()).Offset:f.fset.Position(n.End()).Offset]
}

func (f *finder) wrap(n ast.Node, before, after, what string) {
	from, to := f.fset.Position(n.Pos()), f.fset.Position(n.End())
	m := &mutant{
		file: f.name, function: f.function, line: from.Line, nth: 1, what: strings.Join(strings.Fields(what), " "),
		from: from.Offset, to: to.Offset, before: before, after: after,
	}
	for _, other := range f.found {
		if other.function == m.function && other.what == m.what {
			m.nth++
		}
	}
	f.found = append(f.found, m)
}

// switched returns a file with all of its mutants, each at its switch. Mutants come outer before inner.
func switched(src string, found []*mutant) string {
	open, shut := map[int]string{}, map[int]string{}
	for _, m := range found {
		open[m.from] += fmt.Sprintf(m.before, m.number)
		shut[m.to] = m.after + shut[m.to]
	}
	var b strings.Builder
	for i := range len(src) + 1 {
		b.WriteString(shut[i] + open[i])
		if i < len(src) {
			b.WriteByte(src[i])
		}
	}
	return b.String()
}

// theSwitch is a file of the package that is tested. It wants the package's name and how many mutants there are.
// A check that a test reaches is told to the file that is named in the environment.
const theSwitch = `package %s

import (
	"os"
	"strconv"
	"sync/atomic"
)

var (
	droppedNumber, _ = strconv.Atoi(os.Getenv("` + dropVariable + `"))
	droppedFile, _   = os.OpenFile(os.Getenv("` + reachVariable + `"), os.O_WRONLY|os.O_APPEND, 0)
	droppedReached   [%d]atomic.Bool
)

func dropped(number int) bool {
	if droppedFile != nil && !droppedReached[number].Swap(true) {
		_, _ = droppedFile.WriteString(strconv.Itoa(number) + "\n")
	}
	return number == droppedNumber
}
`

const (
	dropVariable  = "MUTATE_DROPPED"
	reachVariable = "MUTATE_REACHED"
)
