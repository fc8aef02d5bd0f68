package forwardauth

// ForgetOpened empties the caches of opened cookies, so that the next request opens its cookie anew.
func (e *Engine) ForgetOpened() {
	for _, s := range e.list {
		for i := range s.opened.shards {
			shard := &s.opened.shards[i]
			shard.mu.Lock()
			clear(shard.m)
			shard.ring, shard.hand = shard.ring[:0], 0
			shard.mu.Unlock()
		}
	}
}

// SessionOf opens a value of the session cookie of the first site, whatever has become of the session.
func (e *Engine) SessionOf(value string) (id, sub string, ok bool) {
	payload, err := e.list[0].sessions.Open(value)
	if err != nil {
		return "", "", false
	}
	var d sessionData
	if d.read(payload) != nil {
		return "", "", false
	}
	return d.ID, d.Sub, true
}
