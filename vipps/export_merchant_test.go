package vipps

import "context"

// APIToken returns the merchant's own token.
func (c *Client) APIToken(ctx context.Context) (string, error) { return c.apiToken(ctx) }

// DropAPIToken says that it was refused.
func (c *Client) DropAPIToken(text string) { c.dropAPIToken(text) }
