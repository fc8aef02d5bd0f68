package emulator

// FixturePeople are the persons that an Emulator knows when Config names none: each has something that a client has to survive.
// Nobody of that name, number or address exists; national identity numbers are synthetic (month plus 80). The slice is fresh at each call.
func FixturePeople() []Person {
	home := func(street, code, region, country string) *Address {
		return &Address{AddressType: "home", StreetAddress: street, PostalCode: code, Region: region, Country: country}
	}
	return []Person{
		{
			ID: "aase", Phone: "4790000001", Name: "Åse Ødegård", GivenName: "Åse", FamilyName: "Ødegård",
			Birthdate: "1985-05-17", Email: "aase@example.com", EmailVerified: true, NIN: "17858510023", Gender: "female",
			Address:  home("Eksempelveien 1", "0001", "OSLO", "NO"),
			Accounts: []Account{{Name: "Brukskonto", Number: "99990000001", Bank: "Eksempelbanken"}},
			Note:     "full profile, unicode name", NoteNO: "full profil, navn med ÆØÅ",
		},
		{
			ID: "per", Phone: "4790000002", Name: "Per Uten Adresse", GivenName: "Per Uten", FamilyName: "Adresse",
			Birthdate: "1971-02-03", Email: "per@example.com", EmailVerified: true, NIN: "03827110115", Gender: "male",
			Note: "no address", NoteNO: "ingen adresse",
		},
		{
			ID: "ida", Phone: "4790000003", Name: "Ida Ubekreftet", GivenName: "Ida", FamilyName: "Ubekreftet",
			Birthdate: "1992-12-24", Email: "ida@example.com", NIN: "24929210030", Gender: "female",
			Address: home("Eksempelveien 3", "5003", "BERGEN", "NO"),
			Note:    "e-mail not verified", NoteNO: "e-post ikke bekreftet",
		},
		{
			ID: "odd", Phone: "4790000004", Name: "Odd Uten Epost", GivenName: "Odd", FamilyName: "Uten Epost",
			Birthdate: "1966-09-09", NIN: "09896610136", Gender: "male",
			Address: home("Eksempelveien 4", "7004", "TRONDHEIM", "NO"),
			Note:    "no e-mail", NoteNO: "ingen e-post",
		},
		{
			ID: "nora", Phone: "4790000006", Name: "Nora Nyttnummer", GivenName: "Nora", FamilyName: "Nyttnummer",
			Birthdate: "1990-04-01", Email: "nora@example.com", EmailVerified: true, NIN: "01849010081", Gender: "female",
			Address: home("Eksempelveien 5", "4005", "STAVANGER", "NO"),
			Note:    "changed number (was 90 00 00 05), same sub", NoteNO: "byttet nummer (hadde 90 00 00 05), samme sub",
		},
		{
			ID: "rolf", Phone: "4790000005", Name: "Rolf Resirkulert", GivenName: "Rolf", FamilyName: "Resirkulert",
			Birthdate: "1958-06-30", Email: "rolf@example.com", EmailVerified: true, NIN: "30865810160", Gender: "male",
			Address: home("Eksempelveien 6", "9006", "TROMSØ", "NO"),
			Note:    "recycled number (was Nora's)", NoteNO: "overtatt nummer (var Noras)",
		},
		{
			ID: "lille", Phone: "4790000007", Name: "Lille Ung", GivenName: "Lille", FamilyName: "Ung",
			Birthdate: "2015-03-12", NIN: "12831560094", Gender: "female",
			Note: "under 15: refused", NoteNO: "under 15: avvises",
		},
		{
			ID: "toralf", Phone: "4790000008", Name: "Toralf To Linjer", GivenName: "Toralf", FamilyName: "To Linjer",
			Birthdate: "1979-08-21", Email: "toralf@example.com", EmailVerified: true, NIN: "21887910186", Gender: "male",
			Address: home("Eksempelgata 23\nLeilighet B5", "6008", "ÅLESUND", "NO"),
			Note:    "street of two lines", NoteNO: "gateadresse på to linjer",
		},
		{
			ID: "trine", Phone: "4790000009", Name: "Trine Tre Adresser", GivenName: "Trine", FamilyName: "Tre Adresser",
			Birthdate: "1999-11-05", Email: "trine@example.com", EmailVerified: true, NIN: "05919910064", Gender: "female",
			Address: home("Eksempelveien 9", "8009", "BODØ", "NO"),
			OtherAddresses: []Address{
				{AddressType: "work", StreetAddress: "Eksempelkaia 1", PostalCode: "8010", Region: "BODØ", Country: "NO"},
				{AddressType: "other", StreetAddress: "Eksempelhytta", PostalCode: "2611", Region: "LILLEHAMMER", Country: "NO"},
			},
			Note: "three addresses", NoteNO: "tre adresser",
		},
		{
			ID: "soren", Phone: "4590000010", Name: "Søren Æblegård", GivenName: "Søren", FamilyName: "Æblegård",
			Birthdate: "1988-01-15", Email: "soeren@example.com", EmailVerified: true, Gender: "male",
			Address: home("Eksempelvej 10, 2. tv", "1010", "København K", "DK"),
			Note:    "from Denmark", NoteNO: "fra Danmark",
		},
		{
			ID: "aino", Phone: "358900000011", Name: "Aino Öljymäki", GivenName: "Aino", FamilyName: "Öljymäki",
			Birthdate: "1994-07-07", Email: "aino@example.com", EmailVerified: true, Gender: "female",
			Address: home("Esimerkkikatu 11 A 1", "00110", "HELSINKI", "FI"),
			Note:    "from Finland", NoteNO: "fra Finland",
		},
		{
			ID: "asa", Phone: "4690000012", Name: "Åsa Exempelström", GivenName: "Åsa", FamilyName: "Exempelström",
			Birthdate: "1981-10-20", Email: "asa@example.com", EmailVerified: true, Gender: "female",
			Address: home("Exempelgatan 12", "111 12", "STOCKHOLM", "SE"),
			Note:    "from Sweden", NoteNO: "fra Sverige",
		},
	}
}
