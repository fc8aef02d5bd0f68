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
