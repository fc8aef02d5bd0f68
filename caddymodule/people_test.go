package caddymodule_test

import "github.com/vippsauth/vippsauth/vipps/emulator"

// emuPerson is one of the emulator's people under another name.
func emuPerson(name string) emulator.Person {
	for _, p := range emulator.FixturePeople() {
		if p.Phone == phoneOfAase {
			p.Name = name
			return p
		}
	}
	panic("Åse has moved")
}
