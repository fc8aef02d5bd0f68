package main

// An awayText is the second language of the pages that a proxy shows while vippsauth, or the application, is away. They
// are the proxy's own, so nobody chooses by the browser: English stands first, and the market's language below it. They
// are ASCII, and hold nothing that means something to a proxy.
type awayText struct {
	Lang  string
	Login string // vippsauth is away
	App   string // the application is
}

// Away is the text in the language of the market of the first site; without a market it is Norwegian.
func (d *snippetData) Away() awayText {
	market := ""
	if len(d.Sites) > 0 {
		market = d.Sites[0].config.market
	}
	switch market {
	case "DK":
		return awayText{
			"da", "Login er ikke tilg&aelig;ngeligt lige nu. Intet blev sendt til hjemmesiden. Pr&oslash;v igen om et minut.",
			"Login virker, men hjemmesiden svarer ikke lige nu. Pr&oslash;v igen om et minut.",
		}
	case "SE":
		return awayText{
			"sv", "Inloggningen &auml;r inte tillg&auml;nglig just nu. Inget skickades till webbplatsen. F&ouml;rs&ouml;k igen om en minut.",
			"Inloggningen fungerar, men webbplatsen svarar inte just nu. F&ouml;rs&ouml;k igen om en minut.",
		}
	case "FI":
		return awayText{
			"fi", "Kirjautuminen ei ole juuri nyt k&auml;ytett&auml;viss&auml;. Sivustolle ei l&auml;hetetty mit&auml;&auml;n. Yrit&auml; minuutin kuluttua uudelleen.",
			"Kirjautuminen toimii, mutta sivusto ei juuri nyt vastaa. Yrit&auml; minuutin kuluttua uudelleen.",
		}
	}
	return awayText{
		"nb", "Innlogging er ikke tilgjengelig akkurat n&aring;. Ingenting ble sendt til nettstedet. Pr&oslash;v igjen om et minutt.",
		"Innloggingen virker, men nettstedet svarer ikke akkurat n&aring;. Pr&oslash;v igjen om et minutt.",
	}
}
