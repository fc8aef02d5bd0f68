package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set at build time: -ldflags "-X main.version=1.2.3".
var version = "dev"

// programVersion returns the version that was built in, or that of the module when Go itself fetched it.
func programVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && version == "dev" && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return version
}

// systemVersion is programVersion as far as Vipps-System-Version takes it: 30 characters.
func systemVersion() string {
	const limit = 30
	v := programVersion()
	return v[:min(len(v), limit)]
}

// commit returns the commit that was built, "unknown" without one.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	revision, modified := "unknown", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = " (modified)"
		}
	}
	return revision + modified
}

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print version, commit and Go version",
		GroupID: groupMore,
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			fmt.Fprintf(p.stdout, "vippsauth %s\ncommit %s\n%s %s/%s\n", programVersion(), commit(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
}
