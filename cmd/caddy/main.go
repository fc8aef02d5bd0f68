// Command caddy is Caddy with its standard modules and vipps_auth, for those without xcaddy.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/vippsauth/vippsauth/caddymodule"
)

func main() { caddycmd.Main() }
