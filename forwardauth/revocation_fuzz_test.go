package forwardauth

import (
	"bytes"
	"strings"
	"testing"
)

// Attack: whoever can write to the disk, or a disk that lies, leaves anything at all in the file. Reading it never fails, a
// record that is whole is found wherever it stands, a torn end is left to be completed, and what is written anew says the same.
func FuzzSec_A132_RevocationFile(f *testing.F) {
	line := string(personRecord(testIssuer, "Åse", stateEpoch).append(nil))
	for _, seed := range []string{
		"", "\n", line, line[:len(line)-9], line + line[:20], "# comment\n" + line, "v1 1 s\n", "v1 99999999999999999999 a 1 00000000\n",
		"v2 1772366400 x y 12345678\n", strings.Repeat("v", 70_000) + "\n" + line, "\x00\n\xff\n" + line, "v1 -5 a 3 0c9d7a1e\r\n", " " + line, line + line,
		sealed("v2 4102444800 q something newer"), sealed("v1 4102444800 s short"), sealed("v1 4102444800 a 01"), sealed("v1  a 1"), sealed("v1 4102444800"),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		merged := MergeRevocations(text, []byte("\n"+line), stateEpoch)
		if !bytes.Contains(merged, []byte(line)) {
			t.Fatal("a whole record is lost")
		}
		if again := MergeRevocations(merged, nil, stateEpoch); !bytes.Equal(again, merged) {
			t.Fatalf("written anew it is\n%s\nand again\n%s", merged, again)
		}
		found := 0
		file := append(append(bytes.Clone(text), "\n"+line...), line[:len(line)-1]...)
		read, err := readLines(t.Context(), bytes.NewReader(file), func(l []byte) {
			if bytes.Equal(l, []byte(line)) {
				found++
			}
		})
		if err != nil || found == 0 || int(read) != len(file)-len(line)+1 {
			t.Fatalf("%d of %d bytes read, found %d times, %v", read, len(file), found, err)
		}
	})
}
